# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line, and the place where errors become words and exit statuses (in a doit, a failed task is tasks.run_step's).

0 fine, 1 what was checked is wrong or the build failed, 2 usage or spec error, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from romforge.base.errors import EXIT_STATUSES, RomforgeError, SpecError, UsageError
from romforge.base.jobserver import MOST_JOBS

if TYPE_CHECKING:
    import argparse
    from types import TracebackType

SPEC, OUT = "romspec.toml", "out"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command of the command line; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if (
        words[:1] == ["__complete"] and len(words) > 2
    ):  # asked by the scripts of `romforge completion`
        from romforge.cli import completion

        return _guarded(lambda: completion.answer_completion(make_parser(), *words[1:]))
    from romforge.cli import rom_commands, spec_commands

    parser = make_parser()
    given = parser.parse_args(words)
    given.parser = parser  # which the man page tells of
    action = getattr(spec_commands, given.command, None) or getattr(rom_commands, given.command)
    return _guarded(lambda: int(action(given)))


def dodo() -> dict[str, Any]:
    """The names that a dodo.py must hold; ends the process with words where the spec is wrong."""
    from doit import get_initial_workdir

    from romforge.engine import tasks

    def members() -> dict[str, Any]:
        here = Path(get_initial_workdir())
        spec = here / os.environ["ROMSPEC"] if os.environ.get("ROMSPEC") else Path(SPEC)
        out = here / os.environ["ROMFORGE_OUT"] if os.environ.get("ROMFORGE_OUT") else Path(OUT)
        tree = (
            os.path.abspath(here / os.environ["IPXE_SRC"]) if os.environ.get("IPXE_SRC") else None
        )
        words = sys.argv[1:]
        some = any(word.startswith("verify") or word in ("list", "help") for word in words)
        proofs = (
            "all"
            if any(word.startswith("verify:") for word in words)
            else "default"
            if some
            else ""
        )
        return tasks.load_tasks(spec, out, tree, every=bool(words), verify=proofs).members()

    sys.excepthook = _excepthook
    found: dict[str, Any] = {}
    status = _guarded(lambda: found.update(members()) or 0)
    if status:
        raise SystemExit(status)
    return found


def _guarded(action: Callable[[], int]) -> int:
    """Runs an action; its errors are told on standard error and become the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, TextIOWrapper
        ):  # file names and bars need not be in the terminal's encoding
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")
    try:
        status = action()
        if sys.stdout:
            sys.stdout.flush()
        return status
    except RomforgeError as error:
        before, after = (
            "" if isinstance(error, SpecError) else "romforge: ",
            "\nsee `romforge --help`" if isinstance(error, UsageError) else "",
        )
        print(f"{before}{error}{after}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("romforge: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `romforge plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"romforge: {where}{error.strerror or error}", file=sys.stderr)
        return 1


def _excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Ends a doit that is interrupted, at whatever moment, with words and status 130."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("romforge: interrupted", file=sys.stderr, flush=True)
    os._exit(130)


def make_parser() -> argparse.ArgumentParser:
    """The command line's parser, which completion and the manual page are made from, too."""
    import argparse

    from romforge import __version__

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            self.exit(2, f"romforge: {message}\nsee `{self.prog} --help`\n")

    ends = "; ".join(f"{status} {about}" for status, about in EXIT_STATUSES.items())
    about = "Builds QEMU's network-boot option ROMs from one TOML file."
    parser = Parser(prog="romforge", description=about, epilog=f"Exit status: {ends}.")
    parser.add_argument("--version", action="version", version=f"romforge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, about: str, *, spec: bool = False, data: bool = True
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        if spec:
            one.add_argument(
                "--spec",
                metavar="FILE",
                type=Path,
                default=Path(os.environ.get("ROMSPEC") or SPEC),
                help=f"the spec; default: {SPEC}, or ROMSPEC",
            )
            one.add_argument(
                "--out",
                metavar="DIR",
                type=Path,
                default=Path(os.environ.get("ROMFORGE_OUT") or OUT),
                help=f"the output root; default: {OUT}, or ROMFORGE_OUT",
            )
        if data:
            one.add_argument("--json", action="store_true", help="print the data as JSON")
        return one

    _add_commands(command)
    return parser


def _jobs(text: str) -> int:
    """A number of jobs, for argparse."""
    import argparse

    if not text.isdecimal() or not 0 < int(text) <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_JOBS}")
    return int(text)


def _add_level(command: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    group = command.add_mutually_exclusive_group()
    group.add_argument(
        "--level",
        choices=("fast", "default", "best"),
        default="default",
        help="how hard to look; default: default",
    )
    return group


def _add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that work on a spec, with the arguments of each, and the others."""
    build = command("build", "builds ROMs, as doit does", spec=True)
    build.add_argument(
        "selection",
        nargs="*",
        metavar="SELECTION",
        help="nic:NAME, target:NAME, rom:PATH or all; default: what the spec says",
    )
    build.add_argument(
        "--jobs",
        type=_jobs,
        metavar="N",
        help="jobs to run at once, those of every make included; default: all processors",
    )
    one = command("verify", "boots ROMs in QEMU, and migrates guests that run with them", spec=True)
    one.add_argument(
        "selection",
        nargs="*",
        metavar="SELECTION",
        help="nic:NAME, target:NAME, rom:PATH, all, or a task verify:…; default: what the spec says",
    )
    one.add_argument(
        "--controls",
        action="store_true",
        help="run ROMs that are spoilt instead, each of which must fail",
    )
    one.add_argument(
        "--jobs", type=_jobs, metavar="N", help="proofs to run at once; default: all processors"
    )
    one.add_argument(
        "--junit", type=Path, metavar="FILE", help="write the outcomes there as JUnit's XML, too"
    )
    one = command("lock", "writes down what was built, or compares with what is written", spec=True)
    one.add_argument(
        "selection",
        nargs="*",
        metavar="SELECTION",
        help="as for build; default: all that is built, or locked",
    )
    one.add_argument(
        "--check",
        action="store_true",
        help="compare; a bucket, an image, IDs or a file that changed is a fault",
    )
    one = command(
        "report",
        "writes a page about what was built: sizes, objects, changes, migration, proofs",
        spec=True,
        data=False,
    )
    one.add_argument(
        "-o", dest="output", metavar="FILE.html", type=Path, required=True, help="the page to write"
    )
    one.add_argument(
        "--against",
        metavar="[NAME=]SET",
        action="append",
        default=[],
        help="an older set, as compat takes it; may be repeated",
    )
    command("check", "validates the spec", spec=True)
    one = command("plan", "prints every step, its inputs, outputs and tool", spec=True)
    one.add_argument(
        "--why", action="store_true", help="tell instead what a build of all would do now, and why"
    )
    one = command(
        "stripped",
        "tells what leaving out roots took out of the images of trees, and what stayed",
        spec=True,
    )
    one.add_argument(
        "selection",
        nargs="*",
        metavar="SELECTION",
        help="nic:NAME, target:NAME, rom:PATH or make:SOURCE/PLATFORM; default: all",
    )
    one = command(
        "why",
        "tells which objects fill an image of a tree, who pulled each in, and what would leave without it",
        spec=True,
    )
    one.add_argument(
        "what",
        metavar="WHAT",
        help="a ROM, or an image as PLATFORM/GOAL; with --in an object, or a root of the link",
    )
    one.add_argument(
        "--in",
        dest="image",
        metavar="IMAGE",
        help="the image, as PLATFORM/GOAL, or the ROM, in which to look for an object",
    )
    one.add_argument(
        "--against",
        metavar="BUILD",
        type=Path,
        help="tell what changed since another build: its output root, or what --json printed",
    )
    _add_tools(command)
    one = command(
        "completion",
        "prints a script that makes a shell complete romforge's command line",
        data=False,
    )
    one.add_argument("shell", choices=("bash", "zsh", "fish"), help="which; source what it prints")
    one = command("man", "prints a manual page, for man -l", data=False)
    one.add_argument(
        "page", choices=("romforge", "romspec"), help="of the command line, or of the spec"
    )


def _add_tools(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that work on files, without a spec."""
    one = command("inspect", "shows images, IDs, sizes, bucket, slack and every structural fault")
    one.add_argument("roms", nargs="+", metavar="ROM", type=Path, help="the files to look at")
    one = command("split", "writes one file per image, and the driver inside each EFI image")
    one.add_argument("rom", metavar="ROM", type=Path, help="the file to take apart")
    one.add_argument(
        "-d", dest="directory", metavar="DIR", type=Path, required=True, help="where to write them"
    )
    one = command("combine", "chains images into one ROM", data=False)
    one.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        type=Path,
        help="images, or ROMs with several, in this order",
    )
    one.add_argument(
        "-o", dest="output", metavar="OUT", type=Path, required=True, help="the ROM to write"
    )
    one.add_argument(
        "--bucket",
        metavar="SIZE",
        help="pad to this size, such as 256KiB, and fail where it does not fit",
    )
    one.add_argument(
        "--id", metavar="VVVV:DDDD", help="write this vendor and device into every image"
    )
    one = command("efirom", "wraps an EFI driver as an image of a ROM", data=False)
    one.add_argument("driver", metavar="IN.efi", type=Path, help="the driver")
    one.add_argument("output", metavar="OUT.rom", type=Path, help="the image to write")
    one.add_argument(
        "--id",
        metavar="VVVV:DDDD",
        required=True,
        help="the vendor and device that the image carries",
    )
    _add_level(one).add_argument("--stored", action="store_true", help="do not compress the driver")
    one = command("compress", "compresses a file as UEFI does, header included", data=False)
    _add_level(one)
    two = command("decompress", "decompresses a stream of UEFI, header included", data=False)
    for each in (one, two):
        each.add_argument("input", metavar="IN", type=Path, help="the file to read")
        each.add_argument("output", metavar="OUT", type=Path, help="the file to write")
    one = command("compat", "tells for each ROM of two sets whether a guest would migrate")
    for name in ("old", "new"):
        one.add_argument(
            name,
            metavar=name.upper(),
            type=Path,
            help="a directory, a .deb, a lock, a ROM, or a spec with [qemu.ARCH]",
        )
    one.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("ROMFORGE_OUT") or OUT),
        help="for a spec: its output root",
    )
