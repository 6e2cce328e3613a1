# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks the tables [config.NAME.HEADER] of a spec against a tree: its headers and their macros.

A macro takes effect in the sources that include its header. In another header it may have none,
and a macro that the tree does not mention has none. Neither fails a build.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import did_you_mean, join_words
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import source_tree, worktree
from romforge.spec import loader
from romforge.spec.fields import Path as KeyPath
from romforge.spec.fields import Problem
from romforge.spec.model import HEADERS, Spec

_CONFIG_DIRECTORY = re.compile(r"config/(?!local/|defaults/)([^/]+)/")
# A line that sets a macro, or offers to in a comment: `#define A`, `//#undef A`, `/* #define A`.
_SETS = re.compile(r"^[ \t]*(?://|/\*)?[ \t]*#[ \t]*(?:define|undef)[ \t]+(\w+)", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_CODE = (".c", ".h", ".S", ".s")


def header_problems(step: TreeBuild, src: Path, sizes: Mapping[str, int]) -> Iterator[Problem]:
    """The spec's headers that the tree does not have, or has set itself for the configuration.

    ``sizes`` has the bytes of each of the tree's files, by its path below src.
    """
    known = source_tree.config_headers(sizes)
    for header, _ in step.headers:
        key: KeyPath = ("config", step.config or "", header)
        path = source_tree.header_path(step, header)
        if header not in known:
            message = f"the tree has no header config/{header}.h"
            yield Problem(key, message, None, header, known)
        elif sizes.get(path):
            message = f"{src / path} sets the same header"
            yield Problem(key, message, "remove one of them")


def missing_config(step: TreeBuild, files: Collection[str]) -> str | None:
    """What is wrong where neither the tree nor the spec has the platform's configuration."""
    config = step.config
    if not config or step.headers:
        return None
    directories = f"config/{config}/", f"config/local/{config}/"
    if any(path.startswith(directories) for path in files):
        return None
    matches = map(_CONFIG_DIRECTORY.match, files)
    known = sorted({match[1] for match in matches if match})
    has = f"it has {join_words(known)}" if known else "it has none"
    return (
        f'the tree has no configuration "{config}"{did_you_mean(config, known)}; {has},'
        f" and the spec no [config.{config}.HEADER]"
    )


def macro_warnings(spec: Spec, makes: Iterable[TreeBuild], out: Path) -> list[Problem]:
    """The macros of the spec that may have no effect in the trees of these makes.

    Of trees that are missing nothing is known, and a fallback is not the tree that the spec is for.
    """
    seen: set[tuple[Path, str]] = set()
    warnings: dict[tuple[KeyPath, str], Problem] = {}
    for step in makes:
        found = source_tree.find_built_tree(step.trees, out)
        if found is None or step.config is None or not step.headers:
            continue
        src, place = found
        if place.kind == "fallback" or (src, step.config) in seen:
            continue
        seen.add((src, step.config))
        for problem in _Checker(src, step.config, spec).warnings():
            warnings.setdefault((problem.path, problem.message), problem)
    return list(warnings.values())


def unused_configurations(spec: Spec) -> Iterator[Problem]:
    """The configurations of the spec that no source and no platform is built with."""
    used = {source.config for source in spec.source.values()}
    used |= {platform.config for platform in spec.platform.values()}
    for name in spec.config:
        if name not in used:
            message = "no source and no platform has this configuration, so it has no effect"
            hint = f'write config = "{name}" in a [source.NAME] or a [platform.NAME]'
            known = sorted(config for config in used if config)
            yield Problem(("config", name), message, hint, name, known)


class _Macro(NamedTuple):
    """A macro of a spec: its key and its header. ``place`` is its file and line, if it has one."""

    path: KeyPath
    header: str
    name: str
    place: str = ""


class _Checker:
    """Looks for the macros of one configuration of a spec in one tree."""

    def __init__(self, src: Path, config: str, spec: Spec) -> None:
        self.src = src
        self.config = config
        self.headers = spec.config.get(config, {})
        self.files = spec.header_files.get(config, {})
        self.owners = read_owners(src)

    def warnings(self) -> Iterator[Problem]:
        unknown = []
        for macro in self._macros_of_spec():
            owners = self.owners.get(macro.name)
            if owners is None:
                unknown.append(macro)
            elif macro.header not in owners:
                yield self._misplaced(macro, owners)
        if unknown:
            mentioned = self._mentioned({macro.name for macro in unknown})
            for macro in unknown:
                if macro.name not in mentioned:
                    yield self._unknown(macro)

    def _macros_of_spec(self) -> Iterator[_Macro]:
        """Each macro of the configuration; not of headers that the tree lacks."""
        for name, header in self.headers.items():
            if not (self.src / "config" / f"{name}.h").is_file():
                continue
            table: KeyPath = ("config", self.config, name)
            for index, macro in enumerate(header.define):
                yield _Macro((*table, "define", index), name, macro)
            for index, macro in enumerate(header.undef):
                yield _Macro((*table, "undef", index), name, macro)
            for macro, _ in header.set:
                yield _Macro((*table, "set", macro), name, macro)
        for name, file in self.files.items():
            if not (self.src / "config" / f"{name}.h").is_file():
                continue
            for found in file.macros:
                key: KeyPath = ("config", self.config, HEADERS)
                yield _Macro(key, name, found.name, f"{file.file}:{found.line}: ")

    def _misplaced(self, macro: _Macro, owners: list[str]) -> Problem:
        header = macro.header
        places = join_words(f"config/{owner}.h" for owner in owners)
        message = (
            f"{macro.name} belongs to {places}, and config/{header}.h does not know it,"
            " so it may have no effect here"
        )
        tables = " or ".join(f"[config.{self.config}.{owner}]" for owner in owners)
        if macro.place:
            tables = " or ".join(f"{owner}.h" for owner in owners)
        return Problem(macro.path, macro.place + message, f"move it to {tables}")

    def _unknown(self, macro: _Macro) -> Problem:
        text = f"nothing in {self.src} mentions {macro.name}, so it has no effect"
        message = f"{macro.place}{text}"
        near_miss = did_you_mean(macro.name, self.owners)
        if near_miss:
            meant = near_miss.split('"')[1]
            owners = self.owners[meant]
            if macro.header not in owners:
                near_miss = near_miss.replace("?", f" of config/{owners[0]}.h?")
        return Problem(macro.path, message + near_miss)

    def _mentioned(self, wanted: set[str]) -> set[str]:
        """Those of the macros that any source of the tree has, or a value in the spec."""
        found: set[str] = set()
        for header in self.headers.values():
            for _, value in header.set:
                found |= wanted & set(_WORD.findall(value))
        for file in self.files.values():
            found |= wanted & _values_in(file.text)
        pattern = re.compile(rb"\b(?:%s)\b" % b"|".join(name.encode() for name in sorted(wanted)))
        for path in worktree.scan_tree(self.src):
            if found == wanted:
                break
            if path.endswith(_CODE):
                content = (self.src / path).read_bytes()
                found.update(name.decode() for name in pattern.findall(content))
        return found


def _values_in(text: str) -> set[str]:
    """The words in the values of a header's macros, and in its conditions."""
    words: set[str] = set()
    for line in text.splitlines():
        found = _SETS.match(line)
        words.update(_WORD.findall(line[found.end() :] if found else line))
    return words


def read_owners(src: Path) -> dict[str, list[str]]:
    """The headers that set each macro of a tree's configuration, or offer it in a comment.

    A header of a named or a local configuration counts as the header of that name. What a platform
    sets by default belongs to no header.

    >>> read_owners(src)["DOWNLOAD_PROTO_HTTPS"]
    ['general']
    """
    owners: dict[str, list[str]] = {}
    for path in sorted((src / "config").rglob("*.h")):
        if path.parent == src / "config/defaults":
            continue
        for name in sorted(set(_SETS.findall(path.read_text(errors="replace")))):
            headers = owners.setdefault(name, [])
            if path.stem not in headers:
                headers.append(path.stem)
    return owners


def require_config(step: TreeBuild, tree: source_tree.Tree, spec: Path | None) -> None:
    """Raises RomforgeError where the tree has no such configuration or header.

    Or where it has the same header itself.
    """
    sizes = {path: status.size for path, status in tree.files.items()}
    problems = list(header_problems(step, tree.src, sizes))
    if problems:
        raise RomforgeError(loader.point_to_all(spec, problems))
    text = missing_config(step, tree.files)
    if text:
        raise RomforgeError(text)
