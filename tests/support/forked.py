# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs romforge and doit in forks of a Python that has imported them already.

Half of a short run's time is the start of Python. A fork is still a process of its own, with its
own directory, environment, output and status. What Python reads when it starts cannot differ in a
fork, such as PYTHONPATH or the locale: then there is no fork, and the caller starts a Python.

Run as a program, this module is the Python that forks. Its standard input is a socket.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import inspect
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MODULES = "romforge", "doit"  # that may be run
_LATE = "rich.console", "rich.live", "rich.progress", "rich.table", "tomllib", "difflib", "jinja2"
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_", "GLIBC_")  # of variables
_MESSAGE = 1 << 20  # bytes, at most


class Forks:
    """The Python that forks for one worker of pytest. It ends with the worker."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.lock = threading.Lock()
        self.seconds = 0.0  # of processor time, for those who measure tests
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection = ours
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                env=self.environment,
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,  # which is not written to, and not seekable
            )

    def fit(self, environment: Mapping[str, str]) -> bool:
        """Whether a fork is the same as a Python that is started with this environment."""
        return _start_variables(environment) == _start_variables(self.environment)

    def run(
        self, words: Sequence[str], directory: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs a module with its arguments, as ``python -m`` would, without standard input."""
        out, errors = os.pipe(), os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        pid = self.begin(words, directory, environment, (nothing, out[1], errors[1]))
        try:
            texts = _read_both(out[0], errors[0], timeout)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.close(out[0])
            os.close(errors[0])
            status = self.end()
        return subprocess.CompletedProcess(list(words), status, *texts)

    def begin(
        self,
        words: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        descriptors: Sequence[int],
    ) -> int:
        """Begins a run with three files of standard input, output and errors; returns its process.

        The files are closed here.
        """
        request = {"words": words, "directory": str(directory), "environment": dict(environment)}
        try:
            message = json.dumps(request).encode()
            socket.send_fds(self.connection, [message], descriptors)
        finally:
            for descriptor in set(descriptors):
                os.close(descriptor)
        return int(self.connection.recv(_MESSAGE))

    def end(self) -> int:
        """Waits for the end of the run, and returns its status."""
        status, seconds = json.loads(self.connection.recv(_MESSAGE))
        self.seconds += seconds
        return int(status)


def _start_variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


def _read_both(out: int, errors: int, timeout: float) -> tuple[str, str]:
    """All that is written to two pipes, as text."""
    contents = {out: b"", errors: b""}
    end = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for descriptor in contents:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(end - time.monotonic())
            if not ready:
                raise subprocess.TimeoutExpired("a fork", timeout)
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                contents[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
    texts = [data.decode().replace("\r\n", "\n") for data in contents.values()]
    return texts[0], texts[1]


# In the Python that forks


def _import_all() -> None:
    """Imports all modules of both programs, and what they import late."""
    for name in MODULES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                _import(module.name)
    for name in _LATE:
        _import(name)
    inspect.getsourcelines(_import)  # doit does so with its tasks, and this compiles patterns


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:  # of what is not installed
        return


def _serve(connection: socket.socket) -> None:
    """Forks for each request, and returns in each fork, with nothing left of the connection."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE, 3)
        if not message:
            os._exit(0)  # the worker has ended
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(json.loads(message), descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(pid).encode())
        _, status, usage = os.wait4(pid, 0)
        seconds = usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        connection.send(json.dumps([code, seconds]).encode())


def _become(request: dict[str, object], descriptors: Sequence[int]) -> None:
    """Gives a fork its files, directory, environment and arguments."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # as Python opens them; doit has the first one already
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    output = os.fdopen(2, "wb", closefd=False)
    sys.stderr = io.TextIOWrapper(
        output, sys.stdout.encoding, "backslashreplace", line_buffering=True
    )
    directory, environment, words = request["directory"], request["environment"], request["words"]
    assert isinstance(directory, str)
    assert isinstance(environment, dict)
    assert isinstance(words, list)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = os.getcwd()
    sys.argv = words


def _run_module(name: str) -> None:
    """Runs a module as ``python -m`` would, and ends the process with its status.

    Of what Python does at its end, the exit handlers run and all output is written. To take the
    modules apart would take longer than most commands, since none of their memory is shared then.
    """
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int | None) or threading.active_count() > 1:
            raise
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(end.code or 0)


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=os.dup(0)))
    _run_module(sys.argv[0])
