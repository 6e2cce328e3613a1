# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads romspec.toml: every problem of a file is found in one run, and told with its line."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from romforge.base.errors import SpecError
from romforge.base.text import format_size, join_words
from romforge.spec import validation
from romforge.spec.fields import Path, Problem, read_table, show
from romforge.spec.model import SECTIONS, Header, Spec, Toolchain, Verify

LARGEST_FILE = 256 << 10  # bytes; 1,000 NICs are 40 KiB
_SHOWN, _QUOTED = 100, 120  # problems, and characters of a line
_LONG, _DEEP = (
    200,
    64,
)  # characters of a line, parts of a dotted key: the parser's time grows with the square
NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"

_BACKSLASH = "a \\ in a text begins an escape; write \\\\ for it, or put the text in single quotes"
# What the parser says, and what it means.
_PLAIN = {
    "Cannot overwrite a value": "this key has been given before",
    "Illegal character '\\n'": "a text lacks its closing quote",
    "Invalid initial character for a key part": "here should be a key, or the end of the table",
    "Invalid value": "here should be a value: a text in quotes, a number, true, false, a list or a table",
    "Expected newline or end of document": "here the line should end; texts need quotes",
    "Unclosed array": "a list lacks a comma or its closing ]",
    "Unclosed inline table": "a table lacks a comma or its closing }",
    "Unterminated string": "a text lacks its closing quotes",
    "Invalid hex value": _BACKSLASH,
    "Unescaped": _BACKSLASH,
}


def load_spec(path: FilePath, out: FilePath | None = None) -> Spec:
    """Reads and checks a spec; raises SpecError with all that is wrong with it.

    Where the output root ``out`` is given, directories that leave it by a symbolic link are problems as well.
    """
    text = _read(path)
    raw = _parse(path, text)
    problems: list[Problem] = []
    tables = {
        section: _section(section, cls, raw.get(section, {}), problems)
        for section, cls in SECTIONS.items()
    }
    configs = _configs(raw.get("config", {}), problems)
    verify = read_table(Verify, raw.get("verify", {}), ("verify",), problems) or Verify()
    toolchain = (
        read_table(Toolchain, raw.get("toolchain", {}), ("toolchain",), problems) or Toolchain()
    )
    _top(raw, problems)
    sections = {name: MappingProxyType(table) for name, table in tables.items()}
    spec = Spec(
        path=path, config=MappingProxyType(configs), verify=verify, toolchain=toolchain, **sections
    )
    given = {section: raw.get(section, {}) for section in (*SECTIONS, "config")}
    names = {
        section: frozenset(value) if isinstance(value, dict) else None
        for section, value in given.items()
    }
    wrong = {
        problem.path for problem in problems if len(problem.path) > 2
    }  # keys and elements that hold a blank now
    for problem in validation.check_spec(spec, names, out):
        if not any(problem.path[:length] in wrong for length in range(3, len(problem.path) + 1)):
            problems.append(problem)
    if problems:
        raise SpecError(render_problems(path, text, problems))
    return spec


def render_problems(path: FilePath, text: str, problems: list[Problem]) -> str:
    """The text of a SpecError: each problem with its line and the source line under it, in file order."""
    from romforge.spec import toml_positions

    lines, source = {(): 1} | toml_positions.locate_keys(text), text.split("\n")
    order = {place: (line, number) for number, (place, line) in enumerate(lines.items())}
    inside = [(_known(lines, problem.path), problem) for problem in problems]
    placed = [
        (lines[place], problem)
        for place, problem in sorted(inside, key=lambda both: order[both[0]])
    ]
    shown = []
    for line, problem in placed[:_SHOWN]:
        where = ": ".join(
            part for part in (f"{path.name}:{line}", _dotted(problem.path), problem.text) if part
        )
        shown.append(where + _quote(source, line))
    if (more := len(placed) - _SHOWN) > 0:
        shown.append(f"{more} more {'problem' if more == 1 else 'problems'}")
    return "\n".join(shown)


def line_of(path: FilePath, key: Path) -> int | None:
    """The line of a key, or of the nearest table above it; None where there is none.

    It is for messages about a spec that was read before, and may have changed since.
    """
    from romforge.spec import toml_positions

    try:
        text = _read(path)
        _parse(path, text)
    except SpecError:
        return None
    lines = toml_positions.locate_keys(text)
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key)


def point_to(path: FilePath | None, key: Path, text: str) -> str:
    """A problem that shows only when a build begins, in the form of ``render_problems``.

    ``romspec.toml:44: platform.pcbios.embed[0]: /top/script: cannot be read: …``
    """
    problem = Problem(key, text)
    try:
        if path is not None:
            content = _read(path)
            _parse(path, content)
            return render_problems(path, content, [problem])
    except SpecError:
        pass  # the spec changed meanwhile; the next run reports that
    return f"{_dotted(key)}: {text}"


def _quote(source: list[str], line: int) -> str:
    """The source line to put under a problem, with nothing in it that a terminal would obey."""
    quoted = "".join(
        one if one.isprintable() else " " for one in source[line - 1][:_QUOTED]
    ).strip()
    return f"\n{line:>6} | {quoted}" if quoted else ""


def _known(lines: dict[Path, int], path: Path) -> Path:
    """The path, or of what is not there the nearest table that is."""
    while path not in lines:
        path = path[:-1]
    return path


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (
                part if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", part) else show(part)
            )
    return text


def _read(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SpecError(
            f"{path}: the spec cannot be read: {error.strerror}; name another by ROMSPEC=FILE or --spec FILE"
        ) from None
    if len(data) > LARGEST_FILE:
        raise SpecError(f"{path}: larger than {format_size(LARGEST_FILE)}, which is no spec")
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()  # some editors write that mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"{path.name}:{line}: byte {data[error.start]:#04x} is not UTF-8, which TOML is written in"
        ) from None


def _parse(path: FilePath, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LONG and re.search(
            rf"""(?:\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*){{{_DEEP}}}""", line
        ):
            raise SpecError(f"{path.name}:{number}: nested too deeply for a spec")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SpecError(f"{path.name}: nested too deeply for a spec") from None
    except ValueError as error:
        raise SpecError(_no_toml(path, text, str(error))) from None


def _no_toml(path: FilePath, text: str, error: str) -> str:
    """The text of a SpecError for what the parser says, in plainer words where the parser's are its own."""
    import ast

    what, _, where = error.rpartition(" (at ")
    source = text.split("\n")
    if not what:  # only of int(), whose error has no place
        return f"{path.name}: not valid TOML for this program: a number of thousands of digits"
    match = re.match(r"line (\d+), column (\d+)", where)
    line = min(int(match[1]), len(source)) if match else len(text.rstrip().split("\n"))
    place = f"column {match[2]}" if match else "at the end of the file"
    if what.startswith("Cannot"):  # holds a tuple of keys
        what = re.sub(r"\(['\"].*\)", lambda match: _dotted(ast.literal_eval(match[0])), what)
        what += ", since it is given before or in an inline table"
    for begin, plain in _PLAIN.items():
        what = plain if what.startswith(begin) else what
    return f"{path.name}:{line}: not valid TOML, {place}: {what}{_quote(source, line)}"


def _top(raw: dict[str, Any], problems: list[Problem]) -> None:
    known = ["spec", "config", *SECTIONS, "verify", "toolchain"]
    for name in [one for one in raw if one not in known]:
        problems.append(
            Problem((name,), "unknown key", f"known are {join_words(known)}", name, known)
        )
    version = raw.get("spec")
    if version is None:
        problems.append(
            Problem((), 'the key "spec" is missing', "write spec = 1 in the first line")
        )
    elif version != 1 or type(version) is not int:
        problems.append(
            Problem(
                ("spec",),
                f"{show(version)} is no version that this romforge reads",
                "write spec = 1",
            )
        )


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
            right = f"write [config.{name}.HEADER], such as [config.{name}.general]"
            problems.append(
                Problem(("config", name), f"must be a table of headers, not {show(headers)}", right)
            )
            continue
        _names(headers, ("config", name), problems)
        tables = {
            header: read_table(Header, table, ("config", name, header), problems)
            for header, table in headers.items()
        }
        found[name] = MappingProxyType({header: table for header, table in tables.items() if table})
    return found


def _named(section: str, raw: object, problems: list[Problem]) -> dict[str, Any]:
    """The tables of a section under their names, which are parts of task and file names."""
    if not isinstance(raw, dict):
        right = f"write tables [{section}.NAME{'.HEADER' if section == 'config' else ''}]"
        problems.append(Problem((section,), f"must hold tables, not be {show(raw)}", right))
        return {}
    _names(raw, (section,), problems)
    return raw


def _names(raw: dict[str, Any], path: Path, problems: list[Problem]) -> None:
    for name in raw:
        if not re.fullmatch(NAME, name):
            right = "begin it with a letter or digit, and go on with those and _ . + -"
            problems.append(Problem((*path, name), f"{show(name)} is no name", right))
