# SPDX-License-Identifier: GPL-2.0-or-later
"""The checkout, its commands in a subprocess, small specs, and projects that start builds."""

from __future__ import annotations

import fnmatch
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.compilers import cached_compilers
from tests.support.forked import MODULES, Forks

TOP = Path(__file__).resolve().parents[2]
# An upstream tree, for test_real_tree.py alone: all other tests build vendor/minipxe. From here on
# the variable has another name, which the workers of pytest read and romforge does not.
REAL_TREE = os.environ.pop("IPXE_SRC", None) or os.environ.get("ROMFORGE_TEST_TREE")
if REAL_TREE:
    os.environ["ROMFORGE_TEST_TREE"] = REAL_TREE
# Seconds that a test waits for anything: no machine is so slow, so only what hangs ends there.
PATIENCE = 900
Run = Callable[..., subprocess.CompletedProcess[str]]


# What tools leave in a checkout, where no git says so.
_OF_TOOLS = ["out", "build", "dist", "bin", "bin-*", ".git", ".venv"]
_OF_TOOLS += ["__pycache__", ".*_cache", ".hypothesis", "*.egg-info"]


def source_files(*patterns: str) -> list[str]:
    """The files of the checkout, or of an unpacked sdist, that match a pattern; all without one.

    Patterns are git's: a ``*`` also matches slashes, and a directory stands for all that is in it.
    """
    if (TOP / ".git").exists():
        command = ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns]
        listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
        return listed.stdout.splitlines()
    names = []
    for directory, below, files in os.walk(TOP):
        below[:] = [name for name in below if not _matches(name, _OF_TOOLS)]
        names += [os.path.relpath(os.path.join(directory, file), TOP) for file in files]
    wanted = [pattern for one in patterns for pattern in (one, f"{one}/*")] or ["*"]
    return sorted(name for name in names if _matches(name, wanted))


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def write_dodo(directory: Path) -> None:
    """Writes a dodo.py like the checkout's, which finds the checkout's romforge from elsewhere."""
    text = (TOP / "dodo.py").read_text()
    text = text.replace("Path(__file__).resolve().parent", f"Path({str(TOP)!r})")
    (directory / "dodo.py").write_text(text)


def run(
    command: list[str], directory: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user would, without a terminal; a traceback fails the test.

    Most runs of romforge and doit are forks of a Python that has imported them.
    """
    done = _run_fork(command, directory, users(environment))
    if done is None:
        done = subprocess.run(
            command,
            cwd=directory,
            env=users(environment),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def run_attached(
    command: list[str],
    directory: Path,
    environment: dict[str, str],
    descriptors: tuple[int, int, int],
    read: Callable[[], str],
) -> tuple[int, str]:
    """The status of a command with these standard files, and what ``read`` reads until its end.

    The files are closed here once the command has them.
    """
    environment = users(environment)
    with _taken_forks(command, environment) as forks:
        if forks is not None:
            forks.begin(command[2:], directory, environment, descriptors)
            output = read()
            return forks.end(), output
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=descriptors[0],
        stdout=descriptors[1],
        stderr=descriptors[2],
    )
    for descriptor in set(descriptors):
        os.close(descriptor)
    output = read()
    return process.wait(PATIENCE), output


@functools.cache
def forks(encoding: str = "") -> Forks:
    """The Python that forks for this worker, where PYTHONIOENCODING is ``encoding``."""
    return Forks(users({"PYTHONIOENCODING": encoding} if encoding else {}))


@contextmanager
def _taken_forks(command: list[str], environment: dict[str, str]) -> Iterator[Forks | None]:
    """The Python whose fork can run a command; None where that must be a Python of its own."""
    if command[:2] != [sys.executable, "-m"] or command[2] not in MODULES:
        yield None
        return
    fitting = forks(environment.get("PYTHONIOENCODING", ""))
    if not fitting.fit(environment) or not fitting.lock.acquire(blocking=False):
        yield None
        return
    try:
        yield fitting
    finally:
        fitting.lock.release()


def _run_fork(
    command: list[str], directory: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str] | None:
    """Runs a command in a fork; None where that must be a Python of its own."""
    with _taken_forks(command, environment) as taken:
        if taken is None:
            return None
        return taken.run(command[2:], directory, environment, PATIENCE)


def users(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a user who has the checkout's romforge, and else only what is given.

    Its compilers are those of the cache, where no PATH is given.
    """
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("ROM", "PYTEST"))
    }
    return clean | cached_compilers() | {"PYTHONPATH": str(TOP / "src")} | environment


def spec_text(roms: Path | str, *, nics: str = 'e1000 = "8086:100e"', extra: str = "") -> str:
    """A small spec over a directory of ROMs: efi-* padded to 256 KiB, pxe-* unpadded in 128 KiB."""
    named = "\n".join(
        f"[nic.{nic.split(' = ')[0]}]\nid = {nic.split(' = ')[1]}" for nic in nics.splitlines()
    )
    return f"""spec = 1
[source.roms]
roms = "{roms}"
[platform.pcbios]
[platform.x86_64-efi]
{named}
[bucket.efi]
size = "256KiB"
[bucket.pxe]
size = "128KiB"
pad = false
[target.efi]
dir = "usr/share/qemu"
file = "efi-{{nic}}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "efi"
[target.pxe]
dir = "usr/share/qemu"
file = "pxe-{{nic}}.rom"
images = ["pcbios"]
bucket = "pxe"
{extra}"""


class Started:
    """The base of projects that start builds in ``top``, some with a part of the code changed."""

    top: Path
    started: list[subprocess.Popen[str]]

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Starts a build in a process group of its own, as a shell would."""
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.top,
            env=users(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def patched(self, code: str) -> dict[str, str]:
        """The environment in which every Python of a build first runs ``code``."""
        site = self.top / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(code)
        return {"PYTHONPATH": f"{site}:{TOP / 'src'}"}

    def held(self, roms: int = 1) -> dict[str, str]:
        """The environment of a build that stops after it installed so many ROMs, until let go."""
        for name in ("installed", "go"):
            (self.top / name).unlink(missing_ok=True)
        return self.patched(HELD.format(top=str(self.top), roms=roms, patience=PATIENCE))

    def let_go(self) -> None:
        (self.top / "go").touch()

    def wait_for(self, what: Callable[[], object], process: subprocess.Popen[str]) -> None:
        """Waits for something that a running build does."""
        end = time.monotonic() + PATIENCE
        while not what():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "nothing came of it"
            time.sleep(0.005)


HELD = """
import os, time
from romforge.base import output_files
write, top = output_files.write_output, {top!r}
def held(*arguments):
    done = write(*arguments)
    if str(done).endswith(".rom"):
        with open(top + "/installed", "a") as file:
            file.write("x")
        end = time.monotonic() + {patience}
        while os.path.getsize(top + "/installed") >= {roms} and time.monotonic() < end:
            if os.path.exists(top + "/go"):
                break
            time.sleep(0.005)
    return done
output_files.write_output = held
"""


def all_gone(found: Callable[[], dict[int, str]]) -> dict[int, str]:
    """Waits until there are none of these processes; returns those that stay."""
    end = time.monotonic() + PATIENCE
    while (left := found()) and time.monotonic() < end:
        time.sleep(0.02)
    return left
