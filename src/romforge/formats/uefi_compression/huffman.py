# SPDX-License-Identifier: GPL-2.0-or-later
"""The Huffman codes of a block of the UEFI compression algorithm (UEFI Specification, 19.3), and what they cost.

A block's codes are sent in front of its symbols: the lengths of the character code (510 symbols: bytes, then match
lengths from 3) are themselves coded by an extra code of 19 symbols, and those of the position code (14 symbols, the
bits of a distance less one) and of the extra code are sent as they are. All codes are complete, of at most 16 bits.

Sizes are bits. Costs that need fractions are in 1/64 bit, and integers: the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from operator import add, mul
from typing import NamedTuple

CHARACTERS, POSITIONS, EXTRA = 510, 14, 19  # symbols of the three codes
MATCH = 253  # what a match's length is counted from: 256 stands for 3 bytes
BIT = 64  # the unit of costs
_MAX_LENGTH = 16
_UNSEEN, _UNSEEN_POSITION = (
    2 * BIT,
    3 * BIT,
)  # what a symbol costs beyond a rare one that the block does not have yet
_BLOCK, _PER_SYMBOL = (
    60,
    56,
)  # bits of an average header, and sixteenths of a bit for each symbol it sends
_FLOORS = (
    2,
    3,
    4,
    5,
    6,
    8,
)  # to count rare symbols as; so their codes are equally long, which headers send cheaply
# Of leaves of a code's tree: split so many at one length, merge twice as many at another (lengths less one).
_MOVES = [
    (split, merged, step)
    for step in (8, 4, 2, 1)
    for split in range(_MAX_LENGTH - 1)
    for merged in range(1, _MAX_LENGTH)
    if merged != split + 1
]
_EXTRA_BITS = [max(0, slot - 1) for slot in range(POSITIONS)]

Item = tuple[
    int, int, int
]  # of a header: a symbol of the extra code, and a number behind it: its bits and its value
_logs: dict[int, int] = {}


class Codes(NamedTuple):
    """The codes of a block: lengths by symbol, all 0 where there are fewer than two symbols; ``size`` of the whole block."""

    size: int
    characters: list[int]
    positions: list[int]


def log2(number: int) -> int:
    """The logarithm of a positive number in 1/64, rounded down."""
    found = _logs.get(number)
    if found is None:
        shift = max(0, number.bit_length() - 13)
        found = _logs[number] = ((number >> shift) ** BIT).bit_length() - 1 + shift * BIT
    return found


def counted(
    symbols: list[int], slots: list[int], begin: int, end: int
) -> tuple[list[int], list[int]]:
    """How often each character and each position occurs in a stretch of tokens; a literal has the slot -1."""
    characters, positions = [0] * CHARACTERS, [0] * (POSITIONS + 1)
    for symbol in symbols[begin:end]:
        characters[symbol] += 1
    for slot in slots[begin:end]:
        positions[slot] += 1
    return characters, positions[:POSITIONS]


def lengths_of(counts: list[int]) -> list[int]:
    """The lengths of a Huffman code for symbols that occur so often; all 0 where there are fewer than two."""
    lengths = [0] * len(counts)
    present = [symbol for symbol, count in enumerate(counts) if count]
    if len(present) < 2:
        return lengths
    weights = [counts[symbol] for symbol in present]
    while max(depths := _depths(weights)) > _MAX_LENGTH:
        weights = [weight + 1 >> 1 for weight in weights]
    for symbol, depth in zip(present, depths):
        lengths[symbol] = depth
    return lengths


def _depths(weights: list[int]) -> list[int]:
    """The depth of each leaf of a Huffman tree: leaves by weight in one queue, inner nodes, as they arise, in another."""
    count = len(weights)
    leaves = sorted(range(count), key=weights.__getitem__)
    weight = [weights[leaf] for leaf in leaves]
    parent = [0] * (2 * count - 1)
    leaf, inner = 0, count
    for node in range(count, 2 * count - 1):
        total = 0
        for _ in range(2):
            if leaf < count and (inner >= node or weight[leaf] <= weight[inner]):
                child, leaf = leaf, leaf + 1
            else:
                child, inner = inner, inner + 1
            parent[child] = node
            total += weight[child]
        weight.append(total)
    depth = [0] * (2 * count - 1)
    for node in range(2 * count - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
    found = [0] * count
    for place, leaf in enumerate(leaves):
        found[leaf] = depth[place]
    return found


def items_of(lengths: list[int]) -> tuple[int, list[Item]]:
    """How the lengths of the character code are sent: their number, and the items. A run of 19 zeros has no code of its own."""
    number = len(lengths)
    while number and not lengths[number - 1]:
        number -= 1
    items: list[Item] = []
    place = 0
    while place < number:
        if lengths[place]:
            items.append((lengths[place] + 2, 0, 0))
            place += 1
            continue
        begin = place
        while not lengths[place]:
            place += 1
        run = place - begin
        if run == 19:
            items.append((0, 0, 0))
            run = 18
        if run < 3:
            items += [(0, 0, 0)] * run
        else:
            items.append((1, 4, run - 3) if run < 19 else (2, 9, run - 20))
    return number, items


def small_header(lengths: list[int], width: int, gap_after: int) -> list[tuple[int, int]]:
    """How the lengths of the extra or the position code are sent: bits and value of each field.

    After ``gap_after`` lengths two bits tell how many zeros follow, which are then not sent.
    """
    number = len(lengths)
    while not lengths[number - 1]:
        number -= 1
    fields = []
    place = 0
    while place < number:
        length = lengths[place]
        fields.append((3, length) if length < 7 else (length - 3, (1 << length - 3) - 2))
        place += 1
        if place == gap_after:
            zeros = 0
            while zeros < 3 and place < number and not lengths[place]:
                zeros, place = zeros + 1, place + 1
            fields.append((2, zeros))
    return [(width, max(number, place)), *fields]


def extra_counts(items: list[Item]) -> list[int]:
    counts = [0] * EXTRA
    for symbol, _, _ in items:
        counts[symbol] += 1
    return counts


def codes_of(characters: list[int], positions: list[int], thorough: bool = True) -> Codes:
    """The codes for a block with such counts, of the least size; ``thorough`` also tries codes whose header is cheaper."""
    slots = lengths_of(positions)
    rest = 16 + sum(map(mul, _EXTRA_BITS, positions)) + sum(map(mul, slots, positions))
    rest += sum(bits for bits, _ in small_header(slots, 4, -1)) if any(slots) else 8
    lengths = lengths_of(characters)
    best = _size_of(lengths, characters)
    if thorough and any(lengths):
        for floor in _FLOORS:
            other = lengths_of([max(count, floor) if count else 0 for count in characters])
            if (size := _size_of(other, characters)) < best:
                best, lengths = size, other
        lengths = _trimmed(characters, lengths)
        best = _size_of(lengths, characters)
    return Codes(rest + best, lengths, slots)


def _trimmed(counts: list[int], lengths: list[int]) -> list[int]:
    """Lengths with which header and characters are smaller together, as far as small steps lead.

    The header's size hangs on how many symbols have each length, not on which: so those numbers are changed, a leaf of
    the code's tree split here and two merged there, and the most frequent symbols get the shortest.
    """
    order = sorted(
        (symbol for symbol, count in enumerate(counts) if count),
        key=lambda symbol: (-counts[symbol], symbol),
    )
    summed = [0, *accumulate(counts[symbol] for symbol in order)]
    runs = extra_counts(items_of(lengths)[1])[:3]

    def size(numbers: list[int]) -> int:
        place = total = 0
        for length, number in enumerate(numbers, 1):
            if number:
                total += length * (summed[place + number] - summed[place])
                place += number
        return total + _extra_size(runs + numbers)

    numbers = [lengths.count(length) for length in range(1, _MAX_LENGTH + 1)]
    best, before = size(numbers), 0
    while best != before:
        before = best
        for split, merged, step in _MOVES:
            other = numbers.copy()
            other[split] -= step
            other[split + 1] += 2 * step
            other[merged] -= 2 * step
            other[merged - 1] += step
            if min(other) >= 0 and (now := size(other)) < best:
                best, numbers = now, other
    found = [0] * len(counts)
    every = (length for length, number in enumerate(numbers, 1) for _ in range(number))
    for symbol, length in zip(order, every):
        found[symbol] = length
    return found


def _size_of(lengths: list[int], counts: list[int]) -> int:
    """The bits of a block's characters, and of the headers of their code."""
    if not any(lengths):
        return 5 + 5 + 9 + 9
    _, items = items_of(lengths)
    sent: int = sum(map(mul, lengths, counts))
    return 9 + sent + sum(bits for _, bits, _ in items) + _extra_size(extra_counts(items))


def _extra_size(counts: list[int]) -> int:
    """The bits of items whose symbols occur so often, and of the extra code that they take."""
    extra = lengths_of(counts)
    sent: int = sum(map(mul, extra, counts))
    return sent + (sum(bits for bits, _ in small_header(extra, 5, 3)) if any(extra) else 10)


class Estimator:
    """Estimates sizes of blocks in 1/64 bit, from entropy, for counts up to ``most``."""

    def __init__(self, most: int) -> None:
        self.weigh: Callable[[int], int] = [
            count * log2(count) if count else 0 for count in range(most + 1)
        ].__getitem__

    def size(self, characters: list[int], positions: list[int], tokens: int) -> int:
        matches = sum(positions)
        size: int = (
            tokens * log2(tokens)
            - sum(map(self.weigh, characters))
            - sum(map(self.weigh, positions))
        )
        size += matches * log2(matches) if matches else 0
        return size + BIT * (_BLOCK + ((CHARACTERS - characters.count(0)) * _PER_SYMBOL >> 4))


def together(one: list[int], other: list[int]) -> list[int]:
    return list(map(add, one, other))


def costs_of(
    characters: list[int], positions: list[int], codes: Codes, fraction: int
) -> tuple[list[int], list[int], list[int]]:
    """What literals by byte, matches by length, and positions by slot cost in 1/64 bit, for a parse that goes by this block.

    Symbols count as ``fraction`` quarters what entropy says and the rest what their codes do.
    """
    seen = log2(max(1, sum(characters)))
    each = [
        (BIT * (4 - fraction) * length + fraction * (seen - log2(count))) >> 2
        if count
        else seen + _UNSEEN
        for count, length in zip(characters, codes.characters)
    ]
    seen = log2(max(1, sum(positions)))
    slots = [
        BIT * bits
        + (
            (BIT * (4 - fraction) * length + fraction * (seen - log2(count))) >> 2
            if count
            else seen + _UNSEEN_POSITION
        )
        for count, length, bits in zip(positions, codes.positions, _EXTRA_BITS)
    ]
    return each[:256], [0, 0, 0, *each[256:]], slots
