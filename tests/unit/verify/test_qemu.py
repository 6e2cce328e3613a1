# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU: its firmware, its default ROMs, and its monitor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.base.nic_models import NIC_MODELS
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


def test_firmware_that_requires_signatures_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The first descriptor of the architecture without such features, and with existing files.

    Malformed descriptors are skipped.
    """
    for name in ("a", "b", "c", "code", "variables"):
        (tmp_path / name).touch()

    def describe(name: str, code: str, features: list[str], architecture: str = "x86_64") -> None:
        mapping = {
            "device": "flash",
            "executable": {"filename": code},
            "nvram-template": {"filename": str(tmp_path / "variables")},
        }
        descriptor = {
            "mapping": mapping,
            "targets": [{"architecture": architecture}],
            "features": features,
        }
        (tmp_path / name).write_text(json.dumps(descriptor))

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
def test_the_name_of_a_default_rom_comes_from_qemu():
    """Whether the file is installed or not; that of i82559c does not begin with efi."""
    machine = MACHINES[Arch.X86_64]
    assert qemu.default_rom(machine, True, "e1000") == "efi-e1000.rom"
    assert qemu.default_rom(machine, False, "i82559c") == "pxe-eepro100.rom"
    with pytest.raises(RomforgeError, match="does not start with -device nonsense"):
        qemu.default_rom(machine, False, "nonsense")


@pytest.mark.qemu
def test_a_monitor_reports_refusals_and_the_end(tmp_path: Path):
    """A refusal of a running QEMU, and the end of one that was killed."""
    with qemu.start(MACHINES[Arch.X86_64], [*qemu.PC, "-S"], tmp_path) as guest:
        assert guest.monitor.ask("query-status")["status"] == "prelaunch"
        with pytest.raises(RomforgeError, match="QEMU refuses no-such-command"):
            guest.monitor.ask("no-such-command")
        assert guest.monitor.ask("query-status")["status"] == "prelaunch"
        guest.process.kill()
        with pytest.raises(EOFError):
            guest.monitor.ask("query-status")


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("", ""),
        (
            "qemu-system-x86_64: warning: slow\nqemu-system-x86_64: -M: no such thing\nmore",
            "-M: no such thing",
        ),
        ("\n/usr/bin/qemu-system-aarch64: warning: slow\n", "warning: slow"),
    ],
)
def test_the_first_error_is_reported_and_warnings_only_without_one(log: str, error: str):
    assert qemu._first_error(log) == error


@pytest.mark.qemu
@pytest.mark.slow
def test_known_network_devices_have_the_ids_and_roms_of_the_table():
    """As this QEMU has them, which may be older or newer than the table."""
    machine = MACHINES[Arch.X86_64]
    present = qemu.network_devices(machine)
    assert {"e1000", "virtio-net-pci"} <= set(present)
    assert "usb-net" not in present
    for model in NIC_MODELS:
        if model.name in present:
            assert qemu.ids_of_device(machine, model.device) == model.ids
            assert qemu.default_rom(machine, True, model.device) == model.default_rom


@pytest.mark.qemu
def test_a_device_that_does_not_start_has_no_ids():
    assert qemu.ids_of_device(MACHINES[Arch.X86_64], "no-such-device") is None
