# SPDX-License-Identifier: GPL-2.0-or-later
"""Divides ROMs among machines that build and prove one part each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from romforge.plan.steps import BootFileCopy, Rom

MOST_SHARDS = 1024


class Shard(NamedTuple):
    """A part of the ROMs: the ``number``-th of ``parts``, from 1."""

    number: int
    parts: int

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"


def read_shard(text: str) -> Shard:
    """Reads ``I/N``; raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    if match:
        shard = Shard(int(match[1]), int(match[2]))
        if 1 <= shard.number <= shard.parts <= MOST_SHARDS:
            return shard
    raise ValueError(f"{text!r} is not I/N, with I from 1 to N and N up to {MOST_SHARDS}")


def files_of_shard(files: Sequence[BootFileCopy], shard: Shard) -> list[BootFileCopy]:
    """The files that are no ROMs of a shard: those that one make builds are in the same one."""
    makes = list(dict.fromkeys(file.make for file in files))
    mine = {make for index, make in enumerate(makes) if index % shard.parts == shard.number - 1}
    return [file for file in files if file.make in mine]


def roms_of_shard(roms: Sequence[Rom], shard: Shard) -> list[Rom]:
    """The ROMs of a shard: each ROM is in one, and the shards differ by one ROM at most.

    ROMs of the same platforms of source trees stay together as far as that allows, since each
    machine compiles all that its ROMs need.
    """
    groups: dict[tuple[str, ...], list[Rom]] = {}
    for rom in roms:
        makes = sorted({request.make for request in rom.requests if request.make})
        groups.setdefault(tuple(makes), []).append(rom)
    ordered = [rom for group in groups.values() for rom in group]
    begin = len(ordered) * (shard.number - 1) // shard.parts
    end = len(ordered) * shard.number // shard.parts
    return ordered[begin:end]
