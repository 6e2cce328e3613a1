# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds what real ROMs do not offer: small images, and compressed streams with chosen codes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, islice

from romforge.base.image_kind import EFI, LEGACY, NOBODY
from romforge.base.pci_id import PciId
from romforge.formats.option_rom import (
    BLOCK,
    EFI_SIGNATURE,
    LAST_IMAGE,
    NETWORK_ETHERNET,
    SIGNATURE,
    UEFI_COMPRESSED,
    EfiHeader,
    IpxeHeader,
    LegacyHeader,
    PciDataStructure,
    PnpHeader,
    UndiHeader,
)
from romforge.formats.pe import (
    CertificateHeader,
    CoffHeader,
    DataDirectory,
    DosHeader,
    OptionalHeader,
)
from romforge.formats.structure import Structure
from romforge.formats.uefi_compression.decoder import HEADER

E1000 = PciId(0x8086, 0x100E)
X86_64, ARM64 = 0x8664, 0xAA64

# where the builders put things; PCIR_END is where the device list of a legacy image begins
PCIR, PCIR_END, IPXE, UNDI, PNP = 0x1C, 0x34, 0x80, 0x90, 0xB0
EFI_FREE_BYTE, DRIVER = 0x34, 0x40


def mended(data: bytes, slot: int) -> bytes:
    """The data with the byte at ``slot`` such that all sum to 0 modulo 256."""
    right = (data[slot] - sum(data)) % 256
    return data[:slot] + bytes([right]) + data[slot + 1 :]


def overlaid(size: int, parts: dict[int, bytes], fill: int = 0) -> bytes:
    """``size`` bytes with parts at their offsets."""
    data = bytearray([fill]) * size
    for offset, part in parts.items():
        data[offset : offset + len(part)] = part
    return bytes(data)


def pcir(
    ids: PciId, blocks: int, code_type: int, last: bool, device_list: int = 0
) -> PciDataStructure:
    """A PCI Data Structure of revision 3."""
    indicator = LAST_IMAGE if last else 0
    return PciDataStructure(
        b"PCIR", *ids, device_list, 0x18, 3, NETWORK_ETHERNET, blocks, 0, code_type, indicator, 0
    )


def legacy(
    ids: PciId = E1000,
    *,
    last: bool = True,
    blocks: int = 2,
    devices: Sequence[int] = (),
    entry: bytes = b"\xe9\xf0\0",
    needs_payload: bool = False,
) -> bytes:
    """A sound legacy image with all of iPXE's headers; ``entry`` is the jump at offset 3.

    With ``needs_payload`` it is the first image of an .mrom.
    """
    header = LegacyHeader(SIGNATURE, blocks, entry, 0, bytes(9), IPXE, bytes(4), UNDI, PCIR, PNP)
    shrunk = blocks if needs_payload else blocks - 1
    ipxe = IpxeHeader(b"iPXE", IpxeHeader.LAYOUT.size, 0, shrunk, 0, 0x12345678)
    undi = UndiHeader(
        b"UNDI", UndiHeader.LAYOUT.size, 0, 0, b"\0\x01\x02", 0x200, 0x800, 0x1000, 0x2000, b"PCIR"
    )
    pnp = PnpHeader(b"$PnP", 1, 2, 0, 0, 0, 0, 0, 0, b"\x02\0\0", 0x64, 0, 0, 0x300, 0, 0)
    listed = b"".join(device.to_bytes(2, "little") for device in (*devices, 0)) if devices else b""
    parts = {
        0: header.emit(),
        PCIR: pcir(ids, blocks, LEGACY, last, PCIR_END - PCIR if devices else 0).emit(),
        PCIR_END: listed,
        IPXE: mended(ipxe.emit(), 5),
        UNDI: mended(undi.emit(), 5),
        PNP: mended(pnp.emit(), 9),
    }
    return mended(overlaid(blocks * BLOCK, parts, fill=0x90), 6)


def payload(ids: PciId = E1000, *, last: bool = True, blocks: int = 3) -> bytes:
    """The second image of an .mrom: a dummy header, and code up to the last byte."""
    header = LegacyHeader(SIGNATURE, 1, bytes(3), 0, bytes(9), 0, bytes(4), 0, PCIR, 0)
    listed = pcir(ids, blocks, NOBODY, last)
    image = overlaid(blocks * BLOCK, {0: header.emit(), PCIR: listed.emit()}, fill=0x91)
    return mended(image, 6)


def mrom(ids: PciId = E1000, *, last: bool = True) -> bytes:
    """A sound .mrom: its first image, and the payload."""
    return legacy(ids, last=False, needs_payload=True) + payload(ids, last=last)


SIMPLE_NETWORK = uuid.UUID("a19832b9-ac25-11d3-9a2d-0090273fc14d").bytes_le


def driver(
    machine: int = X86_64, subsystem: int = 11, size: int = 1024, interface: bytes = SIMPLE_NETWORK
) -> bytes:
    """A PE file with nothing in it but the headers, and the GUID of a network interface."""
    coff = CoffHeader(b"PE\0\0", machine, 0, 0, 0, 0, OptionalHeader.LAYOUT.size, 0x2022)
    optional = OptionalHeader(0x20B, bytes(54), size, 0x200, 0, subsystem)
    headers = DosHeader(b"MZ", bytes(58), 0x40).emit() + coff.emit() + optional.emit()
    return (headers + interface).ljust(size, b"\0")


def signed_driver(machine: int = X86_64, size: int = 1024, certificate: int = 0x58) -> bytes:
    """A PE file with one attribute certificate of ``certificate`` bytes, which signs nothing."""
    directories = DataDirectory(0, 0).emit() * 4 + DataDirectory(size, certificate).emit()
    rest = bytes(108 - OptionalHeader.LAYOUT.size) + (16).to_bytes(4, "little") + directories
    optional = OptionalHeader(0x20B, bytes(54), size, 0x200, 0, 11)
    coff = CoffHeader(b"PE\0\0", machine, 0, 0, 0, 0, 240, 0x2022)
    headers = DosHeader(b"MZ", bytes(58), 0x40).emit() + coff.emit() + optional.emit()
    body = (headers + rest).ljust(0x150, b"\0") + SIMPLE_NETWORK
    signature = CertificateHeader(certificate, 0x200, 2).emit()
    return body.ljust(size, b"\0") + signature.ljust(certificate, b"\x30")


def efi(
    content: bytes | None = None,
    ids: PciId = E1000,
    *,
    last: bool = True,
    machine: int = X86_64,
    subsystem: int = 11,
    compression: int = 0,
    free_byte: bool = True,
) -> bytes:
    """An EFI image around ``content``: a driver, or its compressed stream.

    With ``free_byte`` its bytes sum to 0, as efirom's do.
    """
    content = driver(machine, subsystem) if content is None else content
    blocks = -(-(DRIVER + len(content)) // BLOCK)
    header = EfiHeader(
        SIGNATURE, blocks, EFI_SIGNATURE, subsystem, machine, compression, bytes(8), DRIVER, PCIR
    )
    image = overlaid(
        blocks * BLOCK,
        {0: header.emit(), PCIR: pcir(ids, blocks, EFI, last).emit(), DRIVER: content},
    )
    return mended(image, EFI_FREE_BYTE) if free_byte else image


def compressed_efi(
    stream: bytes,
    ids: PciId = E1000,
    *,
    last: bool = True,
    machine: int = X86_64,
    subsystem: int = 11,
) -> bytes:
    """An EFI image with a stream of the UEFI compression inside."""
    return efi(
        stream, ids, last=last, machine=machine, subsystem=subsystem, compression=UEFI_COMPRESSED
    )


def changed(data: bytes, offset: int, new: Structure | bytes) -> bytes:
    """The data with other bytes at ``offset``."""
    part = new.emit() if isinstance(new, Structure) else new
    return data[:offset] + part + data[offset + len(part) :]


def with_field(data: bytes, kind: type[Structure], offset: int, **fields: int | bytes) -> bytes:
    """The data with other values in the fields of the structure at ``offset``."""
    before = kind.parse(data, offset)
    return changed(data, offset, replace(before, **fields))  # type: ignore[type-var]


# Streams. A token is a literal byte or a match of (length, distance).
# A code gives each symbol the length of its bits.

Token = int | tuple[int, int]
Code = dict[int, int]
MOST_SYMBOLS = 65_535
CHARACTERS, EXTRA, POSITIONS = range(510), range(19), range(14)  # the three sets


def flat(symbols: Iterable[int]) -> Code:
    """A complete code with lengths as even as can be; that of a lone symbol takes no bits."""
    ordered = sorted(symbols)
    longest = (len(ordered) - 1).bit_length()
    shorter = (1 << longest) - len(ordered)
    return {symbol: longest - (index < shorter) for index, symbol in enumerate(ordered)}


def skewed(symbols: Iterable[int]) -> Code:
    """A complete code of the lengths 1, 2, 3 … for at most 17 symbols; the last two share one."""
    ordered = list(symbols)
    return {symbol: min(index + 1, len(ordered) - 1) for index, symbol in enumerate(ordered)}


def expand(tokens: Iterable[Token]) -> bytes:
    """What the tokens stand for, a byte at a time."""
    out = bytearray()
    for token in tokens:
        if isinstance(token, int):
            out.append(token)
        else:
            length, distance = token
            for _ in range(length):
                out.append(out[-distance])
    return bytes(out)


def greedy(data: bytes) -> list[Token]:
    """Tokens for data: at each place the longest match in the 8 KiB behind, found the slow way."""
    tokens: list[Token] = []
    place = 0
    while place < len(data):
        length, distance = 0, 0
        for wanted in range(3, min(256, len(data) - place) + 1):
            begin = data.rfind(
                data[place : place + wanted], max(0, place - 8192), place + wanted - 1
            )
            if begin < 0:
                break
            length, distance = wanted, place - begin
        tokens.append((length, distance) if length else data[place])
        place += length or 1
    return tokens


def encode(
    tokens: Iterable[Token],
    *,
    per_block: int = MOST_SYMBOLS,
    characters: Code | None = None,
    positions: Code | None = None,
    extra: Code | None = None,
) -> bytes:
    """The header and the stream of the tokens; all blocks have the same codes, by default flat."""
    tokens = list(tokens)
    characters, positions = characters or flat(CHARACTERS), positions or flat(POSITIONS)
    codes = _codes(characters, positions, extra)
    words, places = _words(characters), _words(positions)
    bits, rest = [], iter(tokens)
    while block := list(islice(rest, per_block)):
        bits += [f"{len(block):016b}", codes]
        bits += [
            words[token] if isinstance(token, int) else _match(token, words, places)
            for token in block
        ]
    return framed("".join(bits), sum(1 if isinstance(token, int) else token[0] for token in tokens))


def framed(bits: str, original: int) -> bytes:
    """Bits as a stream with its header, and the spare NUL that encoders leave at the end."""
    size = -(-len(bits) // 8)
    body = int(bits.ljust(size * 8, "0") or "0", 2).to_bytes(size, "big") + b"\0"
    return HEADER.pack(len(body), original) + body


def stored(data: bytes) -> bytes:
    """The plainest stream: a literal per byte, 8 bits each."""
    return encode(data, characters=flat(range(256)), positions=flat([0]))


def bomb() -> bytes:
    """A stream of about 8 KiB that becomes nearly 16 MiB of zeros.

    It is a literal and 65,534 matches of 256 bytes.
    """
    return encode(
        [0, *[(256, 1)] * (MOST_SYMBOLS - 1)], characters=flat([0, 509]), positions=flat([0])
    )


def table_bomb(blocks: int) -> bytes:
    """A stream whose every block carries codes of up to 16 bits for a single byte."""
    return encode(
        [0] * blocks,
        per_block=1,
        characters=skewed(range(17)),
        positions=skewed(POSITIONS),
        extra=skewed([*range(2, 19)]),
    )


def _words(code: Code) -> dict[int, str]:
    """Canonical codes as bits: shorter ones first, symbols in order among equals."""
    words, value, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in code.items()):
        value <<= length - before
        words[symbol] = f"{value:0{length}b}" if length else ""
        value, before = value + 1, length
    return words


def _match(token: tuple[int, int], words: dict[int, str], places: dict[int, str]) -> str:
    length, position = token[0], token[1] - 1
    width = position.bit_length()
    return words[256 + length - 3] + places[width] + f"{position:b}"[1:]


def _codes(characters: Code, positions: Code, extra: Code | None) -> str:
    """The three codes as a block sends them."""
    runs = _runs([characters.get(symbol, 0) for symbol in range(max(characters) + 1)])
    extra = extra or flat({symbol for symbol, _ in runs})
    words = _words(extra)
    if len(characters) == 1:
        sent = f"{0:09b}{next(iter(characters)):09b}"
    else:
        sent = f"{max(characters) + 1:09b}" + "".join(words[symbol] + bits for symbol, bits in runs)
    return _set(extra, 5, gap_after=3) + sent + _set(positions, 4)


def _set(code: Code, width: int, gap_after: int = -1) -> str:
    """The extra or the position set.

    In the extra set two bits behind the third length count zeros.
    """
    if len(code) == 1:
        return f"{0:0{width}b}{next(iter(code)):0{width}b}"
    number = max(code) + 1
    sent, symbol = f"{number:0{width}b}", 0
    while symbol < number:
        length = code.get(symbol, 0)
        sent += f"{length:03b}" if length < 7 else "111" + "1" * (length - 7) + "0"
        symbol += 1
        if symbol == gap_after:
            gap = 0
            while gap < 3 and symbol < number and not code.get(symbol):
                gap, symbol = gap + 1, symbol + 1
            sent += f"{gap:02b}"
    return sent


def _runs(lengths: list[int]) -> list[tuple[int, str]]:
    """Code lengths as symbols of the extra set, each with the bits behind it.

    Zeros come in runs of 1, of 3 to 18, or of 20 and more.
    """
    found: list[tuple[int, str]] = []
    for length, group in groupby(lengths):
        count = len(list(group))
        if length:
            found += [(length + 2, "")] * count
        elif count >= 20:
            found.append((2, f"{count - 20:09b}"))
        elif count >= 3:
            found += [(1, f"{min(count, 18) - 3:04b}")] + [(0, "")] * (count - min(count, 18))
        else:
            found += [(0, "")] * count
    return found
