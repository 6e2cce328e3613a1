# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests print, and how it is read; without QEMU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from romforge.verify import guest_report
from romforge.verify.guest_report import GuestReport, Interfaces
from tests.support.proofs import NONCE, OTHER, UEFI_TEXT

HEAD = (
    "SeaBIOS\r\nBooting from ROM...\r\n\r\n"
    f"romforge {NONCE} bios\r\n"
    "romforge rom 00040000 0badcafe\r\n"
)
BIOS_TEXT = HEAD + "romforge end\r\n"
DRIVERS = {
    "none": ("none", None, None, None, None),
    "built-in Virtio Network Driver": ("built-in", None, None, None, "Virtio Network Driver"),
    "built-in": ("built-in", None, None, None, None),
    "built-in -": ("built-in", None, None, None, None),
    "rom 0000ea00 0003a1ff deadbeef iPXE": ("rom", 0xEA00, 0x3A1FF, 0xDEADBEEF, "iPXE"),
    "rom 0000ea00 0003a1ff deadbeef -": ("rom", 0xEA00, 0x3A1FF, 0xDEADBEEF, None),
    "rom 0000ea00 0003a1ff deadbeef a - b ?": ("rom", 0xEA00, 0x3A1FF, 0xDEADBEEF, "a - b ?"),
}


def test_a_bios_report_is_read():
    assert guest_report.read_report(BIOS_TEXT, NONCE) == GuestReport("bios", 0x40000, 0x0BADCAFE)


@pytest.mark.parametrize("line", DRIVERS)
def test_a_uefi_report_is_read(line: str):
    assert guest_report.read_report(UEFI_TEXT.format(line), NONCE) == GuestReport(
        "uefi", 0x3A200, 0x12345678, *DRIVERS[line]
    )


DISK_TEXT = UEFI_TEXT.replace("uefi", "disk").replace(
    "romforge end",
    "romforge interfaces images=01 snp=01 nii=01 mnp=02 pxe=03 loadfile=04\r\n"
    "romforge firmware rng=99 stack=05\r\n"
    "romforge end",
)


@pytest.mark.parametrize("line", DRIVERS)
def test_a_report_from_a_disk_is_read(line: str):
    text = DISK_TEXT.format(line)
    interfaces = Interfaces(images=1, snp=1, nii=1, mnp=2, pxe=3, loadfile=4, rng=99, stack=5)
    expected = GuestReport("disk", 0x3A200, 0x12345678, *DRIVERS[line], interfaces)
    assert guest_report.read_report(text, NONCE) == expected
    assert guest_report.read_report(text.replace("images=01 ", ""), NONCE) is None
    assert guest_report.read_report(text.replace(" stack=05", ""), NONCE) is None
    assert guest_report.read_report(text.replace(" disk", " floppy"), NONCE) is None


@pytest.mark.parametrize("line", DRIVERS)
@pytest.mark.parametrize(
    "noise",
    ["\x1b[0m", "\x1b[2J\x1b[01;01H", "\x1b[=3h", "\x1b[?7l", "\x1b(B", "\x1bc", "\r", "\0"],
)
def test_escape_sequences_of_a_terminal_are_ignored(line: str, noise: str):
    text = UEFI_TEXT.format(line)
    noisy = "romforge end\r\n" + noise + noise.join(text) + noise + "after"
    assert (
        guest_report.read_report(noisy, NONCE) == guest_report.read_report(text, NONCE) is not None
    )
    filled = text.replace("\r\n", "    \x1b[0m  \r\r\n")
    assert guest_report.read_report(filled, NONCE) == guest_report.read_report(text, NONCE)


def test_other_lines_between_are_ignored():
    bios = GuestReport("bios", 0x40000, 0x0BADCAFE)
    text = HEAD + "BdsDxe: loading\r\nromforge rom is what this is\r\nromforge end"
    assert guest_report.read_report(text + " is near\r\nromforge end\r\n", NONCE) == bios
    # The first line may follow other text on the same line.
    text = "Booting... " + BIOS_TEXT[BIOS_TEXT.index("romforge") :]
    assert guest_report.read_report(text, NONCE) == bios


@pytest.mark.parametrize("text", [BIOS_TEXT, *map(UEFI_TEXT.format, DRIVERS)])
def test_nothing_is_reported_before_the_last_line(text: str):
    for end in range(len(text)):
        assert guest_report.read_report(text[:end], NONCE) is None


@pytest.mark.parametrize("text", [BIOS_TEXT, *map(UEFI_TEXT.format, DRIVERS)])
def test_a_report_without_one_of_its_lines_is_none(text: str):
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if "romforge" in line:
            shorter = "".join(lines[:index] + lines[index + 1 :])
            assert guest_report.read_report(shorter, NONCE) is None, line


def test_reports_of_other_boots_are_ignored():
    bios = GuestReport("bios", 0x40000, 0x0BADCAFE)
    uefi = GuestReport("uefi", 0x3A200, 0x12345678, "none")
    other = BIOS_TEXT.replace(NONCE, OTHER)
    assert guest_report.read_report(other, NONCE) is None
    # The only last line is that of the other boot.
    assert guest_report.read_report(HEAD + other, NONCE) is None
    text = UEFI_TEXT.format("none").replace(NONCE, OTHER) + BIOS_TEXT
    assert guest_report.read_report(text, NONCE) == bios
    text = f"romforge {NONCE} bios\r\n" + UEFI_TEXT.format("none")
    assert guest_report.read_report(text, NONCE) == uefi


@given(st.text())
def test_any_text_is_read(text: str):
    assert guest_report.read_report(text, NONCE) is None
    assert guest_report.read_counts(text, NONCE) == []


def test_whole_lines_are_counted():
    text = (
        "c 00000003\r\n"
        f"romforge {NONCE} 0000000a\r\n"
        f"romforge {OTHER} 0000000b\r\n"
        f"romforge {NONCE} \x1b[0mfffffffe\r\n"
        f"romforge {NONCE} 0"
    )
    assert guest_report.read_counts(text, NONCE) == [10, 0xFFFFFFFE]
    assert guest_report.read_counts(text + "0000000\r\n", NONCE) == [10, 0xFFFFFFFE, 0]
