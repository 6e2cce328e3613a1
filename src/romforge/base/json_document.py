# SPDX-License-Identifier: GPL-2.0-or-later
"""What each `--json` prints: one object, whose first key is the version of the format."""

from __future__ import annotations

import json
from typing import Literal, TypedDict

from romforge.base.errors import RomforgeError, SpecError
from romforge.base.located import Located

FORMAT: Literal[1] = 1  # of all documents; it grows if a key goes or changes its meaning


class Document(TypedDict):
    """A document that a command prints. ``format`` is the version of its format."""

    format: Literal[1]


class Failure(TypedDict):
    """Why a command failed. ``problems`` are those of the spec, if that is what is wrong."""

    message: str
    status: int  # the exit status
    problems: list[Located]


class ErrorDocument(Document):
    """What each command prints in place of its result where it cannot give one."""

    error: Failure


def error_document(error: RomforgeError) -> ErrorDocument:
    """The document of an error that ends a command."""
    problems = list(error.problems) if isinstance(error, SpecError) else []
    failure = Failure(message=str(error), status=error.exit_status, problems=problems)
    return ErrorDocument(format=FORMAT, error=failure)


def to_text(document: object) -> str:
    """A document as text. It is ASCII, so that each terminal and pipe can take it.

    Named tuples become objects.
    """
    return json.dumps(_plain(document), indent=1)


def _plain(value: object) -> object:
    """A value with its named tuples as dictionaries."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(_plain, value))
    return value
