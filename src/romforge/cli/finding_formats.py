# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints what a check found in the forms that editors and code hosts read.

``gcc`` is the form of compilers' messages, ``github`` that of the workflow commands of GitHub
Actions, and ``sarif`` is SARIF 2.1.0 (OASIS).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from romforge import __version__
from romforge.base import json_document
from romforge.base.located import Located

RULES = {
    "spec": "A key of the spec is wrong, or names something that is not there.",
    "toml": "The spec cannot be read.",
    "debian": "A Debian package lacks what the spec has.",
    "lock": "What is built differs from the lock.",
    "structure": "A ROM breaks a rule of its format.",
    "unreadable": "A file cannot be read.",
}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def gcc_lines(found: Iterable[Located]) -> Iterator[str]:
    """A line for each: ``file:line:column: error: text``, without numbers that are not known."""
    for one in found:
        place = ":".join(_one_line(str(part)) for part in (one.file, one.line, one.column) if part)
        yield f"{place}: {one.severity}: {_one_line(_text(one))}"


def github_lines(found: Iterable[Located]) -> Iterator[str]:
    """A workflow command for each: ``::error file=…,line=…,col=…::text``."""
    for one in found:
        command = "notice" if one.severity == "note" else one.severity
        places = {"file": one.file, "line": one.line, "col": one.column}
        pairs = [f"{key}={_escape_property(str(value))}" for key, value in places.items() if value]
        yield f"::{command} {','.join(pairs)}::{_escape_data(_text(one))}"


def sarif_lines(found: Iterable[Located]) -> Iterator[str]:
    """A SARIF log of one run; it needs no line breaks of its own."""
    found = list(found)
    used = sorted({one.rule for one in found})
    rules = [{"id": rule, "shortDescription": {"text": RULES[rule]}} for rule in used]
    driver = {"name": "romforge", "version": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(one, used) for one in found],
    }
    yield json_document.to_text({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


FORMATS: dict[str, Callable[[Iterable[Located]], Iterator[str]]] = {
    "gcc": gcc_lines,
    "github": github_lines,
    "sarif": sarif_lines,
}


def _sarif_result(one: Located, rules: Sequence[str]) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(one.file)}}
    if one.line:
        place["region"] = {"startLine": one.line}
        if one.column:
            place["region"]["startColumn"] = one.column
    return {
        "ruleId": one.rule,
        "ruleIndex": rules.index(one.rule),
        "level": one.severity,
        "message": {"text": _text(one)},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """The URI of a file; a relative one for a relative path (RFC 3986)."""
    if os.path.isabs(file):
        return Path(file).as_uri()
    return quote(os.fsencode(os.path.normpath(file)))


def _text(one: Located) -> str:
    return f"{one.key}: {one.message}" if one.key else one.message


def _one_line(text: str) -> str:
    """Text without line breaks and other characters that a terminal would act on."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())


def _escape_data(text: str) -> str:
    """A message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    """A value of a property of a workflow command."""
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
