# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that are no ROMs, as the lock has them: their bytes, and their digests.

No guest keeps their size, so another size is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from romforge.base import fingerprint
from romforge.base.text import format_bytes
from romforge.plan.steps import Plan
from romforge.rom.manifest import read_boot_files
from romforge.sources.ipxe import tree_record


@dataclass(frozen=True)
class LockedFile:
    """A file: ``size`` in bytes, and the digest if its build is reproducible."""

    size: int
    sha256: str | None = None


@dataclass(frozen=True)
class FileChange:
    """A difference between the lock and what is built; ``growth`` in bytes."""

    path: str
    text: str
    fault: bool
    not_built: bool = False
    growth: int = 0


def built_files(plan: Plan, out: Path) -> dict[str, LockedFile]:
    """The files of a plan that are built, by path."""
    reproducible = set()
    for make in plan.file_makes:
        record = tree_record.load_record(make, out)
        if record is not None and record.settings is not None and record.settings.epoch:
            reproducible.add(make.task)
    found = {}
    for file in plan.files:
        path = out / file.path
        if path.is_file():
            data = path.read_bytes()
            digest = fingerprint.sha256(data) if file.make in reproducible else None
            found[file.path] = LockedFile(len(data), digest)
    return found


def compare_files(
    locked: Mapping[str, LockedFile], plan: Plan, out: Path, causes: Sequence[str]
) -> Iterator[FileChange]:
    """The differences, in the order of paths.

    ``causes`` are the sources and tools that are others than in the lock: with the same ones,
    another digest is a fault.
    """
    built = built_files(plan, out)
    entries = read_boot_files(out)
    files = {file.path: file for file in plan.files}
    for path in sorted({*locked, *files}):
        file = files.get(path)
        if file is None:
            yield FileChange(path, "is in the lock, but no longer in the spec", True)
        elif path not in built:
            if path in locked:
                text = "is in the lock, but was not built"
                yield FileChange(path, text, file.default, not_built=True)
        elif path in entries and _is_altered(out / path, entries[path]["sha256"]):
            yield FileChange(path, "was changed since it was built", True, not_built=True)
        elif path not in locked:
            yield FileChange(path, "was built, but is not in the lock", True)
        else:
            yield from _compare(path, locked[path], built[path], causes)


def _is_altered(path: Path, digest: str) -> bool:
    return fingerprint.sha256(path.read_bytes()) != digest


def _compare(
    path: str, before: LockedFile, now: LockedFile, causes: Sequence[str]
) -> Iterator[FileChange]:
    growth = now.size - before.size
    if growth:
        verb = "grew" if growth > 0 else "shrank"
        text = f"{verb} by {format_bytes(abs(growth))} to {now.size:,}"
        yield FileChange(path, text, False, growth=growth)
    if not before.sha256 or before.sha256 == now.sha256:
        return
    if now.sha256 is None:
        text = "its bytes cannot be compared: the time of the build is written into it"
        yield FileChange(path, f"{text}; set SOURCE_DATE_EPOCH", False)
    elif causes:
        yield FileChange(path, f"its bytes differ: {'; '.join(causes)}", False)
    elif not growth:
        yield FileChange(path, "its bytes differ, with the sources and tools of the lock", True)
