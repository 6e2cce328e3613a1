# SPDX-License-Identifier: GPL-2.0-or-later
"""The groups of `romforge --help`, and the examples of each command's help."""

from __future__ import annotations

import re
import shlex

import pytest

from romforge.cli import command_line, common, examples

COMMANDS = [name for family in command_line.FAMILIES for name in family.commands]


def test_every_command_is_in_one_group_and_has_examples():
    grouped = [name for names in examples.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(COMMANDS)
    assert sorted(examples.EXAMPLES) == sorted(COMMANDS)
    assert all(examples.EXAMPLES.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_a_command_can_be_typed(command: str, capsys: pytest.CaptureFixture[str]):
    """As they are in its help, which no formatter has filled."""
    assert command_line.main(["help", command]) == 0
    shown = capsys.readouterr().out
    for line, purpose in examples.EXAMPLES[command]:
        assert re.search(rf"\n  {re.escape(line)}(?: +|\n {{6}}){re.escape(purpose)}\n", shown)
        typed = line.removeprefix('eval "$(').removesuffix(')"')
        words = shlex.split(typed.partition("|")[0].partition(">")[0])
        assert words[:2] == ["romforge", command]
        command_line.make_parser(command).parse_args(words[1:])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_fits_a_screen(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Of 24 lines with 80 columns; each option is in it."""
    monkeypatch.setenv("COLUMNS", "80")
    assert command_line.main(["help", command]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 24
    assert max(map(len, shown.splitlines())) <= 80
    for action in common.subparsers(command_line.make_parser())[command]._actions:
        if action.option_strings and action.dest != "help":
            assert f"\n  {action.option_strings[0]}" in shown


def test_the_help_shows_the_groups_within_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "60")
    assert command_line.main(["help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 60
    for title in examples.GROUPS:
        assert f"\n{title}:\n" in text
    for name, parser in common.subparsers(command_line.make_parser()).items():
        assert f"\n  {name} " in text
        assert parser.description
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    assert capsys.readouterr().out == text


def test_a_wrong_command_has_a_near_miss(capsys: pytest.CaptureFixture[str]):
    assert command_line.main(["help", "loock"]) == 2
    assert 'there is no command "loock" (did you mean "lock"?)' in capsys.readouterr().err


def test_short_options(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command_line.main(["-V"])
    assert capsys.readouterr().out.startswith("romforge 0.")
    args = command_line.make_parser("build").parse_args(["build", "-j", "3"])
    assert args.jobs == 3
