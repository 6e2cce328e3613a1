# SPDX-License-Identifier: GPL-2.0-or-later
"""The names by which parts of the page can be linked: for every ROM, fault and change one."""

from __future__ import annotations

import re

_OTHERS = re.compile(r"[^A-Za-z0-9._/-]")


def make_anchor(kind: str, path: str, number: int = 1) -> str:
    """The name of the part of a kind that is about a file, or of the ``number``-th of several.

    It has only characters that may stand in an address. Any other character becomes its bytes.

    >>> make_anchor("rom", "usr/share/qemu/efi-e1000.rom")
    'rom/usr/share/qemu/efi-e1000.rom'
    >>> make_anchor("fault", "a b.rom", 2)
    'fault/a~20b.rom~~2'
    """
    name = f"{kind}/{_OTHERS.sub(_escape, path)}"
    return name if number == 1 else f"{name}~~{number}"


def _escape(match: re.Match[str]) -> str:
    data = match[0].encode("utf-8", "surrogateescape")
    return "".join(f"~{byte:02x}" for byte in data)
