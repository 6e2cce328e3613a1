# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that the user can fix, and the exit statuses they lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from romforge.base.text import format_offset

if TYPE_CHECKING:
    from romforge.base.located import Located

EXIT_STATUSES = {
    0: "fine",
    1: "what was checked is wrong, or the build failed",
    2: "the command line or the spec is wrong",
    3: "guests migrate, but some could not boot from the network any more",
    130: "interrupted",
}


class RomforgeError(Exception):
    """An error that the user can fix. Its text says what is wrong, where, and what to do."""

    exit_status = 1


class UsageError(RomforgeError):
    """The command line is wrong."""

    exit_status = 2


class SpecError(RomforgeError):
    """The spec is wrong. The text lists every problem in it, each with its line.

    ``locate`` gives the same as data, which few ask for.
    """

    exit_status = 2

    def __init__(self, text: str, locate: Callable[[], Sequence[Located]] = tuple) -> None:
        super().__init__(text)
        self._locate = locate

    @property
    def problems(self) -> Sequence[Located]:
        """Each problem with its place."""
        return self._locate()


class FormatError(RomforgeError):
    """Bytes that do not follow their format.

    ``offset`` is in bytes from the start of the data that were read. ``message`` does not contain
    it, but ``str()`` does.
    """

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(f"{format_offset(offset)}: {message}")
        self.offset = offset
        self.message = message

    def __reduce__(self) -> tuple[type[FormatError], tuple[int, str]]:
        return type(self), (self.offset, self.message)


def describe_os_error(error: OSError) -> str:
    """What the system refused, with the file, in one line."""
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename else text
