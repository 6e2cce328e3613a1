# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that are no ROMs: their sizes, their growth since the lock, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from romforge.plan.steps import Plan
from romforge.rom.boot_file import boot_file_fault, working_tree_record
from romforge.rom.locked_files import LockedFile
from romforge.rom.manifest import read_boot_files
from romforge.sources.ipxe.tree_record import TreeRecord


@dataclass(frozen=True)
class FileRow:
    """A file that is no ROM. ``goal`` is iPXE's name of it, ``fault`` why it is not as built last.

    ``size`` is bytes; None where there is no file. ``since_lock`` is by how many bytes it grew,
    below 0 if it shrank; None where it is not there or not locked.
    """

    path: str
    platform: str
    goal: str
    size: int | None
    since_lock: int | None
    fault: str = ""


def gather_files(plan: Plan, out: Path, locked: Mapping[str, LockedFile]) -> Iterator[FileRow]:
    """The files of a plan in the spec's order; not one that is neither built nor a default one.

    ``locked`` are those of the lock by path, none without a lock.
    """
    entries = read_boot_files(out)
    records: dict[str, TreeRecord] = {}  # by the directories in which files are built
    for step in plan.files:
        file = out / step.path
        size = file.stat().st_size if file.is_file() else None
        if size is None and not step.default:
            continue
        before = locked.get(step.path)
        grown = None if size is None or before is None else size - before.size
        if step.root not in records:
            records[step.root] = working_tree_record(step, out)
        fault = boot_file_fault(step, out, records[step.root], entries.get(step.path)) or ""
        yield FileRow(step.path, step.platform, step.goal, size, grown, fault)
