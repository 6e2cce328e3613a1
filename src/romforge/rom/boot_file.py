# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs a file of iPXE that is no ROM, as make built it."""

from __future__ import annotations

import json
from pathlib import Path

from romforge.base import fingerprint, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import BuildRecord
from romforge.plan.steps import BootFileCopy
from romforge.rom.manifest import BootFileEntry
from romforge.sources.ipxe import tree_record
from romforge.sources.ipxe.tree_record import TreeRecord


def install_boot_file(step: BootFileCopy, out: Path) -> BuildRecord:
    """Copies the file; returns its record, with the entry for the manifest.

    Raises RomforgeError where make did not build it, or built it otherwise than it is now.
    """
    directory = step.root.rsplit("/src/", 1)[0]
    record = tree_record.read_record(out, directory) or TreeRecord()
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
