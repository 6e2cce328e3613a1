# SPDX-License-Identifier: GPL-2.0-or-later
"""romforge(1) and romspec(5): what is in the parser and the declarations is in the pages, and formatters find no fault."""

from __future__ import annotations

import argparse
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from romforge import cli, manpage, specfile
from romforge.spec import SECTIONS, Header, Strip, Toolchain, Verify
from tests.conftest import Run

PAGES = "romforge", "romspec"


def rendered(text: str, width: int = 80) -> str:
    """A page as a terminal shows it, without bold and underlined characters."""
    done = subprocess.run(["mandoc", "-T", "utf8", "-O", f"width={width}"], input=text, capture_output=True, text=True, check=True)
    return re.sub(".\b", "", done.stdout)


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, romforge: Run) -> str:
    done = romforge("man", request.param)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_formatters_find_no_fault(page: str, tmp_path: Path):
    """mandoc's lint, down to style but for spelling; and the page is the same every time."""
    path = tmp_path / "page"
    path.write_text(page)
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    path.write_text(page.replace(".TP", ".TQ9"))  # that it would find one
    assert subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, check=False).returncode != 0
    assert page in (manpage.spec(), manpage.commands(cli._parser()))


def test_no_line_is_too_wide(page: str):
    assert max(map(len, rendered(page).splitlines())) <= 80


def test_each_command_and_option_is_told_of():
    """In the section of its command, with words of its own."""
    text = rendered(manpage.commands(cli._parser()), 200)
    (commands,) = (action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        match = re.search(rf"^   {name}$(.*?)(?=^   \S|^\S)", text, re.MULTILINE | re.DOTALL)
        assert match, name
        assert f"romforge {name} " in match[1]
        for action in command._actions:
            if action.dest != "help":
                assert action.help, f"{name}: {action.dest} has no help"
                word = ", ".join(action.option_strings) or "|".join(action.choices or ()) or str(action.metavar)
                assert re.search(rf"^ +{re.escape(word)}\b", match[1], re.MULTILINE), (name, word)


def test_each_key_is_told_of():
    text = rendered(manpage.spec(), 200)
    tables = {f"[{name}.NAME]": cls for name, cls in SECTIONS.items() if name != "qemu"}
    tables |= {"[qemu.ARCH]": SECTIONS["qemu"], "[config.NAME.HEADER]": Header, "[verify]": Verify, "[toolchain]": Toolchain}
    for heading, cls in tables.items():
        match = re.search(rf"^{re.escape(heading)}$(.*?)(?=^\S)", text, re.MULTILINE | re.DOTALL)
        assert match, heading
        names = [one.name for one in fields(cls)] + ([f"strip.{one.name}" for one in fields(Strip)] if heading == "[platform.NAME]" else [])
        for name in names:
            assert re.search(rf"^ +{name}( |$)", match[1], re.MULTILINE), (heading, name)


def test_the_example_is_a_spec(tmp_path: Path):
    """And is shown as it is."""
    text = rendered(manpage.spec(), 200)
    example = text.partition("\nEXAMPLE\n")[2].partition("\nSEE ALSO")[0]
    path = tmp_path / "romspec.toml"
    path.write_text(example.replace("\n     ", "\n"))
    assert list(specfile.load(path).target) == ["efi"]


def test_what_is_no_page_is_told(romforge: Run):
    done = romforge("man", "doit")
    assert (done.returncode, "invalid choice: 'doit'" in done.stderr) == (2, True)


def test_the_pages_can_be_read_by_man(page: str, tmp_path: Path):
    """By groff, which man-db uses, without a warning."""
    (tmp_path / "page.1").write_text(page)
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", tmp_path / "page.1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
