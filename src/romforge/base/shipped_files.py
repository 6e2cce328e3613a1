# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that come with romforge: example specs, and the miniature of iPXE.

A checkout has them at its top. An installed romforge has them in its package, in a directory
``shipped``, to which setup.py copies them.
"""

from __future__ import annotations

import os
from pathlib import Path

from romforge.base.errors import RomforgeError
from romforge.base.text import did_you_mean, join_words, relative_path

PREFIX = "romforge:"  # of a path in a spec
_DIRECTORY = "shipped"
TREES = {"romforge:minipxe": "vendor/minipxe"}  # what a spec may name, and where it is
_PACKAGE = Path(__file__).resolve().parents[1]


def find_file(name: str) -> Path:
    """The path of a shipped file, by its name in a checkout: ``examples/qemu.toml``.

    Raises RomforgeError where it is missing, as in an incomplete installation.
    """
    for top in (_PACKAGE / _DIRECTORY, _PACKAGE.parents[1]):
        if (top / name).exists():
            return top / name
    raise RomforgeError(f"romforge was installed without its file {name}; install it again")


def shown_path(path: str) -> str:
    """A path for messages: relative if it is below the working directory.

    A tree that comes with romforge is shown as a spec names it, if it lies elsewhere.
    """
    shown = relative_path(path)
    if not os.path.isabs(shown):
        return shown
    for name, place in TREES.items():
        for top in (_PACKAGE / _DIRECTORY, _PACKAGE.parents[1]):
            if Path(path) == top / place:
                return name
    return shown


def resolve_path(path: str, directory: Path) -> str:
    """The absolute path of what a spec names, relative to the spec's directory.

    ``romforge:minipxe`` is the miniature of iPXE. Raises RomforgeError for another path that
    begins with ``romforge:``.
    """
    if not path.startswith(PREFIX):
        return os.path.abspath(directory / Path(path).expanduser())
    if path not in TREES:
        near = did_you_mean(path, TREES)
        raise RomforgeError(f"{path}: romforge has no such tree{near}; it has {join_words(TREES)}")
    return str(find_file(TREES[path]))
