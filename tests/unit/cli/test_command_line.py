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


@pytest.mark.parametrize("name", ALL)
def test_a_command_is_described_and_can_be_run(name: str):
    command = commands(make_parser(name))[name]
    assert (command.description or "").endswith(".")
    assert callable(command.get_default("run"))
    assert all(action.help for action in command._actions)
