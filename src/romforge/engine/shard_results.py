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
from romforge.rom.manifest import Manifest, RomEntry, SourceFacts
from romforge.spec.model import manifest_name

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
    """What was put together: the paths of the ROMs, and of those that no root has."""

    roms: list[str]
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
    finally:
        output_lock.release_lock(out)
    missing = []
    for name in plan.default:
        missing += [rom.path for rom in plan.targets[name] if rom.path not in owners]
    return Joined(list(owners), missing)


def _read_root(plan: Plan, path: Path) -> PartRoot:
    manifests = {}
    for target in plan.targets:
        found = manifest.read_manifest(path, target)
        if found.roms:
            manifests[target] = found
    if not manifests:
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
    try:
        data = (root.path / path).read_bytes()
    except OSError as error:
        raise RomforgeError(f"{root.path / path}: cannot be read: {error.strerror}") from None
    if fingerprint.sha256(data) != digest:
        raise RomforgeError(f"{root.path / path}: is not the ROM that its manifest describes")
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
