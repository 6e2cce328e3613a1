# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that a person can mend, and the exit statuses they lead to."""

from __future__ import annotations

from romforge.base.text import format_offset

EXIT_STATUSES = {
    0: "fine",
    1: "what was checked is wrong, or the build failed",
    2: "the command line or the spec is wrong",
    130: "interrupted",
}


class RomforgeError(Exception):
    """Anything wrong that a person can mend: its text says what, where and what would be right."""

    exit_status = 1


class UsageError(RomforgeError):
    """The command line is wrong."""

    exit_status = 2


class SpecError(RomforgeError):
    """The spec is wrong; the text holds every problem found in it, each with its line."""

    exit_status = 2


class FormatError(RomforgeError):
    """Bytes that are not what their format asks for.

    ``offset`` is the place in bytes, counted from the start of what was read.
    """

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"{format_offset(offset)}: {what}")
        self.offset = offset
        self.what = what

    def __reduce__(self) -> tuple[type[FormatError], tuple[int, str]]:
        return type(self), (self.offset, self.what)
