# SPDX-License-Identifier: GPL-2.0-or-later
"""What a QEMU of this machine says of its search path and its default ROMs, and what is assumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.base.arch import Arch
from romforge.base.errors import UsageError
from romforge.base.programs import MissingTool
from romforge.verify import rom_search

DEVICES = [
    "e1000",
    "e1000-82545em",
    "e1000e",
    "i82559c",
    "i82801",
    "igb",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio-net-pci,disable-legacy=on,disable-modern=off",
    "vmxnet3",
]


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("arm64", Arch.ARM64),
        ("aarch64", Arch.ARM64),
        ("/opt/bin/qemu-system-loongarch64", Arch.LOONG64),
        ("qemu-system-arm", Arch.ARM32),
        ("qemu-system-ppc64", None),
    ],
)
def test_names_of_qemu_and_of_ipxe_stand_for_an_architecture(name: str, arch: Arch | None):
    assert rom_search.arch_of(name) == arch


def test_a_qemu_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingTool, match=r"qemu-system-aarch64: not found; .* qemu-system-arm"):
        rom_search.find_emulator("arm64")
    with pytest.raises(MissingTool, match=r"/opt/qemu-system-ppc64: not found; .* qemu-system"):
        rom_search.find_emulator("/opt/qemu-system-ppc64")


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["x86_64", "arm64", "riscv64"])
def test_what_is_assumed_is_what_qemu_does(name: str):
    """All NICs that this QEMU has; i82559c's file does not begin with efi."""
    emulator = rom_search.find_emulator(name)
    asked = rom_search.ask_view(emulator, None, [], DEVICES)
    arch = emulator.arch
    assert arch
    assumed = rom_search.assume_view(arch, ["usr/share/qemu"], [], DEVICES)
    assert asked.files["i82559c"] == "pxe-eepro100.rom"
    assert set(DEVICES) - asked.files.keys() <= {"igb"}
    assert asked.files == {device: assumed.files[device] for device in asked.files}
    assert "/usr/share/qemu" in asked.directories
    assert (asked.name, assumed.machine) == (assumed.name, None)


@pytest.mark.qemu
def test_directories_of_options_come_first(tmp_path: Path):
    """In their order; a directory may have a space in its name."""
    first = [str(tmp_path / "b c"), str(tmp_path / "a")]
    emulator = rom_search.find_emulator("x86_64")
    view = rom_search.ask_view(emulator, None, first, ["e1000"])
    usual = rom_search.ask_view(emulator, None, [], ["e1000"])
    assert view.directories == (*first, *usual.directories)


@pytest.mark.qemu
def test_old_machine_types_ask_for_other_files():
    emulator = rom_search.find_emulator("x86_64")
    view = rom_search.ask_view(emulator, "pc-i440fx-1.4", [], ["e1000", "vmxnet3"])
    assert view.files == {"e1000": "pxe-e1000.rom", "vmxnet3": None}
    pc = rom_search.ask_view(emulator, "pc", [], ["e1000"])
    assert (pc.files["e1000"], pc.machine) == ("efi-e1000.rom", "pc")
    assert pc.also_called == (rom_search.machine_types(emulator)["pc"],)
    with pytest.raises(UsageError, match=r'no machine type "pc-i440fx-1\.44" \(did you mean'):
        rom_search.ask_view(emulator, "pc-i440fx-1.44", [], ["e1000"])
