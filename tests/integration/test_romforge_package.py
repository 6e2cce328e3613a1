# SPDX-License-Identifier: GPL-2.0-or-later
"""romforge as a Debian package of its own: packaging/debian builds in a chroot without network.

`ROMFORGE_SUITE=sid` takes another release than Debian 13.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import chroot as chroots
from tests.support.chroot import CACHED, FAST, USER, Chroot
from tests.support.debian import sha256_of
from tests.support.project import TOP, run, source_files

pytestmark = [pytest.mark.slow, pytest.mark.network]

PACKAGING = TOP / "packaging"
MODULE = "usr/lib/python3/dist-packages/romforge"
GENERATED = {  # what a file of the package must hold: the output of a command
    "usr/share/bash-completion/completions/romforge": "completion bash",
    "usr/share/fish/vendor_completions.d/romforge.fish": "completion fish",
    "usr/share/man/man1/romforge.1.gz": "man romforge",
    "usr/share/man/man5/romspec.5.gz": "man romspec",
    "usr/share/zsh/vendor-completions/_romforge": "completion zsh",
}
# What lintian of a later release says of a package that Debian 13 must be able to build.
LATER = {
    "out-of-date-standards-version",
    "package-uses-old-debhelper-compat-version",
    "redundant-priority-optional-field",
    "redundant-rules-requires-root-no-field",
}


class Package:
    """The source package, laid out in a directory of its own in the chroot, which a user owns."""

    def __init__(self, chroot: Chroot, name: str, user: int = USER, umask: int = 0o022) -> None:
        self.chroot, self.user = chroot, user
        self.place = chroot.root / "build" / name
        make_source = [PACKAGING / "make-source", self.place]
        subprocess.run(make_source, env=os.environ | FAST, check=True, umask=umask)
        subprocess.run(["chown", "-R", f"{user}:{user}", self.place], check=True)

    def sh(self, script: str, **environment: str) -> str:
        """Runs a script in the package's directory, without network."""
        where = f"/build/{self.place.name}/romforge"
        return self.chroot.sh(f"cd {where}; {script}", FAST | environment, user=self.user)

    def file(self, pattern: str) -> Path:
        """The one file beside the package's directory that has such a name."""
        (path,) = self.place.glob(pattern)
        return path


@pytest.fixture(scope="module")
def chroot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroot]:
    control = (PACKAGING / "debian/tests/control").read_text()
    depends = re.search(r"(?m)^Depends: @, (.*)", control)
    assert depends
    wanted = depends[1].split(", ")
    wanted += [
        "fakeroot",
        "isolinux",
        "mtools",
        "syslinux-common",
        "xorriso",
    ]  # of the package of ROMs
    directory = tmp_path_factory.mktemp("debian")
    made = chroots.make(directory, wanted, PACKAGING)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def package(chroot: Chroot) -> Package:
    """The package, built once, by a user without a home. Its build runs tests of romforge."""
    package = Package(chroot, "one")
    log = package.sh("dpkg-buildpackage -us -uc")
    assert re.search(r"\d{3} passed", log)
    return package


@pytest.fixture(scope="module")
def unpacked(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-x", package.file("*.deb"), top], check=True)
    return top


@pytest.fixture(scope="module")
def installed(chroot: Chroot, package: Package) -> Chroot:
    """The chroot with the package, whose dependencies it has already."""
    chroot.sh(f"dpkg -i /build/one/{package.file('*.deb').name}")
    return chroot


def test_the_package_has_the_module_and_what_it_ships_and_nothing_else(unpacked: Path):
    names = {name.removeprefix("src/romforge/") for name in source_files("src/romforge")}
    for name in source_files("examples", "vendor/minipxe"):
        if not name.endswith("/.gitignore"):
            names.add(f"shipped/{name}")
    module = unpacked / MODULE
    found = {str(path.relative_to(module)) for path in module.rglob("*") if path.is_file()}
    assert found == names
    (metadata,) = {path.name for path in module.parent.iterdir()} - {"romforge"}
    assert re.fullmatch(r"romforge-[\d.]+\.dist-info", metadata)


def test_the_package_has_the_command_its_pages_its_completions_and_docs(unpacked: Path):
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    rest = {name for name in files if not name.startswith(("usr/lib/", "usr/share/doc/"))}
    overrides = "usr/share/lintian/overrides/python3-romforge"
    assert rest == {"usr/bin/romforge", overrides, *GENERATED}
    for name, command in GENERATED.items():
        data = (unpacked / name).read_bytes()
        text = gzip.decompress(data) if name.endswith(".gz") else data
        made = run([sys.executable, "-m", "romforge", *command.split()], unpacked)
        assert text.decode() == made.stdout
    docs = unpacked / "usr/share/doc/python3-romforge"
    for page in [TOP / "README.md", *(TOP / "docs").rglob("*.md")]:
        place = docs / page.relative_to(page.parent if page.parent == TOP else TOP / "docs")
        assert place.is_file() or place.with_name(f"{page.name}.gz").is_file()


def test_it_needs_what_pyproject_names(package: Package):
    text = (TOP / "pyproject.toml").read_text().split("\ndependencies = [")[1].split("\n]")[0]
    names = re.findall(r'(?m)^  "([\w-]+)>=[\d.]+",', text)
    depends = package.sh("dpkg-deb -f ../*.deb Depends")
    assert len(names) > 2
    assert {f"python3-{name}" for name in names} <= set(re.split(r"[,\s]+", depends))


def test_another_place_time_locale_umask_and_user_give_the_same_bytes(
    chroot: Chroot, package: Package
):
    """And with nocheck, no test runs."""
    other = Package(chroot, "another-and-longer-place", user=0, umask=0o077)
    log = other.sh(
        "umask 077; faketime -f +400d dpkg-buildpackage -us -uc -b",
        LC_ALL="tr_TR.UTF-8",
        TZ="Asia/Tokyo",
        DEB_BUILD_OPTIONS="nocheck",
    )
    assert "passed" not in log
    for pattern in ("*.orig.tar.xz", "*.deb"):
        assert sha256_of(other.file(pattern)) == sha256_of(package.file(pattern))


def test_clean_leaves_what_was_there_first(package: Package):
    package.sh("debian/rules clean; dpkg-source -x ../*.dsc ../fresh; diff -r -x .pc ../fresh .")


def test_lintian_finds_nothing(package: Package):
    """Not even what it shows to the pedantic; each override has its reason beside it.

    To look at the source as well would take five times as long.
    """
    log = package.sh("lintian --display-info --pedantic --no-cfg ../*.deb")
    tags = {line.split(": ", 2)[2].split()[0]: line for line in log.splitlines()}
    for tag in LATER if chroots.SUITE != "trixie" else ():
        tags.pop(tag, None)
    assert tags == {}


def test_the_autopkgtest_passes_and_fails_without_the_miniature(
    package: Package, installed: Chroot
):
    log = package.sh("debian/tests/miniature", **CACHED)
    assert "16 built, 0 up to date" in log
    assert "0 built, 16 up to date" in log  # by doit
    shipped = f"/{MODULE}/shipped"
    installed.sh(f"mv {shipped} /kept")
    log = package.sh("! debian/tests/miniature", **CACHED)
    installed.sh(f"mv /kept {shipped}")
    assert "romforge was installed without its file" in log


def test_the_package_of_roms_can_build_depend_on_it(installed: Chroot):
    """In place of a copy of romforge; here for x86 alone, whose compilers suffice for the profile.

    What is compressed is compressed fast, and objects come from the cache of all runs.
    """
    place = installed.root / "build/roms"
    make_source = TOP / "examples/debian/make-source"
    subprocess.run([make_source, "--packaged", place], env=os.environ | FAST, check=True)
    assert not (place / "ipxe/debian/romforge").exists()
    spec = place / "ipxe/debian/romspec.toml"
    fast = r'\1level = "fast"\n'
    spec.write_text(re.sub(r"(\[target\.[\w-]+\]\n)", fast, spec.read_text()))
    command = "cd /build/roms/ipxe; dpkg-buildpackage -us -uc -A -Ppkg.ipxe.nocross"
    installed.sh(command, {"DEB_BUILD_OPTIONS": "terse", **FAST, **CACHED})
    made = sorted(path.name.split("_")[0] for path in place.glob("*.deb"))
    assert made == ["ipxe", "ipxe-qemu"]
    listed = installed.sh("dpkg-deb -c /build/roms/ipxe-qemu_*_all.deb")
    assert listed.count(".rom\n") == 16
    installed.sh("dpkg -r python3-romforge")
    assert "python3-romforge" in installed.sh(f"! ({command})")
