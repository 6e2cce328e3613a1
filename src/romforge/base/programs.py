# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs external programs, and reports which are missing or why they failed."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping, Sequence

from romforge.base.errors import RomforgeError


class MissingTool(RomforgeError):
    """A program that is not installed."""


class ProgramError(RomforgeError):
    """A program that failed; ``status`` is its exit status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def run_program(
    command: Sequence[str],
    *,
    package: str,
    cwd: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> bytes:
    """Runs a program and returns its standard output.

    Its messages are in English, whatever the locale. Raises MissingTool with the Debian ``package``
    to install. Raises ProgramError with the last three lines of standard error if the program
    fails.
    """
    try:
        process = subprocess.run(
            list(command),
            cwd=cwd,
            env={**environment, "LC_ALL": "C.UTF-8"},
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
    if process.returncode:
        lines = [f"`{' '.join(command)}` ended with status {process.returncode}:"]
        lines += process.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise ProgramError("\n  ".join(lines), process.returncode)
    return process.stdout


@functools.lru_cache
def pdeathsig_prefix(signal: str = "TERM") -> list[str]:
    """The words in front of a command that gets a signal when this process ends, even if killed.

    Empty if setpriv of util-linux is not installed.
    """
    try:
        process = subprocess.run(["setpriv", "--version"], capture_output=True, check=False)
    except OSError:
        return []
    if b"util-linux" not in process.stdout:
        return []
    return ["setpriv", "--pdeathsig", signal, "--"]
