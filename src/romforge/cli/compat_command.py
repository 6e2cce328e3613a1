# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge compat`, which compares two sets of ROMs: would guests migrate?"""

from __future__ import annotations

import argparse
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from romforge.analysis import compat
from romforge.analysis.compat import RomFile, Verdict
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.json_document import FORMAT, Document
from romforge.base.table import RED, Column, paint, render_table, terminal_width, wants_colours
from romforge.base.text import join_words
from romforge.cli import common

_VERDICTS = "migrates", "boots"
_LOSES_BOOT = 3  # the exit status; see errors.EXIT_STATUSES
_EXPLANATION = (
    "A guest keeps its old ROM until QEMU is started again. The exit status is 1 if one cannot"
    f" migrate, and else {_LOSES_BOOT} if one could not boot again."
)


class ComparedRom(TypedDict):
    """A ROM file of a set: sizes in bytes, and ``path`` below the set's root if it was searched."""

    size: int
    bucket: int
    images: tuple[str, ...]
    path: str


class VerdictRow(TypedDict):
    """Whether a guest migrates, and boots again; ``old`` or ``new`` is null where there is none."""

    file: str
    old: ComparedRom | None
    new: ComparedRom | None
    migrates: bool
    boots: bool
    reason: str
    images: str
    romsize: str
    ambiguity: str


class CompatDocument(Document):
    """What `compat --json` prints: a verdict for each file, by name."""

    verdicts: list[VerdictRow]


class _Side(NamedTuple):
    """A set of ROM files, by path. ``named`` are the paths of those that the user named."""

    files: dict[str, RomFile]
    named: frozenset[str] = frozenset()
    is_file: bool = False  # whether the user gave a single file

    def has_named(self, path: str | None) -> bool:
        """Whether the user named this file, or all files."""
        return not self.named or path in self.named

    def selected(self) -> dict[str, RomFile]:
        """The files that the user named."""
        return {path: file for path, file in self.files.items() if self.has_named(path)}


def add_compat_command(commands: common.Commands) -> None:
    """Adds `compat`."""
    parser = common.add_command(
        commands,
        "compat",
        _run_compat,
        "shows for each ROM of two sets whether guests can move from the old to the new",
    )
    parser.description = f"{parser.description} {_EXPLANATION}"
    common.add_spec_options(parser)
    common.add_json_option(parser, "cli.compat_command:CompatDocument")
    parser.add_argument(
        "--only",
        choices=_VERDICTS,
        help="let the exit status tell of one verdict alone",
    )
    kinds = "a directory, .deb, lock, ROM or spec, or a name as for build"
    for name, help_text in (("old", kinds), ("new", "the same")):
        parser.add_argument(name, metavar=name.upper(), help=help_text)
    order = "the directories of OLD, by colons, in the order of the old host's QEMU"
    for name, help_text in (("old", order), ("new", "the same of NEW")):
        parser.add_argument(
            f"--{name}-path", metavar="PATH", type=_read_search_path, help=help_text
        )


def _read_search_path(text: str) -> list[str]:
    """Reads a search path, for argparse: relative paths, also of directories as installed at /."""
    directories = []
    for part in text.split(":"):
        directory = os.path.normpath(part.lstrip("/")) if part.strip("/") else ""
        if not directory or ".." in directory.split("/"):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a list of directories; write it as usr/share/qemu:usr/lib/ipxe"
            )
        directories.append(directory)
    return directories


def _run_compat(args: Namespace) -> int:
    verdicts = _compare(_read_side(args, "old"), _read_side(args, "new"))
    if args.json:
        rows = list(map(_verdict_as_json, verdicts))
        common.print_json(CompatDocument(format=FORMAT, verdicts=rows))
    else:
        _show_verdicts(verdicts)
    return _exit_status(verdicts, args.only)


def _read_side(args: Namespace, side: str) -> _Side:
    """Reads one of the sets, "old" or "new"; raises RomforgeError where that is not possible."""
    name, directories = getattr(args, side), getattr(args, f"{side}_path")
    is_set = name.endswith((".deb", ".lock", ".toml"))
    named = None if is_set else common.named_roms(name, args)
    path = Path(name)
    if named is None:
        if directories is not None:
            return _Side(compat.read_searched(path, directories, args.out))
        files = compat.read_set(path, args.out)
        return _Side(files, is_file=len(files) == 1 and path.is_file())
    if directories is not None:
        raise UsageError(
            f"--{side}-path: {name} names ROMs of {args.spec}, which are not searched for;"
            " name a directory, a .deb, a lock file or a spec"
        )
    files = compat.read_roms(named.spec, list(named.plan.roms()), args.out)
    missing = [rom.path for rom in named.roms if rom.path not in files]
    if missing:
        raise RomforgeError(f"{name}: not built yet: {join_words(missing)}; run doit")
    paths = {rom.path for rom in named.roms}
    return _Side(files, frozenset(paths), is_file=len(paths) == 1)


def _compare(old: _Side, new: _Side) -> list[Verdict]:
    """The verdicts on two sets; on the ROMs alone that are named, where some are.

    Two single files are compared with each other even if their names differ. So each side is cut to
    what is named only if both are: else the files that correspond are found among all.
    """
    if old.is_file and new.is_file:
        (name,), (file,) = old.selected(), new.selected().values()
        return compat.compare_sets(old.selected(), {name: file})
    if old.named and new.named:
        return compat.compare_sets(old.selected(), new.selected())
    verdicts = []
    for verdict in compat.compare_sets(old.files, new.files):
        if old.has_named(verdict.old_path) and new.has_named(verdict.new_path):
            verdicts.append(verdict)
    return verdicts


def _exit_status(verdicts: Sequence[Verdict], only: str | None) -> int:
    migrate = all(verdict.migrates for verdict in verdicts)
    boot = all(verdict.boots for verdict in verdicts)
    if only == "migrates":
        return int(not migrate)
    if only == "boots":
        return int(not boot)
    if not migrate:
        return 1
    return 0 if boot else _LOSES_BOOT


def _show_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Prints a table of two heading lines and a line for each verdict, red where a guest fails."""
    columns = [
        Column("file", is_path=True),
        Column("old", right=True),
        Column("new", right=True),
        Column("running guests"),
        Column("started again"),
        Column("why", is_optional=True),
    ]
    rows = compat.rows(list(verdicts))
    paths = list(map(compat.opened_paths, verdicts))
    if any(paths):
        columns.insert(3, Column("QEMU opens"))
        for cells, opened in zip(rows, paths):
            cells.insert(3, opened)
    heading, rule, *lines = render_table(columns, rows, terminal_width())
    print(heading)
    print(rule)
    for line, verdict in zip(lines, verdicts):
        print(paint(line, RED, wants_colours() and not verdict.is_good))
    if heading.endswith("why"):
        return
    for verdict in verdicts:  # the terminal is too narrow for the column
        for reason in compat.reasons(verdict):
            print(f"{verdict.file}: {reason}")


def _verdict_as_json(verdict: Verdict) -> VerdictRow:
    return VerdictRow(
        file=verdict.file,
        old=_rom_as_json(verdict.old),
        new=_rom_as_json(verdict.new),
        migrates=verdict.migrates,
        boots=verdict.boots,
        reason=verdict.reason,
        images=verdict.images,
        romsize=verdict.romsize,
        ambiguity=verdict.ambiguity,
    )


def _rom_as_json(rom: RomFile | None) -> ComparedRom | None:
    if rom is None or not rom.exists:
        return None
    return ComparedRom(size=rom.size, bucket=rom.bucket, images=rom.images, path=rom.path)
