# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes an option ROM image of an EFI driver (UEFI Specification, 14.4.2).

The layout is that of iPXE's efirom: the header, the PCI Data Structure at 0x1c, a byte that makes
the image sum to 0, and the driver at 0x38. With several device IDs, the PCI Data Structure is one
of revision 3, and the device list lies between that byte and the driver. Sizes and offsets are in
bytes. The driver lies further behind if it is signed.
"""

from __future__ import annotations

from collections.abc import Sequence

from romforge.base import image_kind
from romforge.base.arch import BY_MACHINE
from romforge.base.errors import FormatError
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes
from romforge.formats import option_rom, pe
from romforge.formats.option_rom import BLOCK

_PCIR, _DRIVER = 0x1C, 0x38
_LENGTH_WITH_LIST = 0x1C  # of a PCI Data Structure of revision 3: two pointers more
_LIST = 0x20  # from the PCI Data Structure to the device list; the checksum byte is before it
_ALIGNMENT = 8  # of the driver, as efirom has it
_MOST_BLOCKS = 0xFFFF  # the image length is a field of 16 bits


def wrap_driver(driver: bytes, ids: PciId, others: Sequence[PciId] = ()) -> bytes:
    """Returns a ROM image that contains a driver uncompressed, and is marked as the last image.

    A driver that is signed ends where the image does. Firmware takes all of an uncompressed image
    behind the headers for the driver, and counts bytes behind the signature as signed ones.

    Machine and subsystem are taken from the PE file. ``others`` are the IDs of further devices of
    the same vendor, with which ``device_list_fault`` finds no fault. With any, the image gets a
    device list (PCI Firmware Specification 3.3, 5.1.2) of all its devices. Raises FormatError if
    the file is not an EFI driver, or if its architecture does not boot from option ROMs.
    """
    pe_file = pe.parse_pe(driver)
    if pe_file.machine not in BY_MACHINE:
        raise FormatError(4, f"no architecture has machine {pe_file.machine:#06x}")
    if pe_file.subsystem not in pe.DRIVER_SUBSYSTEMS:
        raise FormatError(0, f"{pe.wrong_subsystem(pe_file.subsystem)}; build NAME.efidrv")
    devices = _list_devices(ids, others)
    place = _DRIVER
    if devices:
        place = _PCIR + _LIST + len(devices)
        place += -place % _ALIGNMENT
    blocks = -(-(place + len(driver)) // BLOCK)
    if pe.certificate_table(driver) is not None:
        place = blocks * BLOCK - len(driver)
    if blocks > _MOST_BLOCKS:
        size = format_bytes(len(driver))
        raise FormatError(0, f"a driver of {size} is larger than an image can be")
    header = option_rom.EfiHeader(
        signature=option_rom.SIGNATURE,
        initialization_blocks=blocks,
        efi_signature=option_rom.EFI_SIGNATURE,
        subsystem=pe_file.subsystem,
        machine=pe_file.machine,
        compression_type=option_rom.UNCOMPRESSED,
        reserved=bytes(8),
        efi_image_offset=place,
        pcir_pointer=_PCIR,
    )
    pcir = option_rom.PciDataStructure(
        signature=b"PCIR",
        vendor_id=ids[0],
        device_id=ids[1],
        device_list_pointer=_LIST if devices else 0,
        length=_LENGTH_WITH_LIST if devices else option_rom.PciDataStructure.LAYOUT.size,
        revision=option_rom.REVISION_WITH_LIST if devices else 0,
        class_code=option_rom.NETWORK_ETHERNET,
        image_blocks=blocks,
        code_revision=0,
        code_type=image_kind.EFI,
        indicator=option_rom.LAST_IMAGE,
        max_runtime_blocks=0,
    )
    image = bytearray(blocks * BLOCK)
    image[:_PCIR] = header.emit().ljust(_PCIR, b"\0")
    image[_PCIR : _PCIR + pcir.LAYOUT.size] = pcir.emit()
    image[_PCIR + _LIST : _PCIR + _LIST + len(devices)] = devices
    image[place : place + len(driver)] = driver
    image[_PCIR + pcir.length] = -sum(image) & 0xFF
    return bytes(image)


def device_list_fault(ids: PciId, others: Sequence[PciId]) -> str | None:
    """Why these devices cannot be in one device list; None if they can."""
    every = [ids, *others]
    for index, other in enumerate(every):
        if other.vendor != ids.vendor:
            return (
                f"{ids} and {other} are of different vendors, and an image has one vendor ID, "
                "which holds for its whole device list; make an image for each vendor"
            )
        if others and not other.device:
            return f"{other} cannot be in a device list, since a device ID of 0 ends it"
        if other in every[:index]:
            return f"{other} is given twice; give it once"
    if len(every) > option_rom.MAX_DEVICES:
        return f"{len(every):,} devices; a device list has at most {option_rom.MAX_DEVICES:,}"
    return None


def _list_devices(ids: PciId, others: Sequence[PciId]) -> bytes:
    """The bytes of a device list with its terminating 0; none for a single device."""
    if not others:
        return b""
    assert device_list_fault(ids, others) is None
    return b"".join(each.device.to_bytes(2, "little") for each in (ids, *others)) + bytes(2)
