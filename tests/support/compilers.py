# SPDX-License-Identifier: GPL-2.0-or-later
"""Compilers that keep their objects, since most tests compile the same sources.

Debian's ccache has a compiler of each name in a directory of its own. Before it comes a directory
whose compilers also keep what ``gcc -M`` printed: see dependency_cache.c. Tests of compilers and of
launchers have the compilers themselves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support import debian

CACHE = debian.CACHE / "ccache"
REAL_PATH = os.environ["PATH"]
CCACHE_PROGRAMS = "/usr/lib/ccache"
_SOURCE = Path(__file__).with_name("dependency_cache.c")
_FLAGS = "-O2", "-static", f'-DCCACHE_PROGRAMS="{CCACHE_PROGRAMS}"'


def _keeping_programs() -> Path:
    """The directory of the compilers that keep what ``-M`` printed; it is made where it is missing.

    Of several processes that make it at once, one succeeds.
    """
    about = repr((_SOURCE.read_bytes(), _FLAGS, sorted(os.listdir(CCACHE_PROGRAMS))))
    place = debian.CACHE / f"compilers_{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    if not place.is_dir():
        debian.CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=debian.CACHE) as top:
            new = Path(top, "compilers")
            lay_out(new)
            subprocess.run(["gcc", *_FLAGS, _SOURCE, "-o", new / "ccache"], check=True)
            with suppress(OSError):
                new.rename(place)
    debian.forget_unused(place)
    return place / "bin"


def lay_out(place: Path) -> None:
    """Makes a directory for a program ``ccache``, links to it, and what it keeps."""
    (place / "bin").mkdir(parents=True)
    (place / "answers").mkdir()
    for name in os.listdir(CCACHE_PROGRAMS):
        if "gcc" in name:
            (place / "bin" / name).symlink_to("../ccache")


def _cached_path() -> str:
    """PATH with the compilers of the caches that are installed."""
    if not os.path.isdir(CCACHE_PROGRAMS):
        return REAL_PATH
    programs = f"{CCACHE_PROGRAMS}:{REAL_PATH}"
    return f"{_keeping_programs()}:{programs}" if shutil.which("gcc") else programs


CACHED_PATH = _cached_path()
# Of a shell script that is called as gcc, in a PATH that leads to itself: the last line.
EXEC_CACHED_GCC = f"""case "$*" in
*" -c "*) exec ccache /usr/bin/gcc "$@" ;;
*" -M "*) PATH={CACHED_PATH.partition(":")[0]}:/usr/bin:/bin exec gcc "$@" ;;
esac
exec /usr/bin/gcc"""


def cached_compilers() -> dict[str, str]:
    """The environment in which objects come from the cache of all tests of this user."""
    return {"PATH": CACHED_PATH, "CCACHE_DIR": str(CACHE)}
