# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds matches for the UEFI compression algorithm, and the cheapest parse of data.

A parse divides data into literals and matches. A match copies up to 256 bytes from up to 8,192
bytes back: the specification's window allows no more. The cost of its distance is that of the
codeword of its slot, the number of bits of the distance less one, and of the bits behind it. Costs
are in 1/64 bit.
"""

from __future__ import annotations

from romforge.formats.uefi_compression.huffman import BIT, MATCH, log2

WINDOW, LONGEST, SHORTEST = 8192, 256, 3  # bytes
_LONG = 200  # bytes: of a longer match, no shorter form is tried
_DISTANCE_BITS = 14
_DISTANCE = (1 << _DISTANCE_BITS) - 1  # the mask of the distance in a choice

Match = tuple[int, int, int]  # length, distance, slot
# The costs of literals by byte, of matches by length, and of positions by slot.
Costs = tuple[list[int], list[int], list[int]]


def find_matches(data: bytes) -> list[tuple[Match, ...]]:
    """The matches at each place of the data, the nearest and shortest first.

    There is the longest one of each slot, if it is longer than those of nearer slots.
    """
    size = len(data)
    matches: list[tuple[Match, ...]] = [()] * size
    last: dict[bytes, int] = {}  # the last place of each three bytes
    length = distance = 0
    for place in range(size - SHORTEST + 1):
        key = data[place : place + SHORTEST]
        earlier = last.get(key, -1)
        last[key] = place
        if length > _LONG:  # inside a long match, only that match is considered
            length = _match_length(data, place - distance, place, length - 1)
            matches[place] = ((length, distance, (distance - 1).bit_length()),)
        elif earlier >= 0 and place - earlier <= WINDOW:
            matches[place] = _matches_at(data, place, earlier)
            length, distance, _ = matches[place][-1]
        else:
            length = 0
    return matches


def _matches_at(data: bytes, place: int, earlier: int) -> tuple[Match, ...]:
    """The matches at a place. ``earlier`` is the nearest place of the same three bytes."""
    matches: list[Match] = []
    lowest = max(0, place - WINDOW)
    most = min(LONGEST, len(data) - place)
    length = SHORTEST
    slot_before = -1
    while earlier >= 0:
        length = _match_length(data, earlier, place, length)
        distance = place - earlier
        slot = (distance - 1).bit_length()
        if slot == slot_before:
            matches.pop()
        matches.append((length, distance, slot))
        slot_before = slot
        if length == most:
            break
        length += 1
        earlier = data.rfind(data[place : place + length], lowest, earlier + length)
    return tuple(matches)


def _match_length(data: bytes, earlier: int, place: int, length: int) -> int:
    """How many bytes are equal at two places, at least ``length``."""
    most = min(LONGEST, len(data) - place)
    while length < most and data[earlier + length] == data[place + length]:
        length += 1
    return length


def initial_costs(data: bytes) -> Costs:
    """The costs for the first parse, without codes: of literals by their entropy."""
    counts = [0] * 256
    for byte in data:
        counts[byte] += 1
    total = log2(max(1, len(data)))
    literals = []
    for count in counts:
        literals.append(total - log2(count) + BIT // 2 if count else total)
    lengths = [0] * SHORTEST
    for length in range(SHORTEST, LONGEST + 1):
        lengths.append(BIT * (4 + length.bit_length()))
    slots = [BIT * (3 + max(0, slot - 1)) for slot in range(14)]
    return literals, lengths, slots


def cheapest_choices(
    data: bytes, matches: list[tuple[Match, ...]], starts: list[int], costs: list[Costs]
) -> list[int]:
    """The cheapest choice at each place: 0 for a literal, else ``length << 14 | distance``.

    Block k begins at the place ``starts[k]`` and has the costs ``costs[k]``. The search goes from
    the end to the start: a place costs what its choice costs, and what the place behind that costs.
    """
    end = len(data)
    cost, choices = [0] * (end + 1), [0] * end
    for start, (literals, lengths, slots) in zip(reversed(starts), reversed(costs)):
        for place in range(end - 1, start - 1, -1):
            best, choice = cost[place + 1] + literals[data[place]], 0
            cheapest = 1 << 60
            at_place = matches[place]
            # From the longest to the shortest, which is nearer, but whose slot may cost more.
            for index in range(len(at_place) - 1, -1, -1):
                length, distance, slot = at_place[index]
                if slots[slot] < cheapest:
                    cheapest, nearest = slots[slot], distance
                if length > _LONG:
                    total = cost[place + length] + lengths[length] + cheapest
                    if total < best:
                        best, choice = total, length << _DISTANCE_BITS | nearest
                    continue
                shorter = at_place[index - 1][0] if index else SHORTEST - 1
                limit, chosen = best - cheapest, 0
                for shortened in range(shorter + 1, length + 1):
                    total = cost[place + shortened] + lengths[shortened]
                    if total < limit:
                        limit, chosen = total, shortened
                if chosen:
                    best, choice = limit + cheapest, chosen << _DISTANCE_BITS | nearest
            cost[place], choices[place] = best, choice
        end = start
    return choices


class Tokens:
    """A parse: the symbol, the slot, the distance and the place of each token.

    The slot of a literal is -1, and its distance 0.
    """

    def __init__(self, data: bytes, choices: list[int]) -> None:
        self.symbols: list[int] = []
        self.slots: list[int] = []
        self.distances: list[int] = []
        self.places: list[int] = []
        place, size = 0, len(data)
        while place < size:
            self.places.append(place)
            choice = choices[place]
            if choice:
                length, distance = choice >> _DISTANCE_BITS, choice & _DISTANCE
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
