# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the ROM files of a set, and which files of two sets correspond to each other.

The same name may lie in several directories of a set, such as one for each architecture. All
commands that compare two sets pair their files here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from romforge.base.output_files import STATE


class Pair(NamedTuple):
    """A file of an old set and one of a new set, by their paths in the sets; None for no file.

    ``ambiguous`` tells that the old or the new file may also be another one of the same name.
    """

    old: str | None
    new: str | None
    ambiguous: bool = False


def files_below(root: Path) -> Iterator[Path]:
    """The ROM files below a directory, sorted.

    A symbolic link to a file below the directory is left out, and so is what romforge keeps between
    runs: there are copies of ROMs among it.
    """
    resolved_root = root.resolve()
    for path in sorted(root.rglob("*.rom")):
        if STATE in path.relative_to(root).parts or not path.is_file():
            continue
        if path.is_symlink() and path.resolve().is_relative_to(resolved_root):
            continue
        yield path


def pair_files(old: Collection[str], new: Collection[str]) -> list[Pair]:
    """The pairs of files that correspond, sorted by name and path.

    Files of one name correspond if the ends of their paths do: the longer the common end, the
    sooner. So a set may move to another directory. Where several are equally near, each is paired
    with each, and the pairs are ambiguous. An old file that is left over is paired with each new
    one of its name, for QEMU may find that in its place:

    >>> pair_files(["share/qemu/a.rom"], ["qemu/a.rom", "qemu-arm/a.rom"])
    [Pair(old='share/qemu/a.rom', new='qemu/a.rom', ambiguous=False),
     Pair(old=None, new='qemu-arm/a.rom', ambiguous=False)]
    """
    old_by_name, new_by_name = _by_name(old), _by_name(new)
    pairs: list[Pair] = []
    for name in sorted(old_by_name.keys() | new_by_name.keys()):
        pairs += _pair_one_name(old_by_name.get(name, []), new_by_name.get(name, []))
    return pairs


def _by_name(paths: Collection[str]) -> dict[str, list[str]]:
    """The paths of each base name, sorted."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        found[PurePosixPath(path).name].append(path)
    return dict(found)


def counterparts(path: str, others: Collection[str]) -> list[str]:
    """The files of another set that correspond to a file; several where that is ambiguous."""
    name = PurePosixPath(path).name
    nearness = {}
    for other in sorted(others):
        if PurePosixPath(other).name == name:
            nearness[other] = _common_end(path, other)
    most = max(nearness.values(), default=0)
    return [other for other, parts in nearness.items() if parts == most]


def _pair_one_name(old: list[str], new: list[str]) -> Iterator[Pair]:
    """The pairs of the files of one name."""
    paired: list[Pair] = []
    old_left, new_left = list(old), list(new)
    while old_left and new_left:
        nearest = max(_common_end(first, second) for first in old_left for second in new_left)
        found = []
        for first in old_left:
            for second in new_left:
                if _common_end(first, second) == nearest:
                    found.append((first, second))
        firsts = Counter(first for first, _ in found)
        seconds = Counter(second for _, second in found)
        for first, second in found:
            is_ambiguous = firsts[first] > 1 or seconds[second] > 1
            paired.append(Pair(first, second, is_ambiguous))
        old_left = [path for path in old_left if path not in firsts]
        new_left = [path for path in new_left if path not in seconds]
    for path in old_left:
        if not new:
            paired.append(Pair(path, None))
        for other in new:
            paired.append(Pair(path, other, len(new) > 1))
    paired += [Pair(None, path) for path in new_left]
    yield from sorted(paired, key=lambda pair: (pair.new or pair.old or "", pair.old or ""))


def _common_end(first: str, second: str) -> int:
    """The number of last parts that two paths have in common."""
    count = 0
    pairs = zip(reversed(PurePosixPath(first).parts), reversed(PurePosixPath(second).parts))
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count
