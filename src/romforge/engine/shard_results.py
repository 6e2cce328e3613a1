# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts together what several machines built and proved, each in an output root of its own.

What is kept is what commands that look at a set need: the ROMs, the manifests, the proofs and what
failed. Working trees are not: the next build of a source tree here begins anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base import fingerprint, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.engine import doit_state, failures
from romforge.engine.failures import Failure
from romforge.plan.steps import Plan
from romforge.rom import manifest
from romforge.rom.manifest import BootFileEntry, Manifest, RomEntry, SourceFacts
from romforge.spec.model import IMAGES_MANIFEST, manifest_name

_PROOF = "verify:"


class PartRoot(NamedTuple):
    """An output root of another machine: its manifests by target, its proofs and its failures."""

    path: Path
    manifests: dict[str, Manifest]
    tasks: Mapping[str, Any]
    failed: dict[str, Failure]

    def has_proofs_of(self, rom: str) -> bool:
        return any(task.startswith(f"{_PROOF}{rom}:") for task in (*self.tasks, *self.failed))


class Joined(NamedTuple):
    """What was put together: the paths of ROMs and other files, and of what no root has."""

    roms: list[str]
    files: list[str]
    missing: list[str]


def join_roots(plan: Plan, out: Path, roots: Sequence[Path]) -> Joined:
    """Copies the results of output roots into ``out``.

    A ROM that several roots have is taken of the one that proved it, or else of the first. Raises
    RomforgeError where a root has no manifest of the plan, or a ROM is not what its manifest says.
    """
    read = [_read_root(plan, root) for root in roots]
    output_files.prepare_root(out)
    output_lock.hold_lock(out)
    try:
        owners = _copy_roms(plan, out, read)
        _join_manifests(plan, out, read, owners)
        _join_proofs(out, owners)
        files = _join_boot_files(plan, out, roots)
    finally:
        output_lock.release_lock(out)
    missing = []
    for name in plan.default:
        missing += [rom.path for rom in plan.targets[name] if rom.path not in owners]
    missing += [file.path for file in plan.files if file.default and file.path not in files]
    return Joined(list(owners), files, missing)


def _read_root(plan: Plan, path: Path) -> PartRoot:
    manifests = {}
    for target in plan.targets:
        found = manifest.read_manifest(path, target)
        if found.roms:
            manifests[target] = found
    if not manifests and not manifest.read_boot_files(path):
        raise RomforgeError(f"{path}: has no manifest of a target of the spec; name output roots")
    tasks = output_files.load_json(path, doit_state.STATE_FILE) or {}
    return PartRoot(path, manifests, tasks, failures.read_failures(path))


def _copy_roms(plan: Plan, out: Path, roots: Sequence[PartRoot]) -> dict[str, PartRoot]:
    """Copies each ROM, and returns the root that it is of, by its path."""
    owners: dict[str, PartRoot] = {}
    for target, roms in plan.targets.items():
        for rom in roms:
            having = [root for root in roots if _entry(root, target, rom.path)]
            if not having:
                continue
            proving = [root for root in having if root.has_proofs_of(rom.path)]
            root = (proving or having)[0]
            owners[rom.path] = root
            _copy_rom(root, out, rom.path, _entry(root, target, rom.path))
    return owners


def _entry(root: PartRoot, target: str, path: str) -> RomEntry | None:
    found = root.manifests.get(target)
    return found.roms.get(path) if found else None


def _copy_rom(root: PartRoot, out: Path, path: str, entry: RomEntry | None) -> None:
    digest = entry.get("sha256") if entry else None
    if digest is None:
        return  # it failed, and has no file
    _copy_file(root.path / path, out, path, digest)


def _join_boot_files(plan: Plan, out: Path, roots: Sequence[Path]) -> list[str]:
    """Copies the files that are no ROMs, of the first root that has each; returns their paths."""
    entries: dict[str, BootFileEntry] = {}
    sources: dict[str, SourceFacts] = {}
    for root in roots:
        sources = manifest.read_boot_file_sources(root) | sources
        for path, entry in manifest.read_boot_files(root).items():
            if path not in entries and any(file.path == path for file in plan.files):
                _copy_file(root / path, out, path, entry["sha256"])
                entries[path] = entry
    if entries:
        data = manifest.boot_files_text(plan.spec, list(entries.values()), sources)
        output_files.write_output(out, IMAGES_MANIFEST, data)
    return list(entries)


def _copy_file(place: Path, out: Path, path: str, digest: str) -> None:
    """Copies a file that has a digest; raises RomforgeError for another one."""
    try:
        data = place.read_bytes()
    except OSError as error:
        raise RomforgeError(f"{place}: cannot be read: {error.strerror}") from None
    if fingerprint.sha256(data) != digest:
        raise RomforgeError(f"{place}: is not the file that its manifest describes")
    output_files.write_output(out, path, data)


def _join_manifests(
    plan: Plan, out: Path, roots: Sequence[PartRoot], owners: Mapping[str, PartRoot]
) -> None:
    for target, roms in plan.targets.items():
        sources: dict[str, SourceFacts] = {}
        for root in roots:
            if target in root.manifests:
                sources = root.manifests[target].sources | sources
        entries = []
        for rom in roms:
            if rom.path in owners:
                entry = _entry(owners[rom.path], target, rom.path)
                entries.append(manifest.entry_text(entry))
        if entries:
            data = manifest.manifest_text(target, plan.spec, sources, entries)
            output_files.write_output(out, manifest_name(target), data)


def _join_proofs(out: Path, owners: Mapping[str, PartRoot]) -> None:
    """Takes over the proofs of each ROM, and what failed of it, from its root."""
    tasks = dict(output_files.load_json(out, doit_state.STATE_FILE) or {})
    failed: dict[str, Failure] = {}
    done = set()
    for path, root in owners.items():
        for task, saved in root.tasks.items():
            if task.startswith(f"{_PROOF}{path}:"):
                tasks[task] = _without_machine(saved)
                done.add(task)
        for task, failure in root.failed.items():
            if task == f"rom:{path}" or task.startswith(f"{_PROOF}{path}:"):
                failed[task] = failure
    output_files.save_json(out, doit_state.STATE_FILE, tasks)
    failures.update_failures(out, failed, done)


def _without_machine(saved: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a proof, without the QEMU and the firmware of its machine.

    Without a change of these files here, the proof would be out of date.
    """
    values = dict(saved.get("_values_:") or {})
    inputs = values.get("inputs") or {}
    values["inputs"] = {path: state for path, state in inputs.items() if not os.path.isabs(path)}
    values["outputs"] = {}
    return {**saved, "_values_:": values}
