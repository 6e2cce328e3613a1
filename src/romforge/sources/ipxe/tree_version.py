# SPDX-License-Identifier: GPL-2.0-or-later
"""The version that a tree's makefiles take from git, made independent of the repository's state.

iPXE 2.0 reads the commit from ``../.git/HEAD``. Older trees run ``git describe --abbrev=1``, whose
result is as long as the commits in the object database need to be told apart: so a shallow clone
gives another version, and other ROMs, than a full one. romforge runs the tree's own command with
the full commit, shortens it to a fixed length, and gives the result to make as a variable.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

from romforge.sources.ipxe import toolchain

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = 7  # digits of the commit in a version
# A variable that a makefile takes from `git describe`.
_DESCRIBED = re.compile(
    r"^\s*(?P<name>\w+)\s*(?:::?|\?)?=.*\$\(shell\s+git\s+(?:-C\s+\S+\s+)?describe\b(?P<options>[^)\n]*)\)",
    re.MULTILINE,
)


class TreeVersion(NamedTuple):
    """Of a checkout: what `git describe` says of it, its commit, and variables that make is to be given.

    ``described`` and ``commit`` are empty where the tree is no checkout, or git knows no commit.
    """

    described: str
    commit: str
    variables: tuple[tuple[str, str], ...]


def read_version(src: Path) -> TreeVersion:
    """The version of the tree whose source directory this is."""
    checkout = src.parent
    if not (checkout / ".git").exists():
        return TreeVersion("", "", ())
    described = _describe(checkout, ["--always", "--long", "--tags"])
    commit = _COMMIT.search(described)
    if not commit:
        return TreeVersion("unknown", "", ())
    return TreeVersion(described, commit[0], tuple(_variables(src, checkout)))


def _variables(src: Path, checkout: Path) -> list[tuple[str, str]]:
    try:
        makefile = (src / "Makefile").read_text(errors="replace")
    except OSError:
        return []
    found = []
    for match in _DESCRIBED.finditer(makefile):
        options = [word for word in _words(match["options"]) if ">" not in word]
        options = [word for word in options if not word.startswith("--abbrev")]
        if described := _describe(checkout, options):
            found.append((match["name"], _COMMIT.sub(lambda commit: commit[0][:_SHORT], described)))
    return found


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _describe(checkout: Path, options: list[str]) -> str:
    """What `git describe` prints, with the full commit; empty where git fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), "describe", *options, "--abbrev=40"],
            env=toolchain.make_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
