# SPDX-License-Identifier: GPL-2.0-or-later
"""All there is to know of a built set of ROMs, gathered for a page: sizes, faults, objects, changes, migrations, proofs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from romforge import compat, faults, linking, lockfile, pcirom, worktree
from romforge.combine import bucket_of
from romforge.compat import Verdict
from romforge.errors import RomforgeError
from romforge.images import linked
from romforge.lockfile import Change
from romforge.plan import Plan, Rom
from romforge.prebuilt import read_rom
from romforge.spec import Spec


class Segment(NamedTuple):
    """An image in a ROM: what it is called, its kind, its bytes."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Row:
    """A ROM file; ``wrong`` are its faults, or why there is none."""

    path: str
    nic: str
    bucket: int
    images: tuple[Segment, ...]
    wrong: tuple[str, ...]

    @property
    def used(self) -> int:
        return sum(image.size for image in self.images)


@dataclass(frozen=True)
class Proven:
    """What `verify` has to say of a ROM in a column: "proven", "out of date" or "not proven", and what was seen."""

    rom: str
    column: str
    state: str
    text: str


@dataclass(frozen=True)
class Report:
    """``objects`` are bytes of each object by the names of the image and the directory; ``sets`` verdicts by that of the older set.

    ``changes`` is None where there is no lock.
    """

    spec: str
    rows: tuple[Row, ...]
    objects: Mapping[str, Mapping[str, Mapping[str, int]]]
    changes: tuple[Change, ...] | None
    sets: Mapping[str, tuple[Verdict, ...]]
    proofs: tuple[Proven, ...]


def gather(spec: Spec, plan: Plan, out: Path, older: Mapping[str, Path], proofs: Sequence[Proven]) -> Report:
    """Looks at what is built; raises RomforgeError where an older set cannot be read, or nothing is built."""
    rows = tuple(_row(rom, out) for rom in plan.roms() if rom.target in plan.default or (out / rom.path).is_file())
    there = [row for row in rows if row.images]
    if not there:
        raise RomforgeError(f"{out}: none of the ROMs of {spec.path} is built; run doit first")
    changes = tuple(lockfile.against(spec, plan, out, None)) if lockfile.beside(spec.path).exists() else None
    says = lockfile.rules(spec, list(plan.roms()))
    now = {
        Path(row.path).name: compat.RomFile(
            (out / row.path).stat().st_size, tuple(one.kind for one in row.images), says[row.path].bucket_changed_in
        )
        for row in there
    }
    sets = {name: tuple(_among(compat.compare(compat.read_set(path, out), now), now)) for name, path in older.items()}
    return Report(spec.path.name, rows, _objects(plan, out), changes, sets, tuple(proofs))


def _row(rom: Rom, out: Path) -> Row:
    try:
        data = read_rom(out / rom.path)[0]
    except RomforgeError:
        return Row(rom.path, rom.nic, rom.bucket or 0, (), ("is not built",))
    wrong = tuple(str(fault) for fault in faults.examine(data) if fault.severity is not faults.Severity.NOTE)
    images = pcirom.parse_chain(data).images
    names = [pick.platform for pick in rom.picks] if len(rom.picks) == len(images) else [one.kind for one in images]
    return Row(
        rom.path, rom.nic, bucket_of(len(data)), tuple(Segment(name, one.kind, len(one.data)) for name, one in zip(names, images)), wrong
    )


def _among(verdicts: Sequence[Verdict], now: Mapping[str, compat.RomFile]) -> list[Verdict]:
    """The verdicts on files that are built here; an older set may hold others."""
    return [one for one in verdicts if one.file in now]


def _objects(plan: Plan, out: Path) -> dict[str, dict[str, dict[str, int]]]:
    """The bytes of each object of each image that a tree built and that is linked, by the map; the largest directories first."""
    found = {}
    for make in plan.makes:
        src = out / make.directory / "src"
        directories = worktree.directories(src)
        for goal in make.goals:
            place = src / make.bin / f"{goal}.{linked(make)}.tmp.map"
            if place.is_file():
                sizes = linking.read_map(place).sizes()
                found[f"{make.platform} {goal}"] = _grouped({name: size for name, size in sizes.items() if size}, directories)
    return found


def _grouped(sizes: Mapping[str, int], directories: Mapping[str, str]) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for name, size in sorted(sizes.items(), key=lambda both: (-both[1], both[0])):
        groups.setdefault(directories.get(linking.stem(name), ""), {})[name] = size
    return dict(sorted(groups.items(), key=lambda both: -sum(both[1].values())))
