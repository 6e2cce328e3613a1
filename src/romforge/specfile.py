# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads romspec.toml: every problem of a file is found in one run, and told with its line."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from romforge import references
from romforge.errors import SpecError, human, listing, near
from romforge.keys import Path, Problem, read_table, show
from romforge.spec import SECTIONS, Header, Spec

LARGEST_FILE = 512 << 10  # bytes; 1,000 NICs are 40 KiB
_SHOWN = 100  # problems
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def load(path: FilePath, out: FilePath | None = None) -> Spec:
    """Reads and checks a spec; raises SpecError with all that is wrong with it.

    Where the output root ``out`` is given, directories that leave it by a symbolic link are problems as well.
    """
    text = _read(path)
    raw = _parse(path, text)
    problems: list[Problem] = []
    tables = {section: _section(section, cls, raw.get(section, {}), problems) for section, cls in SECTIONS.items()}
    configs = _configs(raw.get("config", {}), problems)
    _top(raw, problems)
    spec = Spec(path=path, config=MappingProxyType(configs), **{name: MappingProxyType(table) for name, table in tables.items()})
    names = {section: frozenset(value) for section, value in raw.items() if isinstance(value, dict)}
    wrong = {problem.path[:3] for problem in problems if len(problem.path) > 2}  # keys that hold a blank now
    problems += [problem for problem in references.check(spec, names, out) if problem.path[:3] not in wrong]
    if problems:
        raise SpecError(render(path, text, problems))
    return spec


def render(path: FilePath, text: str, problems: list[Problem]) -> str:
    """The text of a SpecError: each problem with its line and the source line under it, in file order."""
    from romforge import tomllines

    lines, source = tomllines.locate(text), text.splitlines()
    placed = sorted(((_line(lines, problem.path), problem) for problem in problems), key=lambda both: (both[0], str(both[1].path)))
    shown = []
    for line, problem in placed[:_SHOWN]:
        where = ": ".join(part for part in (f"{path.name}:{line}", _dotted(problem.path), problem.text) if part)
        quoted = source[line - 1].strip()[:120] if line <= len(source) else ""
        shown.append(f"{where}\n{line:>6} | {quoted}")
    if len(placed) > _SHOWN:
        shown.append(f"{len(placed) - _SHOWN} more problems")
    return "\n".join(shown)


def _line(lines: dict[Path, int], path: Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"')
    return text


def _read(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SpecError(f"{path}: the spec cannot be read: {error.strerror}; name another by ROMSPEC=FILE or --spec FILE") from None
    if len(data) > LARGEST_FILE:
        raise SpecError(f"{path}: larger than {human(LARGEST_FILE)}, which is no spec")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path.name}:{line}: byte {data[error.start]:#04x} is not UTF-8, which TOML is written in") from None


def _parse(path: FilePath, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SpecError(f"{path.name}:1: nested too deeply for a spec") from None
    except ValueError as error:
        match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = int(match[1]) if match else len(text.splitlines()) or 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        column = f", column {match[2]}" if match else ", at the end of the file"
        quoted = (text.splitlines() or [""])[min(line, len(text.splitlines()) or 1) - 1].strip()[:120]
        raise SpecError(f"{path.name}:{line}: no TOML{column}: {what}\n{line:>6} | {quoted}") from None


def _top(raw: dict[str, Any], problems: list[Problem]) -> None:
    known = ["spec", "config", *SECTIONS]
    for name in raw.keys() - set(known):
        problems.append(Problem((name,), f"unknown key{near(name, known)}; known are {listing(known)}"))
    version = raw.get("spec")
    if version is None:
        problems.append(Problem((), 'the key "spec" is missing; write spec = 1 in the first line'))
    elif version != 1 or isinstance(version, bool):
        problems.append(Problem(("spec",), f"{show(version)} is no version that this romforge reads; write spec = 1"))


def _section(section: str, cls: type, raw: object, problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, table in _named(section, raw, problems).items():
        value = read_table(cls, table, (section, name), problems)
        if value is not None:
            found[name] = value
    return found


def _configs(raw: object, problems: list[Problem]) -> dict[str, Mapping[str, Header]]:
    found: dict[str, Mapping[str, Header]] = {}
    for name, headers in _named("config", raw, problems).items():
        if not isinstance(headers, dict):
            problems.append(Problem(("config", name), f"must be a table of headers, not {show(headers)}"))
            continue
        tables = {header: read_table(Header, table, ("config", name, header), problems) for header, table in headers.items()}
        found[name] = MappingProxyType({header: table for header, table in tables.items() if table})
    return found


def _named(section: str, raw: object, problems: list[Problem]) -> dict[str, Any]:
    """The tables of a section under their names, which are parts of task and file names."""
    if not isinstance(raw, dict):
        problems.append(Problem((section,), f"must be tables [{section}.NAME], not {show(raw)}"))
        return {}
    for name in raw:
        if not _NAME.fullmatch(name):
            right = "names begin with a letter or digit and go on with those and _ . + -"
            problems.append(Problem((section, name), f"{show(name)} is no name; {right}"))
    return raw
