# SPDX-License-Identifier: GPL-2.0-or-later
"""The working tree of a platform: a copy of the source tree, and what has changed since.

iPXE's makefiles write to their tree, and a make for one BIN directory disturbs those of others. So
each platform has a copy of its own, and the user's tree is only read. A copied file is known by its
mode, size, times and inode, as ``fingerprint`` knows files. Where these differ the content decides,
so that a file that was merely touched, or a branch switched back and forth, rebuilds nothing. A
copy that changes gets the present time, whatever the source's: make must see it as newer than all
that was made of the old one.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from pathlib import Path
from typing import NamedTuple

from romforge.base import fingerprint
from romforge.base.errors import RomforgeError
from romforge.spec import value_types

# What a make in the tree itself leaves, besides BIN directories and host tools.
_IGNORED = {".git", ".toolcheck", ".echocheck"}
# Names that no makefile takes for a source's.
_SCRATCH = re.compile(r"[.#].*|.*(~|\.orig|\.rej|\.swp)")


class FileStatus(NamedTuple):
    """A file of the source tree as a scan finds it: ``mode`` is 0o755 or 0o644, times are in ns."""

    mode: int
    size: int
    mtime: int
    ctime: int
    inode: int


class SourceFile(NamedTuple):
    """A file of the source tree as it was copied: its status, and the digest of its content."""

    mode: int
    size: int
    mtime: int
    ctime: int
    inode: int
    sha256: str

    def has_status(self, status: FileStatus) -> bool:
        """Whether the file still has the status it had, which vouches for its content."""
        return self[:5] == status


Files = dict[str, SourceFile]  # by the path below src


class Changes(NamedTuple):
    """How the source tree differs from what was copied: paths below src.

    ``touched`` tells that a file has other times and the same content, which alone is no change.
    """

    changed: set[str]
    added: set[str]
    removed: set[str]
    touched: bool

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed)


def scan_tree(src: Path, leave_out: Path | None = None) -> dict[str, FileStatus]:
    """The status of each file of the tree, without what a make in it has built.

    ``leave_out`` is the real path of a directory to leave out, such as the output root. Raises
    RomforgeError where a directory cannot be read.
    """
    statuses: dict[str, FileStatus] = {}
    excluded = None
    if leave_out and leave_out.is_relative_to(os.path.realpath(src)):
        excluded = str(leave_out)
    try:
        _scan_directory(str(src), "", excluded, statuses)
    except OSError as error:
        raise RomforgeError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return statuses


def _scan_directory(
    directory: str, prefix: str, excluded: str | None, statuses: dict[str, FileStatus]
) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name in _IGNORED:
                continue
            if not prefix and re.fullmatch(value_types.BINS, name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if excluded is None or os.path.realpath(entry.path) != excluded:
                    _scan_directory(entry.path, f"{prefix}{name}/", excluded, statuses)
                continue
            status = _status(entry)
            if status and not _is_made(prefix, status, entry.path):
                statuses[prefix + name] = status


def _status(entry: os.DirEntry[str]) -> FileStatus | None:
    """The status of a file, or of the file that a link leads to; None for what cannot be copied."""
    try:
        now = entry.stat()
    except OSError:  # a link that leads nowhere
        return None
    if stat.S_ISDIR(now.st_mode):
        raise IsADirectoryError(
            0, "a symbolic link to a directory; make it a directory", entry.path
        )
    if not stat.S_ISREG(now.st_mode):
        return None
    mode = 0o755 if now.st_mode & 0o100 else 0o644
    return FileStatus(mode, now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino)


def _is_made(prefix: str, status: FileStatus, path: str) -> bool:
    """Whether a make in the tree made the file.

    That is a host tool, or a local header: make creates an empty one where one is missing.
    """
    if prefix == "util/" and status.mode == 0o755:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    return prefix.startswith("config/local/") and status.size == 0


def compare_trees(
    src: Path, now: dict[str, FileStatus], files: Files, into: Path | None = None, since: int = 0
) -> tuple[Files, Changes]:
    """Compares a tree, whose statuses are ``now``, with the files that were copied of it.

    Returns the files as they are now, and the changes. With ``into``, a directory, also copies what
    differs to it, with times later than ``since`` (ns). A file that only got other times is no
    change:

    >>> files, changes = compare_trees(src, scan_tree(src), {})
    >>> sorted(changes.added)
    ['Makefile', 'drivers/net/intel.c']

    Raises RomforgeError where a file cannot be read or copied, or changes meanwhile.
    """
    files_now: Files = {}
    changes = Changes(set(), set(), files.keys() - now.keys(), touched=False)
    touched = False
    if into:
        _remove_copies(into, changes.removed)
    for path, status in now.items():
        before = files.get(path)
        copied = into is None or _is_whole(into / path, status)
        if before and copied and before.has_status(status):
            files_now[path] = before
            continue
        data, state = fingerprint.read_file(src / path)
        files_now[path] = SourceFile(status.mode, *state)
        if before and copied and (before.mode, before.sha256) == (status.mode, state.sha256):
            touched = True
            continue
        if before:
            changes.changed.add(path)
        else:
            changes.added.add(path)
        if into:
            write_source(into / path, data, status.mode, since)
    return files_now, changes._replace(touched=touched)


def _is_whole(copy: Path, status: FileStatus) -> bool:
    """Whether the copy of a file is there, and has the right size: a check that costs little."""
    try:
        return copy.stat().st_size == status.size
    except OSError:
        return False


def write_source(path: Path, data: bytes, mode: int = 0o644, since: int = 0) -> None:
    """Writes a file of the copy; raises RomforgeError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)  # of the source nothing is left in it
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        if path.stat().st_mtime_ns <= since:  # the clock was set back
            os.utime(path, ns=(since + 1, since + 1))
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be written: {error.strerror}") from None


def _remove_copies(into: Path, removed: set[str]) -> None:
    """Removes copies, and directories that became empty: makefiles look for directories, too."""
    for path in removed:
        copy = into / path
        copy.unlink(missing_ok=True)
        for parent in copy.parents:
            if parent == into:
                break
            try:
                parent.rmdir()
            except OSError:
                break


def is_source(path: str) -> bool:
    """Whether a file that was added or removed may make a difference to a build."""
    return not _SCRATCH.fullmatch(path.rsplit("/", 1)[-1])


def clear_worktree(directory: Path, aside: Path) -> None:
    """Removes a working tree by way of the directory ``aside``.

    What a killed build still runs goes on in a tree under another name, which nobody reads.
    """
    if directory.exists():
        aside.parent.mkdir(parents=True, exist_ok=True)
        place = aside / f"{directory.name}-{os.getpid()}-{time.time_ns()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(place)
        shutil.rmtree(place, ignore_errors=True)
