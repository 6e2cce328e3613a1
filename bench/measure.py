# SPDX-License-Identifier: GPL-2.0-or-later
"""The result of a benchmark, printed as a line of text, or as JSON for ``bench/run``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Measure:
    """A measured value, with its limit if there is one. The field names are JSON keys.

    ``what`` describes the value, and ``detail`` has the figures behind it. ``unit`` is "ratio",
    "bytes" or "seconds".
    """

    bench: str
    what: str
    value: float
    unit: str = "ratio"
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the value is within its limits."""
        if self.at_most is not None and self.value > self.at_most:
            return False
        return self.at_least is None or self.value >= self.at_least

    @property
    def limit(self) -> str:
        """The limit as text, or "" if there is none."""
        if self.at_most is not None:
            return f"at most {format_value(self.at_most, self.unit)}"
        if self.at_least is not None:
            return f"at least {format_value(self.at_least, self.unit)}"
        return ""

    @property
    def shown(self) -> str:
        """The value as text."""
        return format_value(self.value, self.unit)


def format_value(value: float, unit: str) -> str:
    """``1.07`` for a ratio, ``294,500`` for bytes, ``0.52 s`` for seconds."""
    if unit == "bytes":
        return f"{value:,.0f}"
    if unit == "seconds":
        return f"{value:.2f} s"
    return f"{value:.2f}"


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option that all benchmarks have."""
    parser.add_argument("--json", action="store_true", help="print the measures as JSON")


def print_measures(measures: list[Measure], as_json: bool) -> bool:
    """Prints measures, and returns whether all limits are met."""
    if as_json:
        print(json.dumps([asdict(measure) for measure in measures], indent=1))
    else:
        for measure in measures:
            print(_line(measure))
    return all(measure.is_met for measure in measures)


def _line(measure: Measure) -> str:
    line = f"{measure.what:<60} {measure.shown:>9}"
    if measure.limit:
        suffix = "" if measure.is_met else ": EXCEEDED"
        line += f" ({measure.limit}{suffix})"
    if measure.detail:
        line += f"  [{measure.detail}]"
    return line
