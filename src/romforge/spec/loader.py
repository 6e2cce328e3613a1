# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads romspec.toml. One run reports every problem of the file, each with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from romforge.base import toml_parser
from romforge.base.errors import SpecError
from romforge.base.text import format_size, join_words, plural
from romforge.spec import validation
from romforge.spec.fields import Path, Problem, read_table, show
from romforge.spec.header_files import HeaderFile, read_headers
from romforge.spec.model import HEADERS, SECTIONS, Header, Names, Spec, Toolchain, Verify

if TYPE_CHECKING:
    from romforge.base.located import Located, Severity

LARGEST_FILE = 256 << 10  # bytes; 1,000 NICs are 40 KiB
_MOST_SHOWN = 100  # problems
_LONGEST_QUOTE = 120  # characters of a source line
NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"

_BACKSLASH = "a \\ in a string begins an escape sequence; write \\\\ for it, or use single quotes"
# How messages of the parser begin, and what is shown instead.
_PARSER_MESSAGES = {
    "Cannot overwrite a value": "this key is already defined",
    "Illegal character '\\n'": "the closing quote of a string is missing",
    "Invalid initial character for a key part": "expected a key, or the end of the table",
    "Invalid value": (
        "expected a value: a string in quotes, a number, true, false, a list or a table"
    ),
    "Expected newline or end of document": "expected the end of the line; strings need quotes",
    "Unclosed array": "a comma or the closing ] of a list is missing",
    "Unclosed inline table": "a comma or the closing } of a table is missing",
    "Unterminated string": "the closing quotes of a string are missing",
    "Invalid hex value": _BACKSLASH,
    "Unescaped": _BACKSLASH,
}


def load_spec(path: FilePath, out: FilePath | None = None, complete: bool = True) -> Spec:
    """Reads and checks a spec; raises SpecError, whose text has all its problems.

    With the output root ``out``, a directory that leaves it by a symbolic link is a problem too. A
    spec that is right otherwise must stand for a ROM, unless it need not be ``complete``.
    """
    text = _read(path)
    document = _parse(path, text)
    problems: list[Problem] = []
    tables = {}
    for section, cls in SECTIONS.items():
        tables[section] = _read_section(section, cls, document.get(section, {}), problems)
    config = _read_configs(document.get("config", {}), problems)
    header_files = _read_header_files(path, document.get("config", {}), problems)
    verify = read_table(Verify, document.get("verify", {}), ("verify",), problems)
    toolchain = read_table(Toolchain, document.get("toolchain", {}), ("toolchain",), problems)
    _check_top_level(document, problems)
    spec = Spec(
        path=path,
        config=config,
        verify=verify or Verify(),
        toolchain=toolchain or Toolchain(),
        header_files=header_files,
        **tables,
    )
    problems += _check_consistency(spec, _collect_names(document), out, problems)
    if complete and not problems:
        problems += validation.check_roms(spec)
    if problems:
        locate = partial(locate_problems, path, text, problems)
        raise SpecError(render_problems(path, text, problems), locate)
    return spec


def _check_consistency(
    spec: Spec, names: Names, out: FilePath | None, problems: list[Problem]
) -> list[Problem]:
    """Problems between the tables of a spec, except those of values that are placeholders."""
    placeholders = {problem.path for problem in problems if len(problem.path) > 2}
    consequent = []
    for problem in validation.check_spec(spec, names, out):
        lengths = range(3, len(problem.path) + 1)
        if not any(problem.path[:length] in placeholders for length in lengths):
            consequent.append(problem)
    return consequent


def _collect_names(document: dict[str, Any]) -> Names:
    names: dict[str, frozenset[str] | None] = {}
    for section in (*SECTIONS, "config"):
        tables = document.get(section, {})
        names[section] = frozenset(tables) if isinstance(tables, dict) else None
    return names


def render_problems(path: FilePath, text: str, problems: list[Problem]) -> str:
    """The text of a SpecError: the problems in the order of the file, each with its source line."""
    from romforge.spec import toml_positions

    lines: dict[Path, int] = {(): 1} | toml_positions.locate_keys(text)
    source = text.split("\n")
    order = {key: (line, index) for index, (key, line) in enumerate(lines.items())}
    ordered = sorted(problems, key=lambda problem: order[_nearest_key(lines, problem.path)])
    shown = []
    for problem in ordered[:_MOST_SHOWN]:
        line = lines[_nearest_key(lines, problem.path)]
        parts = [f"{path.name}:{line}", dotted(problem.path), problem.text]
        shown.append(": ".join(filter(None, parts)) + _quote_line(source, line))
    if len(ordered) > _MOST_SHOWN:
        shown.append(plural(len(ordered) - _MOST_SHOWN, "more problem"))
    return "\n".join(shown)


def locate_problems(
    path: FilePath, text: str, problems: list[Problem], severity: Severity = "error"
) -> list[Located]:
    """Problems as data, in the order of the file; at most as many as ``render_problems`` shows."""
    from romforge.base.located import Located
    from romforge.spec import toml_positions

    places: dict[Path, tuple[int, int]] = {(): (1, 1)}
    places |= toml_positions.locate_positions(text)
    placed = [(places[_nearest_key(places, problem.path)], problem) for problem in problems]
    placed.sort(key=lambda one: one[0])
    located = []
    for (line, column), problem in placed[:_MOST_SHOWN]:
        key = dotted(problem.path) or None
        located.append(Located(str(path), line, column, key, severity, problem.text, "spec"))
    return located


def locate_all(path: FilePath, problems: list[Problem], severity: Severity) -> list[Located]:
    """Problems of a spec that was loaded earlier, as data; without places if it has changed."""
    from romforge.base.located import Located

    try:
        text = _read(path)
        _parse(path, text)
    except SpecError:
        located = []
        for problem in problems:
            key = dotted(problem.path) or None
            located.append(Located(str(path), None, None, key, severity, problem.text, "spec"))
        return located
    return locate_problems(path, text, problems, severity)


def _unreadable(
    path: FilePath,
    message: str,
    line: int | None = None,
    column: int | None = None,
    quote: str = "",
) -> SpecError:
    """The error of a spec that cannot be read or parsed; line 0 is one that is not known."""
    from romforge.base.located import Located

    place = f"{path}: "
    if line is not None:
        place = f"{path.name}:{line}: " if line else f"{path.name}: "
    located = Located(str(path), line or None, column, None, "error", message, "toml")
    return SpecError(place + message + quote, lambda: [located])


def line_of(path: FilePath, key: Path) -> int | None:
    """The line of a key, or of the nearest table above it; None if there is none.

    It is for messages about a spec that was loaded earlier, and may have changed since.
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
    """The text of a problem that only a build finds, in the form of ``render_problems``.

    ``romspec.toml:44: platform.pcbios.embed[0]: /top/script: cannot be read: …``
    """
    return point_to_all(path, [Problem(key, text)])


def point_to_all(path: FilePath | None, problems: list[Problem]) -> str:
    """The text of problems of a spec that was loaded earlier, in the order of its lines."""
    try:
        if path is not None and problems:
            content = _read(path)
            _parse(path, content)
            return render_problems(path, content, problems)
    except SpecError:
        pass  # the spec has changed meanwhile; the next run reports that
    return "\n".join(f"{dotted(problem.path)}: {problem.text}" for problem in problems)


def _quote_line(source: list[str], line: int) -> str:
    """A source line for display below a problem, without control characters."""
    text = source[line - 1][:_LONGEST_QUOTE]
    clean = "".join(map(_printable, text)).strip()
    return f"\n{line:>6} | {clean}" if clean else ""


def _printable(character: str) -> str:
    return character if character.isprintable() else " "


def _nearest_key(lines: Mapping[Path, object], path: Path) -> Path:
    """The path itself, or if it is not in the file the nearest table above it that is."""
    while path not in lines:
        path = path[:-1]
    return path


def dotted(path: Path) -> str:
    """A path as in TOML.

    >>> dotted(("target", "a.b", "images", 0))
    'target."a.b".images[0]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        if text:
            text += "."
        is_bare = re.fullmatch(r"[A-Za-z0-9_-]{1,80}", part)
        text += part if is_bare else show(part)
    return text


def _read(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        message = f"the spec cannot be read: {error.strerror}"
        remedy = "name another file with ROMSPEC=FILE or --spec FILE"
        if isinstance(error, FileNotFoundError):
            remedy += ", or write one by romforge init"
        raise _unreadable(path, f"{message}; {remedy}") from None
    if len(data) > LARGEST_FILE:
        limit = format_size(LARGEST_FILE)
        raise _unreadable(path, f"the file is larger than {limit}, the limit for a spec")
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()  # the byte order mark of some editors
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wrong = f"byte {data[error.start]:#04x} is not valid UTF-8"
        raise _unreadable(path, f"{wrong}; TOML files are UTF-8", line) from None


def _parse(path: FilePath, text: str) -> dict[str, Any]:
    too_deep = toml_parser.line_with_deep_key(text)
    if too_deep is not None:
        raise _unreadable(path, "nested too deeply for a spec", too_deep)
    try:
        return toml_parser.parse_toml(text)
    except RecursionError:
        raise _unreadable(path, "nested too deeply for a spec", line=0) from None
    except ValueError as error:
        raise _explain_syntax_error(path, text, str(error)) from None


def _explain_syntax_error(path: FilePath, text: str, error: str) -> SpecError:
    """The SpecError for an error of the parser, whose text is rewritten if it is unclear."""
    message, _, where = error.rpartition(" (at ")
    source = text.split("\n")
    if not message:  # an error of int(), which has no position
        return _unreadable(path, "not valid TOML: a number has thousands of digits", line=0)
    match = re.match(r"line (\d+), column (\d+)", where)
    if match:
        line = min(int(match[1]), len(source))
        column = int(match[2])
        place = f"column {column}"
    else:
        line = len(text.rstrip().split("\n"))
        column = len(source[line - 1]) + 1
        place = "at the end of the file"
    message = f"not valid TOML, {place}: {_rewrite_parser_message(message)}"
    return _unreadable(path, message, line, column, _quote_line(source, line))


def _rewrite_parser_message(message: str) -> str:
    for beginning, replacement in _PARSER_MESSAGES.items():
        if message.startswith(beginning):
            return replacement
    if message.startswith("Cannot"):  # such as: Cannot declare ('nic', 'e1000') twice
        import ast

        key = re.search(r"\(['\"].*\)", message)
        if key:
            message = message.replace(key[0], dotted(ast.literal_eval(key[0])))
        message += ", because it is already defined or in an inline table"
    return message


def _check_top_level(document: dict[str, Any], problems: list[Problem]) -> None:
    known = ["spec", "config", *SECTIONS, "verify", "toolchain"]
    hint = f"known keys are {join_words(known)}"
    for name in document:
        if name not in known:
            problems.append(Problem((name,), "unknown key", hint, name, known))
    version = document.get("spec")
    if version is None:
        message = 'the key "spec" is missing'
        problems.append(Problem((), message, "write spec = 1 in the first line"))
    elif version != 1 or type(version) is not int:
        message = f"{show(version)} is not a supported version"
        problems.append(Problem(("spec",), message, "write spec = 1"))


def _read_section(
    section: str, cls: type, raw: object, problems: list[Problem]
) -> Mapping[str, Any]:
    tables: dict[str, Any] = {}
    for name, raw_table in _named_tables(section, raw, problems).items():
        table = read_table(cls, raw_table, (section, name), problems)
        if table is not None:
            tables[name] = table
    return MappingProxyType(tables)


def _read_configs(raw: object, problems: list[Problem]) -> Mapping[str, Mapping[str, Header]]:
    configs: dict[str, Mapping[str, Header]] = {}
    for name, raw_headers in _named_tables("config", raw, problems).items():
        path = ("config", name)
        if not isinstance(raw_headers, dict):
            message = f"must be a table of headers, not {show(raw_headers)}"
            hint = f"write [config.{name}.HEADER], such as [config.{name}.general]"
            problems.append(Problem(path, message, hint))
            continue
        _check_names(raw_headers, path, problems)
        headers: dict[str, Header] = {}
        for header, raw_table in raw_headers.items():
            if header == HEADERS:
                continue
            table = read_table(Header, raw_table, (*path, header), problems)
            if table:
                headers[header] = table
        configs[name] = MappingProxyType(headers)
    return MappingProxyType(configs)


def _read_header_files(
    path: FilePath, raw: object, problems: list[Problem]
) -> Mapping[str, Mapping[str, HeaderFile]]:
    """The headers that configurations keep as files, in directories relative to the spec's."""
    found: dict[str, Mapping[str, HeaderFile]] = {}
    configs = raw if isinstance(raw, dict) else {}
    for name, table in configs.items():
        if not isinstance(table, dict) or HEADERS not in table:
            continue
        directory = table[HEADERS]
        key: Path = ("config", name, HEADERS)
        if not isinstance(directory, str) or not directory:
            message = f"{show(directory)} is not a directory in quotes"
            problems.append(
                Problem(key, message, 'write headers = "DIR" for the files DIR/HEADER.h')
            )
            continue
        try:
            headers = read_headers(path.parent / FilePath(directory).expanduser(), directory)
        except (ValueError, RuntimeError) as error:
            problems.append(
                Problem(key, str(error), "name a directory with files such as general.h")
            )
            continue
        found[name] = MappingProxyType(headers)
    return MappingProxyType(found)


def _named_tables(section: str, raw: object, problems: list[Problem]) -> dict[str, Any]:
    """The raw tables of a section by name; none if the section is not a table."""
    if not isinstance(raw, dict):
        header = ".HEADER" if section == "config" else ""
        message = f"must contain tables, not be {show(raw)}"
        problems.append(Problem((section,), message, f"write tables [{section}.NAME{header}]"))
        return {}
    _check_names(raw, (section,), problems)
    return raw


def _check_names(raw: dict[str, Any], path: Path, problems: list[Problem]) -> None:
    """Checks the names of tables, which become parts of task and file names."""
    for name in raw:
        if not re.fullmatch(NAME, name):
            hint = "begin it with a letter or digit, and continue with letters, digits and _ . + -"
            problems.append(Problem((*path, name), f"{show(name)} is not a valid name", hint))
