# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields of PE/COFF headers that an option ROM needs.

Sources: UEFI Specification, 2.1.1; Microsoft's PE format. Offsets and sizes are in bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from romforge.base.errors import FormatError
from romforge.base.text import format_bytes
from romforge.formats.structure import Structure

EFI_APPLICATION, EFI_BOOT_SERVICE_DRIVER, EFI_RUNTIME_DRIVER = 10, 11, 12
SUBSYSTEMS = {
    EFI_APPLICATION: "application",
    EFI_BOOT_SERVICE_DRIVER: "boot service driver",
    EFI_RUNTIME_DRIVER: "runtime driver",
}
DRIVER_SUBSYSTEMS = EFI_BOOT_SERVICE_DRIVER, EFI_RUNTIME_DRIVER
HEADERS_WITHIN = 4096  # bytes: the PE headers of every EFI driver are in its first page


@dataclass(frozen=True)
class DosHeader(Structure):
    """MS-DOS header: the signature and the pointer to the PE signature."""

    LAYOUT: ClassVar = struct.Struct("<2s58sI")
    TITLE: ClassVar = "MS-DOS header"
    signature: bytes
    stub: bytes
    pe_pointer: int


@dataclass(frozen=True)
class CoffHeader(Structure):
    """PE signature and COFF file header."""

    LAYOUT: ClassVar = struct.Struct("<4sHHIIIHH")
    TITLE: ClassVar = "PE header"
    signature: bytes
    machine: int
    section_count: int
    timestamp: int
    symbol_table_pointer: int
    symbol_count: int
    optional_header_size: int
    characteristics: int


@dataclass(frozen=True)
class OptionalHeader(Structure):
    """The part of the optional header that PE32 and PE32+ have in common, up to the subsystem."""

    LAYOUT: ClassVar = struct.Struct("<H54sIIIH")
    TITLE: ClassVar = "PE optional header"
    magic: int  # 0x10b PE32, 0x20b PE32+
    before: bytes
    image_size: int
    headers_size: int
    checksum: int
    subsystem: int


@dataclass(frozen=True)
class DataDirectory(Structure):
    """An entry of the optional header's data directories."""

    LAYOUT: ClassVar = struct.Struct("<II")
    TITLE: ClassVar = "PE data directory"
    address: int
    size: int


@dataclass(frozen=True)
class CertificateHeader(Structure):
    """The head of an attribute certificate (WIN_CERTIFICATE; UEFI Specification, 32.2.4)."""

    LAYOUT: ClassVar = struct.Struct("<IHH")
    TITLE: ClassVar = "attribute certificate"
    length: int
    revision: int
    certificate_type: int


@dataclass(frozen=True)
class Pe:
    """The fields of a driver with which an EFI ROM header must agree. The size is in bytes."""

    machine: int
    subsystem: int
    image_size: int


# Of the optional header: where the number of data directories is, by its magic. The directories
# follow, and the fifth says where the attribute certificates are, by their offset in the file.
_DIRECTORY_COUNT = {0x10B: 92, 0x20B: 108}
_CERTIFICATE_DIRECTORY = 4
_ALIGNMENT = 8  # bytes, of a certificate and of their table


def parse_pe(data: bytes) -> Pe:
    """Reads the headers of a PE file, which may be cut off behind them.

    Raises FormatError if they are not those of a PE file.
    """
    dos = DosHeader.parse(data)
    if dos.signature != b"MZ":
        raise FormatError(0, f"not a PE file: {data[:2].hex(' ')} where 'MZ' must be")
    coff = CoffHeader.parse(data, dos.pe_pointer)
    if coff.signature != b"PE\0\0":
        actual = coff.signature.hex(" ")
        raise FormatError(dos.pe_pointer, f"no PE signature: {actual} where 'PE' 00 00 must be")
    place = dos.pe_pointer + CoffHeader.LAYOUT.size
    optional = OptionalHeader.parse(data, place)
    if optional.magic not in (0x10B, 0x20B):
        magic = f"optional header magic {optional.magic:#x}"
        raise FormatError(place, f"{magic} is neither PE32 (0x10b) nor PE32+ (0x20b)")
    return Pe(coff.machine, optional.subsystem, optional.image_size)


def certificate_table(data: bytes) -> range | None:
    """The offsets of the attribute certificates of a PE file, or None if it has none.

    They sign the file: it is a signed driver if it has any. Raises FormatError if the headers are
    not those of a PE file, or the table is not a sound one within the data.
    """
    parse_pe(data)
    optional = DosHeader.parse(data).pe_pointer + CoffHeader.LAYOUT.size
    magic = int.from_bytes(data[optional : optional + 2], "little")
    place = optional + _DIRECTORY_COUNT[magic]
    count = int.from_bytes(data[place : place + 4], "little")
    coff = CoffHeader.parse(data, optional - CoffHeader.LAYOUT.size)
    entry = place + 4 + _CERTIFICATE_DIRECTORY * DataDirectory.LAYOUT.size
    if count <= _CERTIFICATE_DIRECTORY:
        return None
    if entry + DataDirectory.LAYOUT.size > optional + coff.optional_header_size:
        return None
    directory = DataDirectory.parse(data, entry)
    if not directory.address and not directory.size:
        return None
    end = directory.address + directory.size
    table = f"the certificate table at {directory.address:#x} of {format_bytes(directory.size)}"
    if directory.address % _ALIGNMENT or directory.address < entry:
        raise FormatError(entry, f"{table} begins in the headers, or not at a multiple of 8")
    if end > len(data):
        raise FormatError(
            entry, f"{table} exceeds the end of the file by {end - len(data):,} bytes"
        )
    _check_certificates(data, directory.address, end)
    return range(directory.address, end)


def _check_certificates(data: bytes, place: int, end: int) -> None:
    """Raises FormatError unless certificates fill a table, each up to a multiple of 8 bytes."""
    while place < end:
        certificate = CertificateHeader.parse(data[:end], place)
        if certificate.length <= CertificateHeader.LAYOUT.size:
            message = f"an attribute certificate of {certificate.length} bytes, which is too few"
            raise FormatError(place, message)
        following = place + certificate.length
        following += -following % _ALIGNMENT
        if following > end:
            length = format_bytes(certificate.length)
            message = f"an attribute certificate of {length} exceeds the certificate table"
            raise FormatError(place, message)
        place = following


def wrong_subsystem(subsystem: int) -> str:
    """The message for a subsystem that is not one of ``DRIVER_SUBSYSTEMS``."""
    name = SUBSYSTEMS.get(subsystem, "not an EFI subsystem")
    return f"subsystem {subsystem} ({name}) is not that of a driver (11 or 12)"
