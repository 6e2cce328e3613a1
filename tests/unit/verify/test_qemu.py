# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU: its firmware, its default ROMs, and its monitor."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from romforge.base import programs
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


@pytest.fixture
def describe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Writes descriptors of firmware whose code has the name of the descriptor."""
    monkeypatch.setattr(qemu, "_DESCRIPTORS", (tmp_path,))
    qemu.find_firmware.cache_clear()
    (tmp_path / "variables").touch()

    def write(name: str, *features: str, architecture: str = "x86_64") -> None:
        (tmp_path / name).touch()
        mapping = {
            "device": "flash",
            "executable": {"filename": str(tmp_path / name)},
            "nvram-template": {"filename": str(tmp_path / "variables")},
        }
        descriptor = {
            "mapping": mapping,
            "targets": [{"architecture": architecture}],
            "features": features,
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(descriptor))

    yield write
    qemu.find_firmware.cache_clear()


@pytest.mark.qemu
def test_a_pc_reads_ff_where_a_tpm_would_be(tmp_path: Path):
    """QEMU puts the image of the firmware below 4 GiB, so it begins at the TPM."""
    machine = MACHINES[Arch.X86_64]
    options = [*machine.options, *qemu.firmware_options(machine, tmp_path), "-S"]
    with qemu.start(machine, options, tmp_path) as guest:
        line = guest.monitor.ask("human-monitor-command", **{"command-line": "xp /2bx 0xfed40000"})
        assert line.split() == ["00000000fed40000:", "0xff", "0xff"]
    firmware = qemu.find_firmware(machine)
    image = (tmp_path / "firmware.fd").read_bytes()
    assert image.endswith(Path(firmware.code).read_bytes())


def test_firmware_that_requires_signatures_is_not_used(
    describe: Callable[..., None], tmp_path: Path
):
    """The first descriptor of the architecture without such features, and with existing files.

    Malformed descriptors are skipped.
    """
    describe("10", "enrolled-keys")
    describe("20", "requires-smm", "secure-boot")
    describe("30", architecture="aarch64")
    describe("40")
    (tmp_path / "40").unlink()
    (tmp_path / "45.json").write_text("{")
    describe("50", "acpi-s3")
    firmware = qemu.find_firmware(MACHINES[Arch.X86_64])
    assert (firmware.code, firmware.options) == (str(tmp_path / "50"), ())


def test_firmware_with_secure_boot_is_used_where_there_is_no_other(
    describe: Callable[..., None], tmp_path: Path
):
    """Unless it has keys: then it runs no program of ours."""
    describe("10", "secure-boot", "enrolled-keys", "requires-smm")
    with pytest.raises(RomforgeError, match=r"install the Debian package ovmf$"):
        qemu.find_firmware(MACHINES[Arch.X86_64])
    describe("20", "secure-boot", "requires-smm")
    firmware = qemu.find_firmware(MACHINES[Arch.X86_64])
    assert firmware.code == str(tmp_path / "20")
    (tmp_path / "own").mkdir()
    options = qemu.firmware_options(MACHINES[Arch.X86_64], tmp_path / "own")
    assert "smm=on" in options
    assert "driver=cfi.pflash01,property=secure,value=on" in options


def test_only_a_pc_has_its_firmware_in_memory(describe: Callable[..., None], tmp_path: Path):
    """With its variables before it, as in one file of firmware."""
    describe("pc")
    describe("virt", architecture="aarch64")
    (tmp_path / "pc").write_bytes(b"code")
    (tmp_path / "variables").write_bytes(b"variables ")
    (tmp_path / "own").mkdir()
    options = qemu.firmware_options(MACHINES[Arch.X86_64], tmp_path / "own")
    assert options == ["-bios", "firmware.fd"]
    assert (tmp_path / "own/firmware.fd").read_bytes().endswith(b"\0variables code")
    options = qemu.firmware_options(MACHINES[Arch.ARM64], tmp_path / "own")
    assert f"if=pflash,format=raw,unit=0,readonly=on,file={tmp_path / 'virt'}" in options
    assert (tmp_path / "own/variables.fd").read_bytes() == b"variables "


@pytest.mark.qemu
def test_the_name_of_a_default_rom_comes_from_qemu():
    """Whether the file is installed or not; that of i82559c does not begin with efi."""
    machine = MACHINES[Arch.X86_64]
    assert qemu.default_rom(machine, qemu.PC, "e1000") == "efi-e1000.rom"
    old = ("-M", "pc-i440fx-1.4", *qemu.PC[2:])
    assert qemu.default_rom(machine, old, "e1000") == "pxe-e1000.rom"
    assert qemu.default_rom(machine, machine.options, "i82559c") == "pxe-eepro100.rom"
    with pytest.raises(RomforgeError, match="does not start with -device nonsense"):
        qemu.default_rom(machine, machine.options, "nonsense")


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("device", "known"), [("virtio-net-pci", True), ("virtio-net", True), ("virtio", False)]
)
def test_a_device_is_known_by_its_name_and_its_alias(device: str, known: bool):
    assert qemu.has_device(MACHINES[Arch.X86_64], device) == known


def test_qemu_is_asked_once_for_all_its_devices(monkeypatch: pytest.MonkeyPatch):
    asked = []
    run_program = programs.run_program

    def recorded(command: list[str], package: str) -> bytes:
        asked.append(command[1:])
        return run_program(command, package=package)

    monkeypatch.setattr(programs, "run_program", recorded)
    qemu._help.cache_clear()
    machine = MACHINES[Arch.X86_64]
    assert qemu.has_device(machine, "e1000")
    assert not qemu.has_device(machine, "e100")
    assert "rtl8139" in qemu.network_devices(machine)
    assert asked == [["-device", "help"]]


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
            assert qemu.default_rom(machine, qemu.PC, model.device) == model.default_rom


@pytest.mark.qemu
def test_a_device_that_does_not_start_has_no_ids():
    assert qemu.ids_of_device(MACHINES[Arch.X86_64], "no-such-device") is None


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "QEMU ended with status 33"),
        ("qemu-system-x86_64: no such device\n", "QEMU ended with status 33: no such device"),
    ],
)
def test_how_qemu_ended_is_told_with_its_error_if_it_has_one(
    tmp_path: Path, written: str, told: str
):
    (tmp_path / qemu.LOG).write_text(written)
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen(["sh", "-c", "read line; exit 33"], stdin=-1) as process:
        guest = qemu.Guest(process, qemu.Monitor(ours), tmp_path)
        assert guest.describe_end() is None
        process.communicate(b"\n")
        assert guest.describe_end() == told
