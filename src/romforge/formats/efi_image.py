# SPDX-License-Identifier: GPL-2.0-or-later
"""An EFI driver as an image of an option ROM (UEFI Specification, 14.4.2).

The layout is that of iPXE's efirom: header, PCI Data Structure at 0x1c, a byte that makes the image sum to 0, and
the driver at 0x38. Sizes are bytes.
"""

from __future__ import annotations

from romforge.base.arch import BY_MACHINE
from romforge.base.errors import FormatError
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes
from romforge.formats import option_rom, pe
from romforge.formats.option_rom import BLOCK

_PCIR, _CHECKSUM, _DRIVER = 0x1C, 0x34, 0x38
_MOST_BLOCKS = 0xFFFF  # what the image length has room for


def wrap_driver(driver: bytes, ids: PciId) -> bytes:
    """The EFI ROM image of a driver, stored, and marked as the last; machine and subsystem are those of the PE file.

    Raises FormatError where the file is no EFI driver of an architecture that boots from option ROMs.
    """
    found = pe.parse_pe(driver)
    if found.machine not in BY_MACHINE:
        raise FormatError(4, f"no architecture has machine {found.machine:#06x}")
    if found.subsystem not in (pe.EFI_BOOT_SERVICE_DRIVER, pe.EFI_RUNTIME_DRIVER):
        name = pe.SUBSYSTEMS.get(found.subsystem, "no EFI subsystem")
        raise FormatError(
            0,
            f"subsystem {found.subsystem} ({name}) is not that of a driver (11 or 12); build NAME.efidrv",
        )
    blocks = -(-(_DRIVER + len(driver)) // BLOCK)
    if blocks > _MOST_BLOCKS:
        raise FormatError(
            0, f"a driver of {format_bytes(len(driver))} is larger than an image can be"
        )
    header = option_rom.EfiHeader(
        signature=option_rom.SIGNATURE,
        initialization_blocks=blocks,
        efi_signature=option_rom.EFI_SIGNATURE,
        subsystem=found.subsystem,
        machine=found.machine,
        compression_type=option_rom.UNCOMPRESSED,
        reserved=bytes(8),
        efi_image_offset=_DRIVER,
        pcir_pointer=_PCIR,
    )
    pcir = option_rom.PciDataStructure(
        signature=b"PCIR",
        vendor_id=ids[0],
        device_id=ids[1],
        device_list_pointer=0,
        length=option_rom.PciDataStructure.LAYOUT.size,
        revision=0,
        class_code=option_rom.NETWORK_ETHERNET,
        image_blocks=blocks,
        code_revision=0,
        code_type=option_rom.EFI,
        indicator=option_rom.LAST_IMAGE,
        max_runtime_blocks=0,
    )
    image = bytearray(blocks * BLOCK)
    image[:_PCIR] = header.emit().ljust(_PCIR, b"\0")
    image[_PCIR:_CHECKSUM] = pcir.emit()
    image[_DRIVER : _DRIVER + len(driver)] = driver
    image[_CHECKSUM] = -sum(image) & 0xFF
    return bytes(image)
