# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the reports that the programs of ``guest_program`` print on a guest's console.

A report is a block of lines among whatever else the console shows::

    romforge 0123456789abcdef uefi
    romforge rom 0003a200 12345678
    romforge driver rom 0000ea00 0003a1ff deadbeef iPXE
    romforge end

Numbers have eight hexadecimal digits. The first line holds the nonce of the boot.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Interfaces(NamedTuple):
    """How far the firmware prepared PCI device 00:03.0 for a network boot, as numbers of handles.

    ``images`` counts the drivers that the firmware loaded from the device's ROM. Others count
    protocols on the device or below it: Simple Network, Network Interface Identifier (UNDI),
    Managed Network, PXE Base Code, and Load File. The last two are not of the device: ``rng``
    counts the sources of random numbers, ``stack`` the drivers of the firmware that support any
    network interface.
    """

    images: int
    snp: int
    nii: int
    mnp: int
    pxe: int
    loadfile: int
    rng: int
    stack: int


class Call(NamedTuple):
    """One call of the Simple Network Protocol.

    ``status`` is the EFI status, with the error bit moved to bit 31. ``detail`` is what the program
    printed after it, and may be empty.
    """

    name: str
    status: int
    detail: str


@dataclass(frozen=True)
class GuestReport:
    """What a guest found out about PCI device 00:03.0.

    ``rom_size`` is in bytes: under UEFI the length of the images that the firmware took, under a
    BIOS the size of the ROM's window. ``driver`` is "rom", "built-in" or "none". A driver of the
    ROM lies in it from ``start`` to ``end``, which is its last byte. A BIOS reports no driver.
    """

    firmware: str  # "bios"; "uefi" over the network; "disk" or "snp" from a disk
    rom_size: int
    rom_crc: int
    driver: str | None = None
    start: int | None = None
    end: int | None = None
    driver_crc: int | None = None
    driver_name: str | None = None
    interfaces: Interfaces | None = None  # only of "disk"
    calls: tuple[Call, ...] = ()  # only of "snp"


class _Section(NamedTuple):
    """The console from one report's first line to the next report's."""

    firmware: str
    lines: str


_HEX = "([0-9a-f]{8})"
_HEAD = re.compile(r"romforge ([a-z0-9]{16}) (bios|uefi|disk|snp)\n")
_ROM = re.compile(rf"^romforge rom {_HEX} {_HEX}$", re.MULTILINE)
_NO_DRIVER = re.compile(r"^romforge driver none$", re.MULTILINE)
_BUILT_IN_DRIVER = re.compile(r"^romforge driver built-in(?: (?P<name>.+))?$", re.MULTILINE)
_ROM_DRIVER = re.compile(
    rf"^romforge driver rom {_HEX} {_HEX} {_HEX}(?: (?P<name>.+))?$", re.MULTILINE
)
_COUNTS = [f"{name}=([0-9]{{2}})" for name in Interfaces._fields]
_INTERFACES = re.compile(rf"^romforge interfaces {' '.join(_COUNTS[:-2])}$", re.MULTILINE)
_FIRMWARE = re.compile(rf"^romforge firmware {' '.join(_COUNTS[-2:])}$", re.MULTILINE)
_CALL = re.compile(r"^romforge call (\S+) ([0-9a-f]{8})(?: (.*))?$", re.MULTILINE)
_END = re.compile(r"^romforge end\n", re.MULTILINE)
# Escape sequences of ECMA-48, and control characters that do not begin a line.
_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\r\0\a\b]")
_TRAILING_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)  # a console may fill its lines


def read_report(console: str, nonce: str) -> GuestReport | None:
    """The report of the boot with this nonce; None until it is complete."""
    for section in _sections(console, nonce):
        end = _END.search(section.lines)
        if not end:
            continue
        report = _parse_report(section.firmware, section.lines[: end.start()])
        if report:
            return report
    return None


def unfinished_calls(console: str, nonce: str) -> tuple[Call, ...]:
    """The calls that the boot with this nonce has reported so far, without waiting for its end."""
    for section in _sections(console, nonce):
        return _parse_calls(section.lines)
    return ()


def read_counts(console: str, nonce: str) -> list[int]:
    """The numbers that the counting BIOS with this nonce printed, in order, from whole lines."""
    line = rf"^romforge {re.escape(nonce)} {_HEX}\n"
    counts = re.findall(line, strip_terminal_codes(console), re.MULTILINE)
    return [int(digits, 16) for digits in counts]


def strip_terminal_codes(console: str) -> str:
    """A console's text without escape sequences, and without blanks at the ends of lines."""
    return _TRAILING_BLANKS.sub("", _TERMINAL_CODES.sub("", console))


def _sections(console: str, nonce: str) -> Iterator[_Section]:
    """The sections of a console whose first line has this nonce."""
    _, *parts = _HEAD.split(strip_terminal_codes(console))
    for section_nonce, firmware, lines in zip(parts[::3], parts[1::3], parts[2::3]):
        if section_nonce == nonce:
            yield _Section(firmware, lines)


def _parse_report(firmware: str, lines: str) -> GuestReport | None:
    """The report of a section; None where a line is missing."""
    rom = _ROM.search(lines)
    if not rom:
        return None
    report = GuestReport(firmware, rom_size=int(rom[1], 16), rom_crc=int(rom[2], 16))
    if firmware == "bios":
        return report
    interfaces = _parse_interfaces(lines)
    if firmware == "disk" and not interfaces:
        return None
    report = dataclasses.replace(report, interfaces=interfaces, calls=_parse_calls(lines))
    return _add_driver(report, lines)


def _add_driver(report: GuestReport, lines: str) -> GuestReport | None:
    """The report with the line about the driver; None where that is missing."""
    if _NO_DRIVER.search(lines):
        return dataclasses.replace(report, driver="none")
    built_in = _BUILT_IN_DRIVER.search(lines)
    if built_in:
        name = _parse_name(built_in["name"])
        return dataclasses.replace(report, driver="built-in", driver_name=name)
    rom = _ROM_DRIVER.search(lines)
    if not rom:
        return None
    return dataclasses.replace(
        report,
        driver="rom",
        start=int(rom[1], 16),
        end=int(rom[2], 16),
        driver_crc=int(rom[3], 16),
        driver_name=_parse_name(rom["name"]),
    )


def _parse_name(name: str | None) -> str | None:
    """A driver's name; "-" stands for none."""
    if name == "-":
        return None
    return name


def _parse_interfaces(lines: str) -> Interfaces | None:
    of_device = _INTERFACES.search(lines)
    of_firmware = _FIRMWARE.search(lines)
    if not of_device or not of_firmware:
        return None
    return Interfaces(*map(int, of_device.groups() + of_firmware.groups()))


def _parse_calls(lines: str) -> tuple[Call, ...]:
    calls = []
    for match in _CALL.finditer(lines):
        calls.append(Call(match[1], int(match[2], 16), match[3] or ""))
    return tuple(calls)
