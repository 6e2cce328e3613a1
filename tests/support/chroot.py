# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian of its own to build packages in.

debootstrap makes it. It is kept as directories, one over the other: a Debian with what all chroots
need, and the packages of each. Over these each chroot lays its own changes. It is entered in
namespaces. All mounts belong to a private namespace. The kernel removes them when its last process
ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support import debian
from tests.support.compilers import CACHED_PATH, CCACHE_PROGRAMS, forget_unused, lay_out

SUITE = os.environ.get("ROMFORGE_SUITE") or "trixie"
USER = 1000  # of builds that are not root's; nobody has a home
# an environment in which what is packed is packed fast
FAST = {"XZ_OPT": "-0", "DPKG_DEB_COMPRESSOR_LEVEL": "0"}
_PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
OBJECTS = debian.CACHE / "ccache-chroot"  # of all runs, with a directory for each user
_COMPILERS = Path(CACHED_PATH.partition(":")[0]).parent
# an environment in which objects come from there
CACHED = {
    "PATH": f"/objects/{_COMPILERS.name}/bin:{CCACHE_PROGRAMS}:{_PROGRAMS}",
    "CCACHE_DIR": "/objects",
}
_RECIPE = 3  # counts up where the same packages would be installed in another way
# in all of them, as they are no package's build dependencies
_TOOLS = ("build-essential", "ccache", "faketime", "lintian", "locales")
_CONFIGURATION = """force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
"""


_OVERLAY = 'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/root,workdir=$2/work" "$2/whole"'
# run with what is below and the directory of a chroot that has copies of all
_COPY = """
set -e
whole=$1
case $1 in *:*)
    whole=$2/whole
    mount -t overlay overlay -o "lowerdir=$1" "$whole"
esac
cp -a --reflink=auto "$whole/." "$2/root"
"""
_COMPLETE = ".complete"  # marks a directory that needs none below it
# run with what is below, the chroot's directory, the user's directory of objects, a command
_ENTER = f"""
set -e
top=$2/root
[ -z "$1" ] || {{ {_OVERLAY}; top=$2/whole; }}
mount -t proc proc "$top/proc"
mount --bind "$3" "$top/objects"
shift 3
exec chroot "$top" "$@"
"""


class Chroot:
    """A Debian whose changes are in ``root``; ``remove`` it when done.

    All its other files are those of ``below``, the uppermost directory first; without one it has
    copies of its own. Do not write to ``root`` while a command runs there.
    """

    def __init__(self, directory: Path, below: Sequence[Path] = ()) -> None:
        self.directory, self.below = directory, below
        self.root = directory / "root"

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
        objects = self._objects(user)
        clean = {
            "PATH": _PROGRAMS,
            "HOME": "/nonexistent",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        if network:
            clean |= {name: value for name, value in os.environ.items() if name.endswith("_proxy")}
        spaces = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        places = [_joined(self.below), str(self.directory), str(objects)]
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return subprocess.run(
            ["unshare", *spaces, "sh", "-c", _ENTER, "-", *places, *who, *command],
            env={**clean, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _objects(self, user: int) -> Path:
        """The directory with the objects of a user, and with compilers that use them."""
        objects = OBJECTS / str(user)
        compilers = objects / _COMPILERS.name
        links = [top / CCACHE_PROGRAMS[1:] for top in (self.root, *self.below)]
        names = {name for place in links if place.is_dir() for name in os.listdir(place)}
        objects.mkdir(parents=True, exist_ok=True)
        os.chown(objects, user, user)
        if (_COMPILERS / "ccache").is_file():
            lay_out(compilers, _COMPILERS / "ccache", names)
            os.chown(compilers / "answers", user, user)
            forget_unused(compilers)
        return objects

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
        subprocess.run(["rm", "-rf", self.directory], check=True)  # quicker than rmtree by far


def make(directory: Path, packages: Sequence[str], package: Path) -> Chroot:
    """A chroot with some packages and the build dependencies of a source package.

    What it lies over comes from the cache where it is there.
    """
    assert os.geteuid() == 0, "chroots are made by root"
    base = _kept([str(_RECIPE), SUITE, *_TOOLS], [], _bootstrap)
    about = [base[0].name, *packages, (package / "debian/control").read_text()]
    kept = _kept(about, base, lambda chroot: _install(chroot, packages, package))
    return _laid_over(directory, kept)


def _kept(
    about: Sequence[str], below: Sequence[Path], install: Callable[[Chroot], None]
) -> Sequence[Path]:
    """The kept directories of a Debian, the uppermost first; one that is missing is made."""
    digest = hashlib.sha256(repr(about).encode()).hexdigest()[:12]
    kept = debian.CACHE / f"chroot_{SUITE}_{digest}"
    if not kept.is_dir():
        debian.CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=debian.CACHE) as part:
            chroot = _laid_over(Path(part), below) if below else Chroot(Path(part))
            install(chroot)
            if not chroot.below:
                (chroot.root / _COMPLETE).touch()
            try:
                chroot.root.rename(kept)
            except OSError:
                assert kept.is_dir()  # another run of the tests was first
    debian.forget_unused(kept)
    return [kept] if (kept / _COMPLETE).exists() else [kept, *below]


def _laid_over(directory: Path, below: Sequence[Path]) -> Chroot:
    """A chroot in an empty directory, over others; with copies where nothing can be laid over."""
    for name in ("root", "work", "whole"):
        (directory / name).mkdir(parents=True)
    places = [_joined(below), str(directory)]
    mounted = ["unshare", "--mount", "sh", "-c", _OVERLAY, "-", *places]
    if subprocess.run(mounted, capture_output=True, check=False).returncode == 0:
        return Chroot(directory, below)
    # as where the tests' own files are in an overlay
    copied = ["unshare", "--mount", "sh", "-c", _COPY, "-", *places]
    subprocess.run(copied, check=True)
    return Chroot(directory)


def _joined(below: Sequence[Path]) -> str:
    """Directories as `mount -t overlay` takes them."""
    return ":".join(map(str, below))


def _bootstrap(chroot: Chroot) -> None:
    """Makes a Debian with what all chroots need."""
    root = chroot.root
    script = (
        'rm -rf "$1"; debootstrap --variant=minbase "$2" "$1" "$3" >"$1.log"'
        ' || { tail "$1.log"; false; }'
    )
    debian.retried(["sh", "-c", script, "-", str(root), SUITE, debian.archive()])
    (root / "objects").mkdir()
    (root / "etc/dpkg/dpkg.cfg.d").mkdir(exist_ok=True)
    (root / "etc/dpkg/dpkg.cfg.d/tests").write_text(_CONFIGURATION)
    # the archive may be a snapshot, whose lists are signed, but past their date
    options = (
        'Acquire::Retries "5";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'APT::Install-Recommends "false";\n'
    )
    (root / "etc/apt/apt.conf.d/tests").write_text(options)
    chroot.sh(
        "apt-get -qq update; "
        f"apt-get -qq install -y {' '.join(_TOOLS)}; "
        "apt-get clean; "
        "rm -rf /var/lib/apt/lists/*; "
        "localedef -i tr_TR -f UTF-8 tr_TR.UTF-8",
        network=True,
    )


def _install(chroot: Chroot, packages: Sequence[str], package: Path) -> None:
    """Adds some packages and the build dependencies of a source package."""
    shutil.copytree(package / "debian", chroot.root / "package/debian")
    chroot.sh(
        "apt-get -qq update; "
        f"apt-get -qq install -y {' '.join(packages)}; "
        "apt-get -qq build-dep -y /package; "
        "apt-get clean; "
        "rm -rf /package /var/lib/apt/lists/*",
        network=True,
    )
