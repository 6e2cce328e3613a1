# SPDX-License-Identifier: GPL-2.0-or-later
"""What a distribution sets: the version of its package, and a configuration kept as files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.forge import EFI, LEGACY, Forge

pytestmark = pytest.mark.slow

VERSION = 'tree = "tree"\nmake = { VERSION = { env = "DEB_VERSION", default = "none" } }'
FILES = 'config = "debian"'
CONFIG = '[config.debian]\nheaders = "debian/config"\n'


def plan_of(forge: Forge, task: str, **environment: str) -> Any:
    done = forge.romforge("plan", "--json", **environment)
    assert done.returncode == 0, done.stderr
    (step,) = [step for step in json.loads(done.stdout)["steps"] if step["task"] == task]
    return step


def test_the_version_of_a_package_is_in_the_image_and_the_plan(built: Forge):
    """Another version builds the images anew, though no file changed; the same one does not."""
    built.spec({LEGACY: ""}, ("e1000",), source=VERSION)
    built.build(DEB_VERSION="2.0.0-1")
    image = built.stage(LEGACY, "e1000").read_bytes()
    assert b"2.0.0-1" in image
    assert plan_of(built, f"make:ipxe/{LEGACY}", DEB_VERSION="2.0.0-1")["notes"] == [
        "VERSION=2.0.0-1 for make, from the environment's DEB_VERSION"
    ]
    assert built.why(DEB_VERSION="2.0.0-1") == {}
    reasons = built.why(DEB_VERSION="2.0.0-2")
    assert "make's variables changed" in reasons[f"make:ipxe/{LEGACY}"], reasons
    built.build(DEB_VERSION="2.0.0-2")
    assert b"2.0.0-2" in built.stage(LEGACY, "e1000").read_bytes()
    built.build()
    assert b"none" in built.stage(LEGACY, "e1000").read_bytes()


@pytest.mark.qemu
def test_a_boot_shows_the_version(built: Forge):
    mark = '\nmark = "minipxe version 2.0.0-1"'
    verify = '[verify]\nboot = ["bios"]\nroms = ["romfile"]\n'
    built.spec({LEGACY: ""}, ("e1000",), source=VERSION + mark, extra=verify)
    done = built.romforge("verify", DEB_VERSION="2.0.0-1")
    assert done.returncode == 0, done.stdout + done.stderr
    spec = built.top / "romspec.toml"
    spec.write_text(spec.read_text().replace("version 2.0.0-1", "version 2.0.0-2"))
    done = built.romforge("verify", DEB_VERSION="2.0.0-1")
    assert done.returncode == 1


def test_headers_that_are_files_configure_as_tables_do(built: Forge):
    """The same bytes come of both; with a table beside the files, it has the last word."""
    built.spec({EFI: FILES}, ("e1000",), extra='[config.debian.general]\nundef = ["DIGEST_CMD"]\n')
    built.build()
    table = built.stage(EFI, "e1000", "", "with-debian").read_bytes()
    headers = built.top / "debian/config"
    headers.mkdir(parents=True)
    (headers / "general.h").write_text("/* as Debian keeps it */\n#undef DIGEST_CMD")
    built.spec({EFI: FILES}, ("e1000",), extra=CONFIG)
    built.build()
    assert built.stage(EFI, "e1000", "", "with-debian").read_bytes() == table
    built.spec(
        {EFI: FILES},
        ("e1000",),
        extra=CONFIG + '[config.debian.general]\ndefine = ["DIGEST_CMD"]\n',
    )
    built.build()
    both = built.stage(EFI, "e1000", "", "with-debian").read_bytes()
    assert both != table
    # One edited file builds anew, and is the reason.
    built.spec({EFI: FILES}, ("e1000",), extra=CONFIG)
    built.build()
    (headers / "general.h").write_text("#undef DIGEST_CMD\n#undef CRC_CMD\n")
    assert "config/local/debian/general.h" in built.why()[f"make:ipxe/{EFI}"]


def test_headers_that_are_files_are_checked_as_tables_are(built: Forge):
    headers = built.top / "debian/config"
    headers.mkdir(parents=True)
    text = "#define DIGEST_CMD\n#define DIGEST_CMDX\n#define CONSOLE_SERIAL\n"
    (headers / "general.h").write_text(text)
    built.spec({EFI: FILES}, ("e1000",), extra=CONFIG)
    done = built.romforge("check")
    assert done.returncode == 0
    place = "config.debian.headers: warning: debian/config/general.h"
    assert f"{place}:2: nothing in " in done.stderr
    assert 'mentions DIGEST_CMDX, so it has no effect (did you mean "DIGEST_CMD"?)' in done.stderr
    assert f"{place}:3: CONSOLE_SERIAL belongs to config/console.h" in done.stderr
    assert "; move it to console.h" in done.stderr
    assert f"{place}:1:" not in done.stderr
    (headers / "generic.h").write_text("#define A\n")
    done = built.romforge("check")
    assert done.returncode == 1
    assert 'the tree has no header config/generic.h (did you mean "general"?)' in done.stderr
