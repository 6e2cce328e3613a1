# SPDX-License-Identifier: GPL-2.0-or-later
"""The UEFI compression algorithm (UEFI Specification, 19.3): the encoder, which looks for the smallest stream.

Everyone else's goes through the data once, takes the longest match that is not beaten by the next, and begins a block
where its buffer is full. Here a parse and the blocks' codes are found in turn, each best for the other: the cheapest
parse by the costs of the codes, the best places to begin blocks, the codes of these blocks. It ends when nothing is
gained, and the smallest stream of all is taken. All arithmetic is of integers: equal input gives equal output everywhere.
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
    codes_of,
    costs_of,
    counted,
    extra_counts,
    items_of,
    lengths_of,
    small_header,
    together,
)
from romforge.formats.uefi_compression.match_finder import Tokens

ENCODER_VERSION = 1  # of what comes out for the same input and level; to count up when that changes
MOST_SYMBOLS = 65_535  # of a block
_MOST_CELLS = 256  # of a grid
_STEPS = 128, 64, 32, 16, 8, 4  # tokens, by which beginnings are moved
_SMALL_GAIN = 12  # bits to shift a size by: of a gain less than that part, no more is expected


class Try(NamedTuple):
    """A way to look: the grid (tokens) that blocks may begin on, before they are refined, and the shares of entropy in
    costs (quarters), by turns. Each leads to another least, and none is the best for all data."""

    grid: int
    fractions: tuple[int, ...]


class Level(NamedTuple):
    """How hard to look: rounds of each try, and how many without much of a gain are enough."""

    rounds: int
    patience: int
    tries: tuple[Try, ...]


_FIRST = Try(512, (2, 3))
LEVELS = {
    "fast": Level(1, 1, (_FIRST,)),
    "default": Level(5, 2, (_FIRST,)),
    "best": Level(
        9, 5, (_FIRST, Try(256, (2, 3)), Try(512, (4,)), Try(384, (4, 2, 0)), Try(320, (3,)))
    ),
}
DEFAULT = "default"

Block = tuple[int, int, Codes]  # first token, the one behind the last, and codes


class Way(NamedTuple):
    """A whole stream, not yet written: its size in bits, its tokens and blocks."""

    size: int
    tokens: Tokens
    blocks: list[Block]


def compress(
    data: bytes, level: str = DEFAULT, told: Callable[[int, int], None] = lambda done, of: None
) -> bytes:
    """The stream of ``data`` with its 8-byte header; the decoder has been given it and has given back the data.

    ``told`` is called with each round done and the number of rounds that there may be. Raises RomforgeError where the
    data are larger than any option ROM.
    """
    if len(data) > decoder.MAX_ORIGINAL_SIZE:
        raise RomforgeError(
            f"{format_bytes(len(data))} are more than any option ROM holds, {format_bytes(decoder.MAX_ORIGINAL_SIZE)}"
        )
    body = _write(_best(data, LEVELS[level], told)) if data else b""
    stream = (
        decoder.HEADER.pack(len(body) + 1, len(data)) + body + b"\0"
    )  # decoders may look a symbol ahead
    if decoder.decompress(stream) != data:
        raise AssertionError(
            "the encoder's stream does not decode to what it was given"
        )  # never written, whatever it is
    return stream


def _best(data: bytes, level: Level, told: Callable[[int, int], None]) -> Way:
    """The smallest stream that is found by all tries of a level."""
    matches = match_finder.find_matches(data)
    best: Way | None = None
    for number, each in enumerate(level.tries):
        for turn, way in enumerate(_rounds(data, matches, each, level)):
            if best is None or way.size < best.size:
                best = way
            told(number * level.rounds + turn + 1, len(level.tries) * level.rounds)
    assert best is not None  # there is at least one round
    return best


def _rounds(
    data: bytes, matches: list[tuple[match_finder.Match, ...]], each: Try, level: Level
) -> Iterator[Way]:
    """Parses by the codes of the parse before, until nothing much is gained."""
    starts, costs = [0], [match_finder.guess(data)]
    least, waited = 0, 0
    for number in range(level.rounds):
        tokens = Tokens(data, match_finder.choose(data, matches, starts, costs))
        way = _blocks(tokens, each.grid)
        yield way
        waited = 0 if not least or least - way.size > way.size >> _SMALL_GAIN else waited + 1
        least = min(least or way.size, way.size)
        if waited >= level.patience:
            return
        starts = [tokens.places[begin] for begin, _, _ in way.blocks]
        fraction = each.fractions[number % len(each.fractions)]
        costs = [
            costs_of(*counted(tokens.symbols, tokens.slots, begin, end), codes, fraction)
            for begin, end, codes in way.blocks
        ]


def _blocks(tokens: Tokens, grid: int) -> Way:
    """The blocks of a parse, with their codes."""
    starts = _refined(tokens, _split(tokens, grid))
    blocks = []
    for begin, end in zip(starts, [*starts[1:], len(tokens)]):
        blocks.append((begin, end, codes_of(*counted(tokens.symbols, tokens.slots, begin, end))))
    return Way(sum(codes.size for _, _, codes in blocks), tokens, blocks)


def _split(tokens: Tokens, grid: int) -> list[int]:
    """Where blocks begin: of all places of the grid those with the least estimate, by dynamic programming."""
    grid = max(grid, -(-len(tokens) // _MOST_CELLS))
    edges = [*range(0, len(tokens), grid), len(tokens)]
    cells = [counted(tokens.symbols, tokens.slots, begin, end) for begin, end in pairwise(edges)]
    whole = counted(tokens.symbols, tokens.slots, 0, len(tokens))
    estimate = Estimator(max(map(max, whole))).size
    least, before = [0] + [1 << 60] * len(cells), [0] * (len(cells) + 1)
    for first in range(len(cells)):
        characters, positions = cells[first]
        for last in range(first, len(cells)):
            size = edges[last + 1] - edges[first]
            if size > MOST_SYMBOLS:
                break
            if last > first:
                characters, positions = (
                    together(characters, cells[last][0]),
                    together(positions, cells[last][1]),
                )
            total = least[first] + estimate(characters, positions, size)
            if total < least[last + 1]:
                least[last + 1], before[last + 1] = total, first
    starts = []
    place = len(cells)
    while place:
        place = before[place]
        starts.append(edges[place])
    return starts[::-1]


def _refined(tokens: Tokens, starts: list[int]) -> list[int]:
    """Merges blocks that are smaller together, and moves their beginnings to where the exact sizes are least."""
    sizes: dict[tuple[int, int], int] = {}

    def size(begin: int, end: int) -> int:
        if end - begin > MOST_SYMBOLS:
            return 1 << 60
        if (begin, end) not in sizes:
            sizes[begin, end] = codes_of(
                *counted(tokens.symbols, tokens.slots, begin, end), thorough=False
            ).size
        return sizes[begin, end]

    starts = [*starts, len(tokens)]
    index = 1
    while index < len(starts) - 1:
        begin, middle, end = starts[index - 1 : index + 2]
        if size(begin, end) <= size(begin, middle) + size(middle, end):
            del starts[index]
            index = max(1, index - 1)
        else:
            index += 1
    for step in _STEPS:
        for index in range(1, len(starts) - 1):
            begin, middle, end = starts[index - 1 : index + 2]
            best = size(begin, middle) + size(middle, end)
            for move in (-step, step):
                while (
                    begin < middle + move < end
                    and (now := size(begin, middle + move) + size(middle + move, end)) < best
                ):
                    middle, best = middle + move, now
            starts[index] = middle
    return starts[:-1]


class _Writer:
    """Bits, the first of each field the highest."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def put(self, width: int, value: int) -> None:
        if width:
            self.pieces.append(f"{value:0{width}b}")

    def small(self, lengths: list[int], counts: list[int], width: int, gap_after: int) -> None:
        """Sends the lengths of the extra or the position code; of fewer than two symbols the one there is."""
        if any(lengths):
            for field in small_header(lengths, width, gap_after):
                self.put(*field)
        else:
            self.put(width, 0)
            self.put(width, _only(counts))

    def bytes(self) -> bytes:
        bits = "".join(self.pieces)
        bits += "0" * (-len(bits) % 8)
        return int(f"1{bits}", 2).to_bytes(len(bits) // 8 + 1, "big")[1:] if bits else b""


def _write(way: Way) -> bytes:
    writer = _Writer()
    for begin, end, codes in way.blocks:
        characters, positions = counted(way.tokens.symbols, way.tokens.slots, begin, end)
        writer.put(16, end - begin)
        _write_characters(writer, codes.characters, characters)
        writer.small(codes.positions, positions, 4, -1)
        words, slots = _words(codes.characters), _words(codes.positions)
        pieces = writer.pieces
        for index in range(begin, end):
            pieces.append(words[way.tokens.symbols[index]])
            if (slot := way.tokens.slots[index]) >= 0:
                pieces.append(slots[slot])
                if slot > 1:
                    writer.put(slot - 1, way.tokens.distances[index] - 1 - (1 << slot - 1))
    return writer.bytes()


def _write_characters(writer: _Writer, lengths: list[int], counts: list[int]) -> None:
    """Sends the character code: the extra code, then by it the lengths."""
    if not any(lengths):
        for width, value in ((5, 0), (5, 0), (9, 0), (9, _only(counts))):
            writer.put(width, value)
        return
    number, items = items_of(lengths)
    extra_count = extra_counts(items)
    extra = lengths_of(extra_count)
    writer.small(extra, extra_count, 5, 3)
    words = _words(extra)
    writer.put(9, number)
    for symbol, width, value in items:
        writer.pieces.append(words[symbol])
        writer.put(width, value)


def _only(counts: list[int]) -> int:
    """The one symbol that occurs, or 0."""
    return next((symbol for symbol, count in enumerate(counts) if count), 0)


def _words(lengths: list[int]) -> list[str]:
    """The canonical code of these lengths, as texts of bits."""
    words, code, before = [""] * len(lengths), 0, 0
    for length, symbol in sorted(
        (length, symbol) for symbol, length in enumerate(lengths) if length
    ):
        code <<= length - before
        words[symbol] = f"{code:0{length}b}"
        code, before = code + 1, length
    return words
