# SPDX-License-Identifier: GPL-2.0-or-later
"""The Huffman codes of a block of the UEFI compression algorithm, and their sizes.

A block begins with its codes (UEFI Specification, 19.3). All are complete, with codewords of at
most 16 bits. A code is sent as the lengths of its codewords:

- The character code has 510 symbols: 256 bytes, then the lengths of matches from 3 to 256. Its
  lengths are coded by the extra code.
- The extra code has 19 symbols. Its lengths are sent uncoded.
- The position code has 14 symbols, the slots. A slot is the number of bits of a match's distance
  less one. Its lengths are sent uncoded.

Sizes are in bits. Costs need fractions: they are integers in units of 1/64 bit, so that they are
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from operator import add, mul
from typing import NamedTuple

CHARACTERS, POSITIONS, EXTRA = 510, 14, 19  # symbols of the three codes
MATCH = 253  # a match of N bytes has the symbol MATCH + N
BIT = 64  # the unit of costs
_MAX_LENGTH = 16
# What a symbol that a block does not contain costs more than one that it contains once.
_UNSEEN, _UNSEEN_POSITION = 2 * BIT, 3 * BIT
# The header of an average block: bits, and 1/16 bits for each symbol that has a codeword.
_BLOCK, _PER_SYMBOL = 60, 56
# Rarer symbols count as this often: their codewords get one length, which is cheap to send.
_FLOORS = 2, 3, 4, 5, 6, 8
# The bits of a distance that are sent behind the codeword of its slot.
_EXTRA_BITS = [max(0, slot - 1) for slot in range(POSITIONS)]

# A part of the header: a symbol of the extra code, then the bits and the value of a number.
Item = tuple[int, int, int]
_logs: dict[int, int] = {}


def _moves() -> list[tuple[int, int, int]]:
    """Changes of a code's tree, for ``_shorten_header``, the largest first.

    A move splits ``step`` leaves at one depth, and merges twice as many at another. Depths are
    lengths less one.
    """
    moves = []
    for step in (8, 4, 2, 1):
        for split in range(_MAX_LENGTH - 1):
            for merged in range(1, _MAX_LENGTH):
                if merged != split + 1:
                    moves.append((split, merged, step))
    return moves


_MOVES = _moves()


class Codes(NamedTuple):
    """The codes of a block, as lengths by symbol, and the ``size`` of the whole block.

    A code of fewer than two symbols has only lengths of 0.
    """

    size: int
    characters: list[int]
    positions: list[int]


def log2(number: int) -> int:
    """The logarithm of a positive number, in 1/64, rounded down.

    Example: ``log2(8) == 3 * 64``.
    """
    logarithm = _logs.get(number)
    if logarithm is None:
        shift = max(0, number.bit_length() - 13)
        logarithm = ((number >> shift) ** BIT).bit_length() - 1 + shift * BIT
        _logs[number] = logarithm
    return logarithm


def count_symbols(
    symbols: list[int], slots: list[int], begin: int, end: int
) -> tuple[list[int], list[int]]:
    """How often each character and each position occurs in the tokens from ``begin`` to ``end``.

    The slot of a literal is -1.
    """
    characters = [0] * CHARACTERS
    positions = [0] * (POSITIONS + 1)  # the last one counts literals
    for symbol in symbols[begin:end]:
        characters[symbol] += 1
    for slot in slots[begin:end]:
        positions[slot] += 1
    return characters, positions[:POSITIONS]


def add_counts(first: list[int], second: list[int]) -> list[int]:
    return list(map(add, first, second))


def code_lengths(counts: list[int]) -> list[int]:
    """The lengths of a Huffman code, from how often each symbol occurs.

    They are at most 16, and all 0 if there are fewer than two symbols.

    >>> code_lengths([5, 1, 0, 1])
    [1, 2, 0, 2]
    """
    lengths = [0] * len(counts)
    present = [symbol for symbol, count in enumerate(counts) if count]
    if len(present) < 2:
        return lengths
    weights = [counts[symbol] for symbol in present]
    depths = _tree_depths(weights)
    while max(depths) > _MAX_LENGTH:
        weights = [weight + 1 >> 1 for weight in weights]
        depths = _tree_depths(weights)
    for symbol, depth in zip(present, depths):
        lengths[symbol] = depth
    return lengths


def _tree_depths(weights: list[int]) -> list[int]:
    """The depth of each leaf of a Huffman tree.

    There are two queues, both sorted by weight: one of the leaves, one of the inner nodes in the
    order in which they are made.
    """
    count = len(weights)
    leaves = sorted(range(count), key=weights.__getitem__)
    node_weights = [weights[leaf] for leaf in leaves]
    parents = [0] * (2 * count - 1)
    leaf, inner = 0, count
    for node in range(count, 2 * count - 1):
        total = 0
        for _ in range(2):
            if leaf < count and (inner >= node or node_weights[leaf] <= node_weights[inner]):
                child = leaf
                leaf += 1
            else:
                child = inner
                inner += 1
            parents[child] = node
            total += node_weights[child]
        node_weights.append(total)
    node_depths = [0] * (2 * count - 1)
    for node in range(2 * count - 3, -1, -1):
        node_depths[node] = node_depths[parents[node]] + 1
    depths = [0] * count
    for place, leaf in enumerate(leaves):
        depths[leaf] = node_depths[place]
    return depths


def header_items(lengths: list[int]) -> tuple[int, list[Item]]:
    """How the lengths of the character code are sent: their number, and the items.

    Lengths of 0 at the end are left out. A run of 19 zeros has no item: a single zero comes first.
    """
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
        elif run < 19:
            items.append((1, 4, run - 3))
        else:
            items.append((2, 9, run - 20))
    return number, items


def count_items(items: list[Item]) -> list[int]:
    """How often each symbol of the extra code occurs."""
    counts = [0] * EXTRA
    for symbol, _, _ in items:
        counts[symbol] += 1
    return counts


def small_header(lengths: list[int], width: int, gap_after: int) -> list[tuple[int, int]]:
    """How the lengths of the extra or the position code are sent: bits and value of each field.

    The first field, of ``width`` bits, is their number. Behind the first ``gap_after`` lengths, a
    field of 2 bits is the number of zeros that are left out. At least one length must not be 0.
    """
    number = len(lengths)
    while not lengths[number - 1]:
        number -= 1
    fields = []
    place = 0
    while place < number:
        length = lengths[place]
        if length < 7:
            fields.append((3, length))
        else:
            fields.append((length - 3, (1 << length - 3) - 2))
        place += 1
        if place == gap_after:
            zeros = 0
            while zeros < 3 and place < number and not lengths[place]:
                zeros += 1
                place += 1
            fields.append((2, zeros))
    return [(width, max(number, place)), *fields]


def _small_header_size(lengths: list[int], width: int, gap_after: int) -> int:
    """The bits of a small header. A code of fewer than two symbols has two fields."""
    if not any(lengths):
        return 2 * width
    size = 0
    for bits, _ in small_header(lengths, width, gap_after):
        size += bits
    return size


def best_codes(characters: list[int], positions: list[int], thorough: bool = True) -> Codes:
    """The codes of a block with these counts of symbols, of the least size.

    With ``thorough``, tries also codes that make the symbols larger, but the header smaller.
    """
    slots = code_lengths(positions)
    size = 16 + sum(map(mul, _EXTRA_BITS, positions)) + sum(map(mul, slots, positions))
    size += _small_header_size(slots, 4, -1)
    lengths = code_lengths(characters)
    least = _characters_size(lengths, characters)
    if thorough and any(lengths):
        for floor in _FLOORS:
            raised = [max(count, floor) if count else 0 for count in characters]
            other_lengths = code_lengths(raised)
            other_size = _characters_size(other_lengths, characters)
            if other_size < least:
                least, lengths = other_size, other_lengths
        lengths = _shorten_header(characters, lengths)
        least = _characters_size(lengths, characters)
    return Codes(size + least, lengths, slots)


def _shorten_header(counts: list[int], lengths: list[int]) -> list[int]:
    """Changes the lengths of a code by small moves as long as header and characters become smaller.

    The size of the header depends on how many symbols have each length, not on which. So only these
    numbers are changed: leaves of the code's tree are split at one depth and merged at another. The
    most frequent symbols get the shortest codewords.
    """
    present = [symbol for symbol, count in enumerate(counts) if count]
    order = sorted(present, key=lambda symbol: (-counts[symbol], symbol))
    sums = [0, *accumulate([counts[symbol] for symbol in order])]
    runs = count_items(header_items(lengths)[1])[:3]

    def size(numbers: list[int]) -> int:
        place = total = 0
        for length, number in enumerate(numbers, 1):
            if number:
                total += length * (sums[place + number] - sums[place])
                place += number
        return total + _items_size(runs + numbers)

    numbers = [lengths.count(length) for length in range(1, _MAX_LENGTH + 1)]
    least, before = size(numbers), 0
    while least != before:
        before = least
        for split, merged, step in _MOVES:
            moved = numbers.copy()
            moved[split] -= step
            moved[split + 1] += 2 * step
            moved[merged] -= 2 * step
            moved[merged - 1] += step
            if min(moved) < 0:
                continue
            moved_size = size(moved)
            if moved_size < least:
                least, numbers = moved_size, moved
    shortened = [0] * len(counts)
    place = 0
    for length, number in enumerate(numbers, 1):
        for symbol in order[place : place + number]:
            shortened[symbol] = length
        place += number
    return shortened


def _characters_size(lengths: list[int], counts: list[int]) -> int:
    """The bits of a block's characters, and of the headers of the extra and the character code."""
    if not any(lengths):
        return 5 + 5 + 9 + 9
    _, items = header_items(lengths)
    size: int = 9 + sum(map(mul, lengths, counts))
    for _, bits, _ in items:
        size += bits
    return size + _items_size(count_items(items))


def _items_size(counts: list[int]) -> int:
    """The bits of items with these counts of symbols, and of the header of their extra code."""
    lengths = code_lengths(counts)
    size: int = sum(map(mul, lengths, counts))
    return size + _small_header_size(lengths, 5, 3)


class Estimator:
    """Estimates the sizes of blocks from their entropy, in 1/64 bit.

    No count may exceed ``most``.
    """

    def __init__(self, most: int) -> None:
        weights = [0]
        for count in range(1, most + 1):
            weights.append(count * log2(count))
        self.weight: Callable[[int], int] = weights.__getitem__

    def size(self, characters: list[int], positions: list[int], tokens: int) -> int:
        matches = sum(positions)
        size: int = tokens * log2(tokens)
        size -= sum(map(self.weight, characters))
        size -= sum(map(self.weight, positions))
        if matches:
            size += matches * log2(matches)
        symbols = CHARACTERS - characters.count(0)
        return size + BIT * (_BLOCK + (symbols * _PER_SYMBOL >> 4))


def symbol_costs(
    characters: list[int], positions: list[int], codes: Codes, fraction: int
) -> tuple[list[int], list[int], list[int]]:
    """The costs for the next parse of a block, from its counts of symbols and its codes.

    Returns the costs of literals by byte, of matches by length, and of positions by slot. The cost
    of a symbol is ``fraction`` quarters what its entropy is, and the rest the length of its
    codeword.
    """
    total = log2(max(1, sum(characters)))
    costs = _mixed_costs(characters, codes.characters, fraction, total, total + _UNSEEN)
    total = log2(max(1, sum(positions)))
    slots = _mixed_costs(positions, codes.positions, fraction, total, total + _UNSEEN_POSITION)
    for slot, bits in enumerate(_EXTRA_BITS):
        slots[slot] += BIT * bits
    return costs[:256], [0, 0, 0, *costs[256:]], slots


def _mixed_costs(
    counts: list[int], lengths: list[int], fraction: int, total: int, unseen: int
) -> list[int]:
    """``total`` is the logarithm of the sum of counts, ``unseen`` the cost of a count of 0."""
    costs = []
    for count, length in zip(counts, lengths):
        if count:
            entropy = total - log2(count)
            costs.append((BIT * (4 - fraction) * length + fraction * entropy) >> 2)
        else:
            costs.append(unseen)
    return costs
