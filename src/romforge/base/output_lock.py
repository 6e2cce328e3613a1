# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock of an output root, so that one build runs there at a time.

The kernel releases the lock when its holder ends, even if it is killed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from romforge.base import output_files
from romforge.base.errors import RomforgeError
from romforge.base.output_files import STATE

# The environment variable of the workers of doit: the process that holds the lock, and its path.
_HOLDER = "ROMFORGE_LOCK"
_held: dict[str, int] = {}  # file descriptors, by the output root
# how SIGINT is handled in the tasks of a worker; empty once the first one has begun
_task_handlers: list[Callable[[int, FrameType | None], Any] | int | None] = []
_early_interrupts: list[int] = []  # the signals that a worker got before its first task
_threads = threading.Lock()  # closing a second descriptor of the file would release the lock


class Busy(RomforgeError):
    """Another process is building in the output root."""


def hold_lock(out: Path) -> None:
    """Takes the lock of the output root until this process ends or releases it.

    Raises Busy if another process holds it. It is a POSIX record lock, not flock: a worker that
    outlives a killed build must not keep it.

    In a worker, raises KeyboardInterrupt if it was interrupted before its first task.
    """
    with _threads:
        if str(out) in _held:
            return
        path = str(out.resolve() / STATE / "lock")
        parent = _holding_parent(path)
        if parent is not None:
            _require_alive(parent)
            _die_with_parent()
            _begin_task()
            return
        output_files.prepare_root(out)
        _held[str(out)] = _take_lock(path, out)
        os.environ[_HOLDER] = f"{os.getpid()} {path}"
        output_files.remove_leftovers(out)


def is_lock_held(out: Path) -> bool:
    """Whether this process holds the lock of the output root."""
    return str(out) in _held


def release_lock(out: Path) -> None:
    """Releases the lock, if this process holds it."""
    with _threads:
        descriptor = _held.pop(str(out), None)
        if descriptor is not None:
            os.environ.pop(_HOLDER, None)
            os.close(descriptor)


def _holding_parent(path: str) -> int | None:
    """In a worker, the process that holds the lock for it."""
    process, _, locked_path = os.environ.get(_HOLDER, "").partition(" ")
    if locked_path != path or not process.isdecimal() or int(process) == os.getpid():
        return None
    return int(process)


def _require_alive(process: int) -> None:
    """Raises Busy if the process, whose worker this one is, has ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        raise Busy(
            f"process {process}, which started this build, has ended; run doit again"
        ) from None
    except PermissionError:
        pass  # it runs


def _die_with_parent() -> None:
    """Makes the kernel kill this process when its parent ends."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def _take_lock(path: str, out: Path) -> int:
    """Locks the lock file, writes this process into it, and returns its descriptor."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise output_files.unwritable_root(path, error) from None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        os.close(descriptor)
        holder = holder or "a process that has just started"
        raise Busy(
            f"{out}: another build is running there: {holder}; wait for it, or set ROMFORGE_OUT=DIR"
        ) from None
    holder = f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}\n"
    with suppress(OSError):  # on a full disk, the lock is held all the same
        os.ftruncate(descriptor, 0)
        os.write(descriptor, holder.encode())
    return descriptor


def _begin_worker() -> None:
    """In a forked worker: its parent keeps the lock.

    The worker must end with its parent, or it would wait forever for the tasks of a killed build.
    """
    if _held:
        # Python would only print an exception that is raised here
        handler = signal.signal(signal.SIGINT, _note_interrupt)
        if handler is signal.SIG_IGN:
            signal.signal(signal.SIGINT, handler)
        else:
            _task_handlers.append(handler)
        _held.clear()
        _die_with_parent()


def _note_interrupt(number: int, frame: FrameType | None) -> None:
    """Handles SIGINT in a worker that has no task yet."""
    _early_interrupts.append(number)


def _begin_task() -> None:
    """In a worker: SIGINT raises KeyboardInterrupt again, also one that came before the first task.

    doit then passes the interrupt on to the parent, which may have lost its own in the same way.
    """
    while _task_handlers:
        signal.signal(signal.SIGINT, _task_handlers.pop())
    if _early_interrupts:
        _early_interrupts.clear()
        raise KeyboardInterrupt


os.register_at_fork(after_in_child=_begin_worker)
