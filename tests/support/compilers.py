# SPDX-License-Identifier: GPL-2.0-or-later
"""Compilers that keep their objects, since most tests compile the same sources.

Debian's ccache has a compiler of each name in a directory of its own. Before it comes a directory
whose compilers also keep what they printed, and give objects quicker: see kept_answers.c. Tests of
compilers and of launchers have the compilers themselves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.support import debian

CACHE = debian.CACHE / "ccache"
REAL_PATH = os.environ["PATH"]
CCACHE_PROGRAMS = "/usr/lib/ccache"
_SOURCE = Path(__file__).with_name("kept_answers.c")
_FLAGS = "-O2", "-static", f'-DCCACHE_PROGRAMS="{CCACHE_PROGRAMS}"'


def _keeping_programs() -> Path:
    """The directory of the compilers that keep their answers; it is made where it is missing.

    Of several processes that make it at once, one succeeds.
    """
    about = repr((_SOURCE.read_bytes(), _FLAGS, sorted(os.listdir(CCACHE_PROGRAMS))))
    place = debian.CACHE / f"compilers_{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    if not place.is_dir():
        debian.CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=debian.CACHE) as top:
            program, new = Path(top, "ccache"), Path(top, "compilers")
            subprocess.run(["gcc", *_FLAGS, _SOURCE, "-o", program], check=True)
            lay_out(new, program, os.listdir(CCACHE_PROGRAMS))
            with suppress(OSError):
                new.rename(place)
    forget_unused(place)
    return place / "bin"


def lay_out(place: Path, program: Path, names: Iterable[str]) -> None:
    """Makes a directory for a copy of the program and what it keeps, or adds links to one.

    ``names`` are those of ccache's own links.
    """
    if not (place / "bin").is_dir():
        (place / "bin").mkdir(parents=True)
        (place / "answers").mkdir()
        shutil.copy(program, place / "ccache")
    for name in names:
        link = place / "bin" / name
        if "gcc" in name and not link.is_symlink():
            link.symlink_to("../ccache")


def forget_unused(place: Path) -> None:
    """Removes the answers of a directory that were given to nobody for two weeks.

    Removes whole directories, too, of programs that no run has used for as long.
    """
    if time.time() - place.stat().st_mtime > 24 * 3600:  # once a day
        old = ["-type", "f", "-mtime", "+14"]
        subprocess.run(["find", place / "answers", *old, "-delete"], check=True)
    debian.forget_unused(place)


def _cached_path() -> str:
    """PATH with the compilers of the caches that are installed."""
    if not os.path.isdir(CCACHE_PROGRAMS):
        return REAL_PATH
    programs = f"{CCACHE_PROGRAMS}:{REAL_PATH}"
    return f"{_keeping_programs()}:{programs}" if shutil.which("gcc") else programs


CACHED_PATH = _cached_path()
# In a shell script, which may itself be called as gcc: the gcc that keeps its answers
CACHED_GCC = f"PATH={CACHED_PATH.partition(':')[0]}:/usr/bin:/bin gcc"
EXEC_CACHED_GCC = CACHED_GCC.replace(" gcc", " exec gcc")


def cached_compilers() -> dict[str, str]:
    """The environment in which objects come from the cache of all tests of this user."""
    return {"PATH": CACHED_PATH, "CCACHE_DIR": str(CACHE)}
