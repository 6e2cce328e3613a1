# SPDX-License-Identifier: GPL-2.0-or-later
"""Macros and headers of a spec's configurations, against a small tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.plan import planner
from romforge.sources.ipxe import config_check
from romforge.spec import loader
from romforge.spec.fields import Problem

HEADERS = {
    "general.h": """#ifndef CONFIG_GENERAL_H
#define CONFIG_GENERAL_H
#define PING_CMD
//#define PROTO_HTTPS	/* a comment */
//#undef OLD_CMD
/* #define QUOTED_CMD */
//#undef OF_BOTH
#ifdef CONSOLE_SERIAL
#endif
""",
    "console.h": "#ifndef CONFIG_CONSOLE_H\n#define CONFIG_CONSOLE_H\n#define CONSOLE_SERIAL\n"
    "#if defined ( TESTED ) && ! defined ( TESTED_TOO )\n#endif\n",
    "qemu/console.h": "#define OF_QEMU\n",
    "defaults/efi.h": "#define OF_PLATFORM\n#define OF_BOTH\n",
}
SPEC = """spec = 1
[source.ipxe]
tree = "tree"
config = "mine"
[platform.pcbios]
[nic.e1000]
id = "8086:100e"
[target.all]
dir = "all"
file = "{nic}.rom"
images = ["pcbios"]
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    src = tmp_path / "tree/src"
    for name, text in HEADERS.items():
        path = src / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (src / "Makefile").touch()
    (src / "core").mkdir()
    (src / "core/main.c").write_text("#ifdef OF_SOURCE\n#endif\n")
    return tmp_path


def warnings(top: Path, tables: str, tree: str | None = None) -> list[Problem]:
    (top / "romspec.toml").write_text(SPEC + tables)
    spec = loader.load_spec(top / "romspec.toml")
    return config_check.macro_warnings(spec, planner.make_plan(spec, tree).makes, top / "out")


@pytest.mark.parametrize("key", ["define", "undef"])
@pytest.mark.parametrize(
    ("macro", "owner"),
    [
        ("PING_CMD", "general"),
        ("PROTO_HTTPS", "general"),
        ("OLD_CMD", "general"),
        ("QUOTED_CMD", "general"),
        ("OF_BOTH", "general"),
    ],
)
def test_a_macro_of_another_header_is_a_warning(top: Path, key: str, macro: str, owner: str):
    """Whether the header sets it or offers it in a comment; the remedy names the table."""
    (problem,) = warnings(top, f'[config.mine.console]\n{key} = ["CONSOLE_SERIAL", "{macro}"]\n')
    assert problem.path == ("config", "mine", "console", key, 1)
    assert problem.text == (
        f"{macro} belongs to config/{owner}.h, and config/console.h does not know it,"
        f" so it may have no effect here; move it to [config.mine.{owner}]"
    )


def test_a_value_is_looked_at_as_well(top: Path):
    (problem,) = warnings(top, "[config.mine.console]\nset = { PING_CMD = 1 }\n")
    assert problem.path == ("config", "mine", "console", "set", "PING_CMD")


def test_a_header_that_only_tests_a_macro_does_not_own_it(top: Path):
    """The line that defines it comes after the test."""
    (problem,) = warnings(top, '[config.mine.general]\ndefine = ["CONSOLE_SERIAL"]\n')
    assert problem.text.endswith("move it to [config.mine.console]")


@pytest.mark.parametrize(
    "tables",
    [
        '[config.mine.general]\ndefine = ["PING_CMD", "QUOTED_CMD"]\nundef = ["OLD_CMD"]\n',
        '[config.mine.console]\ndefine = ["TESTED", "TESTED_TOO"]\n',
        '[config.mine.console]\ndefine = ["OF_QEMU", "OF_PLATFORM", "OF_SOURCE"]\n',
        '[config.mine.console]\nset = { CONSOLE_SERIAL = "MY_PORT + 1", MY_PORT = 1 }\n',
        '[config.other.console]\ndefine = ["PING_CMD"]\n[config.mine.general]\n',
        '[config.mine.genral]\ndefine = ["PING_CMD"]\n',
    ],
    ids=[
        "own",
        "tested where no header owns it",
        "named configuration, platform and source",
        "used by a value of the spec",
        "configuration not in use",
        "header that is an error",
    ],
)
def test_other_macros_are_no_warning(top: Path, tables: str):
    assert warnings(top, tables) == []


def test_a_macro_that_nothing_mentions_is_a_warning_with_the_nearest_one(top: Path):
    """And the header of that one, where it is another."""
    tables = (
        '[config.mine.console]\ndefine = ["PNIG_CMD", "CONSOLE_SERAIL", "UNLIKE_ALL_OF_THEM"]\n'
    )
    texts = [problem.text for problem in warnings(top, tables)]
    nothing = f"nothing in {top}/tree/src mentions"
    assert texts == [
        f'{nothing} PNIG_CMD, so it has no effect (did you mean "PING_CMD" of config/general.h?)',
        f'{nothing} CONSOLE_SERAIL, so it has no effect (did you mean "CONSOLE_SERIAL"?)',
        f"{nothing} UNLIKE_ALL_OF_THEM, so it has no effect",
    ]


def test_part_of_a_word_is_no_mention(top: Path):
    (problem,) = warnings(top, '[config.mine.console]\ndefine = ["OF_SOURC"]\n')
    assert "mentions OF_SOURC," in problem.text


def test_what_a_make_left_in_the_tree_is_no_mention(top: Path):
    (top / "tree/src/bin").mkdir()
    (top / "tree/src/bin/made.h").write_text("#define MADE\n")
    assert len(warnings(top, '[config.mine.console]\ndefine = ["MADE"]\n')) == 1


def test_a_tree_that_is_missing_or_the_fallback_gives_no_warnings(top: Path):
    tables = '[config.mine.console]\ndefine = ["PING_CMD"]\n'
    assert warnings(top, tables, tree=str(top / "absent")) == []
    text = SPEC.replace('tree = "tree"', 'tree = "absent"\nfallback = "tree"')
    (top / "romspec.toml").write_text(text + tables)
    spec = loader.load_spec(top / "romspec.toml")
    assert config_check.macro_warnings(spec, planner.make_plan(spec).makes, top / "out") == []


def test_a_macro_is_reported_once_for_all_platforms(top: Path):
    tables = '[config.mine.console]\ndefine = ["PING_CMD"]\n[platform.x86_64-efi]\n'
    tables += '[target.efi]\ndir = "efi"\nfile = "{nic}.rom"\nimages = ["x86_64-efi"]\n'
    assert len(warnings(top, tables)) == 1


def test_a_configuration_that_nothing_is_built_with_is_a_warning(top: Path):
    (top / "romspec.toml").write_text(SPEC + "[config.mien.general]\n[config.mine.general]\n")
    spec = loader.load_spec(top / "romspec.toml")
    (problem,) = config_check.unused_configurations(spec)
    assert problem.path == ("config", "mien")
    assert 'has no effect (did you mean "mine"?); write config = "mien" in' in problem.text
