# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a small FAT12 file system that holds one file, for firmware to boot from.

The structures are those of Microsoft's "FAT: General Overview of On-Disk Format" and
"Long Filename Specification".
"""

from __future__ import annotations

import struct
from pathlib import PurePosixPath

_SECTOR = 512
_RESERVED_SECTORS = 1  # the boot sector
_FATS = 2
_SECTORS_PER_FAT = 3  # 12 bits for each cluster
_ROOT_ENTRIES = 16  # one sector
_CLUSTERS = 1000  # of one sector each
_FIRST_CLUSTER = 2
_END_OF_CHAIN = 0xFFF
_MEDIA = 0xF8  # a fixed disk
_DIRECTORY, _ARCHIVE, _LONG_NAME = 0x10, 0x20, 0x0F
_DATE = 1 << 5 | 1  # 1980-01-01, the first date of the format: images are reproducible
_LAST_LONG_ENTRY = 0x40
_LONG_ENTRY_CHARACTERS = 13
_LONG_ENTRY_BYTES = 2 * _LONG_ENTRY_CHARACTERS  # of UTF-16
_SECTORS = (
    _RESERVED_SECTORS
    + _FATS * _SECTORS_PER_FAT
    + _ROOT_ENTRIES * 32 // _SECTOR  # the root directory
    + _CLUSTERS
)


def make_fat_image(path: str, content: bytes) -> bytes:
    """A disk image of half a MiB with one file, and the directories that lead to it.

    ``path`` is the file's, such as EFI/BOOT/BOOTX64.EFI. The file may have about 499 KiB.
    """
    *directories, name = PurePosixPath(path).parts
    file_cluster = _FIRST_CLUSTER + len(directories)  # behind one cluster for each directory
    file_sectors = -(-len(content) // _SECTOR)
    chains = [[_FIRST_CLUSTER + depth] for depth in range(len(directories))]
    chains.append(list(range(file_cluster, file_cluster + file_sectors)))

    # Each directory has the entry of the next one, the last the file's; the first is the root.
    entries = []
    for depth, directory in enumerate(directories):
        entries.append(_entries(directory, _DIRECTORY, _FIRST_CLUSTER + depth, 0))
    entries.append(_entries(name, _ARCHIVE, file_cluster, len(content)))

    root = entries[0].ljust(_SECTOR, b"\0")
    clusters = b""
    for depth, entry in enumerate(entries[1:]):
        clusters += _subdirectory(depth, entry)
    clusters += content.ljust(file_sectors * _SECTOR, b"\0")
    assert len(clusters) <= _CLUSTERS * _SECTOR, "the file is too large for the disk"

    fat = _file_allocation_table(chains)
    image = _boot_sector() + _FATS * fat + root + clusters
    return image.ljust(_SECTORS * _SECTOR, b"\0")


def _subdirectory(depth: int, entry: bytes) -> bytes:
    """The sector of a directory below the root: itself, the one above it, and its only entry."""
    cluster = _FIRST_CLUSTER + depth
    parent = 0  # stands for the root, which has no cluster
    if depth:
        parent = cluster - 1
    itself = _short_entry(b".", _DIRECTORY, cluster, 0)
    above = _short_entry(b"..", _DIRECTORY, parent, 0)
    return (itself + above + entry).ljust(_SECTOR, b"\0")


def _boot_sector() -> bytes:
    fields = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        b"\xeb\x3c\x90",
        b"ROMFORGE",
        _SECTOR,
        1,  # sectors per cluster
        _RESERVED_SECTORS,
        _FATS,
        _ROOT_ENTRIES,
        _SECTORS,
        _MEDIA,
        _SECTORS_PER_FAT,
        63,  # sectors per track
        255,  # heads
        0,  # hidden sectors
        0,  # sectors, where 16 bits are too few
        0x80,  # the drive's number for a PC BIOS
        0,
        0x29,  # the next three fields are present
        0,
        b"ROMFORGE   ",
        b"FAT12   ",
    )
    return fields.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"


def _file_allocation_table(chains: list[list[int]]) -> bytes:
    """For each cluster the one that follows it, as numbers of 12 bits."""
    table = [0xF00 | _MEDIA, _END_OF_CHAIN, *[0] * _CLUSTERS]
    for chain in chains:
        for cluster, following in zip(chain, [*chain[1:], _END_OF_CHAIN]):
            table[cluster] = following
    packed = bytearray()
    for even, odd in zip(table[::2], table[1::2]):
        packed += (even | odd << 12).to_bytes(3, "little")
    return bytes(packed).ljust(_SECTORS_PER_FAT * _SECTOR, b"\0")


def _entries(name: str, attributes: int, cluster: int, size: int) -> bytes:
    """The directory entries of a name: one, behind those of a long name where it is one."""
    stem, _, suffix = name.partition(".")
    if len(stem) <= 8 and len(suffix) <= 3:
        return _short_entry(_short_name(stem, suffix), attributes, cluster, size)
    short = _short_name(f"{stem[:6]}~1", suffix)
    return _long_entries(name, short) + _short_entry(short, attributes, cluster, size)


def _short_name(stem: str, suffix: str) -> bytes:
    return (stem.ljust(8) + suffix.ljust(3)).upper().encode("ascii")


def _long_entries(name: str, short: bytes) -> bytes:
    """The entries of a long name, 13 characters of UTF-16 each; the last part comes first."""
    checksum = 0
    for byte in short:
        checksum = ((checksum >> 1) + (checksum << 7) + byte) & 0xFF
    count = -(-len(name) // _LONG_ENTRY_CHARACTERS)
    text = name.encode("utf-16-le")
    if len(name) % _LONG_ENTRY_CHARACTERS:
        text += b"\0\0"
    text = text.ljust(count * _LONG_ENTRY_BYTES, b"\xff")
    entries = b""
    for index in range(count):
        order = index + 1
        if order == count:
            order |= _LAST_LONG_ENTRY
        start = index * _LONG_ENTRY_BYTES
        entries = _long_entry(order, checksum, text[start : start + _LONG_ENTRY_BYTES]) + entries
    return entries


def _long_entry(order: int, checksum: int, part: bytes) -> bytes:
    return struct.pack(
        "<B10sBBB12sH4s",
        order,
        part[:10],
        _LONG_NAME,
        0,
        checksum,
        part[10:22],
        0,
        part[22:26],
    )


def _short_entry(name: bytes, attributes: int, cluster: int, size: int) -> bytes:
    return struct.pack(
        "<11s3B7HI",
        name.ljust(11),
        attributes,
        0,
        0,
        0,  # time of creation
        _DATE,  # of creation
        _DATE,  # of the last access
        0,
        0,  # time of the last change
        _DATE,  # of the last change
        cluster,
        size,
    )
