# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoder of the UEFI compression algorithm (UEFI Specification, 19.3).

Other encoders parse the data once, take the longest match unless the next place has a longer one,
and begin a block where their buffer is full. This one searches for the smallest stream. It repeats
three steps, until the stream does not become smaller:

1. Find the cheapest parse for the codes of the blocks.
2. Find the best places for blocks to begin.
3. Find the best codes of these blocks.

All arithmetic is of integers, so that equal data and levels give equal streams on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import format_bytes
from romforge.formats.uefi_compression import decoder, match_finder
from romforge.formats.uefi_compression.huffman import (
    Codes,
    Estimator,
    add_counts,
    best_codes,
    code_lengths,
    count_items,
    count_symbols,
    header_items,
    small_header,
    symbol_costs,
)
from romforge.formats.uefi_compression.match_finder import Tokens

ENCODER_VERSION = 1  # of the streams: to increase when one changes for the same data and level
MOST_SYMBOLS = 65_535  # of a block
_MOST_CELLS = 256  # of a grid
_STEPS = 128, 64, 32, 16, 8, 4  # tokens, by which the beginnings of blocks are moved
_SMALL_GAIN = 12  # a gain of less than size >> _SMALL_GAIN counts as none
_TOO_LARGE = 1 << 60  # a size that is never chosen

ProgressCallback = Callable[
    [int, int], None
]  # called with the rounds done, and the most that there will be


class Search(NamedTuple):
    """The parameters of a search. Each finds another stream, and none is the best for all data.

    ``grid`` is the distance in tokens of the places where blocks may begin, before these are
    refined. ``fractions`` are the fractions of entropy in costs, in quarters: each round takes the
    next one.
    """

    grid: int
    fractions: tuple[int, ...]


class Level(NamedTuple):
    """How thorough the compression is: its searches, and the most rounds of each.

    A search ends earlier after ``patience`` rounds with little gain.
    """

    rounds: int
    patience: int
    searches: tuple[Search, ...]


_FIRST = Search(512, (2, 3))
_ALL = _FIRST, Search(256, (2, 3)), Search(512, (4,)), Search(384, (4, 2, 0)), Search(320, (3,))
LEVELS = {
    "fast": Level(1, 1, (_FIRST,)),
    "default": Level(5, 2, (_FIRST,)),
    "best": Level(9, 5, _ALL),
}
DEFAULT = "default"


class Block(NamedTuple):
    """A block: its first token, the one behind its last, and its codes."""

    begin: int
    end: int
    codes: Codes


class StreamPlan(NamedTuple):
    """A stream before it is written. ``size`` is in bits."""

    size: int
    tokens: Tokens
    blocks: list[Block]


def compress(data: bytes, level: str = DEFAULT, progress: ProgressCallback | None = None) -> bytes:
    """Returns the compressed stream of ``data``, with its 8-byte header.

    The stream was decoded, and gives back the data. ``level`` is one of ``LEVELS``. ``progress`` is
    called after each round. Raises RomforgeError if the data are larger than any option ROM.

    >>> decoder.decompress(compress(b"data", "fast"))
    b'data'
    """
    if len(data) > decoder.MAX_ORIGINAL_SIZE:
        most = format_bytes(decoder.MAX_ORIGINAL_SIZE)
        raise RomforgeError(f"{format_bytes(len(data))} exceed the largest option ROM, {most}")
    body = b""
    if data:
        body = _write(_smallest(data, LEVELS[level], progress))
    body += b"\0"  # decoders may look a symbol ahead
    stream = decoder.HEADER.pack(len(body), len(data)) + body
    if decoder.decompress(stream) != data:
        raise AssertionError("the stream of the encoder does not decode to its data")
    return stream


def _smallest(data: bytes, level: Level, progress: ProgressCallback | None) -> StreamPlan:
    """The smallest stream of all searches of a level."""
    matches = match_finder.find_matches(data)
    most_rounds = len(level.searches) * level.rounds
    smallest: StreamPlan | None = None
    for number, search in enumerate(level.searches):
        rounds = number * level.rounds
        for plan in _search(data, matches, search, level):
            if smallest is None or plan.size < smallest.size:
                smallest = plan
            rounds += 1
            if progress is not None:
                progress(rounds, most_rounds)
    assert smallest is not None  # there is at least one round
    return smallest


def _search(
    data: bytes, matches: list[tuple[match_finder.Match, ...]], search: Search, level: Level
) -> Iterator[StreamPlan]:
    """The stream of each round. A round parses by the codes of the round before."""
    starts = [0]
    costs = [match_finder.initial_costs(data)]
    least = 0
    rounds_without_gain = 0
    for number in range(level.rounds):
        choices = match_finder.cheapest_choices(data, matches, starts, costs)
        tokens = Tokens(data, choices)
        plan = _divide(tokens, search.grid)
        yield plan
        if not least or least - plan.size > plan.size >> _SMALL_GAIN:
            rounds_without_gain = 0
        else:
            rounds_without_gain += 1
        least = min(least or plan.size, plan.size)
        if rounds_without_gain >= level.patience:
            return
        fraction = search.fractions[number % len(search.fractions)]
        starts = []
        costs = []
        for block in plan.blocks:
            characters, positions = _count(tokens, block.begin, block.end)
            starts.append(tokens.places[block.begin])
            costs.append(symbol_costs(characters, positions, block.codes, fraction))


def _count(tokens: Tokens, begin: int, end: int) -> tuple[list[int], list[int]]:
    return count_symbols(tokens.symbols, tokens.slots, begin, end)


def _divide(tokens: Tokens, grid: int) -> StreamPlan:
    """Divides a parse into blocks, with their codes."""
    starts = _refine(tokens, _estimate_starts(tokens, grid))
    blocks = []
    size = 0
    for begin, end in pairwise([*starts, len(tokens)]):
        characters, positions = _count(tokens, begin, end)
        codes = best_codes(characters, positions)
        blocks.append(Block(begin, end, codes))
        size += codes.size
    return StreamPlan(size, tokens, blocks)


def _estimate_starts(tokens: Tokens, grid: int) -> list[int]:
    """The places of the grid at which blocks begin, such that the sum of their estimates is least.

    The search is by dynamic programming over the cells of the grid.
    """
    grid = max(grid, -(-len(tokens) // _MOST_CELLS))
    edges = [*range(0, len(tokens), grid), len(tokens)]
    cells = [_count(tokens, begin, end) for begin, end in pairwise(edges)]
    all_characters, all_positions = _count(tokens, 0, len(tokens))
    estimate = Estimator(max(*all_characters, *all_positions)).size
    # Of the cells up to each edge: the least size, and the edge where its last block begins.
    least = [0] + [_TOO_LARGE] * len(cells)
    begins = [0] * (len(cells) + 1)
    for first in range(len(cells)):
        characters, positions = cells[first]
        for last in range(first, len(cells)):
            size = edges[last + 1] - edges[first]
            if size > MOST_SYMBOLS:
                break
            if last > first:
                more_characters, more_positions = cells[last]
                characters = add_counts(characters, more_characters)
                positions = add_counts(positions, more_positions)
            total = least[first] + estimate(characters, positions, size)
            if total < least[last + 1]:
                least[last + 1], begins[last + 1] = total, first
    starts = []
    edge = len(cells)
    while edge:
        edge = begins[edge]
        starts.append(edges[edge])
    starts.reverse()
    return starts


class _BlockSizes:
    """The sizes of blocks in bits, each computed once."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.known: dict[tuple[int, int], int] = {}

    def size(self, begin: int, end: int) -> int:
        if end - begin > MOST_SYMBOLS:
            return _TOO_LARGE
        size = self.known.get((begin, end))
        if size is None:
            characters, positions = _count(self.tokens, begin, end)
            size = best_codes(characters, positions, thorough=False).size
            self.known[begin, end] = size
        return size

    def both(self, begin: int, middle: int, end: int) -> int:
        """The size of two blocks, of which the second begins at ``middle``."""
        return self.size(begin, middle) + self.size(middle, end)


def _refine(tokens: Tokens, starts: list[int]) -> list[int]:
    """Merges and moves blocks as long as they become smaller."""
    sizes = _BlockSizes(tokens)
    edges = [*starts, len(tokens)]
    _merge_blocks(edges, sizes)
    _move_edges(edges, sizes)
    return edges[:-1]


def _merge_blocks(edges: list[int], sizes: _BlockSizes) -> None:
    index = 1
    while index < len(edges) - 1:
        begin, middle, end = edges[index - 1 : index + 2]
        if sizes.size(begin, end) <= sizes.both(begin, middle, end):
            del edges[index]
            index = max(1, index - 1)
        else:
            index += 1


def _move_edges(edges: list[int], sizes: _BlockSizes) -> None:
    for step in _STEPS:
        for index in range(1, len(edges) - 1):
            begin, middle, end = edges[index - 1 : index + 2]
            least = sizes.both(begin, middle, end)
            for move in (-step, step):
                while begin < middle + move < end:
                    moved = sizes.both(begin, middle + move, end)
                    if moved >= least:
                        break
                    middle, least = middle + move, moved
            edges[index] = middle


class _Writer:
    """Collects bits as text. The first bit of a field is its highest."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def put(self, width: int, value: int) -> None:
        """Appends a field of ``width`` bits."""
        if width:
            self.pieces.append(f"{value:0{width}b}")

    def put_lengths(
        self, lengths: list[int], counts: list[int], width: int, gap_after: int
    ) -> None:
        """Appends the extra or the position code. See ``small_header``.

        If there are fewer than two symbols, appends the one that occurs.
        """
        if not any(lengths):
            self.put(width, 0)
            self.put(width, _only_symbol(counts))
            return
        for bits, value in small_header(lengths, width, gap_after):
            self.put(bits, value)

    def bytes(self) -> bytes:
        bits = "".join(self.pieces)
        if not bits:
            return b""
        bits += "0" * (-len(bits) % 8)
        marked = int(f"1{bits}", 2)  # the 1 keeps the zeros in front
        return marked.to_bytes(len(bits) // 8 + 1, "big")[1:]


def _write(plan: StreamPlan) -> bytes:
    """The stream without its header."""
    writer = _Writer()
    pieces = writer.pieces
    symbols, slots, distances = plan.tokens.symbols, plan.tokens.slots, plan.tokens.distances
    for begin, end, codes in plan.blocks:
        characters, positions = _count(plan.tokens, begin, end)
        writer.put(16, end - begin)
        _write_character_code(writer, codes.characters, characters)
        writer.put_lengths(codes.positions, positions, 4, -1)
        character_codewords = _codewords(codes.characters)
        position_codewords = _codewords(codes.positions)
        for index in range(begin, end):
            pieces.append(character_codewords[symbols[index]])
            slot = slots[index]
            if slot >= 0:
                pieces.append(position_codewords[slot])
            if slot > 1:
                writer.put(slot - 1, distances[index] - 1 - (1 << slot - 1))
    return writer.bytes()


def _write_character_code(writer: _Writer, lengths: list[int], counts: list[int]) -> None:
    """Writes the extra code, then by that the lengths of the character code."""
    if not any(lengths):
        writer.put(5, 0)
        writer.put(5, 0)
        writer.put(9, 0)
        writer.put(9, _only_symbol(counts))
        return
    number, items = header_items(lengths)
    item_counts = count_items(items)
    extra_lengths = code_lengths(item_counts)
    writer.put_lengths(extra_lengths, item_counts, 5, 3)
    codewords = _codewords(extra_lengths)
    writer.put(9, number)
    for symbol, width, value in items:
        writer.pieces.append(codewords[symbol])
        writer.put(width, value)


def _only_symbol(counts: list[int]) -> int:
    """The single symbol that occurs, or 0."""
    for symbol, count in enumerate(counts):
        if count:
            return symbol
    return 0


def _codewords(lengths: list[int]) -> list[str]:
    """The codewords of a canonical code by symbol, as text.

    Example: ``_codewords([1, 2, 0, 2])`` is ``["0", "10", "", "11"]``.
    """
    present = [(length, symbol) for symbol, length in enumerate(lengths) if length]
    codewords = [""] * len(lengths)
    code = 0
    length_before = 0
    for length, symbol in sorted(present):
        code <<= length - length_before
        codewords[symbol] = f"{code:0{length}b}"
        code += 1
        length_before = length
    return codewords
