# SPDX-License-Identifier: GPL-2.0-or-later
"""The command that runs the same make again."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from romforge.sources.ipxe import gnu_make


def test_the_command_to_paste_runs_the_same_make_in_the_same_directory(tmp_path: Path):
    """The shell passes each argument unchanged to make, and none of the caller's variables."""
    directory = tmp_path / "with spaces & 'quotes'"
    directory.mkdir()
    (tmp_path / "make").write_text('#!/bin/sh\npwd\nprintf "%s\\n" "CFLAGS is $CFLAGS" "$@"\n')
    (tmp_path / "make").chmod(0o755)
    arguments = ["A=$(info  x)$$b 'c' \"d\" `e`", "B=", "bin/a--b.rom"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CFLAGS": "-O0"}
    done = subprocess.run(
        ["bash", "-c", gnu_make.command_to_paste(arguments, directory)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    cwd, flags, jobs, *received = done.stdout.splitlines()
    assert (cwd, flags, received) == (str(directory), "CFLAGS is ", arguments)
    assert re.fullmatch(r"-j\d+", jobs)
