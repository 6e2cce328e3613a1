# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of steps that failed."""

from __future__ import annotations

from pathlib import Path

from romforge.base import output_files
from romforge.engine import failures
from romforge.engine.build_run import FAILURES, TaskError
from romforge.plan.steps import Fetch

FETCH = Fetch("debian", "ipxe-qemu", None, None, "source/debian")


def test_a_failure_comes_back_as_it_was_kept(tmp_path: Path):
    (tmp_path / ".romforge/tmp").mkdir(parents=True)
    failure = failures.failure_of(FETCH, TaskError("no boot", 1.5, "iPXE\nend"), tmp_path)
    failures.update_failures(tmp_path, {FETCH.task: failure}, ())
    assert failures.read_failures(tmp_path) == {FETCH.task: failure}
    assert (failure.text, failure.seconds, failure.console) == ("no boot", 1.5, "iPXE\nend")


def test_a_failure_that_was_kept_without_time_and_console_is_read(tmp_path: Path):
    """As by romforge 0.1.0."""
    (tmp_path / ".romforge/tmp").mkdir(parents=True)
    output_files.save_json(tmp_path, FAILURES, {FETCH.task: ["digest", "no boot", None, None]})
    failure = failures.read_failures(tmp_path)[FETCH.task]
    assert (failure.text, failure.seconds, failure.console) == ("no boot", 0, "")
