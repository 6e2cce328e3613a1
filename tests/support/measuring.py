# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands, and what they take: processor time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.project import PATIENCE, TOP

# Between a command and pytest stands a small process, since Linux counts the memory of a parent
# as its child's until that becomes another program.
LAUNCHER = """
import os, json, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, \
usage.ru_maxrss << 10]), file=sys.stderr)
"""


class Used(NamedTuple):
    """How a command ended, and what it took: seconds of CPU and bytes of memory."""

    status: int
    cpu: float
    memory: int
    output: str


def measured(directory: Path, *arguments: object, prefix: tuple[str, ...] = ()) -> Used:
    """Runs romforge in a directory; a traceback or a command that hangs fails the test."""
    command = [
        sys.executable,
        "-c",
        LAUNCHER,
        *prefix,
        sys.executable,
        "-m",
        "romforge",
        *map(str, arguments),
    ]
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ROM", "PYTEST", "PYTHONDONT"))
    }
    environment |= {"PYTHONPATH": str(TOP / "src")}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        errors="replace",
    )
    *said, last = done.stderr.splitlines()
    output = done.stdout + "\n".join(said)
    assert "Traceback" not in output, output
    status, cpu, memory = json.loads(last)
    return Used(status, cpu, memory, output)
