# SPDX-License-Identifier: GPL-2.0-or-later
"""What a benchmark measured: a line for people, or JSON for ``bench/run``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Measure:
    """A ratio, or bytes, of one run; with the limit that it must keep, if there is one."""

    bench: str
    what: str
    value: float
    unit: str = "ratio"
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""  # the figures behind it

    @property
    def fine(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def limit(self) -> str:
        if self.at_most is not None:
            return f"at most {number(self.at_most, self.unit)}"
        return f"at least {number(self.at_least, self.unit)}" if self.at_least is not None else ""

    @property
    def shown(self) -> str:
        return number(self.value, self.unit)


def number(value: float, unit: str) -> str:
    return f"{value:,.0f}" if unit == "bytes" else f"{value:.2f}{' s' if unit == 'seconds' else ''}"


def option(parser: argparse.ArgumentParser) -> None:
    """What all benchmarks take."""
    parser.add_argument("--json", action="store_true", help="print the measures as JSON")


def tell(measures: list[Measure], as_json: bool) -> bool:
    """Prints measures; tells whether all limits hold."""
    if as_json:
        print(json.dumps([asdict(one) for one in measures], indent=1))
    else:
        for one in measures:
            limit = f" ({one.limit}{'' if one.fine else ': EXCEEDED'})" if one.limit else ""
            print(
                f"{one.what:<60} {one.shown:>9}{limit}{f'  [{one.detail}]' if one.detail else ''}"
            )
    return all(one.fine for one in measures)
