# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows that a long run is alive, where there is no terminal: in the log of a build server."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

INTERVAL = 60  # seconds between two signs of life
_QUIET = 10  # seconds of a run in which nothing is said of steps that are done


class Heartbeat:
    """Says what is done, and every minute what is going on.

    ``describe`` returns lines about what is going on. It is called by another thread.
    """

    def __init__(self, describe: Callable[[], list[str]], interval: float = INTERVAL) -> None:
        self._describe = describe
        self._interval = interval
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def tell(self, text: str) -> None:
        """Says that a step is done, unless the run is a short one."""
        if time.monotonic() - self._began > _QUIET:
            _write([text])

    def stop(self) -> None:
        """Ends it. What it says never comes behind the end of a run."""
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._interval):
            seconds = round(time.monotonic() - self._began)
            _write([f"still at work after {seconds:,} s", *self._describe()])


def _write(lines: list[str]) -> None:
    """Writes to standard error itself: while tasks run, doit replaces ``sys.stderr``."""
    stream = sys.__stderr__
    if stream is None:
        return
    try:
        stream.write("".join(f"romforge: {line}\n" for line in lines))
        stream.flush()
    except (OSError, ValueError):
        pass  # nobody listens
