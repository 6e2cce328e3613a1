# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes an option ROM image of an EFI driver (UEFI Specification, 14.4.2).

The layout is that of iPXE's efirom: the header, the PCI Data Structure at 0x1c, a byte that makes
the image sum to 0, and the driver at 0x38. Sizes and offsets are in bytes.
"""

from __future__ import annotations

from romforge.base import image_kind
from romforge.base.arch import BY_MACHINE
from romforge.base.errors import FormatError
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes
from romforge.formats import option_rom, pe
from romforge.formats.option_rom import BLOCK

_PCIR, _CHECKSUM, _DRIVER = 0x1C, 0x34, 0x38
_MOST_BLOCKS = 0xFFFF  # the image length is a field of 16 bits


def wrap_driver(driver: bytes, ids: PciId) -> bytes:
    """Returns a ROM image that contains a driver uncompressed, and is marked as the last image.

    Machine and subsystem are taken from the PE file. Raises FormatError if the file is not an EFI
    driver, or if its architecture does not boot from option ROMs.
    """
    pe_file = pe.parse_pe(driver)
    if pe_file.machine not in BY_MACHINE:
        raise FormatError(4, f"no architecture has machine {pe_file.machine:#06x}")
    if pe_file.subsystem not in pe.DRIVER_SUBSYSTEMS:
        raise FormatError(0, f"{pe.wrong_subsystem(pe_file.subsystem)}; build NAME.efidrv")
    blocks = -(-(_DRIVER + len(driver)) // BLOCK)
    if blocks > _MOST_BLOCKS:
        size = format_bytes(len(driver))
        raise FormatError(0, f"a driver of {size} is larger than an image can be")
    header = option_rom.EfiHeader(
        signature=option_rom.SIGNATURE,
        initialization_blocks=blocks,
        efi_signature=option_rom.EFI_SIGNATURE,
        subsystem=pe_file.subsystem,
        machine=pe_file.machine,
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
        code_type=image_kind.EFI,
        indicator=option_rom.LAST_IMAGE,
        max_runtime_blocks=0,
    )
    image = bytearray(blocks * BLOCK)
    image[:_PCIR] = header.emit().ljust(_PCIR, b"\0")
    image[_PCIR:_CHECKSUM] = pcir.emit()
    image[_DRIVER : _DRIVER + len(driver)] = driver
    image[_CHECKSUM] = -sum(image) & 0xFF
    return bytes(image)
