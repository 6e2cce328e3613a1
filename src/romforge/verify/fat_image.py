# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a small FAT12 file system that holds one file, for firmware to boot from.

The structures are those of Microsoft's "FAT: General Overview of On-Disk Format" and "Long Filename Specification".
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
_DATE = 1 << 5 | 1  # 1980-01-01, the first day there is: images are reproducible
_LAST_LONG_ENTRY = 0x40
_LONG_ENTRY_CHARACTERS = 13


def make_fat_image(path: str, content: bytes) -> bytes:
    """A disk with the file ``path``, such as EFI/BOOT/BOOTX64.EFI, and the directories that lead to it."""
    *directories, name = PurePosixPath(path).parts
    file_cluster = _FIRST_CLUSTER + len(directories)
    chains = [[_FIRST_CLUSTER + depth] for depth in range(len(directories))]
    file_sectors = -(-len(content) // _SECTOR)
    chains.append(list(range(file_cluster, file_cluster + file_sectors)))

    # each of them holds the entry of what follows; the first one is the root, which has no cluster
    contents = []
    for depth, directory in enumerate(directories):
        contents.append(_entries(directory, _DIRECTORY, _FIRST_CLUSTER + depth, 0))
    contents.append(_entries(name, _ARCHIVE, file_cluster, len(content)))

    root = contents[0].ljust(_SECTOR, b"\0")
    clusters = b""
    for depth, entries in enumerate(contents[1:]):
        own = _FIRST_CLUSTER + depth
        parent = own - 1 if depth else 0
        itself = _entry(b".", _DIRECTORY, own, 0)
        above = _entry(b"..", _DIRECTORY, parent, 0)
        clusters += (itself + above + entries).ljust(_SECTOR, b"\0")
    clusters += content.ljust(file_sectors * _SECTOR, b"\0")
    assert len(clusters) <= _CLUSTERS * _SECTOR, "the file is too large for the disk"

    fat = _file_allocation_table(chains)
    image = _boot_sector() + _FATS * fat + root + clusters
    return image.ljust(_sectors() * _SECTOR, b"\0")


def _sectors() -> int:
    root_sectors = _ROOT_ENTRIES * 32 // _SECTOR
    return _RESERVED_SECTORS + _FATS * _SECTORS_PER_FAT + root_sectors + _CLUSTERS


def _boot_sector() -> bytes:
    fields = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        b"\xeb\x3c\x90",
        b"ROMFORGE",
        _SECTOR,
        1,  # sectors of a cluster
        _RESERVED_SECTORS,
        _FATS,
        _ROOT_ENTRIES,
        _sectors(),
        _MEDIA,
        _SECTORS_PER_FAT,
        63,  # sectors of a track
        255,  # heads
        0,  # hidden sectors
        0,  # sectors, where 16 bits do not hold them
        0x80,  # the drive's number for a PC BIOS
        0,
        0x29,  # the next three fields are there
        0,
        b"ROMFORGE   ",
        b"FAT12   ",
    )
    return fields.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"


def _file_allocation_table(chains: list[list[int]]) -> bytes:
    """For each cluster the one that follows, in 12 bits."""
    table = [0xF00 | _MEDIA, _END_OF_CHAIN, *[0] * _CLUSTERS]
    for chain in chains:
        for cluster, following in zip(chain, [*chain[1:], _END_OF_CHAIN]):
            table[cluster] = following
    packed = bytearray()
    for even, odd in zip(table[::2], table[1::2]):
        packed += (even | odd << 12).to_bytes(3, "little")
    return bytes(packed).ljust(_SECTORS_PER_FAT * _SECTOR, b"\0")


def _entries(name: str, attributes: int, cluster: int, size: int) -> bytes:
    """The entries of a name: its own, behind those of a long name where it is one."""
    stem, _, suffix = name.partition(".")
    if len(stem) <= 8 and len(suffix) <= 3:
        return _entry(_short(stem, suffix), attributes, cluster, size)
    short = _short(f"{stem[:6]}~1", suffix)
    return _long_entries(name, short) + _entry(short, attributes, cluster, size)


def _short(stem: str, suffix: str) -> bytes:
    return (stem.ljust(8) + suffix.ljust(3)).upper().encode("ascii")


def _long_entries(name: str, short: bytes) -> bytes:
    """A long name, 13 characters of UTF-16 to an entry, its end first."""
    checksum = 0
    for byte in short:
        checksum = ((checksum >> 1) + (checksum << 7) + byte) & 0xFF
    count = -(-len(name) // _LONG_ENTRY_CHARACTERS)
    text = name.encode("utf-16-le")
    if len(name) % _LONG_ENTRY_CHARACTERS:
        text += b"\0\0"
    text = text.ljust(count * _LONG_ENTRY_CHARACTERS * 2, b"\xff")
    entries = []
    for index in range(count):
        order = index + 1
        if order == count:
            order |= _LAST_LONG_ENTRY
        part = text[index * _LONG_ENTRY_CHARACTERS * 2 :]
        entries.append(
            struct.pack(
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
        )
    return b"".join(reversed(entries))


def _entry(name: bytes, attributes: int, cluster: int, size: int) -> bytes:
    return struct.pack(
        "<11s3B7HI",
        name.ljust(11),
        attributes,
        0,
        0,
        0,
        _DATE,
        _DATE,
        0,
        0,
        _DATE,
        cluster,
        size,
    )
