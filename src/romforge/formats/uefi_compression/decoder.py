# SPDX-License-Identifier: GPL-2.0-or-later
"""The decoder of the UEFI compression algorithm (UEFI Specification, 19.3).

It is compression type 1 of an EFI image. A stream has a header of 8 bytes (compressed and original
size, 32 bits each, in bytes), then blocks of at most 65,535 symbols. A block begins with three
Huffman codes: the extra set, characters and lengths, positions. Its symbols follow. The first bit
is the highest of a byte. A symbol is a literal byte, or a match: 3 to 256 bytes that are copied
from the last 8 KiB.
"""

from __future__ import annotations

import struct

from romforge.base.errors import FormatError
from romforge.base.text import format_bytes

HEADER = struct.Struct("<II")
MAX_ORIGINAL_SIZE = 16 << 20  # bytes: no option ROM is larger
MIN_MATCH = 3
_CHARACTERS, _EXTRA, _POSITIONS = 510, 19, 14  # symbols of the three codes
_CHARACTER_BITS, _EXTRA_BITS, _POSITION_BITS = 9, 5, 4  # bits of the fields that count them
_MAX_LENGTH = 16  # bits of a codeword
_REFILL = 64  # bytes read from the stream at once
_SHIFT = 5  # a table entry is symbol << 5 | bits of its codeword

Table = tuple[int, list[int]]  # bits to look at, and an entry for each of their values


class TooLong(FormatError):
    """The stream needs more effort to decode than the caller allows."""


def sizes(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Reads the header: compressed size (without the header) and original size, in bytes.

    Raises FormatError if there is no room for a header at ``offset``.
    """
    if offset + HEADER.size > len(data):
        raise FormatError(offset, "the compressed stream has no room for its 8-byte header")
    compressed, original = HEADER.unpack_from(data, offset)
    return compressed, original


def decompress(
    data: bytes, offset: int = 0, *, first: int | None = None, effort: int | None = None
) -> bytes:
    """Decodes the stream whose header is at ``offset``.

    With ``first``, decodes at least that many bytes of it. ``effort`` limits the symbols that are
    decoded: a block counts as up to some hundreds more, 32 bytes of the result as one. Raises
    TooLong beyond that limit, and FormatError if the stream is corrupted.

    >>> decompress(bytes.fromhex("0100000000000000") + bytes(1))
    b''
    """
    compressed, original = sizes(data, offset)
    begin = offset + HEADER.size
    end = begin + compressed
    if end > len(data):
        size, excess = format_bytes(compressed), format_bytes(end - len(data))
        raise FormatError(offset, f"the compressed size {size} exceeds the image by {excess}")
    if original > MAX_ORIGINAL_SIZE:
        size = format_bytes(original)
        raise FormatError(offset + 4, f"the original size {size} is larger than any option ROM")
    wanted = original if first is None else min(first, original)
    return _Decoder(data, begin, end, effort).run(original, wanted)


class _Decoder:
    """Decodes one stream.

    The low ``count`` bits of ``bits`` are the next ones of the stream. ``place`` is the offset of
    the byte behind them, and ``spare`` the number of zero bytes that were added behind the end.
    """

    def __init__(self, data: bytes, begin: int, end: int, effort: int | None) -> None:
        self.data, self.place, self.end = data, begin, end
        self.bits = self.count = self.spare = 0
        self.effort = effort

    def run(self, original: int, wanted: int) -> bytes:
        """Decodes blocks until there are ``wanted`` bytes, of ``original`` in the whole stream."""
        out = bytearray()
        self.spend(wanted >> 5)
        while len(out) < wanted:
            symbols = self.take(16)
            if not symbols:
                raise self.fault("a block without symbols")
            extra = self.lengths(_EXTRA, _EXTRA_BITS, gap_after=3)
            characters = self.character_lengths(extra)
            positions = self.lengths(_POSITIONS, _POSITION_BITS, gap_after=-1)
            _, table = characters
            self.spend(symbols + (len(table) >> 6) + _CHARACTERS)
            self.block(out, symbols, characters, positions, original)
        # Encoders end with a spare byte, and decoders may look a symbol ahead.
        if self.spare * 8 - self.count > 16:
            raise self.fault("the stream ends before its original size is reached")
        return bytes(out)

    def block(
        self, out: bytearray, symbols: int, characters: Table, positions: Table, original: int
    ) -> None:
        """Decodes up to ``symbols`` symbols.

        This loop must be quick: it keeps the bits in locals.
        """
        (width, table), (position_width, position_table) = characters, positions
        mask, position_mask = (1 << width) - 1, (1 << position_width) - 1
        bits, count = self.bits, self.count
        append = out.append
        for _ in range(symbols):
            if count < 48:  # 16 of a character, 16 of a position and 12 extra bits of it
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
                raise self.fault(f"a match {distance} bytes back, but only {len(out)} precede it")
            while length > distance:  # the match overlaps its own copy
                out += out[start:]
                length -= distance
                distance = len(out) - start
            out += out[start : start + length]
            if len(out) >= original:
                break
        self.bits, self.count = bits & (1 << count) - 1, count
        if len(out) > original:
            raise self.fault(f"the last match exceeds the original size of {original:,} bytes")

    def refill(self) -> None:
        """Appends the next ``_REFILL`` bytes to the bits, zeros behind the end."""
        chunk = self.data[self.place : min(self.place + _REFILL, self.end)]
        self.place += len(chunk)
        missing = _REFILL - len(chunk)
        if missing:
            self.spare += missing
            if self.spare > 2 * _REFILL:
                raise self.fault("the stream ends in the middle of a block")
        rest = self.bits & (1 << self.count) - 1
        appended = int.from_bytes(chunk.ljust(_REFILL, b"\0"), "big")
        self.bits = rest << 8 * _REFILL | appended
        self.count += 8 * _REFILL

    def take(self, width: int) -> int:
        """Reads a field of ``width`` bits."""
        if self.count < width:
            self.refill()
        self.count -= width
        return self.bits >> self.count & (1 << width) - 1

    def spend(self, effort: int) -> None:
        """Raises TooLong if less than ``effort`` is left."""
        if self.effort is not None:
            self.effort -= effort
            if self.effort < 0:
                raise TooLong(self.place, "the stream takes too long to decode")

    def lengths(self, size: int, width: int, gap_after: int) -> Table:
        """Reads the extra or the position code.

        A length is 3 bits; one of 7 and more is followed by its excess in unary. After
        ``gap_after`` lengths, a field of 2 bits is the number of lengths of 0 that are left out.
        """
        number = self.take(width)
        if not number:
            return self.single_symbol(self.take(width), size)
        lengths: list[int] = []
        while len(lengths) < number:
            length = self.take(3)
            while length >= 7 and self.take(1):
                length += 1
                if length > _MAX_LENGTH:
                    raise self.fault("a codeword of more than 16 bits")
            lengths.append(length)
            if len(lengths) == gap_after:
                lengths += [0] * self.take(2)
        return self.table(lengths, size)

    def character_lengths(self, extra: Table) -> Table:
        """Reads the code of characters and lengths, whose lengths are coded by the extra code.

        The symbols 0 to 2 of the extra code are runs of zeros. The others are a length, plus 2.
        """
        number = self.take(_CHARACTER_BITS)
        if not number:
            return self.single_symbol(self.take(_CHARACTER_BITS), _CHARACTERS)
        width, table = extra
        lengths: list[int] = []
        while len(lengths) < number:
            if self.count < 32:
                self.refill()
            entry = table[self.bits >> (self.count - width) & (1 << width) - 1]
            self.count -= entry & 31
            symbol = entry >> _SHIFT
            if symbol > 2:
                lengths.append(symbol - 2)
            elif symbol == 0:
                lengths.append(0)
            elif symbol == 1:
                lengths += [0] * (self.take(4) + 3)
            else:
                lengths += [0] * (self.take(_CHARACTER_BITS) + 20)
        return self.table(lengths, _CHARACTERS)

    def single_symbol(self, symbol: int, size: int) -> Table:
        """The table of a code with a single symbol, whose codeword has no bits."""
        if symbol >= size:
            raise self.fault(f"symbol {symbol} in a set of {size} symbols")
        return 0, [symbol << _SHIFT]

    def table(self, lengths: list[int], size: int) -> Table:
        """Returns the look-up table of a canonical code.

        Raises FormatError if the code is not complete, or has symbols that the set has not.
        """
        if (len(lengths) > size and any(lengths[size:])) or len(lengths) > 2 * size:
            raise self.fault(f"{len(lengths)} code lengths in a set of {size} symbols")
        width = max(lengths)
        by_length: list[tuple[int, int]] = []
        used = 0  # of all codewords of 16 bits, those that begin with a codeword of the code
        for symbol, length in enumerate(lengths):
            if length:
                by_length.append((length, symbol))
                used += 1 << _MAX_LENGTH - length
        if used != 1 << _MAX_LENGTH:
            raise self.fault("a Huffman code that is not complete")
        by_length.sort()
        table: list[int] = []
        for length, symbol in by_length:
            table += [symbol << _SHIFT | length] * (1 << width - length)
        return width, table

    def fault(self, problem: str) -> FormatError:
        """The error for a corrupted stream, with the offset of the byte that was read last."""
        place = min(self.end, self.place + self.spare - self.count // 8)
        return FormatError(place, f"the compressed stream is corrupted: {problem}")
