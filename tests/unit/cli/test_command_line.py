# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser holds the commands that each module declares, and each command says what it does."""

from __future__ import annotations

import argparse

import pytest

from romforge.cli.command_line import FAMILIES, make_parser
from romforge.cli.common import CommandParser

ALL = [name for family in FAMILIES for name in family.commands]


def commands(parser: CommandParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


@pytest.mark.parametrize("name", ["", "frobnicate", "--help"])
def test_the_parser_has_all_commands_in_the_order_of_the_table(name: str):
    assert list(commands(make_parser(name))) == ALL


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.module)
def test_the_parser_of_a_command_has_the_commands_of_its_module_alone(family):
    for name in family.commands:
        assert tuple(commands(make_parser(name))) == family.commands


def every_option() -> list[tuple[str, str]]:
    """Each command with each of its options."""
    pairs = []
    for name, command in commands(make_parser()).items():
        for action in command._actions:
            if action.option_strings and action.dest != "help":
                pairs.append((name, action.option_strings[0]))
    return pairs


@pytest.mark.parametrize(("name", "option"), every_option())
def test_an_option_that_is_given_twice_adds_up_or_is_an_error(
    name: str, option: str, capsys: pytest.CaptureFixture[str]
):
    command = commands(make_parser(name))[name]
    assert isinstance(command, CommandParser)
    action = next(action for action in command._actions if option in action.option_strings)
    usual = ("1/2", "2/2") if option == "--shard" else ("1", "2")
    values = [str(value) for value in action.choices or usual] if action.nargs != 0 else []
    required = []
    for other in command._actions:
        if other is action:
            continue
        if not other.option_strings:
            if other.nargs != "*":
                required.append("bash" if other.choices else "x")
        elif other.required:
            required += [other.option_strings[0], "x"]
    once = [option, *values[:1]]
    again = [option, *values[-1:]]
    args = command.parse_args([*required, *once])
    assert args is not None
    if isinstance(action, argparse._AppendAction):
        both = command.parse_args([*required, *once, *again])
        assert getattr(both, action.dest) == [*values[:1], *values[-1:]]
        assert "may be repeated" in (action.help or "")
        return
    with pytest.raises(SystemExit) as ended:
        command.parse_args([*required, *once, *again])
    assert ended.value.code == 2
    names = "/".join(action.option_strings)
    assert f"{names}: given twice, and may be given once" in capsys.readouterr().err
    command.parse_args([*required, *once])  # each command line is counted for itself


@pytest.mark.parametrize("name", ALL)
def test_a_command_is_described_and_can_be_run(name: str):
    command = commands(make_parser(name))[name]
    assert (command.description or "").endswith(".")
    assert callable(command.get_default("run"))
    assert all(action.help for action in command._actions)
