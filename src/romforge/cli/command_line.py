# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line, and where errors become messages and exit statuses.

In a doit, the errors of a step are reported by ``tasks.run_step``. Exit statuses are those of
``EXIT_STATUSES``. argparse and the commands are imported only when they are used, since a doit
that has nothing to do must be quick.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from romforge.base.errors import (
    EXIT_STATUSES,
    RomforgeError,
    SpecError,
    UsageError,
    describe_os_error,
)
from romforge.base.table import ASCII_ERRORS
from romforge.cli import environment

if TYPE_CHECKING:
    from types import TracebackType

    from romforge.cli.common import CommandParser

_INTERRUPTED = 130
_ABOUT_COMMANDS = "help", "schema"  # commands whose argument is another command


class Family(NamedTuple):
    """Commands that one module declares and runs, and its function that adds them to the parser."""

    commands: tuple[str, ...]
    module: str
    function: str


FAMILIES = (  # in the order of `romforge --help`
    Family(("init", "schema"), "init_command", "add_init_command"),
    Family(("build", "verify"), "build_commands", "add_build_commands"),
    Family(("get", "update"), "get_commands", "add_get_commands"),
    Family(("lock",), "lock_command", "add_lock_command"),
    Family(("join",), "join_command", "add_join_command"),
    Family(("status",), "status_command", "add_status_command"),
    Family(("report",), "report_command", "add_report_command"),
    Family(("check", "plan"), "plan_commands", "add_plan_commands"),
    Family(("nics",), "nics_command", "add_nics_command"),
    Family(("stripped",), "stripped_command", "add_stripped_command"),
    Family(("licences",), "licences_command", "add_licences_command"),
    Family(("why",), "why_parser", "add_why_command"),
    Family(("inspect", "split", "combine"), "rom_commands", "add_rom_commands"),
    Family(("efirom", "compress", "decompress"), "driver_commands", "add_driver_commands"),
    Family(("compat",), "compat_command", "add_compat_command"),
    Family(("lookup",), "lookup_command", "add_lookup_command"),
    Family(("help", "completion", "man"), "help_commands", "add_help_commands"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    _guard_output()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["__complete"] and len(words) > 2:  # see the scripts of `romforge completion`
        return _report_errors(lambda: _complete(words[1], words[2:]))
    args = make_parser(*words[:1]).parse_args(words)
    return _report_errors(lambda: int(args.run(args)), as_json=getattr(args, "json", False))


def _complete(shell: str, words: Sequence[str]) -> int:
    from romforge.cli import completion

    command = words[0] if len(words) > 1 else ""  # a single word is still being typed
    if command in _ABOUT_COMMANDS:
        command = ""
    return completion.answer_completion(make_parser(command), shell, *words)


def make_parser(command: str = "") -> CommandParser:
    """The parser of the command line.

    It has the family of ``command`` alone, which is quick. If there is no such command, it has all.
    """
    from romforge import __version__
    from romforge.cli.common import CommandParser, MainParser

    statuses = "; ".join(f"{status} {meaning}" for status, meaning in EXIT_STATUSES.items())
    parser = MainParser(
        prog="romforge",
        description="Builds QEMU's network-boot option ROMs from one TOML file.",
        epilog=f"`romforge help COMMAND` shows how to use one. Exit status: {statuses}.",
    )
    version = f"romforge {__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=CommandParser
    )
    for family in _families_of(command):
        module = importlib.import_module(f"romforge.cli.{family.module}")
        getattr(module, family.function)(commands)
    return parser


def _families_of(command: str) -> Sequence[Family]:
    """The family of a command, or all if there is no such command."""
    for family in FAMILIES:
        if command in family.commands:
            return [family]
    return FAMILIES


def dodo() -> dict[str, Any]:
    """The names that a dodo.py must define; exits with a message where the spec is wrong."""
    sys.excepthook = _report_interrupt
    _guard_output()
    names: dict[str, Any] = {}

    def load() -> int:
        names.update(_load_dodo(sys.argv[1:]))
        return 0

    status = _report_errors(load)
    if status:
        raise SystemExit(status)
    return names


def _load_dodo(words: Sequence[str]) -> dict[str, Any]:
    """The names for a doit with these arguments."""
    from doit import get_initial_workdir

    from romforge.engine import tasks

    start = Path(get_initial_workdir())
    spec, out = environment.spec_file(start), environment.output_root(start)
    tree = environment.source_tree_override(start)
    proofs = _wanted_proofs(words)
    graph = tasks.load_tasks(spec, out, tree, every=bool(words), verify=proofs)
    if words:
        from romforge.engine import doit_words

        commands = [name for family in FAMILIES for name in family.commands]
        doit_words.accept_names(graph, start, commands)
    return graph.members()


def _wanted_proofs(words: Sequence[str]) -> str | None:
    """Which proofs become tasks: those of "all" targets, of the "default" ones, or none."""
    if any(word.startswith("verify:") for word in words):
        return "all"
    if any(word.startswith("verify") or word in ("list", "help") for word in words):
        return "default"
    return None


def _report_errors(action: Callable[[], int], as_json: bool = False) -> int:
    """Runs an action; prints its error to standard error, and returns the exit status.

    With ``as_json``, standard output gets the error as a document too.
    """
    _accept_any_characters()
    try:
        status = action()
        if sys.stdout:
            sys.stdout.flush()
        return status
    except RomforgeError as error:
        print(_error_text(error), file=sys.stderr)
        return _print_error_document(error) if as_json else error.exit_status
    except KeyboardInterrupt:
        print("romforge: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except OSError as error:
        text = describe_os_error(error)
        print(f"romforge: {text}", file=sys.stderr)
        return _print_error_document(RomforgeError(text)) if as_json else 1


def _print_error_document(error: RomforgeError) -> int:
    """Prints an error as JSON to standard output; returns the status."""
    from romforge.base import json_document

    print(json_document.to_text(json_document.error_document(error)), flush=True)
    return error.exit_status


def _guard_output() -> None:
    """Ends a run with a message where its output cannot be written: doit would show a traceback.

    doit has taken the stream already, so its methods are replaced, and not the stream.
    """
    if sys.stdout is None:  # closed, as by `>&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for name in ("write", "flush"):
        method = getattr(sys.stdout, name)
        if isinstance(method, partial):
            return  # it is guarded already
        setattr(sys.stdout, name, partial(_write_or_end, method))


def _write_or_end(method: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return method(*arguments)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # as in `doit list | head`
            print(f"romforge: standard output: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None


def _accept_any_characters() -> None:
    """Lets file names and bars be printed that are not in the encoding of the terminal."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors=ASCII_ERRORS)
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def _error_text(error: RomforgeError) -> str:
    if isinstance(error, SpecError):  # each of its lines begins with a place in the spec
        return str(error)
    if isinstance(error, UsageError):
        return f"romforge: {error}\nsee `romforge --help`"
    return f"romforge: {error}"


def _report_interrupt(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Ends an interrupted doit with a message and status 130; the excepthook of a doit."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("romforge: interrupted", file=sys.stderr, flush=True)
    os._exit(_INTERRUPTED)
