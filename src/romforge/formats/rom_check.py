# SPDX-License-Identifier: GPL-2.0-or-later
"""Every structural fault of a ROM file, by name and place: what a boot would not show.

Firmware looks at little of this (OVMF neither at IDs nor at the machine field), QEMU at nothing but the size.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from romforge.base.arch import BY_MACHINE, machine_name
from romforge.base.errors import FormatError, RomforgeError
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes, format_offset, join_words
from romforge.formats import option_rom, pe
from romforge.formats.option_rom import EfiHeader, Image, LegacyHeader
from romforge.formats.uefi_compression import decoder

EFFORT = 600_000  # symbols decoded per file: ten times what the largest driver of Debian's takes
NOT_EXAMINED = "not examined"  # begins the note on a driver that would take too long to decode


# A network driver offers its device by one of these (UEFI Specification, 24.1 and 24.2).
_NETWORK_INTERFACES = {
    "Simple Network": uuid.UUID("a19832b9-ac25-11d3-9a2d-0090273fc14d"),
    "Network Interface Identifier 3.1": uuid.UUID("1aced566-76ed-4218-bc81-767f1f977a89"),
    "Network Interface Identifier": uuid.UUID("e18541cd-f755-4f73-928d-643c8a79b229"),
}
_NETWORK_CLASS = 0x02  # the base class of network controllers (PCI Code and ID Assignment)


class Severity(Enum):
    """How bad a finding is; faults of the IDs are told apart, for rewriting them mends those."""

    FAULT = "fault"
    IDS = "fault of the IDs"
    NOTE = "note"  # odd, but harms nobody


@dataclass(frozen=True)
class Fault:
    """What is wrong at ``offset`` bytes into the file."""

    offset: int
    text: str
    severity: Severity = Severity.FAULT
    image: int | None = None  # index in the chain, None for the file as a whole

    def __str__(self) -> str:
        where = "" if self.image is None else f"image {self.image}, "
        return f"{'note' if self.severity is Severity.NOTE else 'fault'}: {where}{format_offset(self.offset)}: {self.text}"


def find_faults(data: bytes) -> list[Fault]:
    """All faults and notes of a ROM file, in file order."""
    if not data:
        return [Fault(0, "the file is empty")]
    chain = option_rom.parse_chain(data)
    found = list(_behind(data, chain))
    effort = effort_each(chain.images)
    for index, image in enumerate(chain.images):
        checks = (
            _efi(image, effort)
            if isinstance(image.header, EfiHeader)
            else _legacy(image, image.header)
        )
        found += [
            Fault(image.offset + offset, text, bad, index)
            for offset, text, bad in (*_any(image), *checks)
        ]
    found += _agreement(chain.images)
    return sorted(found, key=lambda fault: (fault.offset, fault.severity.name, fault.text))


def effort_each(images: Sequence[Image]) -> int:
    """What decoding the driver of one image of a file may take, so that all of them stay within EFFORT."""
    return EFFORT // max(1, sum(_compressed(image) for image in images))


def require_sound(data: bytes, name: str) -> None:
    """Raises RomforgeError that lists the faults of a ROM, if it has any but those of its IDs."""
    faults = [fault for fault in find_faults(data) if fault.severity is Severity.FAULT]
    if faults:
        raise RomforgeError(
            f"{name} is not a sound ROM:\n" + "\n".join(f"  {fault}" for fault in faults)
        )


_Finding = tuple[int, str, Severity]  # offset in the image
_FAULT, _NOTE = Severity.FAULT, Severity.NOTE


def _behind(data: bytes, chain: option_rom.Chain) -> Iterator[Fault]:
    """What stopped the walk, and what lies behind the last image."""
    if chain.fault:
        yield Fault(chain.fault.offset, chain.fault.what, image=len(chain.images) or None)
        return
    tail = data[chain.end :]
    if not tail.strip(b"\xff"):
        return
    if option_rom.is_padding(tail):
        yield Fault(chain.end, f"{format_bytes(len(tail))} of padding are 00, not ff", _NOTE)
        return
    try:
        image = option_rom.parse_image(data, chain.end)
    except FormatError:
        junk = chain.end + len(tail) - len(tail.lstrip(b"\xff"))
        yield Fault(
            junk,
            f"junk behind the last image: {tail.lstrip(bytes([255]))[:4].hex(' ')} is no padding",
        )
    else:
        place = chain.images[-1].offset + chain.images[-1].header.pcir_pointer + 0x15
        yield Fault(
            place,
            f"marked as the last image, but {image.kind} follows at {format_offset(chain.end)}",
            image=len(chain.images) - 1,
        )


def _any(image: Image) -> Iterator[_Finding]:
    """Checks of the PCI Data Structure, whatever the code type."""
    place, pcir = image.header.pcir_pointer, image.pcir
    if place % 4:
        yield 0x18, f"the PCIR pointer {place:#x} is no multiple of 4", _NOTE
    if image.ids in (PciId(0, 0), PciId(0xFFFF, 0xFFFF)):
        yield place + 4, f"vendor:device is {image.ids}, which is no device", Severity.IDS
    if pcir.length < 0x18 or place + pcir.length > len(image.data):
        yield (
            place + 0xA,
            f"the PCI Data Structure's length {pcir.length:#x} is not between 0x18 and the image",
            _FAULT,
        )
    if pcir.class_code != option_rom.NETWORK_ETHERNET:
        yield (
            place + 0xD,
            f"class code {pcir.class_code[::-1].hex(' ')} is not 02 00 00 (Ethernet controller)",
            _NOTE,
        )
    if pcir.code_type not in (option_rom.LEGACY, option_rom.EFI, option_rom.NOBODY):
        yield (
            place + 0x14,
            f"code type {pcir.code_type:#04x} is neither legacy (0) nor EFI (3)",
            _NOTE,
        )
    try:
        devices = option_rom.device_list(image)
    except FormatError as error:
        yield place + 8, error.what, _FAULT
    else:
        if devices and pcir.device_id not in devices:
            more = [f"{len(devices) - 8} more"] if len(devices) > 8 else []
            named = join_words([*(f"{device:04x}" for device in devices[:8]), *more])
            yield place + 8, f"the device list {named} lacks {pcir.device_id:04x}", _NOTE


def _legacy(image: Image, header: LegacyHeader) -> Iterator[_Finding]:
    blocks = header.initialization_blocks
    if not 0 < blocks <= image.pcir.image_blocks:
        yield (
            2,
            f"the header's length of {blocks} blocks is not between 1 and PCIR's {image.pcir.image_blocks}",
            _FAULT,
        )
    total = option_rom.checksum(image.data)
    if total and image.pcir.code_type == option_rom.LEGACY:
        right = (image.data[option_rom.CHECKSUM] - total) & 0xFF
        yield (
            option_rom.CHECKSUM,
            f"the checksum is {total:#04x}, not 0; {right:#04x} here would mend it",
            _FAULT,
        )
    if image.data[header.ipxe_pointer :][:4] == b"iPXE":
        yield from _summed(image, header.ipxe_pointer, option_rom.IpxeHeader, 4, 1)
    if image.data[header.undi_pointer :][:4] == b"UNDI":
        yield from _summed(image, header.undi_pointer, option_rom.UndiHeader, 4, 1)
    pnp = header.pnp_pointer
    if image.data[pnp:][:4] == b"$PnP":
        yield from _summed(image, pnp, option_rom.PnpHeader, 5, 16)
    elif pnp and pnp != image.header.pcir_pointer:
        yield 0x1A, f"the $PnP pointer {pnp:#x} points to no $PnP expansion header", _NOTE


def _summed(
    image: Image,
    place: int,
    kind: type[option_rom.IpxeHeader | option_rom.UndiHeader | option_rom.PnpHeader],
    field: int,
    unit: int,
) -> Iterator[_Finding]:
    """A header that tells its own length, and whose bytes must sum to 0."""
    length = image.data[place + field] * unit if place + field < len(image.data) else 0
    if length < 8 or place + length > len(image.data):
        yield (
            place,
            f"the {kind.TITLE} is {length} bytes long, which is too short or leaves the image",
            _FAULT,
        )
    elif option_rom.checksum(image.data[place : place + length]):
        yield place, f"the bytes of the {kind.TITLE} do not sum to 0", _FAULT


def _efi(image: Image, effort: int) -> Iterator[_Finding]:
    header = image.header
    assert isinstance(header, EfiHeader)
    if header.efi_signature != option_rom.EFI_SIGNATURE:
        yield 4, f"the EFI signature is {header.efi_signature:#x}, not 0xef1", _FAULT
    if not 0 < header.initialization_blocks <= image.pcir.image_blocks:
        blocks = header.initialization_blocks
        yield (
            2,
            f"the initialization size of {blocks} blocks is not between 1 and PCIR's {image.pcir.image_blocks}",
            _FAULT,
        )
    if header.machine not in BY_MACHINE:
        yield 0xA, f"no architecture has machine {header.machine:#06x}", _FAULT
    if header.subsystem not in (pe.EFI_BOOT_SERVICE_DRIVER, pe.EFI_RUNTIME_DRIVER):
        name = pe.SUBSYSTEMS.get(header.subsystem, "no EFI subsystem")
        yield 8, f"subsystem {header.subsystem} ({name}) is not that of a driver (11 or 12)", _FAULT
    try:
        driver, whole = _driver(image, header, effort)
    except decoder.TooLong as error:
        yield error.offset, f"{NOT_EXAMINED}: {error.what}", _NOTE
    except FormatError as error:
        yield error.offset, error.what, _FAULT
    else:
        findings = list(_pe(header, driver))
        yield from findings
        if whole and not findings and image.pcir.class_code[2] == _NETWORK_CLASS:
            yield from _network_interface(header, driver)


def _network_interface(header: EfiHeader, driver: bytes) -> Iterator[_Finding]:
    """A network driver must offer an interface, and so holds the GUID of one."""
    if any(guid.bytes_le in driver for guid in _NETWORK_INTERFACES.values()):
        return
    text = (
        "the driver inside offers no network interface, and the firmware cannot boot with it: it holds the GUID of neither "
        "the Simple Network nor the Network Interface Identifier Protocol; a driver of iPXE lacks them where its link left out "
        'efi_snp: see strip and leave_out of its platform, where strip = "safe" keeps it'
    )
    yield header.efi_image_offset, text, _FAULT


def _driver(image: Image, header: EfiHeader, effort: int) -> tuple[bytes, bool]:
    """The PE file of an EFI image, and whether it is whole; only its headers where decoding it takes too long."""
    try:
        return option_rom.driver_of(image, effort), True
    except decoder.TooLong as error:
        try:
            start = decoder.decompress(
                image.data, header.efi_image_offset, first=pe.HEADERS_WITHIN, effort=effort // 8
            )
        except decoder.TooLong:
            raise error from None
        return start, False


def _pe(header: EfiHeader, start: bytes) -> Iterator[_Finding]:
    try:
        driver = pe.parse_pe(start)
    except FormatError as error:
        yield header.efi_image_offset, f"the driver inside, {error}", _FAULT
        return
    if driver.machine != header.machine:
        inside, outside = machine_name(driver.machine), machine_name(header.machine)
        yield 0xA, f"the header says {outside}, the driver inside is for {inside}", _FAULT
    if driver.subsystem != header.subsystem:
        yield (
            8,
            f"the header says subsystem {header.subsystem}, the driver inside is of subsystem {driver.subsystem}",
            _FAULT,
        )


def _agreement(images: tuple[Image, ...]) -> Iterator[Fault]:
    """Checks across images: one device, one image for each firmware."""
    seen: dict[str, int] = {}
    for index, image in enumerate(images):
        place = image.offset + image.header.pcir_pointer + 4
        if index and image.ids != images[0].ids:
            first = str(images[0].ids)
            yield Fault(
                place,
                f"vendor:device is {image.ids}, that of image 0 is {first}",
                Severity.IDS,
                index,
            )
        if image.kind in seen:
            yield Fault(
                image.offset,
                f"a second {image.kind} image; firmware takes image {seen[image.kind]}",
                _NOTE,
                index,
            )
        seen.setdefault(image.kind, index)


def _compressed(image: Image) -> bool:
    return (
        isinstance(image.header, EfiHeader)
        and image.header.compression_type == option_rom.UEFI_COMPRESSED
    )
