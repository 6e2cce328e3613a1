# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files of two sets correspond, and which files a set has."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.rom import rom_sets
from romforge.rom.rom_sets import Pair


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        (["a.rom"], ["a.rom"], [("a.rom", "a.rom")]),
        (["lib/ipxe/a.rom"], ["share/qemu/a.rom"], [("lib/ipxe/a.rom", "share/qemu/a.rom")]),
        (["a.rom"], ["b.rom"], [("a.rom", None), (None, "b.rom")]),
        (
            ["q/a.rom", "q-arm/a.rom"],
            ["share/q-arm/a.rom", "share/q/a.rom"],
            [("q-arm/a.rom", "share/q-arm/a.rom"), ("q/a.rom", "share/q/a.rom")],
        ),
        (["q/a.rom"], ["q/a.rom", "q-arm/a.rom"], [(None, "q-arm/a.rom"), ("q/a.rom", "q/a.rom")]),
        # QEMU finds the common one where that of the architecture is gone.
        (
            ["q/a.rom", "q-arm/a.rom"],
            ["q/a.rom"],
            [("q-arm/a.rom", "q/a.rom"), ("q/a.rom", "q/a.rom")],
        ),
    ],
    ids=["the same", "moved", "others", "by directory", "more", "fewer"],
)
def test_files_of_two_sets_are_paired(
    old: list[str], new: list[str], pairs: list[tuple[str | None, str | None]]
):
    assert rom_sets.pair_files(old, new) == [Pair(first, second) for first, second in pairs]
    assert rom_sets.pair_files(old[::-1], new[::-1]) == rom_sets.pair_files(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["x/a.rom", "y/a.rom"], ["z/a.rom"]),
        (["z/a.rom"], ["x/a.rom", "y/a.rom"]),
        (["v/a.rom", "w/a.rom"], ["x/a.rom", "y/a.rom"]),
    ],
)
def test_where_several_are_equally_near_each_counts(old: list[str], new: list[str]):
    expected = {Pair(first, second, True) for first in old for second in new}
    assert set(rom_sets.pair_files(old, new)) == expected


@pytest.mark.parametrize(
    ("path", "others", "found"),
    [
        ("q/a.rom", ["p/q/a.rom", "p/a.rom", "p/q/b.rom"], ["p/q/a.rom"]),
        ("q/a.rom", ["x/a.rom", "y/a.rom"], ["x/a.rom", "y/a.rom"]),
        ("q/a.rom", ["q/b.rom"], []),
    ],
)
def test_the_counterparts_of_a_file_are_the_nearest(path: str, others: list[str], found: list[str]):
    assert rom_sets.counterparts(path, others) == found


def test_what_romforge_keeps_between_runs_is_no_set(tmp_path: Path):
    """Nor is a link to a file of the set, but one that leads out of it is."""
    inside, outside = tmp_path / "out/usr", tmp_path / "elsewhere.rom"
    (tmp_path / "out/.romforge/tree").mkdir(parents=True)
    (tmp_path / "out/.romforge/tree/kept.rom").write_bytes(b"1")
    inside.mkdir()
    (inside / "a.rom").write_bytes(b"1")
    (inside / "link.rom").symlink_to("a.rom")
    outside.write_bytes(b"1")
    (inside / "out.rom").symlink_to(outside)
    (inside / "directory.rom").mkdir()
    found = [path.relative_to(inside).as_posix() for path in rom_sets.files_below(tmp_path / "out")]
    assert found == ["a.rom", "out.rom"]
