# SPDX-License-Identifier: GPL-2.0-or-later
"""An upstream iPXE tree: what vendor/minipxe can only imitate.

Run these tests with ``IPXE_SRC=DIR tests/run -m real_tree``.

Where IPXE_SRC names no such tree, these tests are not run, and are counted so.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from romforge.base import nic_models
from romforge.base.arch import Arch
from romforge.formats import option_rom
from romforge.verify import snp
from tests.support.project import REAL_TREE, TOP, run, write_dodo

pytestmark = [
    pytest.mark.real_tree,
    pytest.mark.slow,
    pytest.mark.qemu,
    pytest.mark.xdist_group("real_tree"),
    pytest.mark.skipif(REAL_TREE is None, reason="not run: IPXE_SRC names no upstream iPXE tree"),
]
NICS = "e1000", "e1000e", "eepro100", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3"
EPOCH = "1700000000"
ARM64 = "target:qemu-aarch64"


class RealTree:
    """A copy of the tree, a copy of the checkout's spec, and an output root."""

    def __init__(self, top: Path) -> None:
        assert REAL_TREE is not None
        self.top = top
        self.tree = top / "ipxe"
        self.out = top / "out"
        ignored = shutil.ignore_patterns("bin", "bin-*")
        shutil.copytree(REAL_TREE, self.tree, symlinks=True, ignore=ignored)
        shutil.copy(TOP / "romspec.toml", top / "romspec.toml")
        write_dodo(top)

    def environment(self, **more: str) -> dict[str, str]:
        where = {
            "IPXE_SRC": str(self.tree),
            "ROMFORGE_OUT": str(self.out),
            "SOURCE_DATE_EPOCH": EPOCH,
        }
        return where | {"ROMSPEC": str(self.top / "romspec.toml")} | more

    def romforge(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run([sys.executable, "-m", "romforge", *words], self.top, **self.environment(**more))

    def build(self, *selection: str, **more: str) -> str:
        done = self.romforge("build", *selection, **more)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
        return done.stdout.splitlines()[-1]

    def roms(self, out: Path | None = None) -> dict[str, str]:
        """The sha256 of each ROM by its path."""
        root = out or self.out
        paths = sorted((root / "usr").rglob("*.rom"))
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }

    def why(self) -> dict[str, str]:
        """What a build of the default targets would do, and why."""
        text = self.romforge("plan", "--why", "--json").stdout
        found = {row["task"]: row["reason"] for row in json.loads(text)["reasons"]}
        others = "arm64", "aarch64", "riscv64"
        return {
            task: reason
            for task, reason in found.items()
            if not any(word in task for word in others)
        }

    def edit(self, path: str, text: str = "/* edited */\n") -> None:
        with (self.tree / "src" / path).open("a") as file:
            file.write(text)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealTree:
    """The default targets and arm64's ROMs, from a clean output root."""
    tree = RealTree(tmp_path_factory.mktemp("real"))
    tree.build("target:qemu", "target:qemu-pxe", ARM64)
    return tree


def rebuilt(summary: str) -> int:
    """How many ROMs a build's last line says it built."""
    return int(summary.split(" built", maxsplit=1)[0].rsplit(maxsplit=1)[-1])


def test_every_rom_boots(real: RealTree):
    """SeaBIOS, OVMF and arm64's firmware, as default ROM and by romfile=; nothing is left out."""
    done = real.romforge("verify", "target:qemu", "target:qemu-pxe", ARM64, "--json")
    assert failures(done) == []
    rows = json.loads(done.stdout)["proofs"]
    boots = {(row["nic"], row["column"]) for row in rows}
    for nic in NICS:
        for column in ("bios-default", "bios-romfile", "x86_64-default", "x86_64-romfile"):
            assert (nic, column) in boots, (nic, column)


def test_sizes_are_what_the_documentation_says(real: RealTree):
    """iPXE 2.0 and newer: the e1000 has at most 31,000 bytes.

    Each NIC's driver is 18 to 21 % smaller than Debian's 2.0.0, as the README says.
    """
    sizes = {nic: efi_size(real.out / f"usr/share/qemu/efi-{nic}.rom") for nic in NICS}
    assert sizes["e1000"] <= 31_000
    theirs = debian_sizes()
    for nic in NICS:
        assert 18 <= round(100 * (1 - sizes[nic] / theirs[nic])) <= 21, sizes


def efi_size(path: Path) -> int:
    """The bytes of the x86_64 image of a ROM."""
    images = option_rom.parse_rom(path.read_bytes()).images
    (size,) = [len(image.data) for image in images if image.kind == "x86_64"]
    return size


def debian_sizes() -> dict[str, int]:
    """Those of Debian's 2.0.0+dfsg-5; measured on its package, since sid moves on."""
    return dict(zip(NICS, (38_400, 38_400, 37_376, 37_376, 36_864, 39_424, 38_912, 36_352)))


@contextmanager
def stripped(real: RealTree, strength: str, **verify: str) -> Iterator[None]:
    """The default target's ROMs at another strength, with other keys of [verify]; then restored."""
    spec = real.top / "romspec.toml"
    before = spec.read_text()
    text = before.replace("[platform.x86_64-efi]", f'[platform.x86_64-efi]\nstrip = "{strength}"')
    keys = "".join(f"{key} = {value}\n" for key, value in verify.items())
    spec.write_text(text.replace("[verify]\n", f"[verify]\n{keys}"))
    try:
        real.build("target:qemu")
        yield
    finally:
        spec.write_text(before)
        real.build("target:qemu")


def failures(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, str]]:
    """The proofs that did not pass."""
    rows = json.loads(done.stdout)["proofs"]
    return [(row["rom"], row["column"], row["text"]) for row in rows if row["state"] != "passed"]


def test_minimal_drivers_are_smaller_still_and_boot(real: RealTree):
    """At most 27,000 bytes for the e1000, and 30 % below Debian's on average."""
    with stripped(real, "minimal"):
        sizes = {nic: efi_size(real.out / f"usr/share/qemu/efi-{nic}.rom") for nic in NICS}
        assert sizes["e1000"] <= 27_000
        theirs = debian_sizes()
        assert sum(1 - sizes[nic] / theirs[nic] for nic in NICS) / len(NICS) >= 0.30, sizes
        assert failures(real.romforge("verify", "target:qemu", "--json")) == []


@pytest.mark.parametrize("strength", ["safe", "minimal"])
def test_drivers_boot_over_ipv6(real: RealTree, strength: str):
    """By UEFI's own PXE, from a server of the test's."""
    with stripped(
        real, strength, network='["ipv6"]', boot='["x86_64"]', roms='["romfile"]', timeout="900"
    ):
        done = real.romforge("verify", "target:qemu", "--json")
        assert failures(done) == []
        columns = {(row["nic"], row["column"]) for row in json.loads(done.stdout)["proofs"]}
        assert {(nic, "x86_64-romfile-ipv6") for nic in NICS} <= columns


@pytest.mark.parametrize("strength", ["safe", "minimal"])
def test_stripped_drivers_do_what_whole_ones_do_call_by_call(real: RealTree, strength: str):
    """Each call of the Simple Network Protocol returns the same status, and has done the same."""
    with stripped(real, strength):
        small = {nic: (real.out / f"usr/share/qemu/efi-{nic}.rom").read_bytes() for nic in NICS}
    with stripped(real, "none"):
        whole = {nic: (real.out / f"usr/share/qemu/efi-{nic}.rom").read_bytes() for nic in NICS}
    for nic in NICS:
        ids = option_rom.parse_rom(whole[nic]).images[0].ids
        device = nic_models.device_of(nic, ids)
        made = [
            snp.calls(rom, Arch.X86_64, device, real.top / "snp", real.top / "cache")
            for rom in (small[nic], whole[nic])
        ]
        assert len(made[0]) > 40
        assert snp.differences(*made) == [], nic


def test_nothing_to_do_is_seen(real: RealTree):
    assert rebuilt(real.build()) == 0
    assert real.why() == {}


def test_one_edited_driver_redoes_its_nic_alone(real: RealTree):
    """realtek.c drives the rtl8139; the other ROMs keep their bytes."""
    before = real.roms()
    real.edit(
        "drivers/net/realtek.c",
        "\nint romforge_edited ( void );\nint romforge_edited ( void ) { return 1; }\n",
    )
    assert "used by realtek" in real.why()["make:ipxe/pcbios"]
    assert rebuilt(real.build()) == 2
    changed = {path for path, digest in real.roms().items() if digest != before[path]}
    assert {Path(path).name for path in changed} <= {"efi-rtl8139.rom", "pxe-rtl8139.rom"}


def test_an_edited_header_redoes_those_that_include_it(real: RealTree):
    """vmxnet3.h is the vmxnet3's own."""
    real.edit("drivers/net/vmxnet3.h")
    why = real.why()["make:ipxe/x86_64-efi"]
    assert "15ad07b0.efidrv: drivers/net/vmxnet3.h changed (used by vmxnet3)" in why
    assert len(why.splitlines()) == 1
    assert rebuilt(real.build()) == 2


def test_a_new_file_that_no_image_uses_redoes_none(real: RealTree):
    (real.tree / "src/drivers/net/newcomer.c").write_text(
        'PCI_ROM ( 0x1234, 0x5678, "new", "New", 0 ),\n'
    )
    (real.tree / "src/NOTES.txt").write_text("Nothing.\n")
    try:
        assert real.why() == {}
    finally:
        (real.tree / "src/drivers/net/newcomer.c").unlink()
        (real.tree / "src/NOTES.txt").unlink()


@pytest.mark.parametrize("rom", ["usr/share/qemu/efi-e1000.rom", "usr/share/qemu/pxe-virtio.rom"])
def test_why_adds_up(real: RealTree, rom: str):
    """The objects' bytes and the padding add up to the linked file's sections; memory is apart."""
    done = real.romforge("why", rom, "--json")
    assert done.returncode == 0, done.stderr
    answer: Any = json.loads(done.stdout)["images"]
    for image in answer if isinstance(answer, list) else answer["images"]:
        whole = sum(image["sections"].values())
        assert sum(part["size"] for part in image["parts"]) + image["padding"] == whole
        # a heap would be nearly all of it
        assert max(part["size"] for part in image["parts"]) < whole / 2


def test_another_output_root_and_checkout_give_the_same_bytes(real: RealTree, tmp_path: Path):
    """With another directory, another clone, and through ccache."""
    real.build("target:qemu", "target:qemu-pxe")
    other = RealTree(tmp_path / "elsewhere")
    shutil.rmtree(other.tree)
    shutil.copytree(real.tree, other.tree, symlinks=True)
    text = (other.top / "romspec.toml").read_text()
    (other.top / "romspec.toml").write_text(text + '\n[toolchain]\nlauncher = "ccache"\n')
    other.build("target:qemu", "target:qemu-pxe", CCACHE_DIR=str(tmp_path / "ccache"))
    clean = RealTree(tmp_path / "clean")
    shutil.rmtree(clean.tree)
    clean.tree.symlink_to(other.tree)
    clean.build("target:qemu", "target:qemu-pxe")
    assert other.roms() == clean.roms()


def test_a_copied_output_root_is_up_to_date_and_never_stale(real: RealTree):
    """After ``cp -a``; and an edit is then built in the copy."""
    copy = real.top / "copied"
    subprocess.run(["cp", "-a", real.out, copy], check=True)
    kept, real.out = real.out, copy
    try:
        assert rebuilt(real.build()) == 0
        real.edit(
            "drivers/net/pcnet32.c",
            "\nint romforge_pcnet ( void );\nint romforge_pcnet ( void ) { return 2; }\n",
        )
        assert rebuilt(real.build()) == 2
    finally:
        real.out = kept
    shutil.rmtree(copy)
