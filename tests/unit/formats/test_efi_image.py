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
from romforge.cli import command_line
from romforge.formats import efi_image, option_rom, pe, rom_check
from tests.support import debian
from tests.support.builders import SIMPLE_NETWORK, stored
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


@pytest.mark.parametrize("count", [2, 3, 7, 400, option_rom.MAX_DEVICES])
def test_several_devices_make_a_list(count: int):
    """The driver follows it at a multiple of 8 bytes, and can be compressed."""
    ids = [PciId(0x8086, 0x1000 + index) for index in range(count)]
    data = efi_image.wrap_driver(driver(), ids[0], ids[1:])
    image = option_rom.parse_image(data)
    assert (image.pcir.revision, image.pcir.length, image.ids) == (3, 0x1C, ids[0])
    assert option_rom.listed_ids(image) == tuple(ids)
    assert rom_check.find_faults(data) == []
    assert option_rom.checksum(data) == 0
    assert isinstance(image.header, option_rom.EfiHeader)
    assert image.header.efi_image_offset % 8 == 0
    assert option_rom.driver_of(image).startswith(driver())
    repacked = option_rom.repacked(image, stored(driver(padding=5000)))
    assert option_rom.listed_ids(repacked) == tuple(ids)
    assert rom_check.find_faults(repacked.data) == []


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["8086:100e", "8087:100f"], "8086:100e and 8087:100f are of different vendors"),
        (["8086:100e", "8086:100f", "8086:100e"], "8086:100e is given twice"),
        (["8086:100e", "8086:0000"], "8086:0000 cannot be in a device list"),
        ([f"8086:{device:04x}" for device in range(1, 4098)], "4,097 devices; a device list has"),
    ],
)
def test_devices_that_cannot_be_in_one_list_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: list[str], message: str
):
    (tmp_path / "in.efi").write_bytes(driver())
    words = ["efirom", str(tmp_path / "in.efi"), str(tmp_path / "out.rom")]
    for each in ids:
        words += ["--id", each]
    assert command_line.main(words) == 2
    assert f"romforge: --id: {message}" in capsys.readouterr().err
    assert not (tmp_path / "out.rom").exists()


def test_the_pe_machine_and_not_the_caller_decides_the_header():
    image = option_rom.parse_image(efi_image.wrap_driver(driver(0xAA64), PciId(1, 2)))
    assert image.kind == "arm64"
    assert isinstance(image.header, option_rom.EfiHeader)
    assert rom_check.find_faults(replace(image.header, machine=0x8664).emit() + image.data[0x1A:])[
        0
    ].text.startswith("the header's machine is x86_64")
