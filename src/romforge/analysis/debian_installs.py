# SPDX-License-Identifier: GPL-2.0-or-later
"""Which binary package takes which file of a plan, by the rules of debhelper's dh_install(1)."""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from romforge.analysis.debian_source import DebianSource, Finding, broken_file, output_root_of_rules
from romforge.base.control_file import ControlError, read_lines
from romforge.base.located import Severity
from romforge.base.output_files import STATE
from romforge.base.text import did_you_mean, plural
from romforge.plan.steps import Plan
from romforge.spec.fields import Path as Key
from romforge.spec.model import IMAGES_MANIFEST, Spec, manifest_name

Parts = tuple[str, ...]  # of a path
_INSTALL = re.compile(r"(?:(?P<package>.+)\.)?install(?:\.[a-z0-9-]+)?")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MOST_PATTERNS = 256  # that one word of a line may stand for
_LONGEST_WORD = 4096  # characters; a longer one is no path
_DEBHELPER_TMP = ("debian", "tmp")


class InstallLine(NamedTuple):
    """What a line of an .install file takes: patterns of paths in the source package."""

    file: Path
    line: int
    package: str
    patterns: tuple[Parts, ...]


class _Group(NamedTuple):
    """The files that a table of the spec puts into a directory."""

    key: Key
    directory: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Installs:
    """The .install files of a source package, and what they take of a plan.

    ``roots`` are the output root in the source package, as lines may spell it. ``taken`` has the
    packages of each file that one takes. ``programs`` are executable files, whose lines are not
    known. ``findings`` are what is wrong with the files themselves.
    """

    roots: tuple[Parts, ...]
    lines: tuple[InstallLine, ...]
    taken: dict[str, tuple[str, ...]]
    programs: tuple[Path, ...]
    findings: tuple[Finding, ...]


def read_installs(source: DebianSource, plan: Plan, out: Path) -> Installs:
    """Reads the .install files, and looks up each file of the plan."""
    lines: list[InstallLine] = []
    programs: list[Path] = []
    findings: list[Finding] = []
    packages = list(source.packages())
    for file in sorted(source.directory.iterdir()):
        match = _INSTALL.fullmatch(file.name)
        if match is None or file.is_dir():
            continue
        findings += _ignored_file(source, file, match["package"])
        package = _package_of(match["package"] or packages[0], packages)
        if os.access(file, os.X_OK):
            programs.append(file)
            continue
        try:
            lines += _read_lines(file, package)
        except ControlError as error:
            findings.append(broken_file(file, error))
    roots = _output_roots(source.directory, out)
    taken = _taken_files(plan, lines, roots, packages)
    return Installs(roots, tuple(lines), taken, tuple(programs), tuple(findings))


def _package_of(name: str, packages: Sequence[str]) -> str:
    """The package of a file NAME.install, which may be PACKAGE.WORD.install for dh_install --name.

    A name that is of no package stands for itself.
    """
    if name not in packages:
        for package in packages:
            if name.startswith(f"{package}."):
                return package
    return name


def _ignored_file(source: DebianSource, file: Path, name: str | None) -> Iterator[Finding]:
    """That debhelper does not read an .install file."""
    packages = list(source.packages())
    if name is None:
        used = source.directory / f"{packages[0]}.{file.name}"
        if used.is_file():
            message = f"debhelper ignores this file, since there is {used}"
            remedy = f"move its lines to {used}"
            yield Finding(file, 1, (), "error", message, remedy)
    elif _package_of(name, packages) not in packages:
        hint = did_you_mean(name, packages)
        message = f"debhelper ignores this file: {source.control} has no package {name}{hint}"
        remedy = f'add a paragraph "Package: {name}" there, or rename the file'
        yield Finding(file, 1, (), "error", message, remedy)


def _read_lines(file: Path, package: str) -> Iterator[InstallLine]:
    """The lines of an .install file: sources, then a destination unless there is one word."""
    for number, text in enumerate(read_lines(file), 1):
        words = text.split()
        if not words or words[0].startswith("#"):
            continue
        sources = words[:-1] or words
        patterns: list[Parts] = []
        for word in sources:
            variables_as_any = re.sub(r"\$\{[^{}]*\}", "*", word[:_LONGEST_WORD])
            patterns += map(_parts, _expand_braces(variables_as_any))
        yield InstallLine(file, number, package, tuple(patterns))


def _expand_braces(pattern: str) -> list[str]:
    """The patterns that one with braces stands for.

    >>> _expand_braces("out/{efi,pxe}-*.rom")
    ['out/efi-*.rom', 'out/pxe-*.rom']
    """
    patterns = [pattern]
    while len(patterns) < _MOST_PATTERNS:
        match = _BRACES.search(patterns[0])
        if match is None:
            break
        choices = match[1].split(",")[:_MOST_PATTERNS]
        expanded = []
        for one in patterns:
            head, _, tail = one.partition(match[0])
            expanded += [f"{head}{choice}{tail}" for choice in choices]
        patterns = expanded
    return patterns


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _output_roots(directory: Path, out: Path) -> tuple[Parts, ...]:
    """The output root of the package's build, relative to the source package, best first."""
    of_rules = output_root_of_rules(directory)
    if of_rules and not os.path.isabs(of_rules):
        return (_parts(os.path.normpath(of_rules)),)
    top = os.path.abspath(directory / os.pardir)
    spelled = [os.path.relpath(os.path.abspath(out), top)]
    if not out.is_absolute():
        spelled.append(os.path.normpath(out))
    roots = [_parts(path) for path in spelled if not path.startswith(os.pardir)]
    return tuple(dict.fromkeys(roots))


def _taken_files(
    plan: Plan, lines: Sequence[InstallLine], roots: Sequence[Parts], packages: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The packages that take each file of the plan. A build may also write into a package's own."""
    found: dict[str, dict[str, None]] = {}
    for path in _planned_paths(plan):
        takers = found.setdefault(path, {})
        for package in packages:
            if ("debian", package) in roots:
                takers[package] = None
        places = _places(path, roots)
        for line in lines:
            if line.package not in takers and _takes(line, places):
                takers[line.package] = None
    return {path: tuple(takers) for path, takers in found.items() if takers}


def _planned_paths(plan: Plan) -> list[str]:
    return [*(rom.path for rom in plan.roms()), *(file.path for file in plan.files)]


def _places(path: str, roots: Sequence[Parts]) -> list[Parts]:
    """Where debhelper may find a file: below the output root, or in debian/tmp without a prefix."""
    prefixes = dict.fromkeys([*roots, _DEBHELPER_TMP, ()])
    return [(*prefix, *_parts(path)) for prefix in prefixes]


def _takes(line: InstallLine, places: Sequence[Parts]) -> bool:
    pairs = itertools.product(line.patterns, places)
    return any(_matches(pattern, place) for pattern, place in pairs)


def _matches(pattern: Parts, path: Parts) -> bool:
    """Whether a pattern is of a path, or of a directory above it."""
    if len(pattern) > len(path):
        return False
    return all(map(_part_matches, pattern, path))


def _part_matches(pattern: str, part: str) -> bool:
    if part.startswith(".") and not pattern.startswith("."):
        return False
    return pattern == part or fnmatch.fnmatchcase(part, pattern)


def find_install_faults(
    source: DebianSource, spec: Spec, plan: Plan, installs: Installs
) -> list[Finding]:
    """Files that no package takes, lines that take nothing, and files that cannot be read."""
    findings = list(installs.findings)
    findings += _lines_without_files(plan, installs)
    for program in installs.programs:
        message = "this file is a program, such as of dh-exec, so what it takes is not known"
        remedy = f"make it a list, if it need be no program: chmod -x {program}"
        findings.append(Finding(program, 1, (), "note", message, remedy))
    for group in _groups(plan):
        missing = [path for path in group.files if path not in installs.taken]
        if missing:
            findings.append(_forgotten(source, spec, installs, group, missing))
    return findings


def likely_owners(
    source: DebianSource, plan: Plan, installs: Installs
) -> dict[str, tuple[str, ...]]:
    """The packages that take each file of the plan; of one that none takes, which is to take it."""
    owners = {}
    for path in _planned_paths(plan):
        if path in installs.taken:
            owners[path] = installs.taken[path]
        else:
            package, _ = _package_for(source, installs, os.path.dirname(path))
            owners[path] = (package,)
    return owners


def _lines_without_files(plan: Plan, installs: Installs) -> Iterator[Finding]:
    """Lines that point into the output root, and take nothing that a build leaves there."""
    others = [manifest_name(target) for target in plan.targets]
    paths = [*_planned_paths(plan), *others, IMAGES_MANIFEST]
    places: list[Parts] = []
    for path in paths:
        places += _places(path, installs.roots)
    for line in installs.lines:
        if not any(_is_below(pattern, installs.roots) for pattern in line.patterns):
            continue
        if not _takes(line, places):
            message = "nothing in the output root has such a path when all is built"
            remedy = "remove the line, or correct it to a path that `romforge plan` shows"
            yield Finding(line.file, line.line, (), "error", message, remedy)


def _is_below(pattern: Parts, roots: Sequence[Parts]) -> bool:
    """Whether a pattern leads into the output root, and not to what romforge keeps there."""
    for root in roots:
        if root and pattern[: len(root)] == root:
            return pattern[len(root) : len(root) + 1] != (STATE,)
    return False


def _groups(plan: Plan) -> list[_Group]:
    """The files of the plan, by the table of the spec and by their directory."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for rom in plan.roms():
        directory = os.path.dirname(rom.path)
        groups.setdefault(("target", rom.target, directory), []).append(rom.path)
    for file in plan.files:
        directory = os.path.dirname(file.path)
        groups.setdefault(("image", file.name, directory), []).append(file.path)
    return [
        _Group((section, name), directory, tuple(files))
        for (section, name, directory), files in groups.items()
    ]


def _forgotten(
    source: DebianSource, spec: Spec, installs: Installs, group: _Group, missing: Sequence[str]
) -> Finding:
    """The finding for files of a group that no package takes, with the lines that would."""
    package, line = _package_for(source, installs, group.directory)
    file = source.directory / f"{package}.install"
    place, number = _place_of(source, package, line)
    message = f"no .install file takes {missing[0]}"
    if len(missing) > 1:
        message += f" and {plural(len(missing) - 1, 'more file')}"
    if installs.programs:
        message += ", unless a program does"
    remedy = f"add to {file}:"
    for text in _install_lines(spec, installs, group, missing):
        remedy += f"\n  {text}"
    if package not in source.packages():
        remedy += f"\nand to {source.control} a paragraph with\n  Package: {package}"
    severity: Severity = "warning" if installs.programs else "error"
    return Finding(place, number, group.key, severity, message, remedy)


def _place_of(
    source: DebianSource, package: str, line: InstallLine | None
) -> tuple[Path | None, int | None]:
    """The file and line to blame: a line for the same directory, or the package's paragraph."""
    if line is not None:
        return line.file, line.line
    binary = source.packages().get(package)
    if binary is not None:
        return source.control, binary.line
    return None, None


def _package_for(
    source: DebianSource, installs: Installs, directory: str
) -> tuple[str, InstallLine | None]:
    """The package to take the files of a directory, and its line for that directory, if any.

    Otherwise it has the name of a package whose name ends like its own directory, with the end of
    this one, which lies beside it: where ipxe-qemu takes usr/share/qemu, ipxe-qemu-loong64 is to
    take usr/share/qemu-loong64.
    """
    by_directory: dict[str, str] = {}
    for path, packages in installs.taken.items():
        by_directory.setdefault(os.path.dirname(path), packages[0])
    if directory in by_directory:
        package = by_directory[directory]
        return package, _line_for(installs, package, directory)
    above, wanted = os.path.split(directory)
    for other, package in by_directory.items():
        above_other, name = os.path.split(other)
        if name and wanted and above == above_other and package.endswith(name):
            return package[: -len(name)] + wanted, None
    return next(iter(source.packages())), None


def _line_for(installs: Installs, package: str, directory: str) -> InstallLine | None:
    """The first line of a package that takes a file of a directory."""
    near = [path for path in installs.taken if os.path.dirname(path) == directory]
    own = [line for line in installs.lines if line.package == package]
    for path, line in itertools.product(near, own):
        if _takes(line, _places(path, installs.roots)):
            return line
    return None


def _install_lines(
    spec: Spec, installs: Installs, group: _Group, missing: Sequence[str]
) -> list[str]:
    """The lines that take the missing files of a group, and no other file of the plan."""
    prefix = "/".join(next(iter(installs.roots), ()))
    if prefix:
        prefix += "/"
    above, name = os.path.split(group.directory)
    near = [path for path in installs.taken if path.startswith(f"{group.directory}/")]
    if not near and name:
        return [f"{prefix}{group.directory} {above or '/'}"]
    section, table = group.key
    if section == "target" and len(missing) == len(group.files):
        pattern = re.sub(r"\{[^{}]*\}", "*", spec.target[str(table)].file)
        if "/" not in pattern and not any(_fits(path, pattern) for path in near):
            return [f"{prefix}{group.directory}/{pattern} {group.directory}"]
    return [f"{prefix}{path} {group.directory or '/'}" for path in missing]


def _fits(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(os.path.basename(path), pattern)
