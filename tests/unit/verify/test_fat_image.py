# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk that firmware boots from, read back by a reader that shares no code with the writer."""

from __future__ import annotations

import struct

import pytest

from romforge.verify import fat_image

CONTENT = bytes(range(256)) * 37 + b"the end"


class Fat12:
    """Reads a FAT12 file system, from its boot sector on."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        (size, self.cluster_sectors, reserved, fats, entries, total, _, fat_sectors) = (
            struct.unpack_from("<HBHBHHBH", image, 11)
        )
        assert image[510:512] == b"\x55\xaa"
        assert len(image) == total * size
        self.size = size
        self.fat = image[reserved * size : (reserved + fat_sectors) * size]
        assert image[(reserved + fat_sectors) * size :].startswith(self.fat)
        root = (reserved + fats * fat_sectors) * size
        self.root = image[root : root + entries * 32]
        self.data = root + entries * 32
        clusters = (total * size - self.data) // (size * self.cluster_sectors)
        assert clusters < 4085  # what makes it FAT12

    def chain(self, cluster: int) -> bytes:
        """The content of a chain of clusters."""
        content = b""
        while cluster < 0xFF8:
            offset = self.data + (cluster - 2) * self.size * self.cluster_sectors
            content += self.image[offset : offset + self.size * self.cluster_sectors]
            (pair,) = struct.unpack_from("<H", self.fat, cluster * 3 // 2)
            cluster = pair >> 4 if cluster % 2 else pair & 0xFFF
        return content

    def entries(self, directory: bytes) -> dict[str, tuple[int, int, int]]:
        """The attributes, first cluster and size of each file, by its long name if it has one."""
        entries = {}
        long_name = ""
        for offset in range(0, len(directory), 32):
            entry = directory[offset : offset + 32]
            if not entry[0]:
                break
            if entry[11] == 0x0F:
                part = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le")
                long_name = part.split("\0")[0] + long_name
                continue
            short = entry[:8].decode().rstrip() + ("." + entry[8:11].decode()).rstrip(". ")
            cluster, size = struct.unpack_from("<HI", entry, 26)
            entries[long_name or short or "."] = entry[11], cluster, size
            long_name = ""
        return entries


@pytest.mark.parametrize("name", ["BOOTX64.EFI", "BOOTRISCV64.EFI", "BOOTLOONGARCH64.EFI"])
def test_a_disk_holds_its_file(name: str):
    disk = Fat12(fat_image.make_fat_image(f"EFI/BOOT/{name}", CONTENT))
    attributes, efi, _ = disk.entries(disk.root)["EFI"]
    assert attributes == 0x10
    attributes, boot, _ = disk.entries(disk.chain(efi))["BOOT"]
    assert attributes == 0x10
    attributes, file, size = disk.entries(disk.chain(boot))[name]
    assert (attributes, size) == (0x20, len(CONTENT))
    assert disk.chain(file)[:size] == CONTENT


def test_disks_are_reproducible():
    assert fat_image.make_fat_image("A/B.C", CONTENT) == fat_image.make_fat_image("A/B.C", CONTENT)


def test_a_file_that_is_too_large_is_a_programming_error():
    with pytest.raises(AssertionError):
        fat_image.make_fat_image("A/B.C", bytes(1 << 20))
