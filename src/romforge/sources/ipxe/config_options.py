# SPDX-License-Identifier: GPL-2.0-or-later
"""iPXE's configuration options: the objects each asks for, and the option behind an object of a link.

A source in ``config`` asks for objects under the condition of a macro:

    #ifdef PXE_STACK
    REQUIRE_OBJECT ( pxe_call );
    #endif

The map of a link says which object asked for which, so the way up from an object leads to such a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from romforge.formats import ld_map

_IF = re.compile(r"\s*#\s*(?P<directive>if|ifdef|ifndef)\b(?P<condition>.*)")
_ELSE = re.compile(r"\s*#\s*(?:else|elif)\b")
_ENDIF = re.compile(r"\s*#\s*endif\b")
_REQUIRE = re.compile(r"\s*REQUIRE_OBJECT\s*\(\s*(?P<object>\w+)\s*\)")


class Option(NamedTuple):
    """A macro of the configuration, and the line where it asks for an object."""

    macro: str
    place: str  # such as config/config.c:105


def read_options(src: Path) -> dict[str, list[Option]]:
    """The options that ask for each object, by the object's name."""
    found: dict[str, list[Option]] = {}
    for path in sorted((src / "config").glob("*.c")):
        conditions: list[list[str]] = []
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if match := _IF.match(line):
                conditions.append(_macros(match["directive"], match["condition"]))
            elif _ELSE.match(line) and conditions:
                conditions[-1] = []
            elif _ENDIF.match(line) and conditions:
                conditions.pop()
            elif match := _REQUIRE.match(line):
                place = f"{path.relative_to(src).as_posix()}:{number}"
                options = found.setdefault(match["object"], [])
                for macros in conditions:
                    options += [Option(macro, place) for macro in macros]
    return found


def _macros(directive: str, condition: str) -> list[str]:
    """The macros that a condition wants to be defined."""
    if directive == "ifndef":
        return []
    if directive == "ifdef":
        return condition.split()[:1]
    tests = re.findall(r"(!?)\s*\bdefined\s*\(?\s*(\w+)", condition)
    return [macro for negated, macro in tests if not negated]


def askers(included: Iterable[ld_map.Inclusion]) -> dict[str, tuple[str, str]]:
    """By each object of a link: the object that asked for it first, and by which symbol."""
    found = {}
    for one in included:
        by = ld_map.object_name(one.by) if one.by else ""
        found[ld_map.object_name(one.member)] = by, one.symbol
    return found


def options_behind(
    name: str,
    asked: Mapping[str, tuple[str, str]],
    options: Mapping[str, list[Option]],
) -> list[Option]:
    """The options that brought an object into a link, itself or by what needs it; may be none."""
    seen: set[str] = set()
    while name in asked and name not in seen:
        seen.add(name)
        by, symbol = asked[name]
        wanted = symbol.removeprefix("obj_")
        if by.startswith("config") and symbol != wanted and wanted in options:
            return options[wanted]
        name = by
    return []


def find_definition(macro: str, src: Path, config: str | None) -> str:
    """The line of a tree's own configuration that defines a macro; empty where there is none.

    Only headers of the named or local configuration count: those above them define macros
    under conditions, which nobody evaluates here.
    """
    define = defines(macro)
    directories = [src / "config/local"]
    if config:
        directories = [src / "config/local" / config, src / "config" / config]
    for directory in directories:
        for path in sorted(directory.glob("*.h")):
            text = path.read_text(errors="replace")
            if match := define.search(text):
                line = text.count("\n", 0, match.start()) + 1
                return f"{path.relative_to(src).as_posix()}:{line}"
    return ""


def defines(macro: str) -> re.Pattern[str]:
    """What a header has that defines a macro."""
    return re.compile(rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(macro)}\b", re.MULTILINE)


def find_source(name: str, src: Path) -> str:
    """The source file of an object, relative to src; empty where there is none."""
    for path in sorted(src.rglob("*.[cS]")):
        if path.stem.replace("-", "_") == name:
            return path.relative_to(src).as_posix()
    return ""
