# SPDX-License-Identifier: GPL-2.0-or-later
"""How a step that fails becomes a failed task of doit."""

import errno
import os
from pathlib import Path

import pytest
from doit.exceptions import TaskFailed

from romforge.engine import tasks
from romforge.engine.build_run import BuildRun
from romforge.plan.steps import Fetch, Plan


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_a_file_that_the_system_refuses_fails_the_step_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
):
    """Wherever in a step that happens: doit would print a traceback."""

    def refuse(*_):
        raise OSError(error, os.strerror(error), "work/defaults.h")

    monkeypatch.setattr(tasks, "_run_recorded", refuse)
    plan = Plan("romspec.toml", (), (), {}, ())
    fetch = Fetch("debian", "ipxe-qemu", None, None, "source/debian")
    (tmp_path / ".romforge/tmp").mkdir(parents=True)
    failure = tasks.run_step(fetch, BuildRun(plan, tmp_path))
    assert isinstance(failure, TaskFailed)
    assert failure.message == f"work/defaults.h: {os.strerror(error)}"
