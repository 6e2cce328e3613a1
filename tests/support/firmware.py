# SPDX-License-Identifier: GPL-2.0-or-later
"""Real UEFI firmware of which a driver is taken away."""

from __future__ import annotations

import lzma
import uuid

# The driver that offers EFI_MANAGED_NETWORK_PROTOCOL on each network interface. All of edk2's
# network stack is built upon it.
MANAGED_NETWORK_DRIVER = "025bbfc7-e6a9-4b8b-82ad-6815a1aeaf4a"
_LZMA_SECTION = "ee4e5898-3914-4259-9d6e-dc7bd79403cf"
_SIZE = slice(5, 13)  # of the decompressed data, in the header of LZMA
_CHECKSUM, _TYPE, _DRIVER, _FREEFORM = 16, 18, 7, 2  # of a file (PI Specification, 3.2.3)


def without_driver(code: bytes, driver: str) -> bytes:
    """OVMF's code, in which the file of a driver is one of data, so that it is not run.

    Its volumes are compressed in a section that keeps its size.
    """
    guid = code.index(uuid.UUID(_LZMA_SECTION).bytes_le)
    size = int.from_bytes(code[guid - 4 : guid - 1], "little")
    start = guid - 4 + int.from_bytes(code[guid + 16 : guid + 18], "little")
    end = guid - 4 + size
    compressed = code[start:end]
    volumes = bytearray(lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(compressed))
    file = volumes.index(uuid.UUID(driver).bytes_le)
    assert volumes[file + _TYPE] == _DRIVER
    volumes[file + _TYPE] = _FREEFORM
    volumes[file + _CHECKSUM] = (volumes[file + _CHECKSUM] + _DRIVER - _FREEFORM) & 0xFF
    dictionary = int.from_bytes(compressed[1:5], "little")
    best = lzma.PRESET_EXTREME | 9
    filters = [{"id": lzma.FILTER_LZMA1, "preset": best, "dict_size": dictionary}]
    stream = bytearray(lzma.compress(volumes, lzma.FORMAT_ALONE, filters=filters))
    stream[_SIZE] = compressed[_SIZE]  # edk2 wants it, and liblzma writes that it is not known
    assert len(stream) <= len(compressed)
    return code[:start] + stream.ljust(len(compressed), b"\0") + code[end:]
