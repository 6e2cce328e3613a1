# SPDX-License-Identifier: GPL-2.0-or-later
"""PE headers of EFI drivers: what is read of them, and how a broken one is told."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from romforge.base.arch import BY_MACHINE
from romforge.base.errors import FormatError
from romforge.formats import option_rom, pe, rom_check
from romforge.formats.rom_check import Severity
from tests.support import builders, debian


@given(
    st.sampled_from(sorted(BY_MACHINE)),
    st.sampled_from(sorted(pe.SUBSYSTEMS)),
    st.integers(1024, 1 << 16),
)
def test_machine_subsystem_and_size_are_read_back(machine: int, subsystem: int, size: int):
    assert pe.parse_pe(builders.driver(machine, subsystem, size)) == pe.Pe(machine, subsystem, size)


def test_debians_24_drivers_agree_with_the_rom_headers_around_them(releases: dict[str, Path]):
    seen = 0
    for directory in releases.values():
        for nic in debian.NICS:
            image = option_rom.parse_rom((directory / f"efi-{nic}.rom").read_bytes()).images[1]
            header = image.header
            assert isinstance(header, option_rom.EfiHeader)
            found = pe.parse_pe(option_rom.driver_of(image))
            assert (
                (found.machine, found.subsystem)
                == (header.machine, header.subsystem)
                == (0x8664, pe.EFI_BOOT_SERVICE_DRIVER)
            )
            seen += 1
    assert seen == 24


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (b"", 0, "the MS-DOS header of 64 bytes (0x40) lies outside the 0 bytes (0x0)"),
        (b"ZM" + builders.driver()[2:], 0, "not a PE file: 5a 4d where 'MZ' must be"),
        (
            builders.changed(builders.driver(), 0x3C, b"\0\0\x10\0"),
            0x100000,
            "the PE header of 24 bytes (0x18) lies outside",
        ),
        (
            builders.changed(builders.driver(), 0x40, b"NE"),
            0x40,
            "no PE signature: 4e 45 00 00 where 'PE' 00 00 must be",
        ),
        (
            builders.driver()[:100],
            0x58,
            "the PE optional header of 70 bytes (0x46) lies outside the 100 bytes (0x64)",
        ),
        (
            builders.changed(builders.driver(), 0x58, b"\x07\x01"),
            0x58,
            "optional header magic 0x107 is neither PE32",
        ),
    ],
    ids=["empty", "signature", "pointer", "PE", "cut", "magic"],
)
def test_other_data_are_refused_with_offset_and_reason(data: bytes, offset: int, words: str):
    with pytest.raises(FormatError) as caught:
        pe.parse_pe(data)
    assert caught.value.offset == offset
    assert words in caught.value.message


def test_pe32_is_read_as_pe32_plus_is():
    """The fields up to the subsystem lie at the same places in both."""
    data = builders.changed(builders.driver(0x014C), 0x58, b"\x0b\x01")
    assert pe.parse_pe(data) == pe.Pe(0x014C, 11, 1024)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_give_headers_or_a_format_error(noise: bytes, place: int):
    for data in (noise, builders.changed(builders.driver(size=512), place, noise[:8])):
        with suppress(FormatError):
            pe.parse_pe(data)


DIRECTORY = 0x40 + 24 + 108 + 4 + 32  # the entry of the certificate table


def signed_with(place: int, number: int) -> bytes:
    """The signed driver with another number of 32 bits."""
    return builders.changed(builders.signed_driver(), place, number.to_bytes(4, "little"))


def test_the_table_of_a_signed_driver_ends_where_the_file_does():
    assert pe.certificate_table(builders.signed_driver()) == range(1024, 1024 + 0x58)


def test_a_driver_without_the_directory_is_not_signed():
    assert pe.certificate_table(builders.driver()) is None
    assert pe.certificate_table(signed_with(DIRECTORY - 36, 4)) is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (signed_with(DIRECTORY, 1028), "begins in the headers, or not at a multiple of 8"),
        (signed_with(DIRECTORY, 8), "begins in the headers"),
        (signed_with(DIRECTORY, 2048), "exceeds the end of the file by 1,024 bytes"),
        (signed_with(DIRECTORY + 4, 0xFFFFFFF8), "exceeds the end of the file"),
        (signed_with(DIRECTORY + 4, 4), "lies outside"),
        (signed_with(1024, 0), "an attribute certificate of 0 bytes, which is too few"),
        (signed_with(1024, 0x60), "exceeds the certificate table"),
        (signed_with(1024, 0xFFFFFFFF), "exceeds the certificate table"),
    ],
)
def test_a_damaged_table_is_told_and_is_a_fault_of_the_rom(data: bytes, text: str):
    with pytest.raises(FormatError, match=text):
        pe.certificate_table(data)
    rom = builders.efi(builders.stored(data), compression=1)
    (fault,) = rom_check.find_faults(rom)
    assert text in fault.text
    assert fault.severity is Severity.FAULT


def test_padding_behind_the_signature_of_a_stored_driver_is_a_note():
    """An image of three blocks, whose driver begins at 0x40."""
    (note,) = rom_check.find_faults(builders.efi(builders.signed_driver()))
    assert note.text.startswith("360 bytes (0x168) follow the signature of the driver")
    assert note.severity is Severity.NOTE
    packed = builders.efi(builders.stored(builders.signed_driver()), compression=1)
    assert rom_check.find_faults(packed) == []
