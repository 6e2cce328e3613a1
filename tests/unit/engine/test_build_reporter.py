# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build says while it runs."""

from __future__ import annotations

import io
import sys
from typing import ClassVar

import pytest

from romforge.engine.build_reporter import Reporter


def test_what_is_said_comes_in_whole_lines(monkeypatch: pytest.MonkeyPatch):
    """Two threads begin platforms at the same moment. Lines written in pieces would mix."""

    class Pieces(io.StringIO):
        written: ClassVar[list[str]] = []

        def write(self, text: str) -> int:
            self.written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Pieces())
    Reporter(io.StringIO(), {}).say("one\ntwo")
    assert Pieces.written == ["romforge: one\ntwo\n"]
