# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads ROM files, which have a limit of size."""

from __future__ import annotations

from pathlib import Path

from romforge.base import fingerprint
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import FileState
from romforge.base.text import format_size

LARGEST_ROM = 16 << 20  # bytes: the largest expansion ROM that PCI has room for


def read_rom(path: Path) -> tuple[bytes, FileState]:
    """The bytes and state of a ROM file.

    Raises RomforgeError where it cannot be read, or is larger than any ROM.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    if not path.is_file():
        raise RomforgeError(f"{path}: is not a file")
    data, state = fingerprint.read_file(path, LARGEST_ROM + 1)
    if len(data) > LARGEST_ROM:
        raise RomforgeError(
            f"{path}: {size:,} bytes are too many for an option ROM,"
            f" which has at most {format_size(LARGEST_ROM)}"
        )
    return data, state
