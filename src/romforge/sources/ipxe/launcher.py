# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiler launchers, such as ccache and distcc: how make runs them, and which sources they skip.

The assembler's ``.incbin`` and ``.include`` read files that the preprocessor does not see. Such a
source cannot be compiled on another machine, which has no such file. distcc and icecc try, then
compile it again here, and distcc avoids the server for a minute. It cannot be cached either:
ccache detects that, but sccache returns an old object for a new file.

Therefore make gets a script as its compiler. For these sources, and where the makefile sets
CCACHE_DISABLE, the script runs the compiler directly. It also removes make's jobserver from the
environment: a launcher's daemon outlives the make.
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

# By the launcher's name, which is also that of its Debian package: prefixes of the variables that
# it needs to find its own files and servers.
KNOWN = {
    "ccache": ("CCACHE_", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
    "distcc": ("DISTCC_", "SSH_AUTH_SOCK"),
    "icecc": ("ICECC",),
    "sccache": ("SCCACHE_", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "AWS_"),
}
_SCRIPT = ".romforge/launch"  # below src, where make runs
# Options by which a compiler only preprocesses. iPXE's makefiles do this for each source's
# dependencies, and a launcher does not speed it up.
_PREPROCESSOR_OPTIONS = "-E", "-M", "-MM"
_READS_FILES = re.compile(rb"\.inc(?:bin|lude)\b")


def launcher_environment(command: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables in ``environ`` that the launchers in a command need.

    >>> launcher_environment(("nice", "distcc"), {"DISTCC_HOSTS": "a b", "CFLAGS": "-O0"})
    {'DISTCC_HOSTS': 'a b'}
    """
    prefixes: list[str] = []
    for word in command:
        prefixes += KNOWN.get(Path(word).name, ())
    passed = tuple(prefixes)
    return {name: value for name, value in environ.items() if name.startswith(passed)}


def require_launcher(command: tuple[str, ...]) -> None:
    """Raises MissingTool if a launcher in the command is not installed."""
    for index, program in enumerate(command):
        is_launcher = index == 0 or program in KNOWN
        if not is_launcher or shutil.which(program):
            continue
        name = Path(program).name
        remedy = "the spec names it as launcher"
        if name in KNOWN:
            remedy = f"install the Debian package {name}"
        raise MissingTool(f"{program}: not found; {remedy}")


def launched_compiler(compiler: str) -> str:
    """The value of CC that runs ``compiler`` through the script of ``write_launcher``."""
    return f"{_SCRIPT} {compiler}"


def write_launcher(command: tuple[str, ...], src: Path) -> None:
    """Writes the script that make runs as its compiler; raises RomforgeError.

    Without a launcher, when ``command`` is empty, nothing is written.
    """
    if command:
        script = launcher_script(command, list(_sources_to_compile_locally(src)))
        worktree.write_source(src / _SCRIPT, script.encode(), 0o755)


def launcher_script(command: tuple[str, ...], local: list[str]) -> str:
    """The text of the script, which runs a compiler with the arguments that it gets.

    It runs it through the launcher ``command``, unless the compiler only preprocesses or compiles
    one of the ``local`` sources.
    """
    patterns = list(_PREPROCESSOR_OPTIONS)
    for source in local:
        patterns.append(f"{shlex.quote(source)}|*/{shlex.quote(source)}")
    return f"""#!/bin/sh
# Written by romforge. Runs a compiler through the launcher if its output depends only on
# preprocessed text.
unset MAKEFLAGS MFLAGS
[ -z "$CCACHE_DISABLE" ] || exec "$@"
for word; do
	case "$word" in {"|".join(patterns)}) exec "$@" ;; esac
done
exec {shlex.join(command)} "$@"
"""


def _sources_to_compile_locally(src: Path) -> Iterator[str]:
    """The sources for which the assembler reads other files, as paths below src."""
    for directory, directories, files in os.walk(src):
        directories.sort()
        for name in sorted(files):
            path = Path(directory, name)
            if path.suffix in (".c", ".S", ".s") and _READS_FILES.search(path.read_bytes()):
                yield str(path.relative_to(src))


def distcc_jobs(environ: Mapping[str, str]) -> int:
    """The number of jobs that distcc's hosts run at once.

    Raises MissingTool without distcc, and RomforgeError if it has no hosts.
    """
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
    output = done.stdout.strip()
    if not output.isdecimal() or int(output) == 0:
        raise RomforgeError(f"`distcc -j` printed no number of jobs: {done.stderr.strip()}")
    return int(output)
