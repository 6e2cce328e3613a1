# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs a file of iPXE that is no ROM, and tells whether it is what was built last."""

from __future__ import annotations

import json
from pathlib import Path

from romforge.base import fingerprint, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import FAILED, BuildRecord
from romforge.base.text import in_a_line
from romforge.plan.steps import BootFileCopy
from romforge.rom.manifest import ABSENT, BootFileEntry
from romforge.sources.ipxe import tree_record
from romforge.sources.ipxe.tree_record import TreeRecord


def install_boot_file(step: BootFileCopy, out: Path) -> BuildRecord:
    """Copies the file; returns its record, with the entry for the manifest.

    Raises RomforgeError where make did not build it, or built it otherwise than it is now.
    """
    record = working_tree_record(step, out)
    built = record.goals.get(step.goal)
    place = out / step.root / step.goal
    if built is None or built.why:
        raise RomforgeError(record.errors.get(step.goal) or f"{place} was not built")
    data, state = fingerprint.read_file(place)
    if state.sha256 != built.state.sha256:
        raise RomforgeError(f"{place} was changed since make built it; build it again")
    output_lock.hold_lock(out)
    path = output_files.write_output(out, step.path, data)
    entry = BootFileEntry(
        file=step.path,
        name=step.name,
        platform=step.platform,
        goal=step.goal,
        size=len(data),
        sha256=state.sha256,
    )
    outputs = {step.path: fingerprint.stamp(path, data)}
    return BuildRecord({str(place): state}, outputs, entry=json.dumps(entry))


def boot_file_fault(
    step: BootFileCopy, out: Path, record: TreeRecord, entry: BootFileEntry | None
) -> str | None:
    """Why the file in an output root is not what was built last, or not as the spec says.

    None if nothing is wrong. ``record`` is that of the working tree, ``entry`` the one in the
    manifest. It may lack where the file was put there by other means.
    """
    file = out / step.path
    error = record.errors.get(step.goal)
    if error:
        left = "; the file is of an earlier build" if file.is_file() else ""
        return f"{FAILED}{in_a_line(error)}{left}"
    if not file.is_file():
        return ABSENT
    if entry is None:
        return None
    if fingerprint.sha256(file.read_bytes()) != entry["sha256"]:
        return "was changed since it was built"
    if (entry["goal"], entry["platform"]) != (step.goal, step.platform):
        built = f"{entry['goal']} of {entry['platform']}"
        return f"is {built}, and not {step.goal} of {step.platform} as the spec says"
    return None


def working_tree_record(step: BootFileCopy, out: Path) -> TreeRecord:
    """The record of the working tree in which the file is built; an empty one where it has none."""
    directory = step.root.rsplit("/src/", 1)[0]
    return tree_record.read_record(out, directory) or TreeRecord()
