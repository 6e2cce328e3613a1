# SPDX-License-Identifier: GPL-2.0-or-later
"""The classes of page.css that colour images by their kind."""

from __future__ import annotations

_KINDS = "legacy", "x86_64", "arm64", "riscv64", "loong64", "i386"  # by the number of the colour


def colour_of(kind: str) -> str:
    """The class for a kind of image; all kinds without a colour of their own share one."""
    number = _KINDS.index(kind) if kind in _KINDS else len(_KINDS)
    return f"k{number}"
