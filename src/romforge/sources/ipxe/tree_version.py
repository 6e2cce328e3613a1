# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of a source tree, made independent of the state of its git repository.

The makefiles of iPXE 2.0 read the commit from ``../.git/HEAD``. Those of older trees run
``git describe --abbrev=1``. It shortens the commit to as many digits as the object database needs
for a unique name: a shallow clone gives another version than a full one, and so other ROMs.
romforge runs the makefile's command with the full commit, shortens the commit to a fixed length,
and passes the result to make as a variable.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from romforge.sources.ipxe import toolchain

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = 7  # digits of the commit in a version
# A variable that a makefile sets to the output of `git describe`.
_DESCRIBED = re.compile(
    r"^\s*(?P<name>\w+)\s*(?:::?|\?)?="
    r".*\$\(shell\s+git\s+(?:-C\s+\S+\s+)?describe\b(?P<options>[^)\n]*)\)",
    re.MULTILINE,
)


class TreeVersion(NamedTuple):
    """The version of a checkout: output of `git describe`, commit, and variables for make.

    ``described`` and ``commit`` are empty if the tree is not a git checkout. If git knows no
    commit, only ``commit`` is empty.
    """

    described: str
    commit: str
    variables: tuple[tuple[str, str], ...]


def read_version(src: Path) -> TreeVersion:
    """The version of the tree with this src directory."""
    checkout = src.parent
    if not (checkout / ".git").exists():
        return TreeVersion("", "", ())
    described = _describe(checkout, ["--always", "--long", "--tags"])
    commit = _COMMIT.search(described)
    if not commit:
        return TreeVersion("unknown", "", ())
    return TreeVersion(described, commit[0], tuple(_version_variables(src, checkout)))


def _version_variables(src: Path, checkout: Path) -> list[tuple[str, str]]:
    """The variables that the makefile sets by `git describe`, with commits of a fixed length.

    >>> _version_variables(src, checkout)
    [("VERSIONS", "v1.21.1-0-g988d2c1")]
    """
    try:
        makefile = (src / "Makefile").read_text(errors="replace")
    except OSError:
        return []
    variables = []
    for match in _DESCRIBED.finditer(makefile):
        described = _describe(checkout, _describe_options(match["options"]))
        if described:
            variables.append((match["name"], _COMMIT.sub(_shorten_commit, described)))
    return variables


def _describe_options(text: str) -> list[str]:
    """The options of a makefile's `git describe`, without ``--abbrev`` and redirections."""
    try:
        options = shlex.split(text)
    except ValueError:  # an unbalanced quote
        options = text.split()
    kept = []
    for option in options:
        is_redirection = ">" in option
        if not is_redirection and not option.startswith("--abbrev"):
            kept.append(option)
    return kept


def _shorten_commit(commit: re.Match[str]) -> str:
    return commit[0][:_SHORT]


def _describe(checkout: Path, options: list[str]) -> str:
    """The output of `git describe` with the full commit; empty if git fails or is missing."""
    command = ["git", "-C", str(checkout), "describe", *options, "--abbrev=40"]
    return toolchain.output_of(command).strip()
