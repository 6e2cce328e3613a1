# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own ROMs, to test on: the package ipxe-qemu of three releases, and sid's ipxe.

A release moves on. Then its newer package is used, and the tests that know the bytes of the older
one are skipped, with that reason: they are marked ``exact_bytes(SUITE, …)``. All other tests run on
the newer package.

Run as a program it fetches them all and prints their sums: ``python -m tests.support.debian``.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple


class Known(NamedTuple):
    """A package whose bytes tests know: its version, and the sha256 of the .deb."""

    version: str
    sha256: str


# Where a release has a newer package, look at what changed, and update the tests of exact bytes.
KNOWN = {
    "bookworm": Known(
        "1.0.0+git-20190125.36a4c85-5.1",
        "5c2419ce07f4d80ac5e88e32ac09cdc523c048af86c4730d682ba969d3189db2",
    ),
    "trixie": Known(
        "1.21.1+git20250501.dad20602+dfsg-1",
        "b3b799d90b87ef2d6defa925cd48cf1691a19806f08041733a4f884d4a218b17",
    ),
    "sid": Known(
        "2.0.0+dfsg-5", "4d566dc0b7e3e5b2afb0061f3a2f83784ce36368775d5196c93e5bb6e68b05e8"
    ),
}
APPLICATIONS = {  # the package ipxe
    "sid": Known("2.0.0+dfsg-5", "f0f2b3df949f3207e2ca5c1324d23d0ad94a968c3d53e18ed8ea57b12f24a4bb")
}
DIRECTORY = {"bookworm": "usr/lib/ipxe/qemu", "trixie": "usr/share/qemu", "sid": "usr/share/qemu"}
NICS = ("e1000", "e1000e", "eepro100", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3")
ROMS = tuple(f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in NICS)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "romforge-tests"
ONE_DAY = 24 * 60 * 60  # seconds
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_KEPT = 14 * 24 * 3600  # seconds for which the cache keeps what no run uses


@functools.lru_cache
def package(suite: str, name: str = "ipxe-qemu") -> Path:
    """The .deb of a package in a release: the known one from the cache, else what apt gives."""
    known = (KNOWN if name == "ipxe-qemu" else APPLICATIONS)[suite]
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{name}_{suite}_{known.sha256[:12]}.deb"
    if path.is_file() and sha256_of(path) == known.sha256:
        return path
    newer = CACHE / f"{name}_{suite}_newer.deb"
    if newer.is_file() and time.time() - newer.stat().st_mtime < ONE_DAY:
        return newer
    data = _download(name, suite)
    if hashlib.sha256(data).hexdigest() != known.sha256:
        path = newer
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(data)
    part.rename(path)
    return path


def moved_on(suite: str) -> str | None:
    """What to say of a release whose package is not the known one any more; None where it is."""
    path = package(suite)
    if sha256_of(path) == KNOWN[suite].sha256:
        return None
    known = KNOWN[suite].version
    return f"{suite} has ipxe-qemu {version_of(path)} by now; the bytes of {known} are known"


def version_of(deb: Path) -> str:
    """The version of a Debian package."""
    show = ["dpkg-deb", "--show", "--showformat=${Version}", str(deb)]
    return subprocess.run(show, capture_output=True, text=True, check=True).stdout


def unpack(suite: str, directory: Path) -> Path:
    """Unpacks a release's package; returns the directory of its ROMs."""
    subprocess.run(["dpkg-deb", "-x", package(suite), directory], check=True)
    return directory / DIRECTORY[suite]


def applications(directory: Path) -> dict[str, Path]:
    """Unpacks sid's package ipxe; returns its EFI application of each architecture."""
    subprocess.run(["dpkg-deb", "-x", package("sid", "ipxe"), directory], check=True)
    return {
        path.stem.removeprefix("ipxe-"): path
        for path in sorted((directory / "usr/lib/ipxe").glob("ipxe-*.efi"))
    }


def forget_unused(used: Path) -> None:
    """Notes that a directory of the cache is used, and removes others of its kind that are not.

    These lie beside it, and their names begin as its own. One is removed if no run of the tests has
    used it for two weeks.
    """
    os.utime(used)
    oldest = time.time() - _KEPT
    for path in used.parent.glob(f"{used.name.partition('_')[0]}_*"):
        if path.stat().st_mtime < oldest:
            subprocess.run(["rm", "-rf", path], check=True)  # quicker than rmtree by far


def _download(name: str, suite: str) -> bytes:
    """A package of any release, from the archive that this machine's apt uses."""
    with TemporaryDirectory(prefix="romforge-apt-") as state:
        for directory in ("lists/partial", "cache/archives/partial"):
            Path(state, directory).mkdir(parents=True)
        Path(state, "sources.list").write_text(
            f"deb [signed-by={_KEYRING}] {archive()} {suite} main\n"
        )
        Path(state, "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{state}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
            f'Dir::State::lists "{state}/lists";\nDir::Cache "{state}/cache";\n'
            'APT::Sandbox::User "root";\n'
        )
        environment = {**os.environ, "APT_CONFIG": f"{state}/apt.conf"}
        for command in (["apt-get", "-qq", "update"], ["apt-get", "-qq", "download", name]):
            retried(command, state, environment)
        return next(Path(state).glob("*.deb")).read_bytes()


def archive() -> str:
    """Where this machine's apt gets Debian's packages from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(CODENAME)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sites = [
        line.split()[0]
        for line in listed.splitlines()
        if line.split()[1:2] == ["Debian"] and "security" not in line
    ]
    assert sites, "apt knows no archive of Debian; run apt-get update"
    return sites[0]


def retried(
    command: list[str], directory: str | None = None, environment: dict[str, str] | None = None
) -> None:
    """Runs a command that downloads, at most three times; if none succeeds, the test fails."""
    for wait in (2, 10, 0):
        done = subprocess.run(command, cwd=directory, env=environment, check=False)
        if done.returncode == 0:
            return
        time.sleep(wait)
    raise AssertionError(f"{' '.join(command)} ended with status {done.returncode}, three times")


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    for each in KNOWN:
        print(each, version_of(package(each)), sha256_of(package(each)))
        if moved_on(each):
            print(f"  {moved_on(each)}, so its tests of exact bytes are skipped")
    print("sid, ipxe", version_of(package("sid", "ipxe")), sha256_of(package("sid", "ipxe")))
