# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes outcomes as JUnit's XML, which CI services show as test results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, NamedTuple

from romforge.base import output_files

State = Literal["passed", "failure", "error", "skipped"]


class Case(NamedTuple):
    """A test case: ``text`` says what was seen or is wrong, ``output`` what a guest printed."""

    group: str
    name: str
    state: State
    text: str
    seconds: float = 0
    output: str = ""


def write_junit(path: Path, suite_name: str, cases: Sequence[Case]) -> None:
    """Writes a suite that ends now; raises RomforgeError where the file cannot be written."""
    output_files.replace_file(path, _suite(suite_name, cases, datetime.now(timezone.utc)))


def _suite(suite_name: str, cases: Sequence[Case], end: datetime) -> bytes:
    from xml.etree import ElementTree

    count = Counter(case.state for case in cases)
    suite = ElementTree.Element(
        "testsuite",
        name=suite_name,
        timestamp=end.strftime("%Y-%m-%dT%H:%M:%S"),  # UTC, as in JUnit's own reports
        tests=str(len(cases)),
        failures=str(count["failure"]),
        errors=str(count["error"]),
        skipped=str(count["skipped"]),
        time=f"{sum(case.seconds for case in cases):.2f}",
    )
    for case in cases:
        element = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_clean(case.group),
            name=_clean(case.name),
            time=f"{case.seconds:.2f}",
        )
        text = _clean(case.text)
        output = _clean(case.output)
        if case.state == "passed":
            output = "\n".join(filter(None, [text, output]))
        else:
            message = text.partition("\n")[0]
            ElementTree.SubElement(element, case.state, message=message).text = text
        if output:
            ElementTree.SubElement(element, "system-out").text = output
    ElementTree.indent(suite)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"


def _clean(text: str) -> str:
    """Text without characters that XML cannot hold, or a terminal would act on."""
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)
