# SPDX-License-Identifier: GPL-2.0-or-later
"""A ROM as QEMU's default for a device."""

from __future__ import annotations

from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.verify import boot


def test_a_default_rom_gets_the_ids_of_its_device(e1000: bytes):
    """As QEMU mends it: the first image alone, and its checksum stays right."""
    other = boot.as_default(e1000, PciId(0x10EC, 0x8139))
    images = option_rom.parse_rom(other).images
    assert [image.ids for image in images] == [PciId(0x10EC, 0x8139), PciId(0x8086, 0x100E)]
    assert option_rom.checksum(images[0].data) == 0
    assert boot.as_default(e1000, PciId(0x8086, 0x100E)) == e1000
    assert boot.as_default(b"no ROM", PciId(1, 2)) == b"no ROM"
