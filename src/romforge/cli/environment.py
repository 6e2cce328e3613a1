# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user's environment says in place of options of the command line.

Each function takes the directory in which the user started the program. doit changes into the
directory of dodo.py before it loads it, so a relative path of a variable needs the former.
"""

from __future__ import annotations

import os
from pathlib import Path

SPEC_NAME = "romspec.toml"
OUTPUT_NAME = "out"


def spec_file(start: Path = Path()) -> Path:
    """The spec that ROMSPEC names, or else romspec.toml in the current directory."""
    value = os.environ.get("ROMSPEC")
    if not value:
        return Path(SPEC_NAME)
    return start / value


def output_root(start: Path = Path()) -> Path:
    """The output root that ROMFORGE_OUT names, or else ``out`` in the current directory."""
    value = os.environ.get("ROMFORGE_OUT")
    if not value:
        return Path(OUTPUT_NAME)
    return start / value


def source_tree_override(start: Path = Path()) -> str | None:
    """The absolute path of the iPXE source tree that IPXE_SRC names, or None."""
    value = os.environ.get("IPXE_SRC")
    if not value:
        return None
    return os.path.abspath(start / value)
