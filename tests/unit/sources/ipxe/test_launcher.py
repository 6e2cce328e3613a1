# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiler launchers: a missing one, their environment, and the sources that they skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from romforge.base.programs import MissingTool
from romforge.sources.ipxe import launcher, toolchain
from tests.support.steps import step


@pytest.mark.parametrize(
    "command",
    [
        ("ccache",),
        ("distcc",),
        ("icecc",),
        ("sccache",),
        ("nice", "ccache"),
        ("/opt/bin/distcc", "-v"),
    ],
)
def test_a_missing_launcher_is_named_with_its_debian_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
):
    """Also if another program runs it."""
    (tmp_path / "nice").symlink_to("/usr/bin/nice")
    monkeypatch.setenv("PATH", str(tmp_path))
    (name,) = {Path(word).name for word in command} & launcher.KNOWN.keys()
    message = f"^[a-z/]*{name}: not found; install the Debian package {name}$"
    with pytest.raises(MissingTool, match=message):
        toolchain.require_tools(step(launcher=command))


def test_a_launcher_with_the_compilers_name_is_not_taken_for_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As with /usr/lib/ccache in PATH: the compiler that ccache runs is identified."""
    before = toolchain.tools_identity(step())
    (tmp_path / "gcc").symlink_to(shutil.which("ccache") or "ccache")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert toolchain.tools_identity(step()) == before
    assert toolchain.tools_identity(step(launcher=("ccache",))) == before


@pytest.mark.parametrize(
    ("arguments", "launched"),
    [
        (["cc", "-c", "a.c", "-o", "a.o"], True),
        (["cc", "-MMD", "-MF", "a.d", "-c", "a.c"], True),
        (["cc", "-E", "-M", "a.c"], False),
        (["cc", "-M", "a.c", "-MG", "-MP"], False),
        (["cc", "-c", "core/embedded.c"], False),
    ],
)
def test_preprocessing_and_sources_with_incbin_skip_the_launcher(
    tmp_path: Path, arguments: list[str], launched: bool
):
    """iPXE's makefiles preprocess each source for its dependencies: no launcher speeds that up."""
    for name in ("cc", "launch"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "script").write_text(launcher.launcher_script(("launch",), ["core/embedded.c"]))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["sh", str(tmp_path / "script"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("launch" if launched else "cc")


def test_a_launcher_gets_the_variables_that_it_needs_and_no_others():
    """Such as its directories, its hosts and its keys. Some families are passed in any case."""
    environ = dict.fromkeys(
        [
            "DISTCC_HOSTS",
            "SSH_AUTH_SOCK",
            "XDG_CACHE_HOME",
            "AWS_ACCESS_KEY_ID",
            "ICECC",
            "CFLAGS",
            "MAKEFLAGS",
        ],
        "x",
    )
    passed = {
        name: environ.keys() & toolchain.make_environment(environ, (name,)).keys()
        for name in ("", *launcher.KNOWN)
    }
    assert passed == {
        "": {"DISTCC_HOSTS"},
        "ccache": {"DISTCC_HOSTS", "XDG_CACHE_HOME"},
        "distcc": {"DISTCC_HOSTS", "SSH_AUTH_SOCK"},
        "icecc": {"DISTCC_HOSTS", "ICECC"},
        "sccache": {"DISTCC_HOSTS", "XDG_CACHE_HOME", "AWS_ACCESS_KEY_ID"},
    }
