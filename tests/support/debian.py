# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own ROMs, to test on: gets the package ipxe-qemu of three releases, and sid's ipxe, and checks what came.

Run as a program it fetches them all and prints their sums: ``python -m tests.support.debian``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

# version and sha256 of the .deb; where a release has a newer one, look at it and bring this up to date
KNOWN = {
    "bookworm": (
        "1.0.0+git-20190125.36a4c85-5.1",
        "5c2419ce07f4d80ac5e88e32ac09cdc523c048af86c4730d682ba969d3189db2",
    ),
    "trixie": (
        "1.21.1+git20250501.dad20602+dfsg-1",
        "b3b799d90b87ef2d6defa925cd48cf1691a19806f08041733a4f884d4a218b17",
    ),
    "sid": ("2.0.0+dfsg-5", "4d566dc0b7e3e5b2afb0061f3a2f83784ce36368775d5196c93e5bb6e68b05e8"),
}
APPLICATIONS = {
    "sid": ("2.0.0+dfsg-5", "f0f2b3df949f3207e2ca5c1324d23d0ad94a968c3d53e18ed8ea57b12f24a4bb")
}  # the package ipxe
DIRECTORY = {"bookworm": "usr/lib/ipxe/qemu", "trixie": "usr/share/qemu", "sid": "usr/share/qemu"}
NICS = ("e1000", "e1000e", "eepro100", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3")
ROMS = tuple(f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in NICS)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "romforge-tests"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def package(suite: str, name: str = "ipxe-qemu") -> Path:
    """The .deb of a package in a release; from the cache where its sum is right, else through apt."""
    version, sha256 = (KNOWN if name == "ipxe-qemu" else APPLICATIONS)[suite]
    path = CACHE / f"{name}_{suite}_{sha256[:12]}.deb"
    if not path.is_file() or _sum(path) != sha256:
        fresh = _download(name, suite)
        if _digest(fresh) != sha256:
            raise AssertionError(
                f"{suite} has another {name} than {version}, of sha256 {_digest(fresh)}; look at it, update {__file__}"
            )
        CACHE.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(fresh)
        part.rename(path)
    return path


def unpack(suite: str, directory: Path) -> Path:
    """Unpacks a release's package; returns the directory of its ROMs."""
    subprocess.run(["dpkg-deb", "-x", package(suite), directory], check=True)
    return directory / DIRECTORY[suite]


def applications(directory: Path) -> dict[str, Path]:
    """Unpacks sid's package ipxe; returns its EFI applications, one for each architecture, by the architecture's name."""
    subprocess.run(["dpkg-deb", "-x", package("sid", "ipxe"), directory], check=True)
    return {
        path.stem.removeprefix("ipxe-"): path
        for path in sorted((directory / "usr/lib/ipxe").glob("ipxe-*.efi"))
    }


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
            f'Dir::State::lists "{state}/lists";\nDir::Cache "{state}/cache";\nAPT::Sandbox::User "root";\n'
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
    """Runs a command that downloads, three times at most; fails the test where none of them succeeds."""
    for wait in (2, 10, 0):
        done = subprocess.run(command, cwd=directory, env=environment, check=False)
        if done.returncode == 0:
            return
        time.sleep(wait)
    raise AssertionError(f"{' '.join(command)} ended with status {done.returncode}, three times")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sum(path: Path) -> str:
    return _digest(path.read_bytes())


if __name__ == "__main__":
    for each in KNOWN:
        print(each, KNOWN[each][0], _sum(package(each)), file=sys.stdout)
    print("sid, ipxe", APPLICATIONS["sid"][0], _sum(package("sid", "ipxe")), file=sys.stdout)
