# SPDX-License-Identifier: GPL-2.0-or-later
"""The states of files that a step read and wrote, by which a later run tells whether they hold.

The first four fields of a state, if all are equal, vouch for the content: nobody sets a ctime back.
They cannot vouch for a file that was written within the clock's last tick, since a further change
may get the very same times. Such a state has inode 0, which no file has, and so the content itself
is compared.

doit's own ``file_dep`` takes the state of an input when a task ends. An edit between reading and
ending would be believed. So the states here are those of the bytes that were really read.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base.errors import RomforgeError

_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE: Linux stamps files with it; it ticks every 1 to 10 ms
_SECOND = 1_000_000_000  # ns


class FileTimes(NamedTuple):
    """What a file system says of a file: size in bytes, times in ns, inode."""

    size: int
    mtime: int
    ctime: int
    inode: int


class FileState(NamedTuple):
    """A file as it was read or written: size in bytes, times in ns, inode, and the digest.

    Inode 0 stands for times that cannot vouch for the content.
    """

    size: int
    mtime: int
    ctime: int
    inode: int
    sha256: str

    @property
    def times(self) -> FileTimes:
        return FileTimes(self.size, self.mtime, self.ctime, self.inode)


NOT_BUILT = "it was not built yet"  # the reason to do a step that was never done
FAILED = "its last build failed: "  # begins the reason to do a step again that failed
InputStates = dict[str, FileState | None]  # by path; None where there was no file


class BuildRecord(NamedTuple):
    """What a step read, wrote and found out. doit keeps it as the values of the step's task.

    Paths of outputs are relative to the output root; those of inputs are, where they lie below it.
    """

    inputs: InputStates
    outputs: dict[str, FileState]
    entry: str | None = None  # of a ROM: its entry in the manifest, as JSON
    source: dict[str, str] | None = None  # of a package: what the manifest says of it
    proof: str | None = None  # of a proof: what it saw, as JSON

    def to_values(self, digest: str, out: Path) -> dict[str, Any]:
        """The record as doit's values; ``digest`` is that of the step."""
        values: dict[str, Any] = {
            "step": digest,
            "inputs": relative_to_root(out, self.inputs),
            "outputs": self.outputs,
        }
        for name in ("entry", "source", "proof"):
            value = getattr(self, name)
            if value is not None:
                values[name] = value
        return values


def read_file(path: Path, limit: int = -1) -> tuple[bytes, FileState]:
    """A file's bytes, at most ``limit`` of them, and its state.

    Raises RomforgeError where the file cannot be read, or changes meanwhile.
    """
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
    raise RomforgeError(f"{path}: changes while it is read; wait until its writer has finished")


def is_unchanged(path: str, recorded: FileState | None, *, link: bool = True) -> bool:
    """Whether the file at ``path`` still has the recorded content.

    ``link`` allows a link to one.
    """
    try:
        now = os.stat(path, follow_symlinks=link)
    except OSError:
        return recorded is None
    if recorded is None or not stat.S_ISREG(now.st_mode):
        return False
    if _times(now) == recorded.times:
        return True
    if now.st_size != recorded.size:
        return False
    try:
        return sha256(Path(path).read_bytes()) == recorded.sha256
    except OSError:
        return False


def why_out_of_date(values: Mapping[str, Any], digest: str, out: Path) -> str | None:
    """Why a step must be done again.

    None where it was done as it is now, and its files are as they were. ``values`` are what doit
    kept of the step: see ``BuildRecord.to_values``. ``digest`` is that of the step as it is now.
    """
    if not values:
        return NOT_BUILT
    if values.get("step") != digest:
        return "the spec or romforge itself changed"
    for path, stored in values["outputs"].items():
        if not is_unchanged(f"{out}/{path}", stored_state(stored), link=False):
            return f"{path} was changed or removed"
    for path, stored in values["inputs"].items():
        if not is_unchanged(os.path.join(out, path), stored_state(stored)):
            return f"{path} changed"
    return None


def stored_state(stored: Sequence[Any] | None) -> FileState | None:
    """A state as it comes back from JSON."""
    return None if stored is None else FileState._make(stored)


def relative_to_root(out: Path, inputs: InputStates) -> InputStates:
    """Inputs with the paths of those below ``out`` relative to it: an output root may move."""
    top = f"{os.path.abspath(out)}/"
    return {os.path.abspath(path).removeprefix(top): state for path, state in inputs.items()}


def stamp(path: Path, data: bytes) -> FileState:
    """The state of a file just written with ``data``.

    Waits a few ms, until the file's times can vouch for its content. Where somebody has changed the
    file already, it is a state that does not hold.
    """
    for _ in range(12):
        if _mtime_is_reliable(os.stat(path)):
            break
        time.sleep(0.001)
    content, state = read_file(path)
    if content != data:
        return FileState(len(data), 0, 0, 0, sha256(data))
    return state


def sha256(data: bytes) -> str:
    """The digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _state(status: os.stat_result, digest: str) -> FileState:
    times = _times(status)
    if not _mtime_is_reliable(status):
        times = times._replace(inode=0)
    return FileState(*times, digest)


def _mtime_is_reliable(status: os.stat_result) -> bool:
    """Whether a later change of the file is certain to get another ctime."""
    try:
        now = time.clock_gettime_ns(_COARSE_CLOCK)
    except OSError:
        now = time.time_ns() - _SECOND
    whole_seconds = status.st_ctime_ns % _SECOND == 0  # a file system that keeps no fractions
    return now - status.st_ctime_ns > (2 * _SECOND if whole_seconds else 0)


def _times(status: os.stat_result) -> FileTimes:
    return FileTimes(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
