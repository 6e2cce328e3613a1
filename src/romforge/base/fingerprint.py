# SPDX-License-Identifier: GPL-2.0-or-later
"""What a step read and wrote, so that a later run can tell whether that still holds.

A state is ``[size, mtime, ctime, inode, sha256]``, times in ns; None stands for a file that is not there. The
first four, if all equal, vouch for the content: nobody sets a ctime back. They cannot vouch for a file that was
written within the clock's last tick, since a further change may get the very same times; such a state carries
inode 0, which no file has, and so its content is compared.

doit's own ``file_dep`` would take the state of an input when a task ends: an edit between reading and ending
would be believed. So the states here are those of the bytes that were really read.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path
from typing import Any

from romforge.base.errors import RomforgeError

FileState = list[int | str]
_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE: what Linux stamps files with; it ticks every 1 to 10 ms
_SECOND = 1_000_000_000  # ns


def read_file(path: Path, limit: int = -1) -> tuple[bytes, FileState]:
    """A file's bytes, at most ``limit`` of them, and their state; raises RomforgeError where it cannot be read or changes."""
    for _ in range(3):
        try:
            with path.open("rb") as file:
                before = os.fstat(file.fileno())
                data = file.read(limit)
                after = os.fstat(file.fileno())
        except OSError as error:
            raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
        if _times(before) == _times(after):
            return data, _state(after, sha256(data))
    raise RomforgeError(f"{path}: changes while it is read; let its writer end first")


def is_unchanged(path: str, recorded: FileState | None, *, link: bool = True) -> bool:
    """Whether the file at ``path``, which may be a ``link`` to one, still has the recorded content."""
    try:
        now = os.stat(path, follow_symlinks=link)
    except OSError:
        return recorded is None
    if recorded is None or not stat.S_ISREG(now.st_mode):
        return False
    if _times(now) == recorded[:4]:
        return True
    if now.st_size != recorded[0]:
        return False
    try:
        return sha256(Path(path).read_bytes()) == recorded[4]
    except OSError:
        return False


def why_out_of_date(values: dict[str, Any], step: str, out: Path) -> str:
    """Why a step is to be done again, in words; empty where it was done as it is now, and what it read and wrote is as it was.

    ``values`` is the step's record: its digest, which now is ``step``, its inputs and its outputs. Paths are absolute,
    or relative to ``out``.
    """
    if values.get("step") != step:
        return "the spec or romforge itself changed" if values else "it was not built yet"
    for path, was in values["outputs"].items():
        if not is_unchanged(f"{out}/{path}", was, link=False):
            return f"{path} was changed or removed"
    for path, was in values["inputs"].items():
        if not is_unchanged(os.path.join(out, path), was):
            return f"{path} changed"
    return ""


def relative_to_root(out: Path, inputs: dict[str, FileState | None]) -> dict[str, FileState | None]:
    """Inputs with the paths of those below ``out`` relative to it: an output root may move, or be copied."""
    top = f"{os.path.abspath(out)}/"
    return {os.path.abspath(path).removeprefix(top): state for path, state in inputs.items()}


def stamp(path: Path, data: bytes) -> FileState:
    """The state of a file just written with ``data``, after waiting (a few ms) until its times can vouch for it.

    Where somebody has changed it already, it is a state that does not hold.
    """
    for _ in range(12):
        if _mtime_is_reliable(os.stat(path)):
            break
        time.sleep(0.001)
    found, now = read_file(path)
    return now if found == data else [len(data), 0, 0, 0, sha256(data)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _state(status: os.stat_result, digest: str) -> FileState:
    size, mtime, ctime, inode = _times(status)
    return [size, mtime, ctime, inode if _mtime_is_reliable(status) else 0, digest]


def _mtime_is_reliable(status: os.stat_result) -> bool:
    """Whether a later change of the file is certain to get another ctime."""
    try:
        now = time.clock_gettime_ns(_COARSE_CLOCK)
    except OSError:
        now = time.time_ns() - _SECOND
    whole_seconds = status.st_ctime_ns % _SECOND == 0  # a file system that keeps no fractions
    return now - status.st_ctime_ns > (2 * _SECOND if whole_seconds else 0)


def _times(status: os.stat_result) -> FileState:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
