# SPDX-License-Identifier: GPL-2.0-or-later
"""The source package of examples/debian builds with Debian's own tools and packages.

It builds in a chroot without network.

`ROMFORGE_SUITE=sid` takes another release than Debian 13.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import chroot as chroots
from tests.support.chroot import CACHED, FAST, USER, Chroot
from tests.support.project import TOP

pytestmark = [pytest.mark.slow, pytest.mark.network]

EXAMPLE = TOP / "examples/debian"
ROMS = {
    "ipxe-qemu": 16,
    "ipxe-qemu-aarch64": 8,
    "ipxe-qemu-loongarch64": 8,
    "ipxe-qemu-riscv64": 8,
}
# the files that Debian's own package ipxe has
PROGRAMS = {
    *("ipxe-amd64.efi", "ipxe-arm64.efi", "ipxe-loong64.efi", "ipxe-riscv64.efi", "ipxe.efi"),
    *("ipxe.iso", "ipxe.lkrn", "ipxe.pxe", "snponly.efi", "undionly.kkpxe", "undionly.kpxe"),
}
SETTINGS = {
    "ROMSPEC": "debian/romspec.toml",
    "ROMFORGE_OUT": "debian/out",
    "DEB_VERSION": "2.0.0+dfsg-6",  # as debian/rules takes it from the changelog
}
# what must change no byte of a package, together with a place, a time, an umask and a user
OTHER_CONDITIONS = {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"}
ROMFORGE = "PYTHONPATH=debian/romforge/src python3 -m romforge"
# of each autopkgtest one ROM; all of them take minutes
TESTS = {
    "boot-x86": "rom:usr/share/qemu/efi-e1000.rom",
    "boot-aarch64": "rom:usr/share/qemu-aarch64/efi-e1000.rom",
    "boot-loongarch64": "rom:usr/share/qemu-loongarch64/efi-e1000.rom",
    "boot-riscv64": "rom:usr/share/qemu-riscv64/efi-e1000.rom",
}


def fields(name: str) -> list[dict[str, str]]:
    """The paragraphs of a control file of the example."""
    paragraphs = re.split(r"\n\n+", (EXAMPLE / "debian" / name).read_text())
    return [dict(re.findall(r"(?m)^([\w-]+):\s*((?:.|\n )*)", one)) for one in paragraphs]


class Package:
    """A source package in a directory of its own in the chroot, which a user owns.

    Its drivers are compressed fast: the examples are built at their own levels elsewhere. So are
    the tarball and the packages, whose levels are not the example's.
    """

    def __init__(self, chroot: Chroot, name: str, user: int = USER) -> None:
        self.chroot, self.user = chroot, user
        self._lie_in(name)
        make_source = [EXAMPLE / "make-source", self.place]
        subprocess.run(make_source, env=os.environ | FAST, check=True)
        fast = r'\1level = "fast"\n'
        self.spec.write_text(re.sub(r"(\[target\.[\w-]+\]\n)", fast, self.spec.read_text()))
        subprocess.run(["chown", "-R", f"{user}:{user}", self.place], check=True)

    def _lie_in(self, name: str) -> None:
        self.place = self.chroot.root / "build" / name
        self.top = self.place / "ipxe"
        self.spec = self.top / "debian/romspec.toml"

    def copy(self, name: str) -> Package:
        """The package as it is now, with all that was built, in another directory."""
        subprocess.run(["cp", "-a", self.place, self.place.with_name(name)], check=True)
        other = copy.copy(self)
        other._lie_in(name)
        return other

    def sh(self, script: str, **environment: str) -> str:
        """Runs a script in the package's directory, without network."""
        return self.chroot.sh(
            f"cd /build/{self.place.name}/ipxe; {script}",
            FAST | environment,
            user=self.user,
        )

    def build(self, *options: str, **environment: str) -> str:
        """Builds packages; returns the log."""
        return self.sh(f"dpkg-buildpackage -us -uc {' '.join(options)}", **environment)

    def build_in_other_conditions(
        self, *options: str, build_options: str = "parallel=1", fails: bool = False
    ) -> str:
        """Builds packages at another time, in another locale, …; returns the log."""
        command = f"faketime -f +400d dpkg-buildpackage -us -uc {' '.join(options)}"
        script = f"umask 077; {'! ' if fails else ''}{command}"
        return self.sh(script, DEB_BUILD_OPTIONS=build_options, **OTHER_CONDITIONS)

    def debs(self) -> dict[str, str]:
        """The sha256 of each package that was built."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.place.glob("*.deb"))
        }

    def files(self) -> dict[str, str]:
        """The content of each file, and all directories."""
        return {
            str(path.relative_to(self.top)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else ""
            for path in sorted(self.top.rglob("*"))
        }


@pytest.fixture(scope="module")
def chroot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroot]:
    wanted = ["blhc", "python3-jinja2", "python3-pyelftools"]
    for test in fields("tests/control"):
        wanted += [
            word for word in re.split(r"[,\s]+", test["Depends"]) if not word.startswith("ipxe")
        ]
    directory = tmp_path_factory.mktemp("debian")
    made = chroots.make(directory, sorted(set(wanted)), EXAMPLE)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def package(chroot: Chroot) -> Package:
    """The package, built once.

    Where tests ran before, its objects are from the cache of all runs. ``another`` has none of
    them, so if the two are the same, a compiler gave these bytes at two times in two places.
    """
    package = Package(chroot, "one")
    package.build(DEB_BUILD_OPTIONS="terse parallel=2", **CACHED)
    return package


class Another(NamedTuple):
    """The package as root built it for arm64 in other conditions.

    Its log, and what was written outside of the places of packages.
    """

    package: Package
    log: str
    written: str


@pytest.fixture(scope="module")
def another(chroot: Chroot) -> Another:
    package = Package(chroot, "another-and-longer-place", user=0)
    chroot.sh("touch /stamp")
    log = package.build_in_other_conditions("-b", "-aarm64")
    written = chroot.sh("find / -xdev -newer /stamp -type f -not -path '/build/*'")
    return Another(package, log, written)


@pytest.fixture(scope="module")
def installed(chroot: Chroot, package: Package) -> Chroot:
    """The chroot with all packages."""
    chroot.sh(f"dpkg -i /build/{package.place.name}/*.deb")
    return chroot


@contextlib.contextmanager
def damaged(chroot: Chroot, name: str, size: int) -> Iterator[None]:
    """While it is entered, an installed file has its first bytes alone; without any, it is gone."""
    path = chroot.root / name
    content = path.read_bytes()
    path.unlink()
    if size:
        path.write_bytes(content[:size])
    try:
        yield
    finally:
        path.write_bytes(content)


def names(package: Package, arch: str = "amd64") -> dict[str, str]:
    """The names of the packages that a build for an architecture makes."""
    version = re.search(r"\((.*)\)", (EXAMPLE / "debian/changelog").read_text())
    assert version
    return {
        name: f"{name}_{version[1]}_{arch if name == 'ipxe-qemu-native' else 'all'}.deb"
        for name in ("ipxe", *ROMS, "ipxe-qemu-native")
    }


def members(deb: Path, into: Path) -> dict[str, str]:
    """Unpacks a package, with its control files; the sha256 of each file."""
    subprocess.run(["dpkg-deb", "-R", deb, into], check=True)
    return {
        str(path.relative_to(into)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in into.rglob("*")
        if path.is_file()
    }


def assert_same(one: Package, other: Package, tmp_path: Path, names: list[str]) -> None:
    """Fails with what differs between the packages of two builds."""
    for name in names:
        if one.debs()[name] == other.debs()[name]:
            continue
        if shutil.which("diffoscope"):
            subprocess.run(
                ["diffoscope", "--text", "-", one.place / name, other.place / name], check=False
            )
        before, after = (
            members(one.place / name, tmp_path / "one"),
            members(other.place / name, tmp_path / "other"),
        )
        different = sorted(
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        )
        raise AssertionError(
            f"{name}: {different or 'the same files, with other owners, modes or times'}"
        )


def test_the_rules_are_short():
    lines = (EXAMPLE / "debian/rules").read_text().splitlines()
    assert len([line for line in lines if line and line[0] != "#"]) <= 31


def test_it_builds_by_a_user_without_home_or_network(chroot: Chroot, package: Package):
    """All packages, with 40 ROMs and eleven boot programs.

    The romforge inside the chroot runs on Debian's Python alone, and finds no fault in any ROM.
    """
    assert package.debs().keys() == set(names(package).values())
    assert chroot.sh("sed 1,2d /proc/net/dev").split(":")[0].strip() == "lo"
    for name, count in ROMS.items():
        package.sh(f"mkdir -p ../unpacked; dpkg-deb -x ../{name}_*.deb ../unpacked/{name}")
        assert len(list((package.place / "unpacked" / name).rglob("*.rom"))) == count
    package.sh("dpkg-deb -x ../ipxe_*.deb ../unpacked/ipxe")
    programs = package.place / "unpacked/ipxe/usr/lib/ipxe"
    assert {path.name for path in programs.iterdir()} == PROGRAMS
    assert SETTINGS["DEB_VERSION"].encode() in (programs / "ipxe-arm64.efi").read_bytes()
    listed = package.sh(f"{ROMFORGE} inspect --json ../unpacked/*/usr/share/*/*.rom")
    assert [
        (rom["bytes"], rom["faults"]) for rom in json.loads(listed)["roms"] if rom["faults"]
    ] == []
    where = package.sh(
        "python3 -c 'import doit, rich; print(doit.__file__, rich.__file__)'; "
        "! python3 -m pip --version 2>/dev/null"
    )
    assert all(path.startswith("/usr/lib/python3/dist-packages/") for path in where.split())


COMMANDS = """
check --debian
licences
licences --debian
plan
plan --why
lock --check
why usr/share/qemu/efi-e1000.rom
why crc32 --in pcbios/8086100e
stripped nic:e1000
report -o ../page.html
compat debian/out/usr/share/qemu debian/out/usr/share/qemu-aarch64/../qemu
inspect debian/out/usr/share/qemu/efi-e1000.rom
split debian/out/usr/share/qemu/efi-e1000.rom -d ../parts
combine ../parts/0-legacy.rom -o ../one.rom --bucket 64KiB
compress --level fast ../parts/1-x86_64.efi ../stream
decompress ../stream ../plain
efirom --id 8086:100e ../parts/1-x86_64.efi ../image.rom
man romforge
man romspec
completion bash
__complete bash build nic:e
"""


def test_each_command_runs_on_debians_python(package: Package):
    """And on its libraries, which doit and rich are, pyelftools for `why`, and Jinja for a page."""
    lines = [
        f"{ROMFORGE} {line} >../said || {{ cat ../said; echo {line}; false; }}"
        for line in COMMANDS.split("\n")
        if line
    ]
    package.sh(
        "\n".join(
            [
                "export SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -STimestamp)",
                *lines,
            ]
        ),
        **SETTINGS,
    )
    package.sh("cmp ../plain ../parts/1-x86_64.efi; grep -q e1000 ../said; test -s ../page.html")


def test_another_place_time_locale_umask_user_and_architecture_give_the_same_roms(
    package: Package, another: Another, tmp_path: Path
):
    """And root, who may write anywhere, writes nothing outside of the package's directory.

    For arm64, with neither its libraries nor its Python: the building machine makes the ROMs.
    """
    other = another.package
    assert other.debs().keys() == set(names(package, "arm64").values())
    assert_same(
        package,
        other,
        tmp_path,
        [name for name in names(package).values() if name.endswith("_all.deb")],
    )
    depends = other.sh("dpkg-deb -f ../ipxe-qemu-native_*_arm64.deb Depends")
    assert depends.startswith("ipxe-qemu-aarch64 (=")
    # the log is not terse, so it has the compilers' command lines
    assert "aarch64-linux-gnu-gcc" in another.log
    (other.place / "log").write_text(another.log)
    other.sh("blhc ../log")  # which ignores what is no program of the machine
    assert another.written == ""


def test_it_builds_again_and_cleans_up(package: Package):
    """A second build of what is there gives the same; clean leaves what was there first.

    So a build after clean is one in another place, which has a test of its own.
    """
    fresh = Package(package.chroot, "untouched").files()
    before = package.debs()
    package.sh("rm debian/debhelper-build-stamp")  # with which dh would not run romforge again
    log = package.build("-b", "-nc", DEB_BUILD_OPTIONS="terse")
    assert "0 built, " in log
    assert "romforge: make:ipxe/" not in log  # which is told where make builds anything
    assert "aarch64-linux-gnu-gcc" not in log
    assert package.debs() == before
    assert package.files() != fresh
    package.sh("debian/rules clean")
    assert package.files() == fresh


def test_an_arch_only_build_makes_no_rom(chroot: Chroot, package: Package, tmp_path: Path):
    """And in other conditions the same package."""
    other = Package(chroot, "arch-only", user=0)
    other.build_in_other_conditions("-B")
    native = names(other)["ipxe-qemu-native"]
    assert list(other.debs()) == [native]
    assert_same(package, other, tmp_path, [native])
    assert not (other.top / "debian/out").exists()


def test_the_lock_is_checked_unless_nocheck(another: Another):
    """A bucket other than the lock's fails the build; here after one with the lock's bucket.

    The conditions are those of that build, so that its images are up to date.
    """
    other = another.package.copy("another-bucket")
    other.sh("rm ../*.deb debian/debhelper-build-stamp")  # with which dh would not build again
    spec = other.spec.read_text()
    other.spec.write_text(spec.replace('size = "256KiB"', 'size = "512KiB"'))
    log = other.build_in_other_conditions("-A", "-nc", build_options="terse", fails=True)
    assert "usr/share/qemu/efi-e1000.rom: its bucket was 256 KiB, is now 512 KiB" in log
    assert other.debs() == {}
    other.build_in_other_conditions("-A", "-nc", build_options="terse nocheck")  # of the same ROMs
    made = set(names(other).values()) - {names(other)["ipxe-qemu-native"]}
    assert other.debs().keys() == made


def test_without_a_cross_compiler_the_build_names_its_package(chroot: Chroot):
    """Where somebody overrides the build dependencies."""
    other = Package(chroot, "lacking")
    hide = (
        "mkdir ../bin; ln -s /usr/bin/* ../bin; rm ../bin/riscv64-linux-gnu-*; "
        "export PATH=/usr/sbin:$PWD/../bin"
    )
    log = other.sh(f"{hide}; ! {ROMFORGE} build target:qemu-riscv64", **SETTINGS)
    assert "install the Debian package gcc-riscv64-linux-gnu" in log


def test_a_forgotten_install_file_fails_before_anything_is_built(chroot: Chroot):
    other = Package(chroot, "forgotten")
    (other.top / "debian/ipxe-qemu-riscv64.install").unlink()
    log = other.sh("! dpkg-buildpackage -us -uc -A")
    assert "target.qemu-riscv64: no .install file takes usr/share/qemu-riscv64/efi-e1000" in log
    assert not (other.top / "debian/out/.romforge").exists()


def test_lintian_finds_nothing(chroot: Chroot, package: Package):
    lintian = "lintian --pedantic --fail-on error,warning,pedantic --no-cfg"
    chroot.sh(f"cd /build/{package.place.name}; {lintian} *_amd64.changes", user=USER)


@pytest.mark.qemu
def test_the_installed_programs_boot(installed: Chroot, package: Package):
    """The autopkgtest of the package ipxe; and it fails for a kernel that is not iPXE's."""
    output = package.sh("debian/tests/programs")
    assert output.count(": boots") == 5
    with damaged(installed, "usr/lib/ipxe/ipxe.lkrn", size=100):
        assert "ipxe.lkrn: did not boot" in package.sh("! debian/tests/programs")


@pytest.mark.qemu
def test_each_qemu_finds_the_installed_roms(installed: Chroot, package: Package):
    """The autopkgtest that asks each QEMU; and it fails where a file is missing."""
    package.sh("debian/tests/find")
    with damaged(installed, "usr/share/qemu-riscv64/efi-virtio.rom", size=0):
        assert "efi-virtio.rom" in package.sh("! debian/tests/find")


@pytest.mark.qemu
@pytest.mark.parametrize("name", TESTS)
def test_the_installed_roms_boot(installed: Chroot, package: Package, name: str):
    """The autopkgtest, of one ROM; and it fails where the installed ROM was cut short."""
    tests = {
        one["Features"].removeprefix("test-name="): one["Test-Command"].split()
        for one in fields("tests/control")
    }
    assert tests.keys() == TESTS.keys() | {"find", "programs"}
    rom = TESTS[name].removeprefix("rom:")
    assert any(f"target:{rom.split('/')[2]}" == word for word in tests[name])
    command = f"{tests[name][0]} {TESTS[name]}"
    output = package.sh(command)
    assert "0 proven before" in output
    assert rom in output
    with damaged(installed, rom, size=1000):
        assert f"/{rom}" in package.sh(f"! {command}")
