# SPDX-License-Identifier: GPL-2.0-or-later
"""iPXE's configuration options, and the option that is responsible for an object of a link.

A source file in ``config`` requires objects under the condition of a macro:

    #ifdef PXE_STACK
    REQUIRE_OBJECT ( pxe_call );
    #endif

The linker's map records which object referred to which. Followed upwards from an object, these
references lead to such a line.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from romforge.formats import ld_map

_IF = re.compile(r"\s*#\s*(?P<directive>if|ifdef|ifndef)\b(?P<condition>.*)")
_ELSE = re.compile(r"\s*#\s*(?:else|elif)\b")
_ENDIF = re.compile(r"\s*#\s*endif\b")
_REQUIRE = re.compile(r"\s*REQUIRE_OBJECT\s*\(\s*(?P<object>\w+)\s*\)")
_DEFINED = re.compile(r"(!?)\s*\bdefined\s*\(?\s*(\w+)")


class Option(NamedTuple):
    """A macro of the configuration, and the line that requires an object if it is defined."""

    macro: str
    place: str  # such as config/config.c:105


class Reference(NamedTuple):
    """The first reference to an object in a link; ``caller`` is None for the command line."""

    caller: str | None
    symbol: str


def read_options(src: Path) -> dict[str, list[Option]]:
    """The options that require each object, by the name of the object.

    >>> read_options(src)["pxe_call"]
    [Option("PXE_STACK", "config/config.c:105")]
    """
    options: dict[str, list[Option]] = {}
    for path in sorted((src / "config").glob("*.c")):
        _read_source(path, path.relative_to(src).as_posix(), options)
    return options


def _read_source(path: Path, name: str, options: dict[str, list[Option]]) -> None:
    """Adds the options of a source file to ``options``."""
    conditions: list[list[str]] = []  # the macros of each #if that is open
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if match := _IF.match(line):
            conditions.append(_required_macros(match["directive"], match["condition"]))
        elif _ELSE.match(line) and conditions:
            conditions[-1] = []
        elif _ENDIF.match(line) and conditions:
            conditions.pop()
        elif match := _REQUIRE.match(line):
            required = options.setdefault(match["object"], [])
            for macro in itertools.chain(*conditions):
                required.append(Option(macro, f"{name}:{number}"))


def _required_macros(directive: str, condition: str) -> list[str]:
    """The macros that must be defined for a condition to hold."""
    if directive == "ifndef":
        return []
    if directive == "ifdef":
        return condition.split()[:1]
    return [macro for negation, macro in _DEFINED.findall(condition) if not negation]


def first_references(included: Iterable[ld_map.Inclusion]) -> dict[str, Reference]:
    """The reference that pulled each object into a link, by the name of the object."""
    references = {}
    for inclusion in included:
        caller = ld_map.object_name(inclusion.by) if inclusion.by else None
        references[ld_map.object_name(inclusion.member)] = Reference(caller, inclusion.symbol)
    return references


def responsible_options(
    name: str,
    references: Mapping[str, Reference],
    options: Mapping[str, list[Option]],
) -> list[Option]:
    """The options that pulled an object into a link, directly or through other objects.

    The list is empty if no option did, as for an object that a driver needs.
    """
    visited: set[str] = set()
    while name in references and name not in visited:
        visited.add(name)
        caller, symbol = references[name]
        if caller is None:
            return []
        required = symbol.removeprefix("obj_")
        if caller.startswith("config") and symbol != required and required in options:
            return options[required]
        name = caller
    return []


def find_definition(macro: str, src: Path, config: str | None) -> str | None:
    """The line of the tree's own configuration that defines a macro, or None.

    Only headers of the named or local configuration are read. The headers above them define
    macros under conditions, which are not evaluated here.
    """
    pattern = definition_pattern(macro)
    directories = [src / "config/local"]
    if config:
        directories = [src / "config/local" / config, src / "config" / config]
    for directory in directories:
        for path in sorted(directory.glob("*.h")):
            text = path.read_text(errors="replace")
            if match := pattern.search(text):
                line = text.count("\n", 0, match.start()) + 1
                return f"{path.relative_to(src).as_posix()}:{line}"
    return None


def definition_pattern(macro: str) -> re.Pattern[str]:
    """Matches the line of a header that defines a macro."""
    return re.compile(rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(macro)}\b", re.MULTILINE)


def find_source(name: str, src: Path) -> str | None:
    """The source file of an object, relative to src, or None."""
    for path in sorted(src.rglob("*.[cS]")):
        if path.stem.replace("-", "_") == name:
            return path.relative_to(src).as_posix()
    return None
