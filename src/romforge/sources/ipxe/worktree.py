# SPDX-License-Identifier: GPL-2.0-or-later
"""The private copy of a source tree that a platform is built in, and what of the source has changed since it was copied.

iPXE's makefiles write to their tree, and a make for one BIN directory disturbs those of others: so each platform has a
copy of its own, and the user's tree is only read. A copied file is known by its mode, size, times and inode, as
``fingerprint`` knows files; where these differ the content decides, so that a file that was merely touched, or a branch
switched back and forth, redoes nothing. A copy that changes gets the time of now, whatever the source's: make must
see it as newer than all that was made of the old one.
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

FileStatus = list[int]  # mode (0o755 or 0o644), size, mtime, ctime, inode
Files = dict[
    str, list[int | str]
]  # by the path below src: the status, and the sha256 of the content
_IGNORED = {
    ".git",
    ".toolcheck",
    ".echocheck",
}  # what a make in the tree itself leaves, besides BINs and host tools
_SCRATCH = re.compile(
    r"[.#].*|.*(~|\.orig|\.rej|\.swp)"
)  # names that no makefile takes for a source's


class Changes(NamedTuple):
    """What differs from what was copied: paths by what became of them; ``touched`` alone is no change."""

    changed: set[str]
    added: set[str]
    removed: set[str]
    touched: bool

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed)


def scan_tree(src: Path, leave_out: Path | None = None) -> dict[str, FileStatus]:
    """The status of each file of the tree, without what a make in it has built; ``leave_out`` is a directory's real path.

    Raises RomforgeError where a directory cannot be read.
    """
    found: dict[str, FileStatus] = {}
    aside = (
        str(leave_out) if leave_out and leave_out.is_relative_to(os.path.realpath(src)) else None
    )
    try:
        _scan(str(src), "", aside, found)
    except OSError as error:
        raise RomforgeError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return found


def _scan(directory: str, prefix: str, aside: str | None, found: dict[str, FileStatus]) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name in _IGNORED or (not prefix and re.fullmatch(value_types.BINS, name)):
                continue
            if entry.is_dir(follow_symlinks=False):
                if aside is None or os.path.realpath(entry.path) != aside:
                    _scan(entry.path, f"{prefix}{name}/", aside, found)
                continue
            status = _status(entry)
            if status and not _is_made(prefix, status, entry.path):
                found[prefix + name] = status


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
    mode = 0o755 if now.st_mode & 0o100 else 0o644
    return (
        [mode, now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino]
        if stat.S_ISREG(now.st_mode)
        else None
    )


def _is_made(prefix: str, status: FileStatus, path: str) -> bool:
    """Whether a make in the tree made the file: a host tool, or a local header, which it makes empty where one is missing."""
    if prefix == "util/" and status[0] == 0o755:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    return prefix.startswith("config/local/") and status[1] == 0


def compare_trees(
    src: Path, now: dict[str, FileStatus], files: Files, into: Path | None = None, since: int = 0
) -> tuple[Files, Changes]:
    """What differs between a tree and ``files``, which were copied; the files as they are now, and the changes.

    Copies what differs to the directory ``into`` if there is one, with times later than ``since`` (ns). Raises
    RomforgeError where a file cannot be read or copied, or changes meanwhile.
    """
    after: Files = {}
    changes = Changes(set(), set(), files.keys() - now.keys(), touched=False)
    touched = False
    if into:
        _drop(into, changes.removed)
    for path, status in now.items():
        before = files.get(path)
        if before and before[:5] == status and (into is None or _is_whole(into / path, status)):
            after[path] = before
            continue
        data, state = fingerprint.read_file(src / path)
        after[path] = [status[0], *state]
        if (
            before
            and before[0] == status[0]
            and before[5] == state[4]
            and (into is None or _is_whole(into / path, status))
        ):
            touched = True
            continue
        (changes.changed if before else changes.added).add(path)
        if into:
            write_source(into / path, data, status[0], since)
    return after, changes._replace(touched=touched)


def _is_whole(copy: Path, status: FileStatus) -> bool:
    """Whether the copy of a file is there, of the size it should have: a look that costs little."""
    try:
        return copy.stat().st_size == status[1]
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


def _drop(into: Path, removed: set[str]) -> None:
    for path in removed:
        (into / path).unlink(missing_ok=True)
        parents = [
            parent
            for parent in (into / path).parents
            if parent.is_relative_to(into) and parent != into
        ]
        for parent in parents:  # a directory may hold what the tree's makefiles look for
            try:
                parent.rmdir()
            except OSError:
                break


def is_source(path: str) -> bool:
    """Whether a file that came or went may make a difference to a build."""
    return not _SCRATCH.fullmatch(path.rsplit("/", 1)[-1])


def clear_worktree(directory: Path, aside: Path) -> None:
    """Removes a working tree; what a killed build may still run in it goes on in one that nobody looks at any more."""
    if directory.exists():
        aside.parent.mkdir(parents=True, exist_ok=True)
        place = aside / f"{directory.name}-{os.getpid()}-{time.time_ns()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(place)
        shutil.rmtree(place, ignore_errors=True)
