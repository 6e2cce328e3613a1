# SPDX-License-Identifier: GPL-2.0-or-later
"""Compilers that keep their objects, since most tests compile the same sources.

Debian's ccache has a compiler of each name in a directory of its own. Tests of compilers and of
launchers have the compilers themselves.
"""

from __future__ import annotations

import os

from tests.support import debian

CACHE = debian.CACHE / "ccache"
REAL_PATH = os.environ["PATH"]
CACHE_PROGRAMS = "/usr/lib/ccache"
CACHED_PATH = f"{CACHE_PROGRAMS}:{REAL_PATH}"


def cached_compilers() -> dict[str, str]:
    """The environment in which objects come from the cache of all tests of this user."""
    return {"PATH": CACHED_PATH, "CCACHE_DIR": str(CACHE)}
