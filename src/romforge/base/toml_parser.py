# SPDX-License-Identifier: GPL-2.0-or-later
"""The TOML parser: tomllib, or for Python 3.10 its twin tomli."""

from __future__ import annotations

import re
import sys
from typing import Any

# The parser's time grows with the square of the parts of a dotted key. Lines of more than so many
# characters are searched for keys of more than so many parts before it parses them.
_LONG_LINE = 200
_DEEPEST_KEY = 64


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML document; raises ValueError, or RecursionError if they nest too deep."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def line_with_deep_key(text: str) -> int | None:
    """The number of the first line with a dotted key of so many parts that parsing takes long."""
    part = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) <= _LONG_LINE:
            continue
        if re.search(rf"(?:\.[ \t]*{part}[ \t]*){{{_DEEPEST_KEY}}}", line):
            return number
    return None
