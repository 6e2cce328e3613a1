# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian of its own to build packages in.

debootstrap makes it. It is kept as a tarball, and entered in namespaces. All mounts belong to a
private namespace. The kernel removes them when its last process ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import debian

SUITE = os.environ.get("ROMFORGE_SUITE") or "trixie"
USER = 1000  # of builds that are not root's; nobody has a home
_RECIPE = 1  # counts up where the same packages would be installed in another way
_CONFIGURATION = """force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
"""


class Chroot:
    """A Debian in a directory; ``remove`` it when done."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        network: bool = False,
        user: int = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command there, in a process tree that ends with the tests.

        Standard error goes where standard output goes.
        """
        clean = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/nonexistent",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        if network:
            clean |= {name: value for name, value in os.environ.items() if name.endswith("_proxy")}
        spaces = [
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            f"--mount-proc={self.root}/proc",
            *([] if network else ["--net"]),
        ]
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return subprocess.run(
            ["unshare", *spaces, "chroot", str(self.root), *who, *command],
            env={**clean, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def sh(
        self,
        script: str,
        environment: Mapping[str, str] | None = None,
        network: bool = False,
        user: int = 0,
    ) -> str:
        """The output of a shell script; if it fails or prints a traceback, the test fails."""
        done = self.run(["bash", "-euc", script], environment or {}, network, user)
        assert done.returncode == 0, done.stdout[-8000:]
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def remove(self) -> None:
        subprocess.run(["rm", "-rf", self.root], check=True)  # quicker than rmtree by far


def make(directory: Path, packages: Sequence[str], package: Path) -> Chroot:
    """A chroot with some packages and the build dependencies of a source package.

    It comes from the cache where there is one.
    """
    assert os.geteuid() == 0, "chroots are made by root"
    about = [str(_RECIPE), SUITE, *packages, (package / "debian/control").read_text()]
    kept = (
        debian.CACHE
        / f"chroot_{SUITE}_{hashlib.sha256(repr(about).encode()).hexdigest()[:12]}.tar.zst"
    )
    directory.mkdir(parents=True)
    chroot = Chroot(directory)
    if kept.is_file():
        subprocess.run(
            ["tar", "-x", "--zstd", "--numeric-owner", "-C", directory, "-f", kept], check=True
        )
        return chroot
    script = (
        'rm -rf "$1"; debootstrap --variant=minbase "$2" "$1" "$3" >"$1.log"'
        ' || { tail "$1.log"; false; }'
    )
    debian.retried(["sh", "-c", script, "-", str(directory), SUITE, debian.archive()])
    (directory / "etc/dpkg/dpkg.cfg.d").mkdir(exist_ok=True)
    (directory / "etc/dpkg/dpkg.cfg.d/tests").write_text(_CONFIGURATION)
    # the archive may be a snapshot, whose lists are signed, but past their date
    options = (
        'Acquire::Retries "5";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'APT::Install-Recommends "false";\n'
    )
    (directory / "etc/apt/apt.conf.d/tests").write_text(options)
    shutil.copytree(package / "debian", directory / "package/debian")
    chroot.sh(
        "apt-get -qq update; "
        f"apt-get -qq install -y build-essential {' '.join(packages)}; "
        "apt-get -qq build-dep -y /package;"
        "apt-get clean; "
        "rm -rf /package /var/lib/apt/lists/*; "
        "localedef -i tr_TR -f UTF-8 tr_TR.UTF-8",
        network=True,
    )
    debian.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=debian.CACHE) as part:
        subprocess.run(
            [
                "tar",
                "-c",
                "-I",
                "zstd -1 -T0",
                "--numeric-owner",
                "-C",
                directory,
                "-f",
                f"{part}/tar",
                ".",
            ],
            check=True,
        )
        Path(part, "tar").rename(kept)
    return chroot
