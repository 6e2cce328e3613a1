# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs GNU make: inside the pool of jobs, stopped with all its children, and its failure told by the first error.

Its output goes to a file and not through a pipe, which a daemon that a compiler launcher starts would keep open.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from romforge.base import jobserver, programs
from romforge.base.errors import RomforgeError
from romforge.sources.ipxe import toolchain

_PATIENCE = 10  # seconds for interrupted makes to clean up after themselves
_LONGEST = 200  # bytes of a line that is shown as progress

_running: dict[subprocess.Popen[bytes], Path] = {}  # makes, and their logs
_builds = threading.Semaphore(
    0
)  # counts builds that are at work, makes and what comes before and after them
_stopped = threading.Event()


class Killed(RomforgeError):
    """A make that was killed, or whose disk was full: what it left cannot be trusted."""


@contextmanager
def build() -> Iterator[None]:
    """Marks a build that ``interrupt_makes`` waits for."""
    _builds.release()
    try:
        yield
    finally:
        _builds.acquire()


def interrupted() -> bool:
    """Whether this process was told to stop."""
    return _stopped.is_set()


def interrupt_makes() -> None:
    """Stops all makes of this process, and waits until their builds have put away what they left."""
    _stopped.set()
    for process in list(_running):
        _signal(process, signal.SIGINT)
    end = time.monotonic() + _PATIENCE
    while _builds._value and time.monotonic() < end:
        time.sleep(0.01)


def run_make(
    words: Sequence[str], directory: Path, log: Path, launcher: tuple[str, ...] = ()
) -> int:
    """Runs make with its output in ``log``; returns its exit status. Raises Killed.

    After an interrupt, which make is told of and given the time to clean up, the status is that of make.
    """
    pool = jobserver.shared_pool()
    with pool.job(), log.open("ab") as output:
        if interrupted():
            return 2
        environment = toolchain.make_environment(os.environ, launcher)
        environment["MAKEFLAGS"] = f"{pool.flags()} -Oline"  # lines of several recipes may not mix
        process = subprocess.Popen(
            [*programs.pdeathsig_prefix(), "make", *words],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pool.inherited(),
            start_new_session=True,
        )
        _running[process] = log
        try:
            status = process.wait()
        except KeyboardInterrupt:
            _stopped.set()
            _signal(process, signal.SIGINT)
            status = process.wait(_PATIENCE)
        finally:
            _running.pop(process, None)
    if status < 0 and not interrupted():
        _signal(process, signal.SIGKILL)
        raise Killed(
            f"make was killed by signal {-status}; the next build of this platform begins anew"
        )
    return status


def progress_line() -> str:
    """What the makes of this process have said last."""
    said = []
    for log in list(_running.values()):
        with suppress(OSError, IndexError), log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LONGEST))
            said.append(file.read().decode(errors="replace").splitlines()[-1].strip())
    return "  ".join(said)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def command_to_paste(words: Sequence[str], directory: Path) -> str:
    """The command as a person would run it again."""
    return f'cd {shlex.quote(str(directory))} && env -i PATH="$PATH" HOME="$HOME" LC_ALL=C make -j{os.cpu_count()} {shlex.join(words)}'
