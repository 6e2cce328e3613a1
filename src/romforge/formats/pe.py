# SPDX-License-Identifier: GPL-2.0-or-later
"""PE/COFF headers of EFI drivers, as far as an option ROM needs them (UEFI Specification, 2.1.1; PE format).

Offsets and sizes are bytes.
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
HEADERS_WITHIN = 4096  # the PE headers of any EFI driver lie in its first page


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
    """The part of the optional header that PE32 and PE32+ share, up to the subsystem."""

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
    """What an EFI ROM header must agree with: machine and subsystem of the driver."""

    machine: int
    subsystem: int
    image_size: int


def parse_pe(data: bytes) -> Pe:
    """Reads the headers of a PE file from its first bytes; raises FormatError where it is none."""
    dos = DosHeader.parse(data)
    if dos.signature != b"MZ":
        raise FormatError(0, f"no PE file: {data[:2].hex(' ')} where 'MZ' must be")
    coff = CoffHeader.parse(data, dos.pe_pointer)
    if coff.signature != b"PE\0\0":
        raise FormatError(
            dos.pe_pointer, f"no PE signature: {coff.signature.hex(' ')} where 'PE' 00 00 must be"
        )
    place = dos.pe_pointer + CoffHeader.LAYOUT.size
    optional = OptionalHeader.parse(data, place)
    if optional.magic not in (0x10B, 0x20B):
        raise FormatError(
            place,
            f"optional header magic {optional.magic:#x} is neither PE32 (0x10b) nor PE32+ (0x20b)",
        )
    return Pe(coff.machine, optional.subsystem, optional.image_size)
