# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields of PE/COFF headers that an option ROM needs.

Sources: UEFI Specification, 2.1.1; Microsoft's PE format. Offsets and sizes are in bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from romforge.base.errors import FormatError
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
class Pe:
    """The fields of a driver with which an EFI ROM header must agree. The size is in bytes."""

    machine: int
    subsystem: int
    image_size: int


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


def wrong_subsystem(subsystem: int) -> str:
    """The message for a subsystem that is not one of ``DRIVER_SUBSYSTEMS``."""
    name = SUBSYSTEMS.get(subsystem, "not an EFI subsystem")
    return f"subsystem {subsystem} ({name}) is not that of a driver (11 or 12)"
