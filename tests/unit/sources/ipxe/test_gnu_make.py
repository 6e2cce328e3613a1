# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told of a make that runs, and the command that runs the same make again."""

from __future__ import annotations

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("goal", "now"), [("shown", "bin/b.o"), ("quiet", "[LD] bin/c.tmp")])
def test_progress_counts_objects_whether_or_not_make_shows_its_commands(
    tmp_path: Path, goal: str, now: str
):
    """V=1 shows commands instead of the tree's own progress lines."""
    lines = {
        "shown": ["gcc -Os -c core/a.c -o bin/a.o", "gcc -c core/b.c -o bin/b.o", "ld -o bin/c"],
        "quiet": ["  [BUILD] bin/a.o", "  [BUILD] bin/b.o", "  [LD] bin/c.tmp"],
    }
    recipe = [f"@echo '{line}'" for line in lines[goal]]
    recipe += ["@until [ -e go ]; do sleep 0.02; done"]
    (tmp_path / "Makefile").write_text("all :\n" + "".join(f"\t{line}\n" for line in recipe))
    log = tmp_path / "log"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(gnu_make.run_make, [], tmp_path, log, name="pcbios")
        try:
            while not log.exists() or lines[goal][-1] not in log.read_text():
                assert not running.done(), running.result()
                time.sleep(0.02)
            shown = gnu_make.progress_lines()
        finally:
            (tmp_path / "go").touch()
        assert running.result() == 0
    assert shown == [f"pcbios: 2 objects {now}"]
    assert gnu_make.progress_lines() == []
