# SPDX-License-Identifier: GPL-2.0-or-later
"""The reporter of a build, where several threads begin tasks at once."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable

import pytest

from romforge.engine import heartbeat
from romforge.engine.build_reporter import Reporter

THREADS = 8


def test_threads_that_begin_tasks_at_once_begin_one_heartbeat(monkeypatch: pytest.MonkeyPatch):
    """A second one would say everything twice, and nobody would stop it."""
    begun = []

    class Slow:
        def __init__(self, describe: Callable[[], list[str]]) -> None:
            time.sleep(0.05)  # so that all threads have looked whether there is one
            begun.append(describe)

    monkeypatch.setattr(heartbeat, "Heartbeat", Slow)
    reporter = Reporter(io.StringIO(), {})
    barrier = threading.Barrier(THREADS)

    def begin() -> None:
        barrier.wait()
        reporter._begin_heartbeat()

    threads = [threading.Thread(target=begin) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
