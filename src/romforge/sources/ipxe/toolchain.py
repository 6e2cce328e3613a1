# SPDX-License-Identifier: GPL-2.0-or-later
"""The tools that a tree's makefiles need, checked before anything is built.

iPXE's makefiles detect a missing compiler late or not at all. Without a cross compiler they use the
native one, and the build fails halfway with an error that does not name the cause. The tools that
are needed on the host are listed in iPXE's build documentation.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from romforge.base import programs
from romforge.base.arch import BY_NAME, Arch, tools_package
from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.base.text import join_words
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import launcher

# The architectures whose code runs natively on a machine, by its name in `uname -m`.
NATIVE = {
    "x86_64": (Arch.I386, Arch.X86_64),
    "i686": (Arch.I386,),
    "aarch64": (Arch.ARM64,),
    "riscv64": (Arch.RISCV64,),
    "loongarch64": (Arch.LOONG64,),
}
# Only variables by which tools find their own files are passed on: not those of dpkg-buildflags,
# nor those of a make that runs romforge.
_PASSED = ("PATH", "HOME", "TMPDIR", "SOURCE_DATE_EPOCH")
_PASSED_FAMILIES = ("CCACHE_", "DISTCC_", "ICECC_", "SCCACHE_")
_LAUNCHERS = "env", "nice", *launcher.KNOWN  # programs that run the command in their arguments
# The version comes from your own checkout: git must not write to it, nor refuse it for its owner.
_GIT_SETTINGS = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
# Headers of the host tools, and their Debian packages. The tool that compresses legacy images
# needs lzma.h.
_HOST_HEADERS = {"stdio.h": "libc6-dev"}
_LEGACY_HOST_HEADERS = _HOST_HEADERS | {"lzma.h": "liblzma-dev"}


def make_environment(
    environ: Mapping[str, str], launcher_command: tuple[str, ...] = ()
) -> dict[str, str]:
    """The environment for a tree's make: a few variables of ``environ`` and fixed settings.

    Variables that the launcher needs are passed on as well, if there is one. Settings of the spec
    are not in the environment but on make's command line.
    """
    environment = {}
    for name, value in environ.items():
        if name in _PASSED or name.startswith(_PASSED_FAMILIES):
            environment[name] = value
    environment |= launcher.launcher_environment(launcher_command, environ)
    # the time zone is in the directories of an image of a disk
    return environment | {"LC_ALL": "C", "TZ": "UTC0"} | _GIT_SETTINGS


def cross_prefix(step: TreeBuild) -> str:
    """The prefix of the platform's compiler and binutils; empty for the native tools."""
    if step.cross is not None:
        return step.cross
    arch = BY_NAME[step.arch]
    if arch in NATIVE.get(os.uname().machine, ()):
        return ""
    return f"{arch.triplet}-"


def tools_identity(step: TreeBuild) -> list[list[str | int]]:
    """Identifies the platform's tools as they are installed, without running them.

    Each tool has its real path, its size in bytes and its mtime in ns.
    """
    identity: list[list[str | int]] = []
    for name in _programs(step):
        if path := _find_installed(name):
            status = os.stat(path)
            identity.append([os.path.realpath(path), status.st_size, status.st_mtime_ns])
    return identity


def _find_installed(name: str) -> str | None:
    """The path of a program; a launcher with a compiler's name, as in /usr/lib/ccache, is skipped.

    None if the program is not installed.
    """
    for directory in os.get_exec_path():
        path = shutil.which(name, path=directory)
        if path and os.path.basename(os.path.realpath(path)) not in launcher.KNOWN:
            return path
    return shutil.which(name)


def tool_versions(step: TreeBuild) -> dict[str, str]:
    """The first line that the platform's compilers and linker print for ``--version``.

    Raises MissingTool.
    """
    versions = {}
    for name, package in _programs(step).items():
        if name.endswith(("gcc", "ld")):
            output = programs.run_program([name, "--version"], package=package)
            versions[name] = output.decode().partition("\n")[0]
    return versions


def require_tools(step: TreeBuild) -> None:
    """Raises MissingTool, with everything that the platform needs and this machine lacks.

    If the launcher is missing, the message names only the launcher.
    """
    launcher.require_launcher(step.launcher)
    problems = []
    for name, package in _programs(step).items():
        if not shutil.which(name):
            problems.append(f"{name}: not found; install the Debian package {package}")
    if not problems:
        problems = [*_wrong_compilers(step), *_missing_headers(step)]
    if problems:
        raise MissingTool("\n  ".join(problems))


def require_git(step: TreeBuild, src: Path) -> None:
    """Raises MissingTool if a tree's version comes from git, and git is missing or refuses it.

    Without git the tree's makefile silently takes a default version: 1.21.1 reports itself as
    1.0.0+. If the spec sets VERSION, git is not needed.
    """
    checkout = src.parent
    if "VERSION" in dict(step.variables) or not (checkout / ".git").exists():
        return
    alternative = f'or set make = {{ VERSION = "…" }} in [source.{step.source}]'
    if not shutil.which("git"):
        problem = f"git: not found; the version of {checkout} comes from git"
        raise MissingTool(f"{problem}: install the Debian package git, {alternative}")
    done = _run(["git", "-C", str(checkout), "rev-parse", "--absolute-git-dir"])
    error = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    if done.returncode and ("dubious ownership" in error or "unsafe repository" in error):
        remedy = f"git config --global --add safe.directory {checkout}"
        raise MissingTool(f"git refuses the tree: {error}\n  run {remedy}, {alternative}")


def _programs(step: TreeBuild) -> dict[str, str]:
    """The programs that the platform's build runs, each with its Debian package."""
    cross = cross_prefix(step)
    variables = dict(step.variables)
    packages = {"make": "make", "perl": "perl"}
    for variable, default, package in (
        ("HOST_CC", "gcc", "gcc"),
        ("CC", f"{cross}gcc", tools_package("gcc", cross)),
        ("LD", f"{cross}ld", tools_package("binutils", cross)),
        ("AR", f"{cross}ar", tools_package("binutils", cross)),
    ):
        for program in _split_command(variable, variables.get(variable, default)):
            packages[program] = package if program == default else program
    return packages


def _split_command(variable: str, value: str) -> Iterator[str]:
    """The programs in the value of a variable such as CC: launchers, then the compiler.

    A word that make expands is skipped. Raises RomforgeError for an unbalanced quote.

    >>> list(_split_command("CC", "env CCACHE_DIR=/x ccache gcc -m64"))
    ['env', 'ccache', 'gcc']
    """
    try:
        words = shlex.split(value)
    except ValueError as error:
        reason = str(error).lower()
        raise RomforgeError(
            f"make's variable {variable} cannot be split into words: {reason}: {value}"
        ) from None
    for word in words:
        if word.startswith("-") or "=" in word:
            continue
        if "$" not in word:
            yield word
        if word not in _LAUNCHERS:
            return


def _wrong_compilers(step: TreeBuild) -> Iterator[str]:
    """A message for each installed tool that cannot build the platform."""
    cross = cross_prefix(step)
    variables = dict(step.variables)
    if "CC" not in variables:
        arch = BY_NAME[step.arch]
        target = _output_of_tool([f"{cross}gcc", "-dumpmachine"]).strip()
        if target.split("-")[0] not in arch.compilers:
            yield (
                f"{cross}gcc makes code for {target}, not for {step.arch}; "
                f'set cross = "{arch.triplet}-" in [platform.{step.platform}]'
            )
    if "LD" not in variables:
        version = _output_of_tool([f"{cross}ld", "--version"]).partition("\n")[0]
        if "GNU ld" not in version:
            yield (
                f"{cross}ld is {version or 'not a linker'}, but only GNU ld can link an iPXE "
                f"tree; install the Debian package binutils, and have it provide {cross}ld"
            )


def _missing_headers(step: TreeBuild) -> Iterator[str]:
    """A message if the host's compiler does not find the headers that the host tools need."""
    if "HOST_CC" in dict(step.variables):
        return
    packages = _LEGACY_HOST_HEADERS if step.legacy else _HOST_HEADERS
    if _has_headers(*packages):
        return
    missing = [header for header in packages if not _has_headers(header)]
    if missing:
        noun = "package" if len(missing) == 1 else "packages"
        names = join_words(packages[header] for header in missing)
        yield f"{join_words(missing)}: not found by gcc; install the Debian {noun} {names}"


def _has_headers(*headers: str) -> bool:
    """Whether the host's compiler finds all of some headers."""
    included = [word for header in headers for word in ("-include", header)]
    return _output_of_tool(["gcc", "-E", "-x", "c", *included, "/dev/null"]) != ""


# What the tools printed, by their commands and PATH. All platforms of a run ask for the same.
_printed_by_tools: dict[tuple[str, ...], str] = {}


def _output_of_tool(command: Sequence[str]) -> str:
    """What a tool prints, as ``output_of``; a tool is run once in a run of romforge."""
    key = (os.environ.get("PATH", ""), *command)
    if key not in _printed_by_tools:
        _printed_by_tools[key] = output_of(command)
    return _printed_by_tools[key]


def output_of(command: Sequence[str]) -> str:
    """What a program prints in make's environment; empty if it fails or cannot be run."""
    try:
        done = _run(command)
    except OSError:
        return ""
    if done.returncode:
        return ""
    return done.stdout.decode(errors="replace")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Runs a program in make's environment, without input, and collects what it prints."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=make_environment(os.environ),
    )
