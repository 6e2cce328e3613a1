# SPDX-License-Identifier: GPL-2.0-or-later
"""Which ROMs are in which part, for a set that several machines build."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from romforge.plan import planner, shards
from romforge.plan.shards import Shard
from romforge.plan.steps import Rom
from romforge.spec import loader
from tests.support.project import TOP


@pytest.fixture(scope="module")
def roms() -> list[Rom]:
    """The 32 ROMs of the shipped spec: of four targets, each with other platforms."""
    return list(planner.make_plan(loader.load_spec(TOP / "romspec.toml")).roms())


def makes(part: list[Rom]) -> set[str | None]:
    return {request.make for rom in part for request in rom.requests}


@given(st.integers(1, 40))
def test_each_rom_is_in_one_part_and_parts_are_of_a_size(roms: list[Rom], parts: int):
    found = [shards.roms_of_shard(roms, Shard(number, parts)) for number in range(1, parts + 1)]
    assert sorted(rom.path for part in found for rom in part) == sorted(rom.path for rom in roms)
    sizes = {len(part) for part in found}
    assert max(sizes) - min(sizes) <= 1


def test_roms_of_the_same_platforms_stay_together(roms: list[Rom]):
    """So that no machine compiles more platforms than it must."""
    found = [makes(shards.roms_of_shard(roms, Shard(number, 4))) for number in (1, 2, 3, 4)]
    assert [len(part) for part in found] == [2, 1, 1, 1]


def test_the_order_of_targets_makes_no_difference_to_what_stays_together(roms: list[Rom]):
    """A target whose ROMs alternate with another's in the list is parted all the same."""
    mixed = sorted(roms, key=lambda rom: rom.nic)
    found = [makes(shards.roms_of_shard(mixed, Shard(number, 4))) for number in (1, 2, 3, 4)]
    assert sorted(len(part) for part in found) == [1, 1, 1, 2]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0", "1", "a/b", "-1/2", "1/2/3", "1/1025", ""])
def test_what_is_no_part_is_refused(text: str):
    with pytest.raises(ValueError, match="is not I/N, with I from 1 to N"):
        shards.read_shard(text)
    assert shards.read_shard("2/4") == (2, 4)
