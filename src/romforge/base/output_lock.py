# SPDX-License-Identifier: GPL-2.0-or-later
"""One build at a time in an output root. The kernel frees the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from romforge.base import output_files
from romforge.base.errors import RomforgeError
from romforge.base.output_files import STATE

_HOLDER = "ROMFORGE_LOCK"  # tells the workers of a parallel doit that their parent holds the lock
_held: dict[str, int] = {}  # open files, by the output root
_threads = threading.Lock()  # a second open file would drop the lock when it is closed


class Busy(RomforgeError):
    """Another process builds in the output root."""


def hold_lock(out: Path) -> None:
    """Takes the lock of the output root until this process ends or gives it back; raises Busy, which says who holds it.

    A POSIX record lock, and not flock: a worker process that outlives a killed build must not keep it.
    """
    with _threads:
        if str(out) not in _held:
            path = str(out.resolve() / STATE / "lock")
            holder, _, locked = os.environ.get(_HOLDER, "").partition(" ")
            if locked == path and holder.isdecimal() and int(holder) != os.getpid():
                _require_alive(int(holder))
                _die_with_parent()
                return
            output_files.prepare_root(out)
            _held[str(out)] = _take_lock(path, out)
            os.environ[_HOLDER] = f"{os.getpid()} {path}"
            output_files.remove_leftovers(out)


def is_lock_held(out: Path) -> bool:
    """Whether this process holds the lock of the output root."""
    return str(out) in _held


def release_lock(out: Path) -> None:
    """Gives the lock back, if this process holds it."""
    with _threads:
        if (handle := _held.pop(str(out), None)) is not None:
            os.environ.pop(_HOLDER, None)
            os.close(handle)


def _require_alive(holder: int) -> None:
    """Raises Busy in a worker whose build has ended without it."""
    try:
        os.kill(holder, 0)
    except ProcessLookupError:
        raise Busy(
            f"the build that began this work, process {holder}, is gone; run doit again"
        ) from None
    except PermissionError:
        pass  # it lives


def _die_with_parent() -> None:
    """Asks the kernel to end this process when its parent ends."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def _take_lock(path: str, out: Path) -> int:
    """Opens and locks the file, and writes into it who holds it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RomforgeError(f"{path}: the lock cannot be taken: {error.strerror}") from None
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = (
            os.read(handle, 200).decode(errors="replace").strip() or "a process that has just begun"
        )
        os.close(handle)
        raise Busy(
            f"{out}: another build is at work there: {holder}; wait for it, or set ROMFORGE_OUT=DIR"
        ) from None
    with suppress(OSError):  # a full disk: the lock holds all the same
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}\n".encode())
    return handle


def _begin_worker() -> None:
    """A forked worker has no lock, which stays its parent's, and would for ever wait for the tasks of a killed build."""
    if _held:
        _held.clear()
        _die_with_parent()


os.register_at_fork(after_in_child=_begin_worker)
