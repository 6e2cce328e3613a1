# SPDX-License-Identifier: GPL-2.0-or-later
"""One pool of jobs for doit, for every make it starts, and for a make that started it: GNU make's jobserver.

A pool of N jobs is a pipe (or, since make 4.4, a named pipe) that holds N - 1 bytes. Each process may run one job
unasked; for each further one it takes a byte out, and puts the same byte back when the job ends. So the process that
makes the pool, here doit's, has one job of its own, and every make it starts needs one taken from the pool first,
for that make runs one job unasked in its turn. MAKEFLAGS tells a make where the pool is:

    --jobserver-auth=R,W         two inherited file descriptors
    --jobserver-auth=fifo:PATH   a named pipe

What makes it subtle:

- Two may see the same byte. So reads here wait in poll() and never block: EAGAIN is "somebody was quicker". The flag
  belongs to the open file, which is shared with the makes; they cope, since make 4.3 sets it itself.
- A byte that is not put back is lost for all: jobs are context managers, and a killed make's bytes are those it took
  itself, which the makes above it cannot know of. A pool that we made lives no longer than this process.
- A make that starts us with a recipe it does not mark as recursive (``+``) names descriptors in MAKEFLAGS that it
  closed. Then there is no pool to join; descriptors are looked at before they are believed.

Source: the GNU make manual, 13.1 (Sharing Job Slots with GNU make).
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

MOST_JOBS = 1024
_shared: Pool | None = None  # of this process and the workers forked from it
_AUTH = ("--jobserver-auth=", "--jobserver-fds=")  # the latter before make 4.2


class Pool:
    """Jobs to share. ``jobs`` is their number, 0 where a make above decides; close it when done."""

    def __init__(self, reading: int, writing: int, auth: str, jobs: int) -> None:
        self.local = threading.BoundedSemaphore(
            MOST_JOBS
        )  # for jobs of this process, which no other machine can take
        self.reading, self.writing, self.auth, self.jobs = reading, writing, auth, jobs
        self._own = os.pipe2(
            os.O_CLOEXEC
        )  # holds the one job that needs no byte of the pool, so that both are waited for
        os.write(self._own[1], b"+")
        self._held: list[_Job] = []
        self._lock = threading.Lock()

    @contextmanager
    def job(self) -> Iterator[None]:
        """Holds one job, and waits for it; may be called from many threads at once."""
        held = self._take()
        with self._lock:
            self._held.append(held)
        try:
            yield
        finally:
            self._give_back(held)

    @contextmanager
    def local_job(self) -> Iterator[None]:
        """Holds one job for work of this process, of which there may be less at once than jobs in the pool."""
        with self.local, self.job():
            yield

    def flags(self) -> str:
        """What MAKEFLAGS must hold for a make that is to share the pool."""
        return f"-j{self.jobs or ''} --jobserver-auth={self.auth}"

    def inherited(self) -> tuple[int, ...]:
        """The descriptors that such a make must inherit."""
        return () if self.auth.startswith("fifo:") else (self.reading, self.writing)

    def close(self) -> None:
        for handle in {self.reading, self.writing, *self._own}:
            os.close(handle)

    def _take(self) -> _Job:
        """Waits for a job: our own where that is free, for no make could use it, else one of the pool."""
        homes = {self._own[0]: self._own[1], self.reading: self.writing}
        poll = select.poll()
        for handle in homes:
            poll.register(handle, select.POLLIN)
            os.set_blocking(handle, False)
        while True:
            for handle, home in homes.items():
                try:
                    if byte := os.read(handle, 1):
                        return _Job(home, byte)
                except BlockingIOError:
                    continue  # there is none, or somebody was quicker
                raise BrokenPipeError("the jobserver has gone")
            poll.poll()

    def _give_back(self, held: _Job) -> None:
        """Puts a job back; our own goes to one that has taken from the pool, whose makes lack what it took."""
        with self._lock:
            self._held.remove(held)
            if held.home == self._own[1] and self._held:
                other = self._held[0]
                held.home, held.byte, other.home, other.byte = (
                    other.home,
                    other.byte,
                    held.home,
                    held.byte,
                )
            os.write(held.home, held.byte)


class _Job:
    """A job that is held: where to put it back, and the byte that stands for it."""

    def __init__(self, home: int, byte: bytes) -> None:
        self.home, self.byte = home, byte


def begin_pool(jobs: int | None, usual: int | None = None, local: int = MOST_JOBS) -> Pool:
    """The pool of this process, for all who ask by ``shared_pool``: of so many jobs, else that of the make above, else a new one.

    ``usual`` is the number where neither caller nor environment says; ``local`` the most jobs of this process at once.
    """
    global _shared  # noqa: PLW0603
    end_pool()
    _shared = (None if jobs else join_pool(os.environ)) or make_pool(
        jobs or wanted_jobs(os.environ, usual)
    )
    _shared.local = threading.BoundedSemaphore(local)
    return _shared


def shared_pool() -> Pool:
    """The pool of this process; in a worker that was spawned, and so has no part in it, a single job."""
    return _shared or begin_pool(1)


def end_pool() -> None:
    """Closes the pool of this process."""
    global _shared  # noqa: PLW0603
    if _shared:
        _shared.close()
    _shared = None


def wanted_jobs(environment: Mapping[str, str], usual: int | None = None) -> int:
    """How many jobs to run where nobody says: ``parallel=N`` of DEB_BUILD_OPTIONS, else ``usual``, else one for each processor."""
    for word in environment.get("DEB_BUILD_OPTIONS", "").split():
        name, _, number = word.partition("=")
        if name == "parallel" and number.isdecimal() and int(number):
            return min(int(number), MOST_JOBS)
    return min(usual or processors(), MOST_JOBS)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


class PoolPlace(NamedTuple):
    """Where MAKEFLAGS says that a pool is: descriptors, or the path of a named pipe."""

    descriptors: tuple[int, int] | None
    path: str


def make_pool(jobs: int) -> Pool:
    """A new pool of ``jobs``, at least one."""
    reading, writing = os.pipe()
    os.write(writing, b"+" * (max(jobs, 1) - 1))
    return Pool(reading, writing, f"{reading},{writing}", max(jobs, 1))


def join_pool(environment: Mapping[str, str]) -> Pool | None:
    """The pool of the make that started this process; None where there is none, or it cannot be reached."""
    place = find_pool(environment.get("MAKEFLAGS", ""))
    if place is None:
        return None
    if place.descriptors is None:
        try:
            if not stat.S_ISFIFO(os.stat(place.path).st_mode):
                return None
            both = os.open(place.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        return Pool(both, both, f"fifo:{place.path}", 0)
    if not all(_is_pipe(handle) for handle in place.descriptors):
        return None
    reading, writing = (os.dup(handle) for handle in place.descriptors)
    return Pool(reading, writing, f"{reading},{writing}", 0)


def find_pool(flags: str) -> PoolPlace | None:
    """What MAKEFLAGS says of a pool; the last word counts."""
    found = None
    for word in flags.split():
        for auth in _AUTH:
            if word.startswith(auth):
                found = _parse_auth(word.removeprefix(auth))
    return found


def _parse_auth(auth: str) -> PoolPlace | None:
    if auth.startswith("fifo:"):
        return PoolPlace(None, auth.removeprefix("fifo:"))
    reading, _, writing = auth.partition(",")
    if not (
        reading.isdecimal() and writing.isdecimal()
    ):  # make says -2,-2 where the recipe is not recursive
        return None
    return PoolPlace((int(reading), int(writing)), "")


def _is_pipe(handle: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(handle).st_mode)
    except OSError:
        return False
