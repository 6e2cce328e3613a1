# SPDX-License-Identifier: GPL-2.0-or-later
"""What a tree's makefiles need of the machine, looked for before anything is built.

iPXE's makefiles find a missing compiler late, if at all: without a cross compiler they take the native one, which fails
in the midst of a build with an error that names no cause. Host needs are listed in iPXE's documentation of its build.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from romforge.base import programs
from romforge.base.arch import BY_NAME, Arch
from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.base.text import join_words
from romforge.plan.planner import TreeBuild
from romforge.sources.ipxe import launcher

# What may run as it is on a processor of this name (uname -m).
NATIVE = {
    "x86_64": (Arch.I386, Arch.X86_64),
    "i686": (Arch.I386,),
    "aarch64": (Arch.ARM64,),
    "riscv64": (Arch.RISCV64,),
    "loongarch64": (Arch.LOONG64,),
}
# Of dpkg-buildflags, and of the make above, nothing may get in; these are what tools look for their own files by.
_PASSED = ("PATH", "HOME", "TMPDIR", "SOURCE_DATE_EPOCH")
_LAUNCHERS = "env", "nice", *launcher.KNOWN  # which take a command
_PASSED_FAMILIES = ("CCACHE_", "DISTCC_", "ICECC_", "SCCACHE_")


def make_environment(environ: Mapping[str, str], words: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment for a tree's make: what the spec sets is on its command line, and nothing else gets in.

    A launcher, of which these are the words, finds its own things by more variables.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name in _PASSED or name.startswith(_PASSED_FAMILIES)
    }
    # the version comes from the user's own checkout, which git must not write to, nor mistrust for its owner
    git = {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    return kept | launcher.launcher_environment(words, environ) | {"LC_ALL": "C"} | git


def cross_prefix(step: TreeBuild) -> str:
    """What the names of the platform's compiler and binutils begin with; empty for the native ones."""
    if step.cross is not None:
        return step.cross
    arch = BY_NAME[step.arch]
    return "" if arch in NATIVE.get(os.uname().machine, ()) else f"{arch.triplet}-"


def tools_identity(step: TreeBuild) -> list[list[str | int]]:
    """Names the platform's tools as they are installed now: path, size in bytes and mtime in ns of each; no program is run."""
    found: list[list[str | int]] = []
    for name in _programs(step):
        if path := _installed(name):
            status = os.stat(path)
            found.append([os.path.realpath(path), status.st_size, status.st_mtime_ns])
    return found


def _installed(name: str) -> str | None:
    """Where a program is; past a launcher that bears a compiler's name, as those in /usr/lib/ccache do."""
    for directory in os.get_exec_path():
        path = shutil.which(name, path=directory)
        if path and os.path.basename(os.path.realpath(path)) not in launcher.KNOWN:
            return path
    return shutil.which(name)


def tool_versions(step: TreeBuild) -> dict[str, str]:
    """What the platform's compiler and linker say of themselves in their first line; raises MissingTool."""
    names = {
        name: package for name, package in _programs(step).items() if name.endswith(("gcc", "ld"))
    }
    return {
        name: programs.run_program([name, "--version"], package=package).decode().partition("\n")[0]
        for name, package in names.items()
    }


def require_tools(step: TreeBuild) -> None:
    """Raises MissingTool, which tells all that the platform needs and this machine lacks; of a launcher that alone."""
    launcher.require_launcher(step.launcher)
    problems = [
        f"{name}: not found; install the Debian package {package}"
        for name, package in _programs(step).items()
        if not shutil.which(name)
    ]
    if not problems:
        problems = list(_unfit(step))
    if problems:
        raise MissingTool("\n  ".join(problems))


def require_git(step: TreeBuild, src: Path) -> None:
    """Raises MissingTool where a tree's version comes from git, and git is missing or refuses it.

    Without git the working tree would get no repository, and the tree's makefile would take another
    version and say nothing: 1.21.1 then calls itself 1.0.0+. A VERSION of the spec needs no git.
    """
    checkout = src.parent
    if "VERSION" in dict(step.variables) or not (checkout / ".git").exists():
        return
    instead = f'or set make = {{ VERSION = "…" }} in [source.{step.source}]'
    if not shutil.which("git"):
        problem = f"git: not found; the version of {checkout} comes from git"
        raise MissingTool(f"{problem}: install the Debian package git, {instead}")
    done = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--absolute-git-dir"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=make_environment(os.environ),
    )
    said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    if done.returncode and ("dubious ownership" in said or "unsafe repository" in said):
        remedy = f"git config --global --add safe.directory {checkout}"
        raise MissingTool(f"git refuses the tree: {said}\n  run {remedy}, {instead}")


def _programs(step: TreeBuild) -> dict[str, str]:
    """The programs that the platform's build runs, and the Debian package of each."""
    cross, variables = cross_prefix(step), dict(step.variables)
    suffix = f"-{cross.rstrip('-').replace('_', '-')}" if cross else ""
    programs = {"make": "make", "perl": "perl"}
    for variable, default, package in (
        ("HOST_CC", "gcc", "gcc"),
        ("CC", f"{cross}gcc", f"gcc{suffix}"),
        ("LD", f"{cross}ld", f"binutils{suffix}"),
        ("AR", f"{cross}ar", f"binutils{suffix}"),
    ):
        for word in _commands(variable, variables.get(variable, default)):
            programs[word] = package if word == default else word
    return programs


def _commands(variable: str, value: str) -> Iterator[str]:
    """The programs that a compiler's variable names: launchers, and the compiler; what make is to fill in is left to it."""
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise RomforgeError(
            f"make's variable {variable} cannot be split into words: {str(error).lower()}: {value}"
        ) from None
    for word in words:
        if word.startswith("-") or "=" in word:
            continue
        if "$" not in word:
            yield word
        if word not in _LAUNCHERS:
            return


def _unfit(step: TreeBuild) -> Iterator[str]:
    """What is wrong with tools that are there."""
    cross, variables = cross_prefix(step), dict(step.variables)
    arch = BY_NAME[step.arch]
    if (
        "CC" not in variables
        and (made := _run(f"{cross}gcc", "-dumpmachine").strip()).split("-")[0]
        not in arch.compilers
    ):
        yield f'{cross}gcc makes code for {made}, not for {step.arch}; set cross = "{arch.triplet}-" in [platform.{step.platform}]'
    if "LD" not in variables and "GNU ld" not in (
        version := _run(f"{cross}ld", "--version").split("\n")[0]
    ):
        yield f"{cross}ld is {version or 'no linker'}, and only GNU ld links such a tree; let the Debian package binutils provide {cross}ld"
    headers = (
        ["stdio.h", "lzma.h"] if step.legacy else ["stdio.h"]
    )  # the host tool that compresses legacy images needs the latter
    if "HOST_CC" not in variables:
        missing = [header for header in headers if not _has(header)]
        packages = join_words(
            {"stdio.h": "libc6-dev", "lzma.h": "liblzma-dev"}[header] for header in missing
        )
        if missing:
            yield f"{join_words(missing)}: not found by gcc; install the Debian package{'s' if len(missing) > 1 else ''} {packages}"


def _has(header: str) -> bool:
    """Whether the host's compiler finds a header."""
    return _run("gcc", "-E", "-x", "c", "-include", header, "/dev/null") != ""


def _run(*command: str) -> str:
    """What a program says; nothing where it cannot be run, or fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=make_environment(os.environ),
        )
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace")
