# SPDX-License-Identifier: GPL-2.0-or-later
"""The UEFI compression algorithm (UEFI Specification, 19.3), compression type 1 of an EFI image: the decoder.

A stream is a header (compressed size, original size; 32 bits each, bytes) and blocks of at most 65,535 symbols.
A block sends three Huffman codes (extra set, characters and lengths, positions), then its symbols, bits first to
last from the high end of each byte. A symbol is a literal byte or a match of 3 to 256 bytes in the 8 KiB behind.
"""

from __future__ import annotations

import struct

from romforge.base.errors import FormatError
from romforge.base.text import format_bytes

HEADER = struct.Struct("<II")
MAX_ORIGINAL_SIZE = 16 << 20  # of a ROM; larger claims are noise
MIN_MATCH = 3
_CHARACTERS, _EXTRA, _POSITIONS = 510, 19, 14  # sizes of the three sets
_CHARACTER_BITS, _EXTRA_BITS, _POSITION_BITS = 9, 5, 4  # widths of the fields that count them
_MAX_LENGTH = 16  # bits of a code
_REFILL = 64  # bytes taken from the stream at once
_SHIFT = 5  # a table entry is symbol << 5 | bits

Table = tuple[int, list[int]]  # bits to look at, and the entry for each value of them


class TooLong(FormatError):
    """The stream would take more effort to decode than the caller allows."""


def sizes(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Compressed size (without the 8 bytes of the header) and original size; raises FormatError."""
    if offset + HEADER.size > len(data):
        raise FormatError(offset, "the compressed stream has no room for its 8-byte header")
    compressed, original = HEADER.unpack_from(data, offset)
    return compressed, original


def decompress(
    data: bytes, offset: int = 0, *, first: int | None = None, effort: int | None = None
) -> bytes:
    """Decodes the stream whose header lies at ``offset``, all of it or at least its ``first`` bytes.

    ``effort`` bounds the symbols decoded (a block counts as up to some hundreds more, 32 bytes of the result as
    one); raises TooLong beyond it and FormatError for a stream that is not valid.
    """
    compressed, original = sizes(data, offset)
    begin = offset + HEADER.size
    if begin + compressed > len(data):
        over = begin + compressed - len(data)
        raise FormatError(
            offset,
            f"the compressed size {format_bytes(compressed)} goes {format_bytes(over)} past the image",
        )
    if original > MAX_ORIGINAL_SIZE:
        raise FormatError(
            offset + 4, f"the original size {format_bytes(original)} is larger than any option ROM"
        )
    return _Decoder(data, begin, begin + compressed, effort).run(
        original, original if first is None else first
    )


class _Decoder:
    """One pass over a stream; ``bits`` holds the next ``count`` bits, ``place`` the byte they came up to."""

    def __init__(self, data: bytes, begin: int, end: int, effort: int | None) -> None:
        self.data, self.place, self.end = data, begin, end
        self.bits = self.count = self.spare = 0
        self.effort = effort

    def run(self, original: int, wanted: int) -> bytes:
        out = bytearray()
        self.spend(min(original, wanted) >> 5)
        while len(out) < min(original, wanted):
            symbols = self.take(16)
            if not symbols:
                raise self.fault("a block of no symbols")
            extra = self.lengths(_EXTRA, _EXTRA_BITS, gap_after=3)
            characters = self.character_lengths(extra)
            positions = self.lengths(_POSITIONS, _POSITION_BITS, gap_after=-1)
            self.spend(symbols + (len(characters[1]) >> 6) + _CHARACTERS)
            self.block(out, symbols, characters, positions, original)
        if (
            self.spare * 8 - self.count > 16
        ):  # encoders end with a spare byte, decoders may look a symbol ahead
            raise self.fault("the stream ends before its original size is reached")
        return bytes(out)

    def block(
        self, out: bytearray, symbols: int, characters: Table, positions: Table, original: int
    ) -> None:
        """Decodes up to ``symbols`` symbols: the one loop that must be quick, so it keeps the bits in locals."""
        (width, table), (position_width, position_table) = characters, positions
        mask, position_mask = (1 << width) - 1, (1 << position_width) - 1
        bits, count = self.bits, self.count
        append = out.append
        for _ in range(symbols):
            if count < 48:  # a character, a position and its extra bits: 16 + 16 + 12
                self.bits, self.count = bits, count
                self.refill()
                bits, count = self.bits, self.count
            entry = table[bits >> (count - width) & mask]
            count -= entry & 31
            symbol = entry >> _SHIFT
            if symbol < 256:
                append(symbol)
                if len(out) == original:
                    break
                continue
            entry = position_table[bits >> (count - position_width) & position_mask]
            count -= entry & 31
            distance = (entry >> _SHIFT) + 1
            if distance > 2:
                count -= distance - 2
                distance = (1 << distance - 2) + (bits >> count & (1 << distance - 2) - 1) + 1
            start, length = len(out) - distance, symbol - 256 + MIN_MATCH
            if start < 0:
                self.bits, self.count = bits, count
                raise self.fault(
                    f"a match {distance} bytes back where only {len(out)} bytes precede it"
                )
            while length > distance:  # the match overlaps what it makes
                out += out[start:]
                length -= distance
                distance = len(out) - start
            out += out[start : start + length]
            if len(out) >= original:
                break
        self.bits, self.count = bits & (1 << count) - 1, count
        if len(out) > original:
            raise self.fault(f"the last match goes past the original size of {original:,} bytes")

    def refill(self) -> None:
        """Appends the next bytes to the bits; zeros behind the end, as decoders look ahead."""
        chunk = self.data[self.place : min(self.place + _REFILL, self.end)]
        self.place += len(chunk)
        if missing := _REFILL - len(chunk):
            self.spare += missing
            if self.spare > 2 * _REFILL:
                raise self.fault("the stream ends in the middle of a block")
        self.bits = (self.bits & (1 << self.count) - 1) << 8 * _REFILL | int.from_bytes(
            chunk.ljust(_REFILL, b"\0"), "big"
        )
        self.count += 8 * _REFILL

    def take(self, width: int) -> int:
        if self.count < width:
            self.refill()
        self.count -= width
        return self.bits >> self.count & (1 << width) - 1

    def spend(self, effort: int) -> None:
        if self.effort is not None:
            self.effort -= effort
            if self.effort < 0:
                raise TooLong(self.place, "the stream takes longer to decode than is allowed here")

    def lengths(self, size: int, width: int, gap_after: int) -> Table:
        """The code of the extra or the position set: lengths of 3 bits, 7 and more in unary."""
        number = self.take(width)
        if not number:
            return self.lone(self.take(width), size)
        found: list[int] = []
        while len(found) < number:
            length = self.take(3)
            while length >= 7 and self.take(1):
                length += 1
                if length > _MAX_LENGTH:
                    raise self.fault("a code of more than 16 bits")
            found.append(length)
            if len(found) == gap_after:
                found += [0] * self.take(2)
        return self.table(found, size)

    def character_lengths(self, extra: Table) -> Table:
        """The code of characters and lengths, its lengths coded by the extra set."""
        number = self.take(_CHARACTER_BITS)
        if not number:
            return self.lone(self.take(_CHARACTER_BITS), _CHARACTERS)
        width, table = extra
        found: list[int] = []
        while len(found) < number:
            if self.count < 32:
                self.refill()
            entry = table[self.bits >> (self.count - width) & (1 << width) - 1]
            self.count -= entry & 31
            code = entry >> _SHIFT
            if code > 2:
                found.append(code - 2)
            else:
                found += [0] * (
                    1
                    if code == 0
                    else self.take(4) + 3
                    if code == 1
                    else self.take(_CHARACTER_BITS) + 20
                )
        return self.table(found, _CHARACTERS)

    def lone(self, symbol: int, size: int) -> Table:
        """The code of a set with one symbol, which takes no bits."""
        if symbol >= size:
            raise self.fault(f"symbol {symbol} in a set of {size}")
        return 0, [symbol << _SHIFT]

    def table(self, lengths: list[int], size: int) -> Table:
        """The look-up table of canonical codes; raises FormatError unless the code is complete."""
        if (len(lengths) > size and any(lengths[size:])) or len(lengths) > 2 * size:
            raise self.fault(f"{len(lengths)} code lengths in a set of {size}")
        width = max(lengths)
        if sum(1 << _MAX_LENGTH - length for length in lengths if length) != 1 << _MAX_LENGTH:
            raise self.fault("a Huffman code that is not complete")
        table: list[int] = []
        for length, symbol in sorted(
            (length, symbol) for symbol, length in enumerate(lengths) if length
        ):
            table += [symbol << _SHIFT | length] * (1 << width - length)
        return width, table

    def fault(self, what: str) -> FormatError:
        place = min(self.end, self.place + self.spare - self.count // 8)
        return FormatError(place, f"the compressed stream is broken: {what}")
