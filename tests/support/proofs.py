# SPDX-License-Identifier: GPL-2.0-or-later
"""Proofs of a device, a driver without a network interface, and what guests print."""

from __future__ import annotations

import uuid

from romforge.base.arch import Arch
from romforge.base.pci_id import PciId
from romforge.formats import efi_image, option_rom
from romforge.verify import cases
from romforge.verify.cases import Proof
from tests.support.project import PATIENCE

E1000, VIRTIO = PciId(0x8086, 0x100E), PciId(0x1AF4, 0x1000)
# The Simple Network Protocol; and the Network Interface Identifier, on which firmware builds the
# Simple Network Protocol itself.
INTERFACES = "a19832b9-ac25-11d3-9a2d-0090273fc14d", "1aced566-76ed-4218-bc81-767f1f977a89"
NONCE, OTHER = "0123456789abcdef", "fedcba9876543210"
UEFI_TEXT = (
    f"\r\nromforge {NONCE} uefi\r\n"
    "romforge rom 0003a200 12345678\r\n"
    "romforge driver {}\r\n"
    "romforge end\r\n"
)


def make_proof(device: str, ids: PciId, kind: str = cases.UEFI, arch: Arch = Arch.X86_64) -> Proof:
    return cases.of_device(kind, arch, device, ids, timeout=PATIENCE)


def without_interfaces(rom: bytes) -> bytes:
    """The ROM's EFI driver alone; it installs its network interfaces under random GUIDs."""
    image = option_rom.parse_rom(rom).images[-1]
    driver = option_rom.driver_of(image)
    for guid in INTERFACES:
        known = uuid.UUID(guid).bytes_le
        assert driver.count(known) >= 1
        driver = driver.replace(known, uuid.uuid4().bytes_le)
    return efi_image.wrap_driver(driver, image.ids)
