# SPDX-License-Identifier: GPL-2.0-or-later
"""Matches of the UEFI compression algorithm, and the cheapest way to say data by literals and matches.

A match is at most 256 bytes long and at most 8,192 bytes back; the specification's window allows no more. Its distance
costs a code by its slot (the bits of the distance less one) and the rest of its bits. Costs are in 1/64 bit.
"""

from __future__ import annotations

from romforge.formats.uefi_compression.huffman import BIT, MATCH, log2

WINDOW, LONGEST, SHORTEST = 8192, 256, 3
_ENOUGH = 200  # bytes; of a match as long as that, shorter forms are not looked at
_DISTANCE = (1 << 14) - 1  # of a choice, length << 14 | distance

Match = tuple[int, int, int]  # length, distance, slot
Costs = tuple[
    list[int], list[int], list[int]
]  # of literals by byte, of matches by length, of positions by slot


def find_matches(data: bytes) -> list[tuple[Match, ...]]:
    """For each place of the data its matches: for each slot the longest, where that is longer than those of nearer slots."""
    size = len(data)
    found: list[tuple[Match, ...]] = [()] * size
    last: dict[bytes, int] = {}
    length = distance = 0
    for place in range(size - SHORTEST + 1):
        key = data[place : place + SHORTEST]
        earlier = last.get(key, -1)
        last[key] = place
        if (
            length > _ENOUGH
        ):  # in the midst of a long match: it goes on, and that is all there is to know
            length = _extent(data, place - distance, place, length - 1)
            found[place] = ((length, distance, (distance - 1).bit_length()),)
        elif earlier >= 0 and place - earlier <= WINDOW:
            found[place] = _at(data, place, earlier)
            length, distance, _ = found[place][-1]
        else:
            length = 0
    return found


def _at(data: bytes, place: int, earlier: int) -> tuple[Match, ...]:
    """The matches at a place, the nearest of three bytes being given: then the nearest of a byte more, and so on."""
    matches: list[Match] = []
    lowest, most = max(0, place - WINDOW), min(LONGEST, len(data) - place)
    length, before = SHORTEST, -1
    while earlier >= 0:
        length = _extent(data, earlier, place, length)
        distance = place - earlier
        slot = (distance - 1).bit_length()
        if slot == before:
            matches.pop()
        matches.append((length, distance, slot))
        before = slot
        if length == most:
            break
        length += 1
        earlier = data.rfind(data[place : place + length], lowest, earlier + length)
    return tuple(matches)


def _extent(data: bytes, earlier: int, place: int, length: int) -> int:
    """How far two places agree, if they do for ``length`` bytes."""
    most = min(LONGEST, len(data) - place)
    while length < most and data[earlier + length] == data[place + length]:
        length += 1
    return length


def guess(data: bytes) -> Costs:
    """Costs to begin with, when no codes are known: literals by how often they occur, matches by their size."""
    counts = [0] * 256
    for byte in data:
        counts[byte] += 1
    total = log2(max(1, len(data)))
    literals = [total - log2(count) + BIT // 2 if count else total for count in counts]
    lengths = [0] * SHORTEST + [
        BIT * (4 + length.bit_length()) for length in range(SHORTEST, LONGEST + 1)
    ]
    return literals, lengths, [BIT * (3 + max(0, slot - 1)) for slot in range(14)]


def choose(
    data: bytes, matches: list[tuple[Match, ...]], starts: list[int], costs: list[Costs]
) -> list[int]:
    """The cheapest choice at each place, 0 for a literal, else length << 14 | distance.

    Block k begins at the place ``starts[k]`` and has the costs ``costs[k]``. The way is found from the end: what each
    place costs is its choice's cost and that of the place behind it.
    """
    end = len(data)
    cost, choices = [0] * (end + 1), [0] * end
    for start, (literals, lengths, slots) in zip(reversed(starts), reversed(costs)):
        for place in range(end - 1, start - 1, -1):
            best, choice = cost[place + 1] + literals[data[place]], 0
            cheapest = 1 << 60
            shorter = matches[place]
            for index in range(
                len(shorter) - 1, -1, -1
            ):  # from the longest: nearer ones may cost more than farther
                length, distance, slot = shorter[index]
                if slots[slot] < cheapest:
                    cheapest, nearest = slots[slot], distance
                least = shorter[index - 1][0] if index else SHORTEST - 1
                if length > _ENOUGH:
                    if (whole := cost[place + length] + lengths[length] + cheapest) < best:
                        best, choice = whole, length << 14 | nearest
                    continue
                limit, chosen = best - cheapest, 0
                for shortened in range(least + 1, length + 1):
                    if (part := cost[place + shortened] + lengths[shortened]) < limit:
                        limit, chosen = part, shortened
                if chosen:
                    best, choice = limit + cheapest, chosen << 14 | nearest
            cost[place], choices[place] = best, choice
        end = start
    return choices


class Tokens:
    """A way to say the data: for each token its character, its slot (-1 of a literal), its distance and its place."""

    def __init__(self, data: bytes, choices: list[int]) -> None:
        self.symbols: list[int] = []
        self.slots: list[int] = []
        self.distances: list[int] = []
        self.places: list[int] = []
        place, size = 0, len(data)
        while place < size:
            self.places.append(place)
            if choice := choices[place]:
                length, distance = choice >> 14, choice & _DISTANCE
                self.symbols.append(length + MATCH)
                self.slots.append((distance - 1).bit_length())
                self.distances.append(distance)
                place += length
            else:
                self.symbols.append(data[place])
                self.slots.append(-1)
                self.distances.append(0)
                place += 1

    def __len__(self) -> int:
        return len(self.symbols)
