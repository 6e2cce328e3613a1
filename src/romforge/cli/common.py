# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands share: how they enter the parser, arguments of several, warnings and JSON."""

from __future__ import annotations

import argparse
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

from romforge.base import json_document
from romforge.base.errors import FormatError, RomforgeError, UsageError
from romforge.base.jobserver import MOST_JOBS
from romforge.base.text import did_you_mean, join_words
from romforge.cli import environment, examples

if TYPE_CHECKING:
    from romforge.base.located import Located
    from romforge.plan.shards import Shard
    from romforge.plan.steps import Plan, Rom, TreeBuild
    from romforge.spec.fields import ValueType
    from romforge.spec.model import Spec

SELECTION = "SELECTION"  # the metavar by which completion knows a selection
COMMAND = "COMMAND"  # the metavar of a command
SOURCE = "SOURCE"  # the metavar of a source of the spec
_LEVELS = ("fast", "default", "best")


class CommandParser(argparse.ArgumentParser):
    """A parser that prints errors as romforge does, and exits with status 2.

    An option that does not add up may be given only once: argparse would take the last value, and
    say nothing about the others.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._given: set[argparse.Action] = set()
        self._words: list[str] = []  # of the command line
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)
        self.register("action", "store_true", _StoreTrueOnce)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Reads arguments as argparse does, and begins to count options anew."""
        self._given.clear()
        self._words = list(args[0] if args and args[0] is not None else sys.argv[1:])
        return super().parse_known_args(*args, **kwargs)

    def refuse_second(self, action: argparse.Action, option: str | None) -> None:
        """Raises ArgumentError where an option was given before; positional arguments never are."""
        if option is None:
            return
        if action in self._given:
            raise argparse.ArgumentError(action, "given twice, and may be given once")
        self._given.add(action)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raises ArgumentError for what is none of the choices; names a near miss."""
        choices = list(map(str, action.choices or ()))
        if action.choices is None or value in action.choices:
            return
        known = join_words(choices)
        if isinstance(action, argparse._SubParsersAction):
            message = f'there is no command "{value}"{did_you_mean(value, choices)}'
            raise argparse.ArgumentError(None, f"{message}; the commands are {known}")
        text = f'"{value}" is none of its values{did_you_mean(value, choices)}'
        raise argparse.ArgumentError(action, f"{text}; they are {known}")

    def error(self, message: str) -> NoReturn:
        if "--json" in self._words:
            print_json(json_document.error_document(UsageError(message)))
        self.exit(2, f"romforge: {message}\nsee `{self.prog} --help`\n")


class MainParser(CommandParser):
    """The parser of `romforge` itself, whose help shows the commands by groups."""

    def format_help(self) -> str:
        """As argparse, with the groups in place of one long list."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, [])
        formatter.add_text(self.description)
        head = formatter.format_help().rstrip("\n")
        summaries = {}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for choice in action._choices_actions:
                    summaries[choice.dest] = choice.help or ""
        tail = self._get_formatter()
        tail.start_section("options")
        tail.add_arguments(action for action in self._actions if action.option_strings)
        tail.end_section()
        tail.add_text(self.epilog)
        groups = "\n".join(examples.group_lines(summaries))
        return f"{head}\n{groups}\n\n{tail.format_help()}"


class _Once(argparse.Action):
    """Refuses an option that is given a second time."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        assert isinstance(parser, CommandParser)
        parser.refuse_second(self, option_string)
        super().__call__(parser, namespace, values, option_string)


class _StoreOnce(_Once, argparse._StoreAction):
    """Stores the value of an option, which may be given once."""


class _StoreTrueOnce(_Once, argparse._StoreTrueAction):
    """Stores that an option is given, which may be once."""


Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"


def add_command(
    commands: Commands, name: str, run: Callable[[Namespace], int], help_text: str
) -> CommandParser:
    """Adds a command, which ``run`` runs; it returns the exit status.

    ``help_text`` begins with a verb in the third person: "prints a manual page".
    """
    description = help_text[0].upper() + help_text[1:] + "."
    parser = commands.add_parser(
        name,
        help=help_text,
        description=description,
        epilog=examples.example_text(name),
        formatter_class=_HelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


class _HelpFormatter(argparse.HelpFormatter):
    """Fits the help of a command into a screen of 24 lines.

    Keeps the lines of examples, and fills all other text. The usage names no option, since each has
    a line below. Nor has -h one: who reads this knows it.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=19)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        """Adds the usage, with the positional arguments alone."""
        words = ["%(prog)s", "[OPTION...]"]
        for action in actions:
            if not action.option_strings:
                words.append(self._format_args(action, str(action.metavar or action.dest)))
        super().add_usage(usage or " ".join(words), actions, groups, prefix)

    def add_argument(self, action: argparse.Action) -> None:
        if not isinstance(action, argparse._HelpAction):
            super().add_argument(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(examples.HEADING):
            return text
        return super()._fill_text(text, width, indent)


def add_spec_options(parser: CommandParser) -> None:
    """Adds --spec and --out, for a command that works on a spec."""
    add_spec_option(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=environment.output_root(),
        help=f"the output root; default: $ROMFORGE_OUT, or {environment.OUTPUT_NAME}",
    )


def add_spec_option(parser: CommandParser) -> None:
    """Adds --spec alone, for a command that works on no output root."""
    parser.add_argument(
        "--spec",
        metavar="FILE",
        type=Path,
        default=environment.spec_file(),
        help=f"the spec; default: $ROMSPEC, or {environment.SPEC_NAME}",
    )


def add_json_option(parser: CommandParser, *documents: str, with_format: bool = False) -> None:
    """Adds --json. ``documents`` are the declarations of what it prints, as ROOM.MODULE:CLASS.

    With ``with_format`` also --format, for a command that finds faults in files.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(documents=documents)
    if with_format:
        group.add_argument(
            "--format",
            choices=("gcc", "github", "sarif"),
            help="print only what is wrong: as a compiler does, as commands for GitHub Actions, or"
            " as SARIF 2.1.0",
        )


def has_json(command: argparse.ArgumentParser) -> bool:
    """Whether a command has --json."""
    return "--json" in command._option_string_actions


def print_located(found: Iterable[Located], name: str) -> None:
    """Prints what a check found in a format of --format."""
    from romforge.cli import finding_formats

    for line in finding_formats.FORMATS[name](found):
        print(line)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, CommandParser]:
    """The parsers of the commands, by their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def add_jobs_option(parser: CommandParser, help_text: str) -> None:
    parser.add_argument("-j", "--jobs", type=_job_count, metavar="N", help=help_text)


def add_quiet_option(parser: CommandParser) -> None:
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print only what is wrong, and warnings"
    )


def add_shard_option(parser: CommandParser) -> None:
    """Adds --shard, for a command that may do a part of its work on each of several machines."""
    parser.add_argument(
        "--shard",
        type=_read_shard,
        metavar="I/N",
        help="part I of N of the ROMs; join puts the parts together",
    )


def _read_shard(text: str) -> Shard:
    """Reads a part of the ROMs, for argparse."""
    from romforge.plan import shards

    try:
        return shards.read_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def tasks_of_shard(
    plan: Plan, selected: Sequence[str], shard: Shard | None, *, with_files: bool = False
) -> list[str] | None:
    """The tasks of the ROMs of a shard, of those that are selected; all without a shard.

    Without a selection, the files that are no ROMs are divided, too. None where the shard has
    nothing, of which a warning is printed.
    """
    if shard is None:
        return list(selected)
    from romforge.plan import shards

    tasks = [rom.task for rom in shards.roms_of_shard(plan.selected(selected), shard)]
    if with_files:
        named = [file for file in plan.files if file.task in selected]
        files = [file for file in plan.files if file.default]
        chosen = list(plan.files) if "all" in selected else (named if selected else files)
        tasks += [file.task for file in shards.files_of_shard(chosen, shard)]
    if not tasks:
        warn(f"the shard {shard} has no ROM")
        return None
    return tasks


def add_level_option(parser: argparse._ActionsContainer) -> None:
    """Adds --level, for a command that compresses."""
    parser.add_argument(
        "--level",
        choices=_LEVELS,
        default="default",
        help="the compression level; default: default",
    )


def _job_count(text: str) -> int:
    """Reads a number of jobs, for argparse."""
    if not text.isdecimal() or not 0 < int(text) <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_JOBS}")
    return int(text)


def read_option(value_type: ValueType, text: str | None, option: str) -> Any:
    """Reads the value of an option as a key of the spec is read; None where it is not given.

    Raises UsageError, with a remedy, where the value is wrong.
    """
    if text is None:
        return None
    try:
        return value_type.read(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}; {value_type.hint}") from None


def selected_tasks(
    plan: Plan,
    out: Path,
    selection: Sequence[str],
    *,
    roms_only: bool = False,
    more: Collection[str] = (),
) -> list[str]:
    """The names of the tasks that a selection names, as ``Names`` finds them.

    Raises UsageError for what the spec does not have, and for what is ambiguous.
    """
    if not selection:
        return []
    from romforge.plan.names import Names

    names = Names(plan, out, roms_only=roms_only, more=more)
    return [names.task_of(name) for name in selection]


def selected_goals(plan: Plan, make: TreeBuild, selected: Sequence[str]) -> list[str]:
    """The images of a platform that the selected tasks stand for, by their make goals."""
    if make.task in selected:
        return list(make.goals)
    if selected and set(selected) <= {other.task for other in plan.all_makes()}:
        return []
    if not make.media:
        files = plan.selected_files(selected)
        return [step.goal for step in files if step.make == make.task]
    goals: dict[str, None] = {}
    for rom in plan.selected(selected):
        if any(request.make == make.task for request in rom.requests):
            goals[rom.goal] = None
    return list(goals)


class NamedRoms(NamedTuple):
    """The ROMs that a name selects in place of a file, and their spec and plan."""

    spec: Spec
    plan: Plan
    roms: tuple[Rom, ...]


def named_roms(name: str, args: Namespace) -> NamedRoms | None:
    """The ROMs of the spec that a name selects; None for a file, or where there is no spec.

    A file of that name comes first. Raises RomforgeError for what is neither a file nor a name.
    """
    if os.path.lexists(name) or not args.spec.exists():
        return None
    from romforge.plan import planner
    from romforge.spec import loader

    spec = loader.load_spec(args.spec, complete=False)
    plan = planner.make_plan(spec)
    try:
        selected = selected_tasks(plan, args.out, [name], roms_only=True)
    except UsageError as error:
        raise RomforgeError(f"{name}: cannot be read: No such file or directory; {error}") from None
    return NamedRoms(spec, plan, tuple(plan.selected(selected)))


@contextmanager
def named_errors(name: object) -> Iterator[None]:
    """Puts the name of a file before the text of a FormatError."""
    try:
        yield
    except FormatError as error:
        raise RomforgeError(f"{name}: {error}") from None


def warn(text: str) -> None:
    """Prints a warning to standard error."""
    print(f"romforge: {text}", file=sys.stderr)


def print_json(document: Mapping[str, object]) -> None:
    """Prints a document, which is all that a command prints to standard output."""
    print(json_document.to_text(document))
