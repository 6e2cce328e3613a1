# SPDX-License-Identifier: GPL-2.0-or-later
"""iPXE's configuration options: read from a tree's config directory, traced through a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.sources.ipxe import config_options
from romforge.sources.ipxe.config_options import Option, Reference, responsible_options

SOURCE = """\
#ifdef PXE_STACK
REQUIRE_OBJECT ( pxe_call );
#endif
#if defined ( IMAGE_COMBOOT ) && ! defined ( NO_COMBOOT )
REQUIRE_OBJECT ( comboot );
  #ifdef CONSOLE_CMD
REQUIRE_OBJECT(inner);
  #else
REQUIRE_OBJECT ( other );
  #endif
#endif
#ifndef NO_ALWAYS
REQUIRE_OBJECT ( always );
#endif
"""


@pytest.fixture
def src(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.c").write_text(SOURCE)
    return tmp_path


def test_the_options_that_require_an_object_are_those_of_its_conditions(src: Path):
    options = config_options.read_options(src)
    assert options["pxe_call"] == [Option("PXE_STACK", "config/config.c:2")]
    assert options["comboot"] == [Option("IMAGE_COMBOOT", "config/config.c:5")]
    assert [option.macro for option in options["inner"]] == ["IMAGE_COMBOOT", "CONSOLE_CMD"]
    assert [option.macro for option in options["other"]] == ["IMAGE_COMBOOT"]
    assert options["always"] == []


def test_references_lead_from_an_object_to_the_option_that_pulled_it_in(src: Path):
    options = config_options.read_options(src)
    references = {
        "config": Reference(None, "obj_config"),
        "pxe_call": Reference("config", "obj_pxe_call"),
        "librm": Reference("pxe_call", "rm_sp"),
        "intel": Reference(None, "obj_intel"),
        "netdevice": Reference("intel", "register_netdev"),
        "first": Reference("second", "f"),
        "second": Reference("first", "g"),
    }
    (option,) = responsible_options("librm", references, options)
    assert option.macro == "PXE_STACK"
    for name in ("netdevice", "first", "nosuch"):
        assert responsible_options(name, references, options) == []


def test_a_definition_is_found_in_the_named_configuration(src: Path):
    for directory in ("qemu", "local/qemu"):
        (src / "config" / directory).mkdir(parents=True)
    (src / "config/qemu/general.h").write_text(
        "/* PXE_STACK */\n#undef PXE_STACK\n  #define\tPXE_STACK\n"
    )
    (src / "config/local/general.h").write_text("#define PXE_STACK_TOO\n")
    find = config_options.find_definition
    assert find("PXE_STACK", src, "qemu") == "config/qemu/general.h:3"
    assert find("PXE_STACK", src, None) is None
    assert find("PXE", src, "qemu") is None
    (src / "config/local/qemu/general.h").write_text("#define PXE_STACK 1\n")
    assert find("PXE_STACK", src, "qemu") == "config/local/qemu/general.h:1"


def test_the_source_of_an_object_is_found_in_any_directory(src: Path):
    (src / "arch/x86").mkdir(parents=True)
    (src / "arch/x86/pxe-call.c").write_text("")
    assert config_options.find_source("pxe_call", src) == "arch/x86/pxe-call.c"
    assert config_options.find_source("nosuch", src) is None
