# SPDX-License-Identifier: GPL-2.0-or-later
"""What a check found, and where: the form that JSON, editors and code hosts take."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Located(NamedTuple):
    """Something that a check found in a file.

    ``line`` and ``column`` count from 1, in characters; they are None where there is no line, as in
    a ROM. ``key`` is the key of the spec, or the path of the ROM. ``rule`` names the kind of check.
    """

    file: str
    line: int | None
    column: int | None
    key: str | None
    severity: Severity
    message: str
    rule: str
