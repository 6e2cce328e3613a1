# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU: its firmware, its default ROMs, and its monitor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.verify import qemu
from romforge.verify.qemu import MACHINES


def test_firmware_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(qemu, "_DESCRIPTORS", (tmp_path,))
    qemu.find_firmware.cache_clear()
    with pytest.raises(
        RomforgeError,
        match="no UEFI firmware for qemu-system-x86_64; install the Debian package ovmf",
    ):
        qemu.find_firmware(MACHINES[Arch.X86_64])


def test_firmware_that_asks_for_signatures_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The first descriptor of the architecture without such features, whose files are there; broken ones are passed by."""
    for name in ("a", "b", "c", "code", "variables"):
        (tmp_path / name).touch()

    def describe(name: str, code: str, features: list[str], architecture: str = "x86_64") -> None:
        mapping = {
            "device": "flash",
            "executable": {"filename": code},
            "nvram-template": {"filename": str(tmp_path / "variables")},
        }
        about = {
            "mapping": mapping,
            "targets": [{"architecture": architecture}],
            "features": features,
        }
        (tmp_path / name).write_text(json.dumps(about))

    describe("10.json", str(tmp_path / "a"), ["enrolled-keys"])
    describe("20.json", str(tmp_path / "b"), ["requires-smm", "secure-boot"])
    describe("30.json", str(tmp_path / "c"), [], "aarch64")
    describe("40.json", str(tmp_path / "not-there"), [])
    (tmp_path / "45.json").write_text("{")
    describe("50.json", str(tmp_path / "code"), ["acpi-s3"])
    monkeypatch.setattr(qemu, "_DESCRIPTORS", (tmp_path,))
    qemu.find_firmware.cache_clear()
    assert qemu.find_firmware(MACHINES[Arch.X86_64]).code == str(tmp_path / "code")
    qemu.find_firmware.cache_clear()


@pytest.mark.qemu
def test_the_file_that_qemu_asks_for_is_known():
    """Whether it is installed or not; i82559c's is not named after efi."""
    machine = MACHINES[Arch.X86_64]
    assert qemu.default_rom(machine, True, "e1000") == "efi-e1000.rom"
    assert qemu.default_rom(machine, False, "i82559c") == "pxe-eepro100.rom"
    with pytest.raises(RomforgeError, match="does not start with -device nonsense"):
        qemu.default_rom(machine, False, "nonsense")


@pytest.mark.qemu
def test_a_monitor_tells_refusals_and_the_end(tmp_path: Path):
    """Of a QEMU that is there, and of one that is gone."""
    with qemu.start(MACHINES[Arch.X86_64], [*qemu.PC, "-S"], tmp_path) as guest:
        assert guest.monitor.ask("query-status")["status"] == "prelaunch"
        with pytest.raises(RomforgeError, match="QEMU refuses no-such-command"):
            guest.monitor.ask("no-such-command")
        assert guest.monitor.ask("query-status")["status"] == "prelaunch"
        guest.process.kill()
        with pytest.raises(EOFError):
            guest.monitor.ask("query-status")
