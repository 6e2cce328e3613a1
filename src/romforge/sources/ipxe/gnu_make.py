# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs GNU make within the shared pool of jobs, and interrupts it together with its children.

The output goes to a file, not through a pipe: a compiler launcher may start a daemon, which would
keep a pipe open.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from romforge.base import jobserver, programs
from romforge.base.errors import RomforgeError
from romforge.base.text import plural
from romforge.sources.ipxe import toolchain

_CLEANUP_TIME = 10  # seconds that interrupted makes have to clean up
_BUILD = b"  [BUILD] "  # begins the line that iPXE's Makefile prints for an object
_COMPILED = re.compile(rb" -o (\S+\.o)$", re.M)  # in a command line, which V=1 shows instead
_LONGEST_LINE = 200  # bytes of a log's end that are read to show progress

_builds = threading.Semaphore(0)  # counts the builds in progress, each with its makes
_stopped = threading.Event()


class _Output(NamedTuple):
    """What a make prints: the name of its task, its log, and where in the log it began, in bytes.

    An earlier make may have written to the same log.
    """

    name: str
    log: Path
    begin: int


_UMASK = 0o022  # since an image of a CD has the permissions of its files
_running: dict[subprocess.Popen[bytes], _Output] = {}  # the makes that run


class Killed(RomforgeError):
    """Make was killed, or the disk was full: the files that it left cannot be used."""


@contextmanager
def build() -> Iterator[None]:
    """Marks a build in progress, which ``interrupt_makes`` waits for."""
    _builds.release()
    try:
        yield
    finally:
        _builds.acquire()


def interrupted() -> bool:
    """Whether this process was interrupted."""
    return _stopped.is_set()


def interrupt_makes() -> None:
    """Interrupts all makes of this process, and waits until their builds have cleaned up."""
    _stopped.set()
    for process in list(_running):
        _signal_group(process, signal.SIGINT)
    end = time.monotonic() + _CLEANUP_TIME
    while _builds._value and time.monotonic() < end:
        time.sleep(0.01)


def run_make(
    arguments: Sequence[str],
    directory: Path,
    log: Path,
    launcher: tuple[str, ...] = (),
    name: str = "make",
) -> int:
    """Runs make and returns its exit status.

    The output is appended to ``log``. ``name`` is shown with its progress. An interrupt is passed
    on to make, which has time to clean up; the status is then that of make. Raises Killed if make
    was killed by a signal.
    """
    pool = jobserver.shared_pool()
    with pool.job(), log.open("ab") as output:
        if interrupted():
            return 2
        environment = toolchain.make_environment(os.environ, launcher)
        # -Oline keeps the output of each command together
        environment["MAKEFLAGS"] = f"{pool.flags()} -Oline"
        process = subprocess.Popen(
            [*programs.pdeathsig_prefix(), "make", *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pool.inherited(),
            start_new_session=True,
            umask=_UMASK,
        )
        _running[process] = _Output(name, log, output.tell())
        try:
            status = process.wait()
        except KeyboardInterrupt:
            _stopped.set()
            _signal_group(process, signal.SIGINT)
            status = process.wait(_CLEANUP_TIME)
        finally:
            _running.pop(process, None)
    if status < 0 and not interrupted():
        _signal_group(process, signal.SIGKILL)
        raise Killed(
            f"make was killed by signal {-status}; "
            "the next build of this platform starts from scratch"
        )
    return status


def progress_lines() -> list[str]:
    """A line for each running make: its task, how many objects it has made, what it does now."""
    lines = []
    for output in list(_running.values()):
        with suppress(OSError), output.log.open("rb") as file:
            file.seek(output.begin)
            text = file.read()
            compiled = _COMPILED.findall(text)
            objects = plural(text.count(_BUILD) + len(compiled), "object")
            now = text[-_LONGEST_LINE:].decode(errors="replace").splitlines()[-1:]
            if compiled:
                now = [compiled[-1].decode(errors="replace")]
            lines.append(" ".join([f"{output.name}: {objects}", *map(str.strip, now)]))
    return lines


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Sends a signal to a make and all its children, if it still runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def command_to_paste(arguments: Sequence[str], directory: Path) -> str:
    """The shell command that runs the same make again, in an environment like that of the build."""
    make = f"make -j{os.cpu_count()} {shlex.join(arguments)}"
    environment = 'env -i PATH="$PATH" HOME="$HOME" LC_ALL=C'
    return f"cd {shlex.quote(str(directory))} && {environment} {make}"
