# SPDX-License-Identifier: GPL-2.0-or-later
"""A ROM image without code, for a ROM file that QEMU requires although there is nothing to boot."""

from __future__ import annotations

from romforge.base import image_kind
from romforge.base.pci_id import PciId
from romforge.formats import option_rom

_PCIR = 0x1C  # bytes: behind the header, at a multiple of 4
_RETF = 0xCB  # the x86 instruction


def make_stub(ids: PciId) -> bytes:
    """Returns a stub image for a device: one block of 512 bytes, with a code type of no firmware.

    Should firmware run it all the same, its entry point returns at once. Code types from 4 are
    reserved (PCI Firmware Specification 3.3, 5.1).
    """
    pcir = option_rom.PciDataStructure(
        signature=b"PCIR",
        vendor_id=ids.vendor,
        device_id=ids.device,
        device_list_pointer=0,
        length=option_rom.PciDataStructure.LAYOUT.size,
        revision=0,
        class_code=option_rom.NETWORK_ETHERNET,
        image_blocks=1,
        code_revision=0,
        code_type=image_kind.NOBODY,
        indicator=option_rom.LAST_IMAGE,
        max_runtime_blocks=0,
    ).emit()
    image = bytearray(option_rom.BLOCK)
    image[0:2] = option_rom.SIGNATURE.to_bytes(2, "little")
    image[2] = 1  # block
    image[3] = _RETF
    image[0x18:0x1A] = _PCIR.to_bytes(2, "little")
    image[_PCIR : _PCIR + len(pcir)] = pcir
    image[option_rom.CHECKSUM] = -sum(image) & 0xFF
    return bytes(image)
