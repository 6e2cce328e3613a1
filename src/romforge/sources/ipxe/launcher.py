# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiler launchers, such as ccache and distcc: what a tree's make is told of one, and what must not go through it.

The assembler's .incbin and .include read files that no preprocessor sees. An object made of such a source cannot be compiled
on another machine, which has no such file (distcc and icecc try, and compile it again here; distcc then shuns the server for a
minute), nor be cached (ccache sees it and does not, sccache takes an old object for a new file). So make gets as its compiler a
script, which runs the compiler itself for these sources, and wherever the makefile sets CCACHE_DISABLE. It also takes make's
pool of jobs out of the environment: a launcher's daemon outlives the make.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.sources.ipxe import worktree

# By the launcher's name, which is its Debian package's: what the names of variables begin with that it finds its own things by.
KNOWN = {
    "ccache": ("CCACHE_", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
    "distcc": ("DISTCC_", "SSH_AUTH_SOCK"),
    "icecc": ("ICECC",),
    "sccache": ("SCCACHE_", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "AWS_"),
}
_SCRIPT = ".romforge/launch"  # below src, where make runs
# Options by which a compiler only preprocesses. A launcher has nothing to gain there, and iPXE's makefiles do so for every
# source's dependencies.
_PREPROCESSES = "-E", "-M", "-MM"
_READS_UNSEEN = re.compile(rb"\.inc(?:bin|lude)\b")


def launcher_environment(words: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that launchers among these words need."""
    passed = tuple(prefix for word in words for prefix in KNOWN.get(Path(word).name, ()))
    return {name: value for name, value in environ.items() if name.startswith(passed)}


def require_launcher(words: tuple[str, ...]) -> None:
    """Raises MissingTool where a launcher is not installed."""
    for word in words[:1] + tuple(word for word in words[1:] if word in KNOWN):
        if not shutil.which(word):
            name = Path(word).name
            advice = (
                f"install the Debian package {name}"
                if name in KNOWN
                else "the spec has it as launcher"
            )
            raise MissingTool(f"{word}: not found; {advice}")


def launched_compiler(command: str) -> str:
    """What to tell make as CC, which else were ``command``, after ``write_launcher``."""
    return f"{_SCRIPT} {command}"


def write_launcher(words: tuple[str, ...], src: Path) -> None:
    """Writes the script that make gets as its compiler; raises RomforgeError."""
    if words:
        worktree.write_source(
            src / _SCRIPT,
            launcher_script(words, list(_sources_to_compile_locally(src))).encode(),
            0o755,
        )


def launcher_script(words: tuple[str, ...], apart: list[str]) -> str:
    """The text of the script, which runs its arguments: through the launcher, but for sources that are to be left apart."""
    local = [f"{shlex.quote(path)}|*/{shlex.quote(path)}" for path in apart]
    patterns = "|".join([*_PREPROCESSES, *local])
    return f"""#!/bin/sh
# Written by romforge: runs a compiler through the launcher, where what it makes depends on preprocessed text alone.
unset MAKEFLAGS MFLAGS
[ -z "$CCACHE_DISABLE" ] || exec "$@"
for word; do
	case "$word" in {patterns}) exec "$@" ;; esac
done
exec {shlex.join(words)} "$@"
"""


def _sources_to_compile_locally(src: Path) -> Iterator[str]:
    """The sources that the assembler reads other files for."""
    for directory, directories, files in os.walk(src):
        directories.sort()
        for name in sorted(files):
            path = Path(directory, name)
            if path.suffix in (".c", ".S", ".s") and _READS_UNSEEN.search(path.read_bytes()):
                yield str(path.relative_to(src))


def distcc_jobs(environ: Mapping[str, str]) -> int:
    """How many jobs distcc's hosts take at once; raises RomforgeError where it knows none."""
    try:
        done = subprocess.run(
            ["distcc", "-j"],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        raise MissingTool("distcc: not found; install the Debian package distcc") from None
    if not (done.stdout.strip().isdecimal() and int(done.stdout)):
        raise RomforgeError(f"`distcc -j` tells no number of jobs: {done.stderr.strip()}")
    return int(done.stdout)
