# SPDX-License-Identifier: GPL-2.0-or-later
"""External programs: run them, and say in words what is missing or what they said."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Sequence

from romforge.base.errors import RomforgeError


class MissingTool(RomforgeError):
    """A program that is not installed."""


def run_program(command: Sequence[str], *, package: str, cwd: str | None = None) -> bytes:
    """Runs a program and returns what it writes to standard output.

    Raises MissingTool, which names the Debian ``package`` to install, and RomforgeError with the program's last
    words where it fails. Messages are in English, whatever the locale.
    """
    try:
        done = subprocess.run(
            list(command),
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise MissingTool(
            f"{command[0]}: not found; install the Debian package {package}"
        ) from None
    except OSError as error:
        raise RomforgeError(f"{command[0]}: cannot be run: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        words = "\n  ".join(["", *said])
        raise RomforgeError(f"`{' '.join(command)}` ended with status {done.returncode}:{words}")
    return done.stdout


@functools.lru_cache
def pdeathsig_prefix(signal: str = "TERM") -> list[str]:
    """What to begin a command with so that it gets a signal when this process dies, however it dies."""
    try:
        said = subprocess.run(["setpriv", "--version"], capture_output=True, check=False).stdout
    except OSError:
        return []
    return ["setpriv", "--pdeathsig", signal, "--"] if b"util-linux" in said else []
