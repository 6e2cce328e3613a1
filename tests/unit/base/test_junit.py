# SPDX-License-Identifier: GPL-2.0-or-later
"""JUnit's XML, as a parser of XML reads it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree

from romforge.base import junit
from romforge.base.junit import Case

CASES = [
    Case("a.rom", "boot", "passed", "seen", 1.5),
    Case("b.rom", "boot", "failure", "first\nsecond", 2.25, "console\x1b[2J <end>"),
    Case("b.rom", "start", "error", "not run: make failed"),
    Case("c.rom", "boot", "skipped", "no QEMU"),
]


def test_a_suite_has_counts_times_and_texts(tmp_path: Path):
    before = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    junit.write_junit(tmp_path / "x.xml", "proofs", CASES)
    suite = ElementTree.parse(tmp_path / "x.xml").getroot()
    counts = [suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "time")]
    assert counts == ["proofs", "4", "1", "1", "1", "3.75"]
    assert datetime.fromisoformat(suite.get("timestamp") or "") >= before
    passed, failed, error, skipped = suite
    assert (passed.get("time"), passed.findtext("system-out")) == ("1.50", "seen")
    failure = failed.find("failure")
    assert failure is not None
    assert (failed.get("time"), failure.get("message")) == ("2.25", "first")
    assert failure.text == "first\nsecond"
    assert failed.findtext("system-out") == "console?[2J <end>"
    assert [child.tag for child in (*error, *skipped)] == ["error", "skipped"]


def test_what_is_not_in_unicode_can_be_written(tmp_path: Path):
    junit.write_junit(tmp_path / "x.xml", "s", [Case("\udcff.rom", "a", "passed", "\x00")])
    (case,) = ElementTree.parse(tmp_path / "x.xml").getroot()
    assert case.get("classname") == "?.rom"
