# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the files of a run of the tests lie: in memory, where there is room for them.

The tests make and remove hundreds of thousands of small files. On some file systems, such as ext4
without a journal, that takes more processor time than all compilers.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_NEEDED = 8 << 30  # bytes: several times what a run of all tests holds at once
_UNFIT = os.ST_NOEXEC | os.ST_NODEV  # programs are run there, and a chroot has devices


def use_memory() -> None:
    """Has pytest and all programs put their temporary files into memory, where that is possible.

    A user's own choice counts: TMPDIR, or pytest's PYTEST_DEBUG_TEMPROOT. Workers of pytest-xdist
    have the choice of the process that started them.
    """
    if "TMPDIR" in os.environ or "PYTEST_DEBUG_TEMPROOT" in os.environ:
        return
    if not _is_fit():
        return
    place = _MEMORY / f"romforge-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = os.environ["PYTEST_DEBUG_TEMPROOT"] = str(place)
    tempfile.tempdir = None  # which is read from TMPDIR again


def _is_fit() -> bool:
    """Whether there is a file system in memory for all that tests do, and enough memory."""
    try:
        status = os.statvfs(_MEMORY)
        free = _available_memory()
    except (OSError, ValueError):
        return False
    if status.f_flag & _UNFIT or not os.access(_MEMORY, os.W_OK):
        return False
    return min(status.f_bavail * status.f_frsize, free) >= _NEEDED


def _available_memory() -> int:
    """The bytes that programs can have without swapping; raises OSError and ValueError."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    return 0
