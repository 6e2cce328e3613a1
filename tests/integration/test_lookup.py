# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge lookup` and `compat` say which ROM QEMU opens, and QEMU opens that one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from romforge.base.arch import BY_NAME, Arch
from romforge.verify import qemu
from romforge.verify.qemu import MACHINES, Guest
from tests.support import builders
from tests.support.project import PATIENCE, Run

SPEC = """spec = 1
[source.roms]
roms = "roms"
[platform.pcbios]
[platform.x86_64-efi]
[platform.arm64-efi]
[platform.riscv64-efi]
[nic.e1000]
id = "8086:100e"
[target.qemu]
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios", "x86_64-efi"]
[target.own]
dir = "usr/share/qemu-own"
file = "efi-{nic}.rom"
images = ["pcbios", "arm64-efi", "riscv64-efi"]
"""
COMMON, OWN = "usr/share/qemu", "usr/share/qemu-own"
BUCKETS = {COMMON: 1 << 18, OWN: 1 << 17}
ORDERS = [[OWN, COMMON], [COMMON, OWN]]


def put(root: Path, path: str, size: int, *images: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"".join(images).ljust(size, b"\xff"))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A spec and its output root: two files of one name, in different buckets."""
    (tmp_path / "romspec.toml").write_text(SPEC)
    name = "efi-e1000.rom"
    legacy = builders.legacy(last=False)
    put(tmp_path / "out", f"{COMMON}/{name}", BUCKETS[COMMON], legacy, builders.efi())
    arm = builders.efi(machine=Arch.ARM64.machine, last=False)
    riscv = builders.efi(machine=Arch.RISCV64.machine)
    put(tmp_path / "out", f"{OWN}/{name}", BUCKETS[OWN], legacy, arm, riscv)
    return tmp_path


def looked_up(romforge: Run, *arguments: object, status: int = 0) -> dict[str, Any]:
    """The only lookup that `romforge lookup --json` prints."""
    done = romforge("lookup", "--json", *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["qemus"]
    return dict(found)


def of_options(directories: Sequence[str], root: Path) -> list[str]:
    options = []
    for directory in directories:
        options += ["-L", str(root / directory)]
    return options


def block_size(guest: Guest) -> int:
    """The bytes of the NIC's ROM in a running QEMU."""
    text = guest.monitor.ask("human-monitor-command", **{"command-line": "info ramblock"})
    (line,) = [line for line in text.splitlines() if "e1000.rom" in line]
    return int(line.split()[-2 if "0x" not in line.split()[-1] else -1], 16)


@pytest.mark.parametrize("order", ORDERS, ids=["own first", "common first"])
def test_without_a_qemu_the_spec_tells_the_search_path(top: Path, romforge: Run, order: list[str]):
    """And the output says so. The first directory wins; a file without an image hides no other."""
    path = json.dumps(order)
    (top / "romspec.toml").write_text(f"{SPEC}[qemu.arm64]\nfirmware_path = {path}\n")
    status = int(order[0] == COMMON)
    found = looked_up(romforge, "--offline", status=status)
    (nic,) = found["nics"]
    assert (found["machine"], found["directories"]) == (None, order)
    assert nic["opened"]["path"] == f"{order[0]}/efi-e1000.rom"
    assert nic["opened"]["bucket"] == BUCKETS[order[0]]
    assert nic["instead_of"] == [f"{order[1]}/efi-e1000.rom"]
    assert nic["has_image"] == (order[0] == OWN)
    assert len(found["faults"]) == status
    python = top / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    done = romforge("lookup", PATH=str(python.parent))
    assert done.returncode == status
    assert (
        "qemu-system-aarch64 was not asked: directories are those of firmware_path" in done.stdout
    )
    assert "in [qemu.arm64]" in done.stdout


def test_without_a_qemu_and_a_search_path_there_is_nothing_to_look_up(top: Path, romforge: Run):
    done = romforge("lookup", PATH="/nowhere")
    assert done.returncode == 1
    assert "install the Debian package qemu-system-x86 or another, or write where" in done.stderr
    done = romforge("lookup", "--qemu", "arm64", PATH="/nowhere")
    assert "qemu-system-aarch64: not found; install the Debian package" in done.stderr
    done = romforge("lookup", "--offline", "--machine", "pc")
    assert (done.returncode, "--machine needs a QEMU to ask" in done.stderr) == (2, True)
    done = romforge("lookup", "--root", "nothing")
    assert "nothing: there is no such directory" in done.stderr


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["x86_64", "arm64", "riscv64"])
@pytest.mark.parametrize("order", ORDERS, ids=["own first", "common first"])
def test_qemu_opens_the_rom_that_lookup_says(top: Path, romforge: Run, name: str, order: list[str]):
    """Told by the size of its memory block; with -L in both orders."""
    options = of_options(order, top / "out")
    expected = int(name != "x86_64" and order[0] == COMMON)
    found = looked_up(romforge, "--qemu", name, *options, status=expected)
    machine = MACHINES[BY_NAME[name]]
    device = ["-device", "e1000"]
    with qemu.start(machine, [*machine.options, *options, "-S", *device], top) as guest:
        size = block_size(guest)
    assert found["nics"][0]["opened"]["bucket"] == size == BUCKETS[order[0]]
    assert found["directories"][:2] == order


def migrate(top: Path, old: list[str], new: list[str]) -> str:
    """Moves a stopped guest between QEMUs with these search paths; returns why that failed."""
    machine = MACHINES[Arch.X86_64]
    sides = []
    for name, order in (("source", old), ("destination", new)):
        (top / name).mkdir()
        sides.append([*qemu.PC, *of_options(order, top / "out"), "-S", "-device", "e1000"])
    incoming = ["-incoming", "unix:../migration"]
    with (
        qemu.start(machine, sides[0], top / "source") as source,
        qemu.start(machine, [*sides[1], *incoming], top / "destination") as destination,
    ):
        destination.monitor.ask("query-status")
        source.monitor.ask("migrate", uri="unix:../migration")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            state = source.monitor.ask("query-migrate").get("status")
            if state == "completed":
                return ""
            if state == "failed":
                destination.status()
                return destination.failure()
            time.sleep(0.05)
    raise AssertionError("the migration does not end")


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("old", "new"), [(ORDERS[0], ORDERS[0]), (ORDERS[0], ORDERS[1]), (ORDERS[1], ORDERS[0])]
)
def test_guests_migrate_where_compat_says(top: Path, romforge: Run, old: list[str], new: list[str]):
    """Between QEMUs that look into the same two directories, in the same or in another order."""
    paths = ["--old-path", ":".join(old), "--new-path", ":".join(new)]
    done = romforge("compat", "--json", *paths, "out", "out")
    (verdict,) = json.loads(done.stdout)["verdicts"]
    assert verdict["old"]["path"] == f"{old[0]}/efi-e1000.rom"
    assert verdict["new"]["path"] == f"{new[0]}/efi-e1000.rom"
    assert (done.returncode, verdict["migrates"]) == (int(old != new), old == new)
    assert migrate(top, old, new) == verdict["reason"]


@pytest.fixture
def moved_qemu(top: Path) -> Path:
    """A QEMU below the output root: it looks for its files relative to its program."""
    program = top / "out/usr/bin/qemu-system-x86_64"
    program.parent.mkdir(parents=True)
    found = shutil.which(program.name)
    assert found
    shutil.copy2(os.path.realpath(found), program)
    (top / "out/usr/share/seabios").symlink_to("/usr/share/seabios")
    for modules in (*Path("/usr/lib").glob("*/qemu"), Path("/usr/lib/qemu")):
        if any(modules.glob("*.so")):
            place = top / "out" / modules.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(modules)
    for file in ("kvmvapic.bin", "linuxboot_dma.bin"):
        shutil.copy(f"/usr/share/qemu/{file}", top / "out/usr/share/qemu")
    return program


@pytest.mark.qemu
def test_a_missing_rom_is_told_before_qemu_refuses_to_start(
    top: Path, romforge: Run, moved_qemu: Path
):
    """A QEMU that finds nothing of this machine's own ROMs, and its own words."""
    found = looked_up(romforge, "--qemu", moved_qemu, "--root", "out", status=1)
    assert found["nics"][0]["opened"]["path"] == f"{COMMON}/efi-e1000.rom"
    (fault,) = found["faults"]
    assert f"target.own: qemu-system-x86_64 never looks into {OWN}" in fault
    (top / "out" / COMMON / "efi-e1000.rom").unlink()
    found = looked_up(romforge, "--qemu", moved_qemu, "--root", "out", status=1)
    command = [str(moved_qemu), *qemu.PC, "-nodefaults", "-display", "none", "-device", "e1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    refusal = 'failed to find romfile "efi-e1000.rom"'
    assert (done.returncode, refusal in done.stderr) == (1, True), done.stderr
    assert refusal in found["faults"][0]
    found = looked_up(romforge, "--qemu", moved_qemu, "--root", "out", "-L", f"/{OWN}")
    assert found["nics"][0]["opened"]["path"] == f"{OWN}/efi-e1000.rom"


KEPT = """spec = 1
[source.roms]
roms = "roms"
[platform.pcbios]
[nic.e1000]
id = "8086:100e"
[target.today]
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios"]
[target.old]
dir = "usr/share/qemu"
file = "pxe-{nic}.rom"
images = ["pcbios"]
machines = ["pc-i440fx-1.*"]
"""


@pytest.mark.slow
@pytest.mark.qemu
def test_old_machine_types_get_the_set_that_serves_them(tmp_path: Path, romforge: Run):
    """This QEMU's pc-i440fx-1.4 asks for pxe-*; the spec must say so of no other type."""
    spec = tmp_path / "romspec.toml"
    for kind in ("efi", "pxe"):
        put(tmp_path, f"out/{COMMON}/{kind}-e1000.rom", 1 << 17, builders.legacy())
    spec.write_text(KEPT)
    arguments = "--qemu", "x86_64", "--machine"
    old = looked_up(romforge, *arguments, "pc-i440fx-1.4")
    assert (old["nics"][0]["file"], old["nics"][0]["target"]) == ("pxe-e1000.rom", "old")
    assert looked_up(romforge, *arguments, "pc")["nics"][0]["target"] == "today"
    spec.write_text(KEPT.replace("pc-i440fx-1.*", "pc-i440fx-*"))
    (fault,) = looked_up(romforge, *arguments, "pc", status=1)["faults"]  # by its other name
    assert f"pc are to use {COMMON}/pxe-e1000.rom, but qemu-system-x86_64 asks for efi-" in fault
    spec.write_text(KEPT.replace("pc-i440fx-1.*", "pc-i440fx-2.*"))
    (fault,) = looked_up(romforge, *arguments, "pc-i440fx-1.4", status=1)["faults"]
    assert "but target.old is only for pc-i440fx-2.*" in fault
    done = romforge("lookup", "--machine", "pc-i440fx-1.4")
    # qemu-system-i386 has this machine type, too.
    assert (done.returncode, done.stdout.count("machine pc-i440fx-1.4")) == (1, 2)
    done = romforge("lookup", "--machine", "nothing")
    assert "no QEMU that is installed has the machine type nothing" in done.stderr
    plan = romforge("plan").stdout
    assert plan.count("guests  pc-i440fx-2.*") == 1
