# SPDX-License-Identifier: GPL-2.0-or-later
"""GNU make's jobserver: a pool of jobs that doit, the makes it starts and the make above it share.

A pool of N jobs is a pipe that contains N - 1 bytes; since make 4.4, it can be a named pipe. Each
process may run one job without a byte. For each further job, it reads a byte, and writes the same
byte back when the job ends. So doit has one job of its own, and takes one from the pool for every
make it starts, because that make runs its first job without a byte. MAKEFLAGS contains the place of
the pool:

    --jobserver-auth=R,W         two inherited file descriptors
    --jobserver-auth=fifo:PATH   a named pipe

Notes on the implementation:

- Two processes may be woken by one byte. So reads are non-blocking, and poll() waits. EAGAIN means
  that another process was faster. O_NONBLOCK belongs to the open file, which the makes share; they
  expect it, since make 4.3 sets it itself.
- A byte that is not written back is lost for all processes. So jobs are context managers. The bytes
  that a killed make held are lost until the process that made the pool ends.
- A make closes the descriptors in MAKEFLAGS if its recipe is not marked as recursive (``+``). Then
  there is no pool to join. So descriptors are checked before they are used.

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
_OPTIONS = "--jobserver-auth=", "--jobserver-fds="  # the latter before make 4.2
_shared: Pool | None = None  # the pool of this process and of the workers forked from it


class Pool:
    """A pool of jobs. The user must close it.

    ``reading`` and ``writing`` are the descriptors of the pipe, ``auth`` its place for MAKEFLAGS.
    ``jobs`` is the number of jobs, 0 if the make above decides.
    """

    def __init__(self, reading: int, writing: int, auth: str, jobs: int) -> None:
        self.reading = reading
        self.writing = writing
        self.auth = auth
        self.jobs = jobs
        # Limits the jobs of this process. Unlike those of a make, they cannot run elsewhere.
        self.local = threading.BoundedSemaphore(MOST_JOBS)
        # A pipe for the job that needs no byte of the pool, so that poll() can wait for both.
        self._own_reading, self._own_writing = os.pipe2(os.O_CLOEXEC)
        os.write(self._own_writing, b"+")
        self._held: list[_Job] = []
        self._lock = threading.Lock()

    @contextmanager
    def job(self) -> Iterator[None]:
        """Waits for a job, and holds it within the context. Threads may call it concurrently."""
        job = self._take()
        with self._lock:
            self._held.append(job)
        try:
            yield
        finally:
            self._give_back(job)

    @contextmanager
    def local_job(self) -> Iterator[None]:
        """As ``job``, for a job in this process. ``local`` limits their number as well."""
        with self.local, self.job():
            yield

    def flags(self) -> str:
        """The MAKEFLAGS of a make that shares the pool."""
        jobs = str(self.jobs) if self.jobs else ""
        return f"-j{jobs} --jobserver-auth={self.auth}"

    def inherited(self) -> tuple[int, ...]:
        """The descriptors that a make must inherit to share the pool."""
        if self.auth.startswith("fifo:"):
            return ()
        return self.reading, self.writing

    def close(self) -> None:
        descriptors = {self.reading, self.writing, self._own_reading, self._own_writing}
        for descriptor in descriptors:  # those of a named pipe are the same
            os.close(descriptor)

    def _take(self) -> _Job:
        """Waits for a job. Prefers our own, since no make can use it."""
        return_pipes = {self._own_reading: self._own_writing, self.reading: self.writing}
        poll = select.poll()
        for reading in return_pipes:
            poll.register(reading, select.POLLIN)
            os.set_blocking(reading, False)
        while True:
            for reading, writing in return_pipes.items():
                try:
                    byte = os.read(reading, 1)
                except BlockingIOError:
                    continue  # empty, or another process was faster
                if not byte:
                    raise BrokenPipeError("the jobserver has ended")
                return _Job(writing, byte)
            poll.poll()

    def _give_back(self, job: _Job) -> None:
        """Writes the byte of a job back.

        Returns a byte of the pool rather than our own, as long as a job holds one: the makes wait
        for it. That job holds our own instead.
        """
        with self._lock:
            self._held.remove(job)
            if job.writing == self._own_writing and self._held:
                other = self._held[0]
                job.writing, other.writing = other.writing, job.writing
                job.byte, other.byte = other.byte, job.byte
            os.write(job.writing, job.byte)


class _Job:
    """A job that is held: its byte, and the descriptor to write it back to."""

    def __init__(self, writing: int, byte: bytes) -> None:
        self.writing = writing
        self.byte = byte


def begin_pool(jobs: int | None, usual: int | None = None, local: int = MOST_JOBS) -> Pool:
    """Sets and returns the pool of this process, see ``shared_pool``.

    With ``jobs``, it is a new pool of that many. Without, it is that of the make above, else a new
    pool of ``wanted_jobs``, for which ``usual`` is the default. ``local`` limits the jobs in this
    process.
    """
    global _shared  # noqa: PLW0603
    end_pool()
    pool = None
    if not jobs:
        pool = join_pool(os.environ)
    if pool is None:
        pool = make_pool(jobs or wanted_jobs(os.environ, usual))
    pool.local = threading.BoundedSemaphore(local)
    _shared = pool
    return pool


def shared_pool() -> Pool:
    """The pool of this process.

    A spawned worker does not inherit it, and gets one of a single job.
    """
    return _shared or begin_pool(1)


def end_pool() -> None:
    """Closes the pool of this process, if it has one."""
    global _shared  # noqa: PLW0603
    if _shared:
        _shared.close()
    _shared = None


def wanted_jobs(environment: Mapping[str, str], usual: int | None = None) -> int:
    """The number of jobs by default.

    It is ``parallel=N`` in DEB_BUILD_OPTIONS, else ``usual``, else one for each processor.
    """
    for word in environment.get("DEB_BUILD_OPTIONS", "").split():
        name, _, number = word.partition("=")
        if name == "parallel" and number.isdecimal() and int(number):
            return min(int(number), MOST_JOBS)
    return min(usual or processors(), MOST_JOBS)


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


class PoolPlace(NamedTuple):
    """The place of a pool in MAKEFLAGS: either descriptors, or the path of a named pipe."""

    descriptors: tuple[int, int] | None
    path: str | None


def make_pool(jobs: int) -> Pool:
    """Returns a new pool of ``jobs``, or of one job if that is less."""
    jobs = max(jobs, 1)
    reading, writing = os.pipe()
    os.write(writing, b"+" * (jobs - 1))
    return Pool(reading, writing, f"{reading},{writing}", jobs)


def join_pool(environment: Mapping[str, str]) -> Pool | None:
    """The pool of the make that started this process; None if there is none that is open."""
    place = find_pool(environment.get("MAKEFLAGS", ""))
    if place is None:
        return None
    if place.path is not None:
        return _join_named_pipe(place.path)
    if place.descriptors is None or not all(map(_is_pipe, place.descriptors)):
        return None
    reading, writing = map(os.dup, place.descriptors)
    return Pool(reading, writing, f"{reading},{writing}", 0)


def _join_named_pipe(path: str) -> Pool | None:
    try:
        if not _is_pipe(path):
            return None
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    return Pool(descriptor, descriptor, f"fifo:{path}", 0)


def find_pool(flags: str) -> PoolPlace | None:
    """The place of the pool in MAKEFLAGS. Of several, the last one is valid."""
    place = None
    for word in flags.split():
        for option in _OPTIONS:
            if word.startswith(option):
                place = _parse_auth(word.removeprefix(option))
    return place


def _parse_auth(auth: str) -> PoolPlace | None:
    if auth.startswith("fifo:"):
        return PoolPlace(None, auth.removeprefix("fifo:"))
    reading, _, writing = auth.partition(",")
    if not reading.isdecimal() or not writing.isdecimal():
        return None  # -2,-2 if the recipe is not recursive
    return PoolPlace((int(reading), int(writing)), None)


def _is_pipe(file: int | str) -> bool:
    """Whether a descriptor or a path is a pipe."""
    try:
        return stat.S_ISFIFO(os.stat(file).st_mode)
    except OSError:
        return False
