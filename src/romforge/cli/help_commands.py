# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge completion` and `romforge man`, which print what shells and manual readers need."""

from __future__ import annotations

from argparse import Namespace

from romforge.cli import common


def add_help_commands(commands: common.Commands) -> None:
    """Adds `completion` and `man`."""
    completion = common.add_command(
        commands,
        "completion",
        _run_completion,
        "prints a completion script for a shell",
    )
    completion.add_argument(
        "shell",
        choices=("bash", "zsh", "fish"),
        help="the shell, which then sources the script",
    )

    man = common.add_command(commands, "man", _run_man, "prints a manual page, to show with man -l")
    man.add_argument(
        "page",
        choices=("romforge", "romspec"),
        help="the page: romforge for the command line, romspec for the spec",
    )


def _run_completion(args: Namespace) -> int:
    from romforge.cli import completion

    print(completion.completion_script(args.shell), end="")
    return 0


def _run_man(args: Namespace) -> int:
    from romforge.cli import command_line, manpage

    print(manpage.PAGES[args.page](command_line.make_parser()), end="")
    return 0
