# SPDX-License-Identifier: GPL-2.0-or-later
"""The specs of the checkout and of examples/ build on minipxe, and what they build runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from romforge.formats import option_rom, rom_check
from romforge.plan import planner
from romforge.sources.ipxe import nic_drivers
from romforge.spec import loader
from tests.support.machines import MARK, aavmf, bios, ovmf
from tests.support.project import TOP, run, source_files, users

pytestmark = pytest.mark.slow

# examples/every-arch.toml without loong64, for which Debian 12 has no compiler.
FIVE_IMAGES = "examples/five-images.toml"
COMPRESSED_FAST = [
    "examples/opt2.toml",
    "examples/two-buckets.toml",
    "examples/debian.toml",
    "examples/qemu.toml",
]
TREES = ["romspec.toml", FIVE_IMAGES, *COMPRESSED_FAST]
MAC = "52:54:00:12:34:56"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what is in the checkout, without vendor/ipxe."""
    top = tmp_path_factory.mktemp("clone") / "romforge"
    for name in source_files():
        if (TOP / name).is_file() and not name.startswith("vendor/ipxe/"):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, top / name)
    text = (top / "examples/every-arch.toml").read_text()
    text = re.sub(r"\[platform.loong64-efi\].*\n(strip = .*\n)?", "", text)
    text = text.replace(', "loong64-efi"', "")
    # The best level takes a minute, and changes no more than the sizes.
    (top / FIVE_IMAGES).write_text(text.replace('level = "best"', 'level = "fast"'))
    for name in COMPRESSED_FAST:
        text = (top / name).read_text()
        assert "level =" not in text
        (top / name).write_text(re.sub(r"(\[target\..*\]\n)", r'\1level = "fast"\n', text))
    return top


def build(checkout: Path, spec: str, *selection: str) -> Path:
    """Builds a spec in an output root of its own, which it returns."""
    out = checkout / "out" / Path(spec).stem
    done = run(
        [sys.executable, "-m", "doit", *selection],
        checkout,
        ROMSPEC=spec,
        ROMFORGE_OUT=str(out),
        PYTHONPATH="",
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("spec", TREES)
def test_a_spec_builds_all_its_roms_on_minipxe(checkout: Path, spec: str):
    """Each ROM is there, faultless, of its bucket, with the images and IDs that the spec says."""
    out = build(checkout, spec)
    plan = nic_drivers.make_buildable_plan(loader.load_spec(checkout / spec), None, out)
    roms = [rom for name in plan.default for rom in plan.targets[name]]
    assert len(roms) >= 8
    for rom in roms:
        data = (out / rom.path).read_bytes()
        assert rom_check.find_faults(data) == []
        assert len(data) == rom.bucket
        images = option_rom.parse_rom(data).images
        assert [image.kind for image in images] == [request.kind for request in rom.requests]
        assert {image.ids for image in images} == {rom.ids}


def test_all_gives_the_foreign_architectures_too(checkout: Path):
    """The tests have the cross compilers. The ROMs of drivers that need port I/O are stubs."""
    out = build(checkout, "romspec.toml", "all")
    for arch, kind in (("aarch64", "arm64"), ("riscv64", "riscv64")):
        kinds: dict[str, set[str]] = {}
        for path in (out / f"usr/share/qemu-{arch}").glob("efi-*.rom"):
            (image,) = option_rom.parse_rom(path.read_bytes()).images
            kinds.setdefault(image.kind, set()).add(path.stem.removeprefix("efi-"))
        assert kinds == {
            kind: {"e1000", "e1000e", "rtl8139", "virtio", "vmxnet3"},
            "stub": {"eepro100", "ne2k_pci", "pcnet"},
        }


def test_a_spec_of_existing_roms_needs_no_tree():
    plan = planner.make_plan(loader.load_spec(TOP / "examples/debian-roms.toml"))
    assert (plan.makes, len(list(plan.roms())), [fetch.package for fetch in plan.fetches]) == (
        (),
        16,
        ["ipxe-qemu"],
    )


@pytest.mark.qemu
def test_the_one_rom_for_all_runs_on_each_machine(checkout: Path, tmp_path: Path):
    """SeaBIOS, OVMF and AAVMF each find their image in the same file; its stripped driver runs."""
    rom = build(checkout, FIVE_IMAGES, "nic:e1000") / "usr/share/qemu/efi-e1000.rom"
    machines = {}
    for name in ("bios", "x86", "arm"):
        (tmp_path / name).mkdir()
    machines["boot"], status = bios(tmp_path / "bios", "e1000", rom)
    assert status == 33, machines["boot"]
    machines["efi"] = ovmf(tmp_path / "x86", "e1000", rom, MAC)
    machines["efi on arm"] = aavmf(tmp_path / "arm", "e1000", rom, MAC)
    for stage, text in machines.items():
        assert re.search(MARK.format("e1000", "8086", "100e", stage.split()[0]), text), text
        assert MAC in text


def test_the_arithmetic_of_the_one_rom_is_told(checkout: Path):
    """What the images take of the bucket, in the table of a build and in the plan after it."""
    out = build(checkout, FIVE_IMAGES, "nic:e1000")
    rom = out / "usr/share/qemu/efi-e1000.rom"
    sizes = [len(image.data) for image in option_rom.parse_rom(rom.read_bytes()).images]
    names = "pcbios", "i386-efi", "x86_64-efi", "arm64-efi", "riscv64-efi"
    terms = " + ".join(f"{name} {size:,}" for name, size in zip(names, sizes))
    environment = {
        "ROMSPEC": FIVE_IMAGES,
        "ROMFORGE_OUT": str(out),
        "PYTHONPATH": str(checkout / "src"),
    }
    table = run([sys.executable, "-m", "doit", "nic:e1000"], checkout, **environment).stdout
    row = re.sub(" +", " ", next(line for line in table.splitlines() if "efi-e1000.rom" in line))
    assert f"{terms} {sum(sizes):,} 256 KiB {(256 << 10) - sum(sizes):,} " in row
    plan = run([sys.executable, "-m", "romforge", "plan"], checkout, **environment).stdout
    assert (
        f"{terms} = {sum(sizes):,} bytes, {(256 << 10) - sum(sizes):,} free, in the last build"
        in plan
    )


def test_what_was_stripped_is_told(checkout: Path):
    """The map has the sizes of the objects that stayed, and lacks the objects that left."""
    out = build(checkout, "romspec.toml", "nic:e1000")
    command = [
        sys.executable,
        "-m",
        "romforge",
        "stripped",
        "--json",
        "--out",
        str(out),
        "nic:e1000",
    ]
    environment = users({"PYTHONPATH": str(checkout / "src")})
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    legacy, efi = json.loads(done.stdout)["images"]
    assert (legacy["task"], legacy["dropped"]) == ("make:ipxe/pcbios", [])
    assert legacy["never_asked_for"] == {}
    assert efi["dropped"] == ["obj_config", "obj_config_efi"]
    assert {"intel", "efi_snp"} <= efi["stayed"].keys()
    assert {"dhcp", "http", "shell"} <= efi["never_asked_for"].keys()
    stage = out / ".romforge/tree/ipxe/x86_64-efi/with-qemu/src/bin-x86_64-efi/8086100e.efidrv.tmp"
    size = subprocess.run(["size", "-A", stage], capture_output=True, text=True, check=True).stdout
    loaded = {
        line.split()[0]: int(line.split()[1]) for line in size.splitlines() if line.startswith(".")
    }
    kept = sum(size for name, size in loaded.items() if not name.startswith((".comment", ".debug")))
    stayed = sum(size["file"] + size["memory"] for size in efi["stayed"].values())
    assert 0 <= kept - stayed < 64 * len(loaded)  # between objects lies padding
    assert build(checkout, "romspec.toml", "nic:e1000") == out  # the images are where they were
    before = os.stat(stage).st_mtime_ns
    build(checkout, "romspec.toml", "nic:e1000")
    assert os.stat(stage).st_mtime_ns == before
