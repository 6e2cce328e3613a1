# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge nics` on vendor/minipxe, without and with a QEMU."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from romforge.spec import loader
from tests.support.minipxe import SOURCE
from tests.support.project import Run

# A QEMU for `-device help`, with one device that romforge knows and one that does not start.
QEMU = """#!/bin/sh
cat <<END
Storage devices:
name "nvme", bus PCI

Network devices:
name "e1000", bus PCI, alias "e1000-82540em", desc "Intel Gigabit Ethernet"
name "ne2k_isa", bus ISA
name "novel", bus PCI

Input devices:
END
"""


@pytest.fixture
def without_qemu(tmp_path: Path) -> str:
    """A PATH on which there is no QEMU."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return str(directory)


def listed(romforge: Run, *arguments: object, **environment: str) -> dict[str, dict[str, Any]]:
    """What `nics --json` tells of each ID."""
    done = romforge("nics", "--json", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return {nic["ids"]: nic for nic in json.loads(done.stdout)["nics"]}


def test_each_device_has_its_driver_and_architectures(romforge: Run, without_qemu: str):
    """A missing QEMU is a note."""
    nics = listed(romforge, SOURCE, PATH=without_qemu)
    assert nics["8086:100e"]["drivers"] == ["drivers/net/intel.c"]
    assert "arm64" in nics["8086:100e"]["architectures"]
    assert nics["1022:2000"]["architectures"] == ["i386", "x86_64"]
    assert nics["1b36:0006"]["entry"] is None
    assert "1050:0940" not in nics
    text = romforge("nics", SOURCE, PATH=without_qemu).stdout
    assert f"{SOURCE}/src drives 15 of QEMU's 18 network devices\n" in text
    assert "drivers/net/pcnet.c" in text
    assert "x86 alone: the driver needs port I/O" in text
    assert "no QEMU is installed" in text
    assert "1af4:1041" in text.partition("note: virtio-net-pci")[2]


def test_all_devices_of_the_tree_are_listed(romforge: Run, without_qemu: str):
    nics = listed(romforge, SOURCE, "--all", PATH=without_qemu)
    assert nics["1050:0940"]["entry"] == '[nic.w89c940]\nid = "1050:0940"'
    assert "1b36:0006" not in nics
    assert nics["8086:100e"]["devices"] == ["e1000"]


def test_the_entries_are_a_part_of_a_valid_spec(romforge: Run, tmp_path: Path, without_qemu: str):
    text = romforge("nics", SOURCE, PATH=without_qemu).stdout
    entries = text.partition("To paste into a spec:")[2].partition("note:")[0]
    (tmp_path / "romspec.toml").write_text(f"spec = 1\n{entries}")
    spec = loader.load_spec(tmp_path / "romspec.toml", complete=False)
    assert len(spec.nic) == 15
    assert str(spec.nic["virtio"].id) == "1af4:1000"


def test_the_devices_of_an_installed_qemu_are_looked_at(romforge: Run, without_qemu: str):
    """One that does not tell its IDs is a note, and so is what this QEMU lacks."""
    qemu = Path(without_qemu, "qemu-system-x86_64")
    qemu.write_text(QEMU)
    qemu.chmod(0o755)
    cat = shutil.which("cat")
    assert cat
    Path(without_qemu, "cat").symlink_to(cat)
    text = romforge("nics", SOURCE, PATH=without_qemu).stdout
    assert "qemu-system-x86_64 also has novel, whose IDs it did not tell" in text
    (lacks,) = [line for line in text.splitlines() if "of this machine has no" in line]
    assert "igb" in lacks
    assert "e1000," not in lacks


def test_the_tree_is_that_of_the_spec_or_of_ipxe_src(
    romforge: Run, tmp_path: Path, without_qemu: str
):
    """A spec that has no NIC yet will do; an argument comes first."""
    spec = f'spec = 1\n[source.roms]\nroms = "roms"\n[source.ipxe]\ntree = "{SOURCE}"\n'
    (tmp_path / "romspec.toml").write_text(spec)
    tree = tmp_path / "other"
    (tree / "src/drivers").mkdir(parents=True)
    (tree / "src/Makefile").touch()
    (tree / "src/drivers/a.c").write_text('PCI_ROM ( 0x8086, 0x100e, "a", "", 0 ),\n')

    def drivers(*arguments: object, **environment: str) -> list[str]:
        nics = listed(romforge, *arguments, PATH=without_qemu, **environment)
        return list(nics["8086:100e"]["drivers"])

    assert drivers() == ["drivers/net/intel.c"]
    assert drivers(IPXE_SRC=str(tree)) == ["drivers/a.c"]
    assert drivers(tree / "src") == ["drivers/a.c"]
    assert drivers(SOURCE, IPXE_SRC=str(tree)) == ["drivers/net/intel.c"]
    (tmp_path / "romspec.toml").unlink()
    shutil.copytree(tree, tmp_path / "vendor/minipxe")
    assert drivers() == ["drivers/a.c"]


def test_a_tree_that_is_not_there_is_an_error(romforge: Run, tmp_path: Path):
    done = romforge("nics", "nowhere")
    assert done.returncode == 1
    assert "there is no iPXE source tree (with src/Makefile) at nowhere; get one" in done.stderr
    done = romforge("nics", "--spec", "absent.toml")
    assert done.returncode == 2
    assert "absent.toml: the spec cannot be read" in done.stderr
    done = romforge("nics")
    assert "at vendor/ipxe or vendor/minipxe; get one" in done.stderr
