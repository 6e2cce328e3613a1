# SPDX-License-Identifier: GPL-2.0-or-later
"""ROM images of EFI drivers, compared with those that iPXE's own efirom made for Debian."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from romforge.base.errors import FormatError
from romforge.base.pci_id import PciId
from romforge.formats import efi_image, option_rom, pe, rom_check
from tests.support import debian
from tests.support.builders import SIMPLE_NETWORK
from tests.support.project import Run


def driver(
    machine: int = 0x8664, subsystem: int = pe.EFI_BOOT_SERVICE_DRIVER, padding: int = 0
) -> bytes:
    """The headers of an EFI network driver, the GUID of its interface, and ``padding`` zeros."""
    headers = (
        pe.DosHeader(b"MZ", bytes(58), 64).emit()
        + pe.CoffHeader(b"PE\0\0", machine, 0, 0, 0, 0, 0, 0).emit()
    )
    return (
        headers
        + pe.OptionalHeader(0x20B, bytes(54), 0, 0, 0, subsystem).emit()
        + SIMPLE_NETWORK
        + bytes(padding)
    )


@pytest.mark.parametrize("nic", debian.NICS)
def test_an_image_is_byte_for_byte_what_ipxes_efirom_made(releases: dict[str, Path], nic: str):
    """Bookworm's drivers are uncompressed, so its images can be made again from them."""
    image = option_rom.parse_rom((releases["bookworm"] / f"efi-{nic}.rom").read_bytes()).images[1]
    assert efi_image.wrap_driver(option_rom.driver_of(image), image.ids) == image.data


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_a_compressed_driver_can_be_stored_instead(releases: dict[str, Path], suite: str):
    image = option_rom.parse_rom((releases[suite] / "efi-rtl8139.rom").read_bytes()).images[1]
    stored = efi_image.wrap_driver(option_rom.driver_of(image), image.ids)
    assert rom_check.find_faults(stored) == []
    assert option_rom.driver_of(option_rom.parse_image(stored)).startswith(
        option_rom.driver_of(image)
    )


@given(
    st.sampled_from([0x014C, 0x8664, 0xAA64, 0x5064, 0x6264]),
    st.sampled_from([11, 12]),
    st.integers(0, 70_000),
)
def test_an_image_has_no_fault_whatever_the_drivers_size(
    machine: int, subsystem: int, padding: int
):
    image = efi_image.wrap_driver(driver(machine, subsystem, padding), PciId(0x8086, 0x100E))
    assert rom_check.find_faults(image) == []
    assert len(image) % 512 == 0
    assert option_rom.checksum(image) == 0


@pytest.mark.parametrize(
    ("driver_file", "message"),
    [
        (
            driver(subsystem=pe.EFI_APPLICATION),
            "subsystem 10 (application) is not that of a driver",
        ),
        (driver(machine=0x1234), "no architecture has machine 0x1234"),
        (driver()[:70], "the PE header of 24 bytes (0x18) lies outside"),
        (b"", "the MS-DOS header of 64 bytes (0x40) lies outside"),
        (b"\x55\xaa" + bytes(600), "not a PE file: 55 aa where 'MZ' must be"),
        (driver(padding=0xFFFF * 512), "is larger than an image can be"),
    ],
)
def test_other_files_are_refused(driver_file: bytes, message: str):
    with pytest.raises(FormatError) as caught:
        efi_image.wrap_driver(driver_file, PciId(0x8086, 0x100E))
    assert message in str(caught.value)


def test_the_command_makes_what_combine_takes(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    """From a driver and a legacy image to the very ROM that bookworm ships."""
    rom = releases["bookworm"] / "efi-e1000.rom"
    romforge("split", rom, "-d", "parts")
    done = romforge("efirom", "--stored", "--id", "8086:100e", "parts/1-x86_64.efi", "again.rom")
    assert done.stdout == "again.rom: x86_64 image of 174,592 bytes (0x2aa00), 8086:100e\n"
    romforge("combine", "-o", "whole.rom", "parts/0-legacy.rom", "again.rom")
    assert (tmp_path / "whole.rom").read_bytes() == rom.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--id", "8086", "x.efi", "x.rom"], 2, '"8086" is not of the form vvvv:dddd'),
        (["x.efi", "x.rom"], 2, "the following arguments are required: --id"),
        (["--id", "8086:100e", "x.efi", "x.rom"], 1, "x.efi: cannot be read"),
        (["--id", "8086:100e", "junk.efi", "x.rom"], 1, "junk.efi: offset 0x0 (0): "),
    ],
)
def test_the_command_reports_errors(
    romforge: Run, tmp_path: Path, arguments: list[str], status: int, message: str
):
    (tmp_path / "junk.efi").write_bytes(bytes(100))
    done = romforge("efirom", *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert not (tmp_path / "x.rom").exists()


def test_the_pe_machine_and_not_the_caller_decides_the_header():
    image = option_rom.parse_image(efi_image.wrap_driver(driver(0xAA64), PciId(1, 2)))
    assert image.kind == "arm64"
    assert isinstance(image.header, option_rom.EfiHeader)
    assert rom_check.find_faults(replace(image.header, machine=0x8664).emit() + image.data[0x1A:])[
        0
    ].text.startswith("the header's machine is x86_64")
