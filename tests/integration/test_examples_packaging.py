# SPDX-License-Identifier: GPL-2.0-or-later
"""The RPM spec and QEMU's makefile of examples/ build by doit, from minipxe."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from romforge.formats import rom_check
from tests.support.compilers import CACHED_PATH
from tests.support.project import TOP, source_files, users

pytestmark = pytest.mark.slow

NICS = {"e1000", "e1000e", "eepro100", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3"}
SET = {f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in NICS}


def sh(directory: Path, *command: str | Path) -> str:
    """Runs a command with the tests' doit, without PYTHONPATH; returns its whole output."""
    path = f"{Path(sys.executable).parent}:{CACHED_PATH}"
    done = subprocess.run(
        command,
        cwd=directory,
        env=users({"PATH": path, "PYTHONPATH": ""}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def copy(top: Path) -> None:
    """What is in the checkout, without a real iPXE tree; its drivers are compressed fast."""
    for name in source_files():
        if name.startswith(("dodo.py", "romspec.toml", "src/", "examples/", "vendor/minipxe/")):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, top / name)
    for spec in (top / "examples/rpm/romspec.toml", top / "examples/qemu.toml"):
        text = spec.read_text()
        assert "level =" not in text
        spec.write_text(re.sub(r"(\[target\..*\]\n)", r'\1level = "fast"\n', text))


def assert_sound(roms: Path, names: set[str]) -> None:
    assert {path.name for path in roms.iterdir()} == names
    assert [
        found for path in roms.iterdir() for found in rom_check.find_faults(path.read_bytes())
    ] == []


DIGITS = {
    *("8086100e", "808610d3", "80861209", "10ec8029"),
    *("10222000", "10ec8139", "1af41000", "15ad07b0"),
}
# the files that Fedora's packages of boot programs have
PROGRAMS = {
    *("ipxe.iso", "ipxe.lkrn", "undionly.kpxe", "ipxe-i386.efi", "ipxe-x86_64.efi"),
    *("ipxe-snponly-x86_64.efi", "arm64-efi/ipxe.efi", "arm64-efi/snponly.efi"),
}


def test_rpmbuild_makes_fedoras_packages(tmp_path: Path):
    """Debian's rpmbuild makes the same bytes twice; its database has none of the requirements.

    Objects are from the cache of all tests. That compilers give the same ones in another place and
    at another time is seen in test_debian_package.py.
    """
    spec = TOP / "examples/rpm/ipxe.spec"
    copy(tmp_path / "ipxe-2.0.0")
    built = []
    for place in ("one", "other"):
        top = tmp_path / place / "rpm"
        (top / "SOURCES").mkdir(parents=True)
        sh(tmp_path, "tar", "-czf", top / "SOURCES/ipxe-2.0.0.tar.gz", "ipxe-2.0.0")
        define = "--define", f"_topdir {top}"
        sh(top, "rpmbuild", "-bb", "--nodeps", *define, spec)
        for package in sorted((top / "RPMS/noarch").iterdir()):
            sh(top, "sh", "-c", f"rpm2cpio {package} | cpio -id --quiet")
        share = top / "usr/share"
        names = {f"{name}.rom" for name in DIGITS}
        assert_sound(share / "ipxe.efi", names)
        found = {str(path.relative_to(share / "ipxe")) for path in (share / "ipxe").rglob("*.*")}
        assert found == names | PROGRAMS | {f"qemu/{name}" for name in SET}
        for link in (share / "ipxe/qemu").iterdir():
            assert rom_check.find_faults(link.read_bytes()) == []
        assert (share / "ipxe/qemu/efi-e1000.rom").resolve() == share / "ipxe.efi/8086100e.rom"
        files = [path for path in sorted((top / "usr").rglob("*.*")) if path.is_file()]
        built.append({str(path.relative_to(top)): path.read_bytes() for path in files})
    assert built[0] == built[1]


def test_qemus_goals_fill_pc_bios(tmp_path: Path):
    """Goals made at once share one doit and make's jobs; a second make writes no file."""
    roms, bios = tmp_path / "qemu/roms", tmp_path / "qemu/pc-bios"
    copy(roms / "romforge")
    bios.mkdir()
    shutil.copytree(TOP / "vendor/minipxe", roms / "ipxe")
    (roms / "Makefile").write_text(
        "all: efirom pxerom efi-rom-e1000 pxe-rom-virtio\ninclude romforge/examples/qemu/Makefile\n"
    )
    output = sh(roms, "make", "-j2", "all")
    assert output.count("16 built, 0 up to date") == 1
    assert "jobserver unavailable" not in output
    assert_sound(bios, SET)
    before = {path.name: path.stat().st_mtime_ns for path in bios.iterdir()}
    assert "0 built, 16 up to date" in sh(
        roms, "make", "-f", "romforge/examples/qemu/Makefile", "efi-rom-e1000"
    )
    assert {path.name: path.stat().st_mtime_ns for path in bios.iterdir()} == before
    assert {path.name for path in roms.iterdir()} == {"Makefile", "ipxe", "ipxe-roms", "romforge"}
    sh(roms, "make", "ipxe-roms-clean")
    assert not (roms / "ipxe-roms").exists()
