# SPDX-License-Identifier: GPL-2.0-or-later
"""A ROM as QEMU's default for a device, and the checks of a guest's report."""

from __future__ import annotations

import zlib

import pytest

from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.verify import boot, cases
from romforge.verify.boot import CheckFailed
from romforge.verify.guest_report import GuestReport
from tests.support.proofs import E1000, make_proof


def test_a_default_rom_gets_the_ids_of_its_device(e1000: bytes):
    """QEMU changes only the first image, and keeps its checksum valid."""
    other = boot.as_default(e1000, PciId(0x10EC, 0x8139))
    images = option_rom.parse_rom(other).images
    assert [image.ids for image in images] == [PciId(0x10EC, 0x8139), PciId(0x8086, 0x100E)]
    assert option_rom.checksum(images[0].data) == 0
    assert boot.as_default(e1000, PciId(0x8086, 0x100E)) == e1000
    assert boot.as_default(b"no ROM", PciId(1, 2)) == b"no ROM"


@pytest.mark.parametrize(
    ("size", "whole", "message"),
    [
        (8, True, None),
        (4, False, None),
        (4, True, "the guest sees a ROM of 4 bytes, and the ROM has 8 bytes"),
        (9, False, "the guest sees a ROM of 9 bytes, and the ROM has 8 bytes"),
        (0, False, "the guest sees a ROM of 0 bytes, and the ROM has 8 bytes"),
    ],
)
def test_the_size_that_a_guest_read_is_checked(size: int, whole: bool, message: str | None):
    rom = b"8 bytes."
    crc = zlib.crc32(rom[:size])
    if message is None:
        boot.check_content(rom, size, crc, whole)
        return
    with pytest.raises(CheckFailed) as raised:
        boot.check_content(rom, size, crc, whole)
    assert str(raised.value) == f"content: {message}"


def test_the_bytes_that_a_guest_read_are_checked():
    expected = f"{zlib.crc32(b'8 bytes.'):08x}"
    message = f"the guest read other bytes: CRC-32 00000001, and the ROM has {expected}"
    with pytest.raises(CheckFailed, match=message):
        boot.check_content(b"8 bytes.", 8, 1)


def test_the_driver_must_be_the_rom_s_image_for_the_machine(e1000: bytes):
    """Not the firmware's own driver, nor another image; and the guest must have read its bytes."""
    legacy, efi = option_rom.parse_rom(e1000).images
    proof = make_proof("e1000", E1000)

    def check(report: GuestReport) -> str:
        try:
            return boot.check_driver(proof, report, e1000)
        except CheckFailed as failure:
            return str(failure)

    def report(start: int, end: int, driver_crc: int) -> GuestReport:
        crc = zlib.crc32(e1000)
        return GuestReport("uefi", len(e1000), crc, "rom", start, end, driver_crc, "iPXE")

    end = efi.offset + len(efi.data) - 1
    crc = zlib.crc32(efi.data)
    assert check(report(efi.offset, end, crc)) == "iPXE"
    assert check(report(efi.offset, end, 1)).startswith("content: the guest read other bytes of ")
    assert check(report(legacy.offset, end, crc)).endswith(" of the ROM, which is legacy")
    assert check(report(len(e1000), end, crc)).endswith(" of the ROM, which is no image")
    built_in = GuestReport("uefi", 1, 1, "built-in", driver_name="Virtio")
    assert check(built_in).startswith("driver: the NIC has a driver of the firmware's own (Virtio)")
    none = GuestReport("uefi", 1, 1, "none")
    assert check(none) == "driver: the NIC has no driver, not that of the ROM"


@pytest.mark.parametrize(("network", "other"), [(cases.IPV4, 6), (cases.IPV6, 4)])
def test_firmware_has_given_up_where_the_network_of_the_proof_failed(network: str, other: int):
    """Its other boot options have no boot program. The line is complete, so it has its reason."""
    version = 10 - other
    pattern = boot._GIVEN_UP[cases.UEFI, network]
    line = 'BdsDxe: failed to load Boot0001 "UEFI PXEv{} (MAC:525400123456)" from Pci(0x3): Not Fou'
    failed = line.format(version)
    assert not pattern.search(failed)
    found = pattern.search(f"{failed}nd\r\n")
    assert found
    assert found[0] == "failed to load Boot0001"
    assert not pattern.search(f"{line.format(other)}nd\r\n")
    assert not pattern.search(f"{failed}nd\r\n".replace("PXEv", "HTTPv"))
    assert pattern.search("UEFI Interactive Shell v2.2\r\n")
