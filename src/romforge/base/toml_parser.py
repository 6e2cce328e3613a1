# SPDX-License-Identifier: GPL-2.0-or-later
"""The TOML parser: tomllib, or for Python 3.10 its twin tomli."""

from __future__ import annotations

import sys
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML document; raises ValueError, or RecursionError if they nest too deep."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
