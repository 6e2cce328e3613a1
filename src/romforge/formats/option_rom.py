# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads PCI expansion ROMs, and changes the fields that differ when images are combined.

Sources: PCI Firmware Specification 3.x, chapter 5 (headers, PCI Data Structure); UEFI
Specification, 14.4 (EFI expansion ROM header); Plug and Play BIOS Specification 1.0A, 3.2
(``$PnP``); PXE 2.1, 4.2.1 (``UNDI``). Offsets and sizes are in bytes, except where a name ends in
``blocks``: a block is 512 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from romforge.base.errors import FormatError
from romforge.base.image_kind import EFI, LEGACY, NOBODY, ImageKind
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes
from romforge.formats.structure import Structure
from romforge.formats.uefi_compression import decoder

BLOCK = 512
SIGNATURE = 0xAA55
EFI_SIGNATURE = 0x0EF1
LAST_IMAGE = 0x80  # indicator, bit 7
UNCOMPRESSED, UEFI_COMPRESSED = 0, 1  # compression types of an EFI image
NETWORK_ETHERNET = b"\0\0\x02"  # class code 02 00 00, in the byte order of the ROM
MAX_IMAGES = 32  # one for each architecture would be seven
MAX_DEVICES = 4096  # in a device list; iPXE's longest have some hundreds
REVISION_WITH_LIST = 3  # of the PCI Data Structure, from which on it may point to a device list
PAYLOAD_PCIR = 0x1C  # where the first image of an .mrom expects the PCIR of its payload
_DRIVER_ALIGNMENT = 8  # bytes, of a driver in an image
CHECKSUM = 6  # the byte of a legacy image that iPXE leaves free for the checksum


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
    """PCI Data Structure, up to the maximum run-time length. Revision 3 adds two pointers."""

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
    """iPXE's own header, which identifies the build. Its bytes sum to 0."""

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
    """UNDI ROM ID structure. Its bytes sum to 0."""

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
    """Plug and Play expansion header. Its bytes sum to 0. ``length`` is in units of 16 bytes."""

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
    """An image of a ROM. ``data`` is a whole number of blocks, ``offset`` the place in the file."""

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
        """The EFI header's machine, 0 for a legacy image."""
        return self.header.machine if isinstance(self.header, EfiHeader) else 0

    @property
    def kind(self) -> ImageKind:
        if self.pcir.code_type != NOBODY:
            return ImageKind(self.pcir.code_type, self.machine)
        if len(self.data) == BLOCK:
            return ImageKind.stub()
        # The header of a payload is a dummy of one block, whatever the length of the image is.
        if self.header.initialization_blocks == 1:
            return ImageKind.payload()
        return ImageKind(NOBODY)

    @property
    def needs_payload(self) -> bool:
        """Whether this is the first image of an iPXE .mrom, which cannot boot without the second.

        iPXE's header says how long the image is without its payload. That is all of it in an .mrom.
        """
        header = self.header
        if self.pcir.code_type != LEGACY or not isinstance(header, LegacyHeader):
            return False
        place = header.ipxe_pointer
        if self.data[place : place + 4] != b"iPXE":
            return False
        if place + IpxeHeader.LAYOUT.size > len(self.data):
            return False
        shrunk = IpxeHeader.parse(self.data, place).shrunk_blocks
        return shrunk == header.initialization_blocks


@dataclass(frozen=True)
class Chain:
    """The images of a ROM, up to ``end``, the offset behind the last one.

    ``fault`` says why there are no further images. It is None if the last one is marked as the
    last.
    """

    images: tuple[Image, ...]
    end: int
    fault: FormatError | None


def parse_image(data: bytes, offset: int = 0) -> Image:
    """Reads the image at ``offset``.

    Raises FormatError if its header, its PCI Data Structure or its length is wrong.
    """
    if data[offset : offset + 2] != b"\x55\xaa":
        actual = _show_bytes(data, offset, 2)
        raise FormatError(offset, f"no expansion ROM signature: {actual} where 55 aa must be")
    pointer = LegacyHeader.parse(data, offset).pcir_pointer
    outside = FormatError(offset + 0x18, f"the PCIR pointer {pointer:#x} points outside the image")
    place = offset + pointer
    if pointer < EfiHeader.LAYOUT.size or place + PciDataStructure.LAYOUT.size > len(data):
        raise outside
    if data[place : place + 4] != b"PCIR":
        actual = _show_bytes(data, place, 4)
        raise FormatError(place, f"no PCI Data Structure: {actual} where 'PCIR' must be")
    pcir = PciDataStructure.parse(data, place)
    size = pcir.image_blocks * BLOCK
    if not size:
        raise FormatError(place + 0x10, "the image length is 0 blocks")
    if offset + size > len(data):
        length, excess = format_bytes(size), format_bytes(offset + size - len(data))
        raise FormatError(
            place + 0x10, f"the image length {length} exceeds the end of the file by {excess}"
        )
    if pointer + PciDataStructure.LAYOUT.size > size:
        raise outside
    header_type = EfiHeader if pcir.code_type == EFI else LegacyHeader
    header = header_type.parse(data, offset)
    return Image(data[offset : offset + size], offset, header, pcir)


def parse_chain(data: bytes) -> Chain:
    """Reads the images up to the one that is marked as the last.

    Never raises: see ``Chain.fault``.
    """
    images: list[Image] = []
    offset = 0
    fault = None
    while not images or not images[-1].is_last:
        fault = _chain_fault(data, offset, len(images))
        if fault:
            break
        try:
            image = parse_image(data, offset)
        except FormatError as error:
            fault = error
            if images and is_padding(data[offset:]):  # a search through all that is left
                message = "padding begins, and no image is marked as the last"
                fault = FormatError(offset, message)
            break
        images.append(image)
        offset += len(image.data)
    return Chain(tuple(images), offset, fault)


def _chain_fault(data: bytes, offset: int, count: int) -> FormatError | None:
    """Why no image can follow ``count`` images that end at ``offset``; None if one can."""
    if count and offset >= len(data):
        return FormatError(offset, "the file ends, and no image is marked as the last")
    if count == MAX_IMAGES:
        return FormatError(offset, f"more than {MAX_IMAGES} images")
    return None


def parse_rom(data: bytes) -> Chain:
    """As ``parse_chain``, but raises FormatError if the chain has a fault."""
    chain = parse_chain(data)
    if chain.fault:
        raise chain.fault
    return chain


def group_images(images: Sequence[Image]) -> list[tuple[Image, Image | None]]:
    """Each image of a chain, with the payload that lies right behind it and belongs to it.

    A payload that belongs to no image is an entry of its own.
    """
    groups: list[tuple[Image, Image | None]] = []
    for image in images:
        if image.kind.is_payload and groups:
            owner, payload = groups[-1]
            if payload is None and owner.needs_payload:
                groups[-1] = (owner, image)
                continue
        groups.append((image, None))
    return groups


def is_padding(data: bytes) -> bool:
    """Whether all bytes are 0xff, or all are 0. ROMs are padded with these."""
    return not data.strip(b"\xff") or not data.strip(b"\0")


def checksum(data: bytes) -> int:
    """The sum of all bytes modulo 256. It is 0 for a valid legacy image."""
    return sum(data) & 0xFF


def device_list(image: Image) -> list[int] | None:
    """The device IDs of the device list, or None if the image has none.

    Before revision 3 of the PCI Data Structure, its place had another meaning (PCI Firmware
    Specification 3.3, 5.1.2). Raises FormatError if the list does not end, or overlaps the PCI Data
    Structure.
    """
    pointer = image.pcir.device_list_pointer
    if not pointer or image.pcir.revision < REVISION_WITH_LIST:
        return None
    if pointer < PciDataStructure.LAYOUT.size:
        raise FormatError(
            image.offset + image.header.pcir_pointer + 8,
            f"the device list pointer {pointer:#x} points into the PCI Data Structure",
        )
    place = image.header.pcir_pointer + pointer
    devices: list[int] = []
    while True:
        entry = place + 2 * len(devices)
        if entry + 2 > len(image.data):
            message = "the device list reaches the end of the image without a terminating 0"
            raise FormatError(image.offset + place, message)
        device = int.from_bytes(image.data[entry : entry + 2], "little")
        if not device:
            return devices
        if len(devices) == MAX_DEVICES:
            message = f"the device list has no terminating 0 within {MAX_DEVICES:,} devices"
            raise FormatError(image.offset + place, message)
        devices.append(device)


def listed_ids(image: Image) -> tuple[PciId, ...]:
    """The IDs of the device list; none if the image has no list, or one that cannot be read."""
    try:
        devices = device_list(image) or ()
    except FormatError:
        return ()
    return tuple(PciId(image.pcir.vendor_id, device) for device in devices)


def served_ids(image: Image) -> set[PciId]:
    """The IDs of the devices that an image is for, as firmware reads them.

    SeaBIOS does not read device lists. UEFI firmware may, so the list of an EFI image counts.
    """
    served = {image.ids}
    if image.pcir.code_type == EFI:
        served.update(listed_ids(image))
    return served


def driver_of(image: Image, effort: int | None = None) -> bytes:
    """Returns the PE file in an EFI image, decompressed.

    An uncompressed driver is returned with the padding behind it. For ``effort`` see
    ``decoder.decompress``. Raises FormatError with an offset from the start of the image, and
    TooLong.
    """
    header = image.header
    if not isinstance(header, EfiHeader):
        raise FormatError(0, f"a {image.kind} image contains no EFI driver")
    place = header.efi_image_offset
    if not EfiHeader.LAYOUT.size <= place < len(image.data):
        raise FormatError(0x16, f"the EFI image offset {place:#x} points outside the image")
    if header.compression_type == UNCOMPRESSED:
        return image.data[place:]
    if header.compression_type != UEFI_COMPRESSED:
        compression = f"compression type {header.compression_type}"
        raise FormatError(0xC, f"{compression} is neither 0 (none) nor 1 (UEFI)")
    return decoder.decompress(image.data, place, effort=effort)


def rewrite(image: Image, *, ids: PciId | None = None, last: bool | None = None) -> Image:
    """Returns the image with other IDs or another last-image bit.

    A checksum that was valid stays valid, and a wrong one stays as wrong as it was. A device list
    that has the new IDs stays as it is; any other is then a list of the new device alone. Raises
    FormatError if the list is damaged, or the image has no free byte that can correct the checksum.
    """
    pcir = image.pcir
    if ids is not None:
        pcir = replace(pcir, vendor_id=ids.vendor, device_id=ids.device)
    if last is True:
        pcir = replace(pcir, indicator=pcir.indicator | LAST_IMAGE)
    elif last is False:
        pcir = replace(pcir, indicator=pcir.indicator & ~LAST_IMAGE)
    if pcir == image.pcir and ids is None:
        return image
    devices = device_list(image)
    lacks_ids = bool(devices) and ids is not None and ids not in listed_ids(image)
    if pcir == image.pcir and not lacks_ids:
        return image
    data = bytearray(image.data)
    place = image.header.pcir_pointer
    data[place : place + pcir.LAYOUT.size] = pcir.emit()
    if devices and ids is not None and lacks_ids:
        begin = place + pcir.device_list_pointer
        size = 2 * len(devices)
        data[begin : begin + size] = ids.device.to_bytes(2, "little").ljust(size, b"\0")
    difference = (sum(data) - sum(image.data)) & 0xFF
    if difference:
        slot = _checksum_slot(image)
        if slot is not None:
            data[slot] = (data[slot] - difference) & 0xFF
    return parse_image(bytes(data))


def repacked(image: Image, stream: bytes) -> Image:
    """Returns an EFI image with its driver replaced by ``stream``, the driver compressed.

    The stream includes its 8-byte header. A checksum that was valid is valid in the result.
    """
    header = image.header
    assert isinstance(header, EfiHeader)
    slot = _checksum_slot(image)
    place = _stream_place(image, header)
    blocks = -(-(place + len(stream)) // BLOCK)
    data = bytearray(image.data[:place] + stream)
    data += bytes(blocks * BLOCK - len(data))
    header = replace(
        header,
        initialization_blocks=blocks,
        compression_type=UEFI_COMPRESSED,
        efi_image_offset=place,
    )
    data[: header.LAYOUT.size] = header.emit()
    pcir = replace(image.pcir, image_blocks=blocks)
    data[header.pcir_pointer : header.pcir_pointer + pcir.LAYOUT.size] = pcir.emit()
    if slot is not None:
        data[slot] = (data[slot] - sum(data)) & 0xFF
    return parse_image(bytes(data))


def _stream_place(image: Image, header: EfiHeader) -> int:
    """Where the stream of a driver begins: behind the headers, without a gap before the driver.

    Only zeros are a gap, such as are before a signed driver that is not compressed.
    """
    end = max(header.pcir_pointer + image.pcir.length, EfiHeader.LAYOUT.size) + 1
    end = max(end, _list_range(image).stop)
    place = end + -end % _DRIVER_ALIGNMENT
    if place < header.efi_image_offset and not any(image.data[end : header.efi_image_offset]):
        return place
    return header.efi_image_offset


def _checksum_slot(image: Image) -> int | None:
    """The offset of the byte that corrects the checksum; None if an EFI image has no checksum."""
    if isinstance(image.header, EfiHeader):
        return _efi_checksum_slot(image, image.header)
    if image.data[3] in (0xE9, 0xEB):  # a jump, which ends before offset 6
        return CHECKSUM
    if image.kind.is_payload:  # its header is a dummy, and its last bytes are compressed code
        return CHECKSUM
    end = len(image.data) - 1
    is_padded = image.data[-1] in (0x00, 0xFF) and image.data[-2] == image.data[-1]
    if is_padded and end not in _list_range(image):
        return end
    raise FormatError(
        image.offset + CHECKSUM,
        "no free byte to correct the checksum: the init code begins at offset 3",
    )


def _efi_checksum_slot(image: Image, header: EfiHeader) -> int | None:
    """The byte that efirom adds behind the PCI Data Structure.

    The UEFI Specification requires no checksum, so None if the bytes do not sum to 0. None, too, if
    the device list lies there, as that of EDK2's EfiRom does.
    """
    slot = header.pcir_pointer + image.pcir.length
    is_free = image.pcir.length >= PciDataStructure.LAYOUT.size
    is_free = is_free and slot < min(header.efi_image_offset, len(image.data))
    is_free = is_free and slot not in _list_range(image)
    if is_free and not checksum(image.data):
        return slot
    return None


def _list_range(image: Image) -> range:
    """The offsets of the device list and its terminating 0; empty if the image has no list."""
    devices = device_list(image)
    if devices is None:
        return range(0)
    begin = image.header.pcir_pointer + image.pcir.device_list_pointer
    return range(begin, begin + 2 * len(devices) + 2)


def _show_bytes(data: bytes, offset: int, count: int) -> str:
    return data[offset : offset + count].hex(" ") or "the end of the file"
