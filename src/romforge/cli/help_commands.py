# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge help`, `man` and `completion`, which print what readers and shells need."""

from __future__ import annotations

from argparse import Namespace

from romforge.base.errors import UsageError
from romforge.base.text import did_you_mean
from romforge.cli import common


def add_help_commands(commands: common.Commands) -> None:
    """Adds `help`, `man` and `completion`."""
    help_parser = common.add_command(
        commands, "help", _run_help, "shows the commands, or how to use one"
    )
    help_parser.add_argument(
        "about", metavar=common.COMMAND, nargs="?", help="the command; default: all of them"
    )

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


def _run_help(args: Namespace) -> int:
    from romforge.cli import command_line

    parser = command_line.make_parser()
    if args.about is None:
        parser.print_help()
        return 0
    parsers = common.subparsers(parser)
    if args.about not in parsers:
        near = did_you_mean(args.about, parsers)
        raise UsageError(f'there is no command "{args.about}"{near}')
    parsers[args.about].print_help()
    return 0


def _run_completion(args: Namespace) -> int:
    from romforge.cli import completion

    print(completion.completion_script(args.shell), end="")
    return 0


def _run_man(args: Namespace) -> int:
    from romforge.cli import command_line, manpage

    print(manpage.PAGES[args.page](command_line.make_parser()), end="")
    return 0
