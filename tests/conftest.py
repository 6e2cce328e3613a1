# SPDX-License-Identifier: GPL-2.0-or-later
"""What several tests need: Debian's ROMs, a checkout's commands in a subprocess, and small specs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import debian

TOP = Path(__file__).resolve().parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The directories of the ROMs of Debian's three releases."""
    return {suite: debian.unpack(suite, tmp_path_factory.mktemp(suite)) for suite in debian.KNOWN}


@pytest.fixture(scope="session")
def e1000(releases: dict[str, Path]) -> bytes:
    """A ROM with a legacy and a compressed EFI image: sid's efi-e1000.rom."""
    return (releases["sid"] / "efi-e1000.rom").read_bytes()


@pytest.fixture
def romforge(tmp_path: Path) -> Run:
    """Runs ``romforge ARGUMENT…`` in an empty directory; a traceback fails the test."""
    return lambda *arguments, **options: run([sys.executable, "-m", "romforge", *map(str, arguments)], tmp_path, **options)


@pytest.fixture
def doit(tmp_path: Path) -> Run:
    """Runs ``doit ARGUMENT…`` with a dodo.py like the checkout's, in an empty directory."""
    (tmp_path / "dodo.py").write_text((TOP / "dodo.py").read_text().replace("Path(__file__).resolve().parent", f"Path({str(TOP)!r})"))
    return lambda *arguments, **options: run([sys.executable, "-m", "doit", *map(str, arguments)], tmp_path, **options)


def run(command: list[str], directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user would, without a terminal; fails the test where it prints a traceback."""
    done = subprocess.run(
        command, cwd=directory, env=users(environment), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def users(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a user who has the checkout's romforge, and nothing of ours but what is given."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ROM", "PYTEST"))}
    return clean | {"PYTHONPATH": str(TOP / "src")} | environment


def spec_text(roms: Path | str, *, nics: str = 'e1000 = "8086:100e"', extra: str = "") -> str:
    """A small spec over a directory of ROMs: efi-* padded to 256 KiB, pxe-* unpadded in 128 KiB."""
    named = "\n".join(f"[nic.{nic.split(' = ')[0]}]\nid = {nic.split(' = ')[1]}" for nic in nics.splitlines())
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
    """What projects share that start builds, some with a bit of our code changed: ``top`` is where they run."""

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

    def slow(self, seconds: float) -> dict[str, str]:
        """The environment of a build that takes so long after each ROM that it installs."""
        return self.patched(SLOW.format(seconds=seconds))

    def wait_for(self, what: Callable[[], object], process: subprocess.Popen[str]) -> None:
        """Waits for something that a running build does."""
        end = time.monotonic() + 20
        while not what():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "nothing came of it in 20 s"
            time.sleep(0.005)


SLOW = """
import time
from romforge import install
write = install.write
def slowly(*arguments):
    done = write(*arguments)
    if str(done).endswith(".rom"):
        time.sleep({seconds})
    return done
install.write = slowly
"""
