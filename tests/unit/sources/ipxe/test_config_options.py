# SPDX-License-Identifier: GPL-2.0-or-later
"""iPXE's configuration options, read from a tree's config directory, and traced through a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.sources.ipxe import config_options
from romforge.sources.ipxe.config_options import Option

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


def test_the_options_that_ask_for_an_object_are_those_of_its_conditions(src: Path):
    options = config_options.read_options(src)
    assert options["pxe_call"] == [Option("PXE_STACK", "config/config.c:2")]
    assert options["comboot"] == [Option("IMAGE_COMBOOT", "config/config.c:5")]
    assert [option.macro for option in options["inner"]] == ["IMAGE_COMBOOT", "CONSOLE_CMD"]
    assert [option.macro for option in options["other"]] == ["IMAGE_COMBOOT"]
    assert options["always"] == []


def test_the_way_up_from_an_object_leads_to_the_option_that_brought_it_in(src: Path):
    options = config_options.read_options(src)
    asked = {
        "config": ("", "obj_config"),
        "pxe_call": ("config", "obj_pxe_call"),
        "librm": ("pxe_call", "rm_sp"),
        "intel": ("", "obj_intel"),
        "netdevice": ("intel", "register_netdev"),
        "one": ("two", "f"),
        "two": ("one", "g"),
    }
    assert [option.macro for option in config_options.options_behind("librm", asked, options)] == [
        "PXE_STACK"
    ]
    for name in ("netdevice", "one", "nosuch"):
        assert config_options.options_behind(name, asked, options) == []


def test_a_definition_is_found_in_the_configuration_of_its_name(src: Path):
    for directory in ("qemu", "local/qemu"):
        (src / "config" / directory).mkdir(parents=True)
    (src / "config/qemu/general.h").write_text(
        "/* PXE_STACK */\n#undef PXE_STACK\n  #define\tPXE_STACK\n"
    )
    (src / "config/local/general.h").write_text("#define PXE_STACK_TOO\n")
    assert config_options.find_definition("PXE_STACK", src, "qemu") == "config/qemu/general.h:3"
    assert config_options.find_definition("PXE_STACK", src, None) == ""
    assert config_options.find_definition("PXE", src, "qemu") == ""
    (src / "config/local/qemu/general.h").write_text("#define PXE_STACK 1\n")
    assert (
        config_options.find_definition("PXE_STACK", src, "qemu") == "config/local/qemu/general.h:1"
    )


def test_the_source_of_an_object_is_found_wherever_it_lies(src: Path):
    (src / "arch/x86").mkdir(parents=True)
    (src / "arch/x86/pxe-call.c").write_text("")
    assert config_options.find_source("pxe_call", src) == "arch/x86/pxe-call.c"
    assert config_options.find_source("nosuch", src) == ""
