# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages show all that the parser and the spec declare.

Two formatters find no fault in them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from romforge.base.errors import EXIT_STATUSES
from romforge.cli.command_line import make_parser
from romforge.cli.declarations import SPEC_EXAMPLE
from romforge.cli.manpage import PAGES
from romforge.spec import loader
from romforge.spec.model import SECTIONS, Header, Sign, Strip, Toolchain, Verify
from tests.support.project import TOP, Run

COMMANDS = next(
    action.choices
    for action in make_parser()._actions
    if isinstance(action, argparse._SubParsersAction)
)
TABLES = {f"[{name}.NAME]": cls for name, cls in SECTIONS.items() if name != "qemu"} | {
    "[config.NAME.HEADER]": Header,
    "[qemu.ARCH]": SECTIONS["qemu"],
    "[verify]": Verify,
    "[toolchain]": Toolchain,
}


def formatted(page: str, *command: str) -> str:
    """A page as a formatter prints it, without bold; the formatter must have no warning."""
    done = subprocess.run(
        command,
        input=PAGES[page](make_parser()),
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    assert done.stderr == ""
    return re.sub(".\b", "", done.stdout)


ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "MANWIDTH": "80",
    "PATH": "/usr/bin:/bin",
    "MANROFFSEQ": "",
    "MAN_KEEP_FORMATTING": "",
}
FORMATTERS = {
    "man": ("man", "--warnings", "-E", "UTF-8", "-l", "-"),
    "mandoc": ("mandoc", "-T", "utf8", "-O", "width=80"),
}


def parts(text: str, indent: int) -> dict[str, str]:
    """The parts of a page, by headings that are indented by so many spaces."""
    pieces = re.split(rf"^ {{{indent}}}(\S.*)$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2]))


def flat(text: str) -> str:
    """Text in one line."""
    return " ".join(text.split())


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_has_no_warning(page: str, tmp_path: Path):
    (tmp_path / page).write_text(PAGES[page](make_parser()))
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_80_columns_wide_with_all_its_characters(page: str, formatter: str):
    text = formatted(page, *FORMATTERS[formatter])
    widths = [len(line) for line in text.splitlines()]
    assert len(widths) > 100
    assert max(widths) <= 80
    assert "\\" not in text


def test_every_command_and_option_is_described():
    text = formatted("romforge", *FORMATTERS["man"])
    sections = parts(text, 0)
    commands = parts(sections["COMMANDS"], 3)
    assert commands.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        section = flat(commands[name])
        assert section.startswith(f"romforge {name} ")
        assert flat(command.description or "") in section
        shown = set(re.split(r"[][ |]|\.\.\.", section))
        descriptions = (section + flat(sections["OPTIONS"])).lower()
        for action in command._actions:
            if action.dest == "help":
                continue
            assert synopsis_words(action) <= shown, f"{name}: {action.dest}"
            assert (action.help or "").lower() in descriptions, f"{name}: {action.dest}"


def synopsis_words(action: argparse.Action) -> set[str]:
    """What stands for an argument in a synopsis."""
    words = set(action.option_strings[-1:])
    if action.nargs == 0:
        return words
    if action.choices:
        return words | set(map(str, action.choices))
    return words | set(re.split(r"[][]", str(action.metavar))) - {""}


def test_common_options_and_exit_statuses_are_described():
    sections = parts(formatted("romforge", *FORMATTERS["man"]), 0)
    for option in ("--help", "--version", "--spec FILE", "--out DIR", "--json"):
        assert re.search(rf"^ +(-[hV], )?{option}\b", sections["OPTIONS"], re.MULTILINE), option
    for status, meaning in EXIT_STATUSES.items():
        item = re.compile(rf"^ +{status} +{meaning}", re.MULTILINE | re.IGNORECASE)
        assert item.search(sections["EXIT STATUS"]), status


def test_every_key_of_the_spec_is_described_in_its_table():
    tables = parts(parts(formatted("romspec", *FORMATTERS["man"]), 0)["TABLES"], 3)
    assert tables.keys() == TABLES.keys()
    for name, table in TABLES.items():
        documented = dict(keys(table))
        if name == "[platform.NAME]":
            documented |= dict(keys(Strip, "strip."))
        if name == "[target.NAME]":
            documented |= dict(keys(Sign, "sign."))
        shown = re.findall(r"^ {7}([\w.]+) \(", tables[name], re.MULTILINE)
        assert sorted(shown) == sorted(documented), name
        for key, doc in documented.items():
            _, _, rest = tables[name].partition(f" {key} (")
            assert doc.lower().replace("`", "") in flat(rest).lower(), f"{name} {key}"


def keys(table: type, above: str = "") -> Iterator[tuple[str, str]]:
    """The keys of a table, and what they mean."""
    for field in fields(table):
        yield above + field.name, field.metadata["doc"]


def test_types_and_defaults_are_shown_as_a_spec_writes_them():
    text = flat(formatted("romspec", *FORMATTERS["man"]))
    for key in (
        "tree (text) The directory of an iPXE source tree",
        "id (text, required) Vendor and device",
        'nics ("*" or list of texts, default "*")',
        "size (text or number, required)",
        "pad (true or false, default true)",
        "timeout (number, default 120)",
        'level ("stored", "fast", "default" or "best", default "default")',
        "strip.drop (list of texts, default [])",
        "make (table, default {})",
        'roms (list of "default" or "romfile", default ["default", "romfile"])',
    ):
        assert key in text


def test_the_example_is_a_spec(tmp_path: Path):
    (tmp_path / "romspec.toml").write_text(SPEC_EXAMPLE)
    assert loader.load_spec(tmp_path / "romspec.toml").target["qemu"].bucket == "efi"
    shown = parts(formatted("romspec", *FORMATTERS["man"]), 0)["EXAMPLE"]
    assert [line.strip() for line in shown.strip().splitlines()] == SPEC_EXAMPLE.splitlines()


def test_what_roff_would_interpret_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch):
    odd = """.sp 'a' \\fB \\n `c` ^~ --x … "q\""""
    monkeypatch.setitem(EXIT_STATUSES, 99, odd)
    for formatter in FORMATTERS.values():
        assert f" 99 {odd.replace('`', '')}." in flat(formatted("romforge", *formatter))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_the_same_everywhere_and_always(romforge: Run, page: str):
    """No time, no width of a terminal and no variable of the user's gets in."""
    other = {
        "SOURCE_DATE_EPOCH": "1",
        "TZ": "Pacific/Apia",
        "COLUMNS": "30",
        "ROMSPEC": "x",
        "ROMFORGE_OUT": "y",
        "LC_ALL": "C",
    }
    assert (
        romforge("man", page).stdout
        == romforge("man", page, **other).stdout
        == PAGES[page](make_parser())
    )
    assert romforge("man", "nothing").returncode == 2


def test_the_documented_command_installs_pages_that_man_finds(tmp_path: Path):
    page = (TOP / "docs" / "shells-and-editors.md").read_text()
    line = next(line for line in page.splitlines() if "romforge man" in line and "for page" in line)
    (tmp_path / "romforge").write_text(
        f'#!/bin/sh\nPYTHONPATH={TOP}/src exec {sys.executable} -m romforge "$@"\n'
    )
    (tmp_path / "romforge").chmod(0o755)
    for section in "15":
        (tmp_path / f"man/man{section}").mkdir(parents=True)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(
        ["bash", "-ec", line.strip().replace("/usr/share/man", str(tmp_path / "man"))],
        env=environment,
        check=True,
    )
    for page in PAGES:
        done = subprocess.run(
            ["man", "-M", str(tmp_path / "man"), "-w", page],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert Path(done.stdout.strip()).read_text() == PAGES[page](make_parser())
