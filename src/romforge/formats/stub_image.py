# SPDX-License-Identifier: GPL-2.0-or-later
"""A ROM image with no code for anyone: where QEMU asks for a file for which there is nothing to put into it."""

from __future__ import annotations

from romforge.base.pci_id import PciId
from romforge.formats import option_rom

_PCIR = 0x1C  # bytes into the image: behind the header, at a multiple of 4
_RETF = 0xCB


def make_stub(ids: PciId) -> bytes:
    """A stub image for a device: one block of 512 bytes, with a code type that no firmware runs.

    Its entry point returns at once all the same. PCI Firmware Specification 3.3, 5.1: code types from 4 are reserved.
    """
    image = bytearray(option_rom.BLOCK)
    image[0:4] = option_rom.SIGNATURE.to_bytes(2, "little") + bytes([1, _RETF])
    image[0x18:0x1A] = _PCIR.to_bytes(2, "little")
    vendor, device = (one.to_bytes(2, "little") for one in ids)
    structure = (
        b"PCIR"
        + vendor
        + device
        + bytes(2)
        + (0x18).to_bytes(2, "little")
        + b"\0"
        + option_rom.NETWORK_ETHERNET
    )
    structure += (
        (1).to_bytes(2, "little")
        + bytes(2)
        + bytes([option_rom.NOBODY, option_rom.LAST_IMAGE])
        + bytes(2)
    )
    image[_PCIR : _PCIR + len(structure)] = structure
    image[option_rom.CHECKSUM] = -sum(image) & 0xFF
    return bytes(image)
