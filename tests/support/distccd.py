# SPDX-License-Identifier: GPL-2.0-or-later
"""Two distccd on ports of their own of this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.project import PATIENCE


class Servers:
    """The servers, and what they say in their logs."""

    def __init__(self, top: Path, jobs: int) -> None:
        self.jobs, self.ports = jobs, [free_port(), free_port()]
        self.logs = [top / f"distccd-{port}.log" for port in self.ports]
        self.processes = [self._start(port, log) for port, log in zip(self.ports, self.logs)]

    def _start(self, port: int, log: Path) -> subprocess.Popen[bytes]:
        command = [
            "distccd",
            "--no-detach",
            "--daemon",
            "--allow",
            "127.0.0.1",
            "--listen",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        command += ["--jobs", str(self.jobs), "--log-stderr", "--log-level", "info"]
        clean = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": "/tmp",
        }  # started by root, it becomes another user
        with log.open("wb") as output:
            return subprocess.Popen(
                command, env=clean, stdin=subprocess.DEVNULL, stderr=output, start_new_session=True
            )

    @property
    def hosts(self) -> str:
        return " ".join(f"127.0.0.1:{port}/{self.jobs}" for port in self.ports)

    def compiled(self, number: int) -> list[str]:
        """The sources that a server has compiled."""
        return re.findall(r"COMPILE_OK .* (\S+)$", self.logs[number].read_text(), re.MULTILINE)

    def kill(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.processes[number].pid, signal.SIGKILL)  # its children listen, too
        self.processes[number].wait()


@contextmanager
def running(top: Path, jobs: int) -> Iterator[Servers]:
    """Starts the servers, which take so many jobs each at once, and kills them."""
    servers = Servers(top, jobs)
    try:
        end = time.monotonic() + PATIENCE
        while not all("listening" in log.read_text() for log in servers.logs):
            if time.monotonic() > end:
                raise TimeoutError("\n".join(log.read_text() for log in servers.logs))
            time.sleep(0.01)
        yield servers
    finally:
        servers.kill(0)
        servers.kill(1)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
