# SPDX-License-Identifier: GPL-2.0-or-later
"""A long run without a terminal shows that it is alive; a short one says nothing."""

from __future__ import annotations

import io
import sys
import time

import pytest

from romforge.engine import heartbeat
from tests.support.project import PATIENCE


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", stream)
    return stream


def test_it_says_what_is_going_on_until_it_is_stopped(errors: io.StringIO):
    beat = heartbeat.Heartbeat(lambda: ["make:ipxe/pcbios: 12 objects"], interval=0.05)
    end = time.monotonic() + PATIENCE
    while errors.getvalue().count("still at work") < 3 and time.monotonic() < end:
        time.sleep(0.01)
    beat.stop()
    lines = errors.getvalue().splitlines()
    assert lines[0].startswith("romforge: still at work after ")
    assert lines[1] == "romforge: make:ipxe/pcbios: 12 objects"
    time.sleep(0.2)
    said = errors.getvalue()
    time.sleep(0.2)
    assert errors.getvalue() == said


def test_a_short_run_says_nothing_of_its_steps(
    errors: io.StringIO, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(heartbeat, "_QUIET", PATIENCE)
    beat = heartbeat.Heartbeat(list)
    beat.tell("built a.rom")
    assert errors.getvalue() == ""
    monkeypatch.setattr(heartbeat, "_QUIET", 0)
    beat.tell("built b.rom")
    beat.stop()
    assert errors.getvalue() == "romforge: built b.rom\n"


def test_a_stream_that_is_closed_does_not_end_the_run(errors: io.StringIO):
    errors.close()
    beat = heartbeat.Heartbeat(list, interval=0.01)
    time.sleep(0.1)
    beat.stop()
