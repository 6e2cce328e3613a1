# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the structural faults of a ROM file, each with its place.

A boot does not show most of them. OVMF checks neither the IDs nor the machine field, and QEMU
checks only the size.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from romforge.base import image_kind
from romforge.base.arch import BY_MACHINE, machine_name
from romforge.base.errors import FormatError, RomforgeError
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes, format_offset, join_words
from romforge.formats import option_rom, pe
from romforge.formats.option_rom import EfiHeader, Image, LegacyHeader
from romforge.formats.uefi_compression import decoder

EFFORT = 600_000  # symbols decoded per file: ten times as many as Debian's largest driver has
NOT_EXAMINED = "not examined"  # begins the note on a driver that takes too long to decode

# The protocols by which a network driver offers its device (UEFI Specification, 24.1 and 24.2).
_NETWORK_INTERFACES = {
    "Simple Network": uuid.UUID("a19832b9-ac25-11d3-9a2d-0090273fc14d"),
    "Network Interface Identifier 3.1": uuid.UUID("1aced566-76ed-4218-bc81-767f1f977a89"),
    "Network Interface Identifier": uuid.UUID("e18541cd-f755-4f73-928d-643c8a79b229"),
}
_NETWORK_CLASS = 0x02  # the base class of network controllers (PCI Code and ID Assignment)
_DEVICES_SHOWN = 8  # of a device list, in a message
_SMALLEST_HEADER = 8  # bytes of the iPXE, UNDI and $PnP headers


class Severity(Enum):
    """How serious a finding is. ``IDS`` are the faults that writing other IDs fixes."""

    FAULT = "fault"
    IDS = "fault of the IDs"
    NOTE = "note"  # unusual, but harmless


@dataclass(frozen=True)
class Fault:
    """A fault or a note. ``offset`` is in bytes from the start of the file."""

    offset: int
    text: str
    severity: Severity = Severity.FAULT
    image: int | None = None  # index in the chain, None for the file as a whole

    def __str__(self) -> str:
        kind = "note" if self.severity is Severity.NOTE else "fault"
        place = format_offset(self.offset)
        if self.image is not None:
            place = f"image {self.image}, {place}"
        return f"{kind}: {place}: {self.text}"


class _Finding(NamedTuple):
    """A fault or a note on one image. ``offset`` is in bytes from the start of the image."""

    offset: int
    text: str
    severity: Severity = Severity.FAULT


def find_faults(data: bytes) -> list[Fault]:
    """Returns all faults and notes of a ROM file, in the order of their offsets.

    >>> find_faults(b"")
    [Fault(offset=0, text='the file is empty', severity=<Severity.FAULT: 'fault'>, image=None)]
    """
    if not data:
        return [Fault(0, "the file is empty")]
    chain = option_rom.parse_chain(data)
    faults_of_end = list(_check_chain_end(data, chain))
    faults = list(faults_of_end)
    effort = effort_each(chain.images)
    for index, image in enumerate(chain.images):
        for finding in _check_image(image, effort):
            offset = image.offset + finding.offset
            faults.append(Fault(offset, finding.text, finding.severity, index))
    faults += _check_agreement(chain.images)
    walk_stops_early = any(fault.image is not None for fault in faults_of_end)
    faults += _check_payloads(chain.images, walk_stops_early)
    return sorted(faults, key=lambda fault: (fault.offset, fault.severity.name, fault.text))


def effort_each(images: Sequence[Image]) -> int:
    """The symbols that may be decoded of each driver, so that a file needs at most ``EFFORT``."""
    compressed = sum(_is_compressed(image) for image in images)
    return EFFORT // max(1, compressed)


def require_sound(data: bytes, name: str) -> None:
    """Raises RomforgeError with a list of a ROM's faults, if it has any.

    Ignores those of the IDs.
    """
    lines = [f"{name} is not a sound ROM:"]
    for fault in find_faults(data):
        if fault.severity is Severity.FAULT:
            lines.append(f"  {fault}")
    if len(lines) > 1:
        raise RomforgeError("\n".join(lines))


def _check_chain_end(data: bytes, chain: option_rom.Chain) -> Iterator[Fault]:
    """Reports a chain that does not end, and what follows the last image."""
    if chain.fault:
        image_index = len(chain.images) or None
        yield Fault(chain.fault.offset, chain.fault.message, image=image_index)
        return
    tail = data[chain.end :]
    junk = tail.lstrip(b"\xff")
    if not junk:
        return
    if option_rom.is_padding(tail):
        text = f"{format_bytes(len(tail))} of padding are 00, not ff"
        yield Fault(chain.end, text, Severity.NOTE)
        return
    try:
        following = option_rom.parse_image(data, chain.end)
    except FormatError:
        text = f"junk follows the last image: {junk[:4].hex(' ')} is not padding"
        yield Fault(len(data) - len(junk), text)
        return
    last = chain.images[-1]
    indicator = last.offset + last.header.pcir_pointer + 0x15
    place = format_offset(chain.end)
    text = f"marked as the last image, but another ({following.kind}) follows at {place}"
    yield Fault(indicator, text, image=len(chain.images) - 1)


def _check_image(image: Image, effort: int) -> Iterator[_Finding]:
    yield from _check_pcir(image)
    if isinstance(image.header, EfiHeader):
        yield from _check_efi(image, image.header, effort)
    else:
        yield from _check_legacy(image, image.header)


def _check_pcir(image: Image) -> Iterator[_Finding]:
    """Checks the PCI Data Structure, whatever the code type."""
    place, pcir = image.header.pcir_pointer, image.pcir
    if place % 4:
        text = f"the PCIR pointer {place:#x} is not a multiple of 4"
        yield _Finding(0x18, text, Severity.NOTE)
    if image.ids in (PciId(0, 0), PciId(0xFFFF, 0xFFFF)):
        text = f"vendor:device is {image.ids}, which is not a valid ID"
        yield _Finding(place + 4, text, Severity.IDS)
    if pcir.length < 0x18 or place + pcir.length > len(image.data):
        size = f"the PCI Data Structure's length {pcir.length:#x}"
        yield _Finding(place + 0xA, f"{size} is less than 0x18 or exceeds the image")
    if pcir.class_code != option_rom.NETWORK_ETHERNET:
        class_code = pcir.class_code[::-1].hex(" ")
        text = f"class code {class_code} is not 02 00 00 (Ethernet controller)"
        yield _Finding(place + 0xD, text, Severity.NOTE)
    kind = image.kind
    if not (kind.is_legacy or pcir.code_type == image_kind.EFI or kind.is_stub or kind.is_payload):
        text = f"code type {pcir.code_type:#04x} is neither legacy (0) nor EFI (3)"
        yield _Finding(place + 0x14, text, Severity.NOTE)
    try:
        devices = option_rom.device_list(image)
    except FormatError as error:
        yield _Finding(place + 8, error.message)
        return
    if devices and pcir.device_id not in devices:
        text = f"the device list {_show_devices(devices)} does not contain {pcir.device_id:04x}"
        yield _Finding(place + 8, text, Severity.NOTE)


def _show_devices(devices: Sequence[int]) -> str:
    names = [f"{device:04x}" for device in devices[:_DEVICES_SHOWN]]
    if len(devices) > _DEVICES_SHOWN:
        names.append(f"{len(devices) - _DEVICES_SHOWN} more")
    return join_words(names)


def _check_legacy(image: Image, header: LegacyHeader) -> Iterator[_Finding]:
    blocks, most = header.initialization_blocks, image.pcir.image_blocks
    if not 0 < blocks <= most:
        text = f"the header's length of {blocks} blocks is not between 1 and PCIR's {most}"
        yield _Finding(2, text)
    total = option_rom.checksum(image.data)
    if total and image.pcir.code_type == image_kind.LEGACY:
        fixed = (image.data[option_rom.CHECKSUM] - total) & 0xFF
        text = f"the checksum is {total:#04x}, not 0; {fixed:#04x} here would fix it"
        yield _Finding(option_rom.CHECKSUM, text)
    if image.data[header.ipxe_pointer :][:4] == b"iPXE":
        yield from _check_sum(image, header.ipxe_pointer, option_rom.IpxeHeader, 4, 1)
    if image.data[header.undi_pointer :][:4] == b"UNDI":
        yield from _check_sum(image, header.undi_pointer, option_rom.UndiHeader, 4, 1)
    pnp = header.pnp_pointer
    if image.data[pnp:][:4] == b"$PnP":
        yield from _check_sum(image, pnp, option_rom.PnpHeader, 5, 16)
    elif pnp and pnp != image.header.pcir_pointer:
        text = f"the $PnP pointer {pnp:#x} does not point to a $PnP expansion header"
        yield _Finding(0x1A, text, Severity.NOTE)


def _check_sum(
    image: Image,
    place: int,
    kind: type[option_rom.IpxeHeader | option_rom.UndiHeader | option_rom.PnpHeader],
    field: int,
    unit: int,
) -> Iterator[_Finding]:
    """Checks that the bytes of the header at ``place`` sum to 0.

    The byte at ``field`` holds the header's length, in units of ``unit`` bytes.
    """
    length = 0
    if place + field < len(image.data):
        length = image.data[place + field] * unit
    if length < _SMALLEST_HEADER or place + length > len(image.data):
        text = f"the {kind.TITLE} is {length} bytes long, which is too short or exceeds the image"
        yield _Finding(place, text)
    elif option_rom.checksum(image.data[place : place + length]):
        yield _Finding(place, f"the bytes of the {kind.TITLE} do not sum to 0")


def _check_efi(image: Image, header: EfiHeader, effort: int) -> Iterator[_Finding]:
    if header.efi_signature != option_rom.EFI_SIGNATURE:
        yield _Finding(4, f"the EFI signature is {header.efi_signature:#x}, not 0xef1")
    blocks, most = header.initialization_blocks, image.pcir.image_blocks
    if not 0 < blocks <= most:
        text = f"the initialization size of {blocks} blocks is not between 1 and PCIR's {most}"
        yield _Finding(2, text)
    if header.machine not in BY_MACHINE:
        yield _Finding(0xA, f"no architecture has machine {header.machine:#06x}")
    if header.subsystem not in pe.DRIVER_SUBSYSTEMS:
        yield _Finding(8, pe.wrong_subsystem(header.subsystem))
    try:
        driver, is_whole = _read_driver(image, header, effort)
    except decoder.TooLong as error:
        yield _Finding(error.offset, f"{NOT_EXAMINED}: {error.message}", Severity.NOTE)
        return
    except FormatError as error:
        yield _Finding(error.offset, error.message)
        return
    findings = list(_check_driver(header, driver))
    if is_whole and not findings:
        findings += _check_signature(image, header, driver)
    yield from findings
    if is_whole and not findings and image.pcir.class_code[2] == _NETWORK_CLASS:
        yield from _check_network_interface(header, driver)


def _read_driver(image: Image, header: EfiHeader, effort: int) -> tuple[bytes, bool]:
    """Returns the PE file of an EFI image, and whether it is whole.

    Returns only its first bytes if decoding all of it takes too long. Raises TooLong if even these
    take too long, and FormatError for a corrupted image.
    """
    try:
        return option_rom.driver_of(image, effort), True
    except decoder.TooLong as error:
        too_long = error
    try:
        start = decoder.decompress(
            image.data, header.efi_image_offset, first=pe.HEADERS_WITHIN, effort=effort // 8
        )
    except decoder.TooLong:
        raise too_long from None
    return start, False


def _check_driver(header: EfiHeader, driver: bytes) -> Iterator[_Finding]:
    """Checks that the ROM header agrees with the PE headers of the driver."""
    try:
        pe_file = pe.parse_pe(driver)
    except FormatError as error:
        yield _Finding(header.efi_image_offset, f"the driver inside, {error}")
        return
    if pe_file.machine != header.machine:
        claimed, actual = machine_name(header.machine), machine_name(pe_file.machine)
        yield _Finding(0xA, f"the header's machine is {claimed}, the driver's is {actual}")
    if pe_file.subsystem != header.subsystem:
        text = f"the header's subsystem is {header.subsystem}, the driver's is {pe_file.subsystem}"
        yield _Finding(8, text)


def _check_signature(image: Image, header: EfiHeader, driver: bytes) -> Iterator[_Finding]:
    """Checks the certificate table of a whole driver, and what follows it.

    Firmware takes all of an uncompressed image behind the headers for the driver. If bytes follow
    the table, it hashes them, and no signature is right.
    """
    try:
        table = pe.certificate_table(driver)
    except FormatError as error:
        yield _Finding(header.efi_image_offset, f"the driver inside, {error}")
        return
    if table is not None and len(driver) > table.stop:
        excess = format_bytes(len(driver) - table.stop)
        text = (
            f"{excess} follow the signature of the driver, so firmware with Secure Boot refuses it;"
            " wrap the driver with `romforge efirom`, which lets it end where the image does"
        )
        yield _Finding(header.efi_image_offset, text, Severity.NOTE)


def _check_network_interface(header: EfiHeader, driver: bytes) -> Iterator[_Finding]:
    """Checks that a network driver contains the GUID of an interface that it can offer."""
    if any(guid.bytes_le in driver for guid in _NETWORK_INTERFACES.values()):
        return
    text = (
        "the driver inside offers no network interface, and the firmware cannot boot with it: "
        "the GUID of the Simple Network Protocol and that of the Network Interface Identifier "
        "Protocol are missing; in a driver of iPXE, the link left out efi_snp: "
        'set strip = "safe" for its platform, which keeps efi_snp, or check its leave_out'
    )
    yield _Finding(header.efi_image_offset, text)


def _check_agreement(images: tuple[Image, ...]) -> Iterator[Fault]:
    """Checks that all images are for one device, and that each firmware has one image."""
    agree = bool(images) and bool(set.intersection(*map(option_rom.served_ids, images)))
    first_of_kind: dict[str, int] = {}
    for index, image in enumerate(images):
        if not agree and image.ids != images[0].ids:
            place = image.offset + image.header.pcir_pointer + 4
            text = f"vendor:device is {image.ids}, but {images[0].ids} in image 0"
            yield Fault(place, text, Severity.IDS, index)
        if image.kind in first_of_kind and not image.kind.is_payload:
            first = first_of_kind[image.kind]
            text = f"a second {image.kind} image; firmware uses image {first}"
            yield Fault(image.offset, text, Severity.NOTE, index)
        first_of_kind.setdefault(image.kind, index)


def _check_payloads(images: tuple[Image, ...], walk_stops_early: bool) -> Iterator[Fault]:
    """Checks that the two images of an iPXE .mrom are there, the second right behind the first.

    The first finds the payload by its own length in its header, and the payload's length at a fixed
    offset. The payload says nothing about the build that it belongs to. With ``walk_stops_early``,
    another fault says already what is wrong behind the last of the images.
    """
    for index, image in enumerate(images):
        following = images[index + 1] if index + 1 < len(images) else None
        end = image.offset + len(image.data)
        is_unknown = following is None and walk_stops_early
        lacks_payload = not (following and following.kind.is_payload)
        if image.needs_payload and lacks_payload and not is_unknown:
            what = f"image {index + 1} is {following.kind}" if following else "no image follows"
            text = (
                f"the first image of an iPXE .mrom ends here, and {what}: its payload must be "
                "right behind it; take both from the same .mrom"
            )
            yield Fault(end, text, image=index)
        if not image.kind.is_payload:
            continue
        owner = images[index - 1] if index else None
        if owner is None or not owner.needs_payload:
            what = f"image {index - 1} is {owner.kind}" if owner else "there is none"
            text = (
                f"the image before this payload must be the first image of its iPXE .mrom, and "
                f"{what}; take both from the same .mrom"
            )
            yield Fault(image.offset, text, image=index)
            continue
        code_end = owner.offset + owner.header.initialization_blocks * option_rom.BLOCK
        if code_end != image.offset:
            place = format_offset(code_end)
            text = f"the image before this payload looks for it at {place}, where its code ends"
            yield Fault(image.offset, text, image=index)
        if image.header.pcir_pointer != option_rom.PAYLOAD_PCIR:
            pointer, expected = image.header.pcir_pointer, option_rom.PAYLOAD_PCIR
            text = f"the PCIR pointer of the payload is {pointer:#x}, not {expected:#x}"
            yield Fault(image.offset + 0x18, text, image=index)


def _is_compressed(image: Image) -> bool:
    if not isinstance(image.header, EfiHeader):
        return False
    return image.header.compression_type == option_rom.UEFI_COMPRESSED
