# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI expansion ROMs: their structures, the chain of images, and the few bytes that combining changes.

Sources: PCI Firmware Specification 3.x, chapter 5 (headers, PCI Data Structure); UEFI Specification, 14.4
(EFI expansion ROM header); Plug and Play BIOS Specification 1.0A, 3.2 (``$PnP``); PXE 2.1, 4.2.1 (``UNDI``).
Offsets and sizes are bytes unless a name ends in ``blocks``: a block is 512 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import ClassVar

from romforge.base import image_kind
from romforge.base.errors import FormatError
from romforge.base.image_kind import ImageKind
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes
from romforge.formats.structure import Structure
from romforge.formats.uefi_compression import decoder

BLOCK = 512
SIGNATURE = 0xAA55
EFI_SIGNATURE = 0x0EF1
LEGACY, EFI, NOBODY = image_kind.LEGACY, image_kind.EFI, image_kind.NOBODY
LAST_IMAGE = 0x80  # indicator, bit 7
UNCOMPRESSED, UEFI_COMPRESSED = 0, 1  # compression types of an EFI image
NETWORK_ETHERNET = b"\0\0\x02"  # class code 02 00 00, as it lies in the ROM
MAX_IMAGES = 32  # an architecture each would be seven
MAX_DEVICES = 4096  # of a device list; iPXE's longest have some hundreds
CHECKSUM = 6  # the byte of a legacy image that iPXE keeps free for whoever chains it


@dataclass(frozen=True)
class LegacyHeader(Structure):
    """Expansion ROM header of a PC-AT image (code type 0)."""

    LAYOUT: ClassVar = struct.Struct("<HB3sB9sH4sHHH")
    TITLE: ClassVar = "expansion ROM header"
    signature: int
    initialization_blocks: int
    entry_point: bytes
    checksum: int
    reserved: bytes
    ipxe_pointer: int
    undi_gap: bytes
    undi_pointer: int
    pcir_pointer: int
    pnp_pointer: int


@dataclass(frozen=True)
class EfiHeader(Structure):
    """Expansion ROM header of an EFI image (code type 3)."""

    LAYOUT: ClassVar = struct.Struct("<HHIHHH8sHH")
    TITLE: ClassVar = "EFI expansion ROM header"
    signature: int
    initialization_blocks: int
    efi_signature: int
    subsystem: int
    machine: int
    compression_type: int
    reserved: bytes
    efi_image_offset: int
    pcir_pointer: int


@dataclass(frozen=True)
class PciDataStructure(Structure):
    """PCI Data Structure up to the maximum run-time length; revision 3 adds two pointers behind it."""

    LAYOUT: ClassVar = struct.Struct("<4sHHHHB3sHHBBH")
    TITLE: ClassVar = "PCI Data Structure"
    signature: bytes
    vendor_id: int
    device_id: int
    device_list_pointer: int
    length: int
    revision: int
    class_code: bytes
    image_blocks: int
    code_revision: int
    code_type: int
    indicator: int
    max_runtime_blocks: int


@dataclass(frozen=True)
class IpxeHeader(Structure):
    """iPXE's own header, which names the build; its bytes sum to 0."""

    LAYOUT: ClassVar = struct.Struct("<4sBBBBI")
    TITLE: ClassVar = "iPXE header"
    signature: bytes
    length: int
    checksum: int
    shrunk_blocks: int
    reserved: int
    build_id: int


@dataclass(frozen=True)
class UndiHeader(Structure):
    """UNDI ROM ID structure; its bytes sum to 0."""

    LAYOUT: ClassVar = struct.Struct("<4sBBB3sHHHH4s")
    TITLE: ClassVar = "UNDI ROM ID structure"
    signature: bytes
    length: int
    checksum: int
    revision: int
    undi_revision: bytes
    loader_offset: int
    stack_size: int
    data_size: int
    code_size: int
    bus_type: bytes


@dataclass(frozen=True)
class PnpHeader(Structure):
    """Plug and Play expansion header; its bytes sum to 0. ``length`` counts 16-byte units."""

    LAYOUT: ClassVar = struct.Struct("<4sBBHBBIHH3sBHHHHH")
    TITLE: ClassVar = "$PnP expansion header"
    signature: bytes
    revision: int
    length: int
    next_header: int
    reserved: int
    checksum: int
    device_identifier: int
    manufacturer_pointer: int
    product_pointer: int
    device_type: bytes
    device_indicators: int
    boot_connection_vector: int
    disconnect_vector: int
    bootstrap_entry_vector: int
    reserved_word: int
    resource_vector: int


@dataclass(frozen=True)
class Image:
    """One image: its bytes (a whole number of blocks), where they lay, and the structures in front."""

    data: bytes
    offset: int
    header: LegacyHeader | EfiHeader
    pcir: PciDataStructure

    @property
    def ids(self) -> PciId:
        return PciId(self.pcir.vendor_id, self.pcir.device_id)

    @property
    def is_last(self) -> bool:
        return bool(self.pcir.indicator & LAST_IMAGE)

    @property
    def machine(self) -> int:
        """The EFI header's machine; 0 for a legacy image."""
        return self.header.machine if isinstance(self.header, EfiHeader) else 0

    @property
    def kind(self) -> ImageKind:
        return ImageKind(self.pcir.code_type, self.machine)


@dataclass(frozen=True)
class Chain:
    """The images of a ROM, the offset behind the last, and what stopped the walk, if not the last-image bit."""

    images: tuple[Image, ...]
    end: int
    fault: FormatError | None


def parse_image(data: bytes, offset: int = 0) -> Image:
    """Reads the image at ``offset``; raises FormatError where header, PCI Data Structure or length are wrong."""
    if data[offset : offset + 2] != b"\x55\xaa":
        raise FormatError(
            offset, f"no expansion ROM signature: {_found(data, offset, 2)} where 55 aa must be"
        )
    pointer = LegacyHeader.parse(data, offset).pcir_pointer
    place = offset + pointer
    if pointer < EfiHeader.LAYOUT.size or place + PciDataStructure.LAYOUT.size > len(data):
        raise FormatError(offset + 0x18, f"the PCIR pointer {pointer:#x} points outside the image")
    if data[place : place + 4] != b"PCIR":
        raise FormatError(
            place, f"no PCI Data Structure: {_found(data, place, 4)} where 'PCIR' must be"
        )
    pcir = PciDataStructure.parse(data, place)
    size = pcir.image_blocks * BLOCK
    if not size:
        raise FormatError(place + 0x10, "the image length is 0 blocks")
    if offset + size > len(data):
        over = offset + size - len(data)
        raise FormatError(
            place + 0x10,
            f"the image length {format_bytes(size)} goes {format_bytes(over)} past the end of the file",
        )
    if pointer + PciDataStructure.LAYOUT.size > size:
        raise FormatError(offset + 0x18, f"the PCIR pointer {pointer:#x} points outside the image")
    header = (EfiHeader if pcir.code_type == EFI else LegacyHeader).parse(data, offset)
    return Image(data[offset : offset + size], offset, header, pcir)


def parse_chain(data: bytes) -> Chain:
    """Walks the images up to the one marked last; never raises, what stopped it is in ``fault``."""
    images: list[Image] = []
    offset = 0
    while True:
        if images and offset >= len(data):
            return Chain(
                tuple(images),
                offset,
                FormatError(offset, "the file ends, and no image is marked as the last"),
            )
        if len(images) == MAX_IMAGES:
            return Chain(
                tuple(images), offset, FormatError(offset, f"more than {MAX_IMAGES} images")
            )
        try:
            image = parse_image(data, offset)
        except FormatError as error:
            unmarked = FormatError(offset, "padding begins, and no image is marked as the last")
            return Chain(
                tuple(images), offset, unmarked if images and is_padding(data[offset:]) else error
            )
        images.append(image)
        offset += len(image.data)
        if image.is_last:
            return Chain(tuple(images), offset, None)


def parse_rom(data: bytes) -> Chain:
    """``parse_chain`` for who needs all images: raises FormatError where the chain is broken."""
    chain = parse_chain(data)
    if chain.fault:
        raise chain.fault
    return chain


def is_padding(data: bytes) -> bool:
    """Whether all bytes are 0xff, or all are 0: what ROMs are filled up with."""
    return not data.strip(b"\xff") or not data.strip(b"\0")


def checksum(data: bytes) -> int:
    """The sum of all bytes modulo 256; 0 for a valid code type 0 image."""
    return sum(data) & 0xFF


def device_list(image: Image) -> list[int] | None:
    """The device IDs of the device list; None where there is no list. Raises FormatError if it has no end."""
    if not image.pcir.device_list_pointer:
        return None
    if image.pcir.device_list_pointer < PciDataStructure.LAYOUT.size:
        where = image.offset + image.header.pcir_pointer + 8
        raise FormatError(
            where,
            f"the device list pointer {image.pcir.device_list_pointer:#x} points into the PCI Data Structure",
        )
    place = image.header.pcir_pointer + image.pcir.device_list_pointer
    devices: list[int] = []
    while True:
        entry = place + 2 * len(devices)
        if entry + 2 > len(image.data):
            raise FormatError(
                image.offset + place, "the device list runs out of the image before its zero"
            )
        device = int.from_bytes(image.data[entry : entry + 2], "little")
        if not device:
            return devices
        if len(devices) == MAX_DEVICES:
            raise FormatError(
                image.offset + place, f"the device list has no zero behind {MAX_DEVICES:,} devices"
            )
        devices.append(device)


def driver_of(image: Image, effort: int | None = None) -> bytes:
    """The PE file inside an EFI image, decompressed, as it was linked but for padding behind a stored one.

    ``effort`` as in ``decoder.decompress``. Raises FormatError, its offset counted from the image's start.
    """
    header = image.header
    if not isinstance(header, EfiHeader):
        raise FormatError(0, f"a {image.kind} image holds no EFI driver")
    place = header.efi_image_offset
    if not EfiHeader.LAYOUT.size <= place < len(image.data):
        raise FormatError(0x16, f"the EFI image offset {place:#x} points outside the image")
    if header.compression_type == UNCOMPRESSED:
        return image.data[place:]
    if header.compression_type != UEFI_COMPRESSED:
        raise FormatError(
            0xC, f"compression type {header.compression_type} is neither 0 (none) nor 1 (UEFI)"
        )
    return decoder.decompress(image.data, place, effort=effort)


def rewrite(image: Image, *, ids: PciId | None = None, last: bool | None = None) -> Image:
    """The image with other IDs or another last-image bit, its checksum as valid as it was before.

    The device list follows the device ID. Raises FormatError where no byte is free to mend the checksum with.
    """
    pcir = image.pcir
    if ids is not None:
        pcir = replace(pcir, vendor_id=ids[0], device_id=ids[1])
    if last is not None:
        pcir = replace(pcir, indicator=pcir.indicator & ~LAST_IMAGE | (LAST_IMAGE if last else 0))
    if pcir == image.pcir:
        return image
    data = bytearray(image.data)
    place = image.header.pcir_pointer
    data[place : place + pcir.LAYOUT.size] = pcir.emit()
    for index, device in enumerate(device_list(image) or []):
        if device == image.pcir.device_id:
            entry = place + pcir.device_list_pointer + 2 * index
            data[entry : entry + 2] = pcir.device_id.to_bytes(2, "little")
    difference = (sum(data) - sum(image.data)) & 0xFF
    if difference and (slot := _checksum_slot(image)) is not None:
        data[slot] = (data[slot] - difference) & 0xFF
    return parse_image(bytes(data))


def repacked(image: Image, stream: bytes) -> Image:
    """An EFI image with its driver as a compressed ``stream``, header included; its checksum as valid as it was before."""
    header = image.header
    assert isinstance(header, EfiHeader)
    slot = _checksum_slot(image)
    size = -(-(header.efi_image_offset + len(stream)) // BLOCK)
    data = bytearray((image.data[: header.efi_image_offset] + stream).ljust(size * BLOCK, b"\0"))
    header = replace(header, initialization_blocks=size, compression_type=UEFI_COMPRESSED)
    data[: header.LAYOUT.size] = header.emit()
    data[header.pcir_pointer : header.pcir_pointer + image.pcir.LAYOUT.size] = replace(
        image.pcir, image_blocks=size
    ).emit()
    if slot is not None:
        data[slot] = (data[slot] - sum(data)) & 0xFF
    return parse_image(bytes(data))


def _checksum_slot(image: Image) -> int | None:
    """The byte that takes up a change of the sum: offset 6, or the one efirom leaves behind PCIR."""
    if isinstance(image.header, EfiHeader):
        slot = image.header.pcir_pointer + image.pcir.length
        free = image.pcir.length >= PciDataStructure.LAYOUT.size and slot < min(
            image.header.efi_image_offset, len(image.data)
        )
        return (
            slot if free and not checksum(image.data) else None
        )  # the UEFI Specification asks for no checksum
    if image.data[3] in (0xE9, 0xEB):  # the jump ends before offset 6
        return CHECKSUM
    if image.data[-1] in (0x00, 0xFF) and image.data[-2] == image.data[-1]:
        return len(image.data) - 1  # padding, not the tail of a payload
    raise FormatError(
        image.offset + CHECKSUM,
        "no free byte to mend the checksum: the init code begins at offset 3",
    )


def _found(data: bytes, offset: int, count: int) -> str:
    return data[offset : offset + count].hex(" ") or "the end of the file"
