# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs ROMs in machines of QEMU; returns the serial port's text, and how QEMU ended."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from romforge.base.arch import Arch
from romforge.spec.value_types import MACHINES_ALL
from romforge.verify import qemu
from tests.support.project import PATIENCE

# Those that guests migrate on here: not every Debian release has a cross compiler for loong64.
COUNTING_MACHINES = [
    name for name in MACHINES_ALL if name != "loong64" or shutil.which("loongarch64-linux-gnu-gcc")
]
COMMON = ["-nodefaults", "-display", "none", "-accel", "tcg", "-no-reboot", "-monitor", "none"]
PC = ["-vga", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
PC += ["-global", "isa-debugcon.iobase=0x402"]
# Clocks that go by the guest's instructions and skip waiting, as those of proofs do.
BIOS_CLOCK, UEFI_CLOCK = ["-icount", "shift=8,sleep=off"], ["-icount", "shift=6,sleep=off"]
PC_BIOS = ["qemu-system-x86_64", "-M", "pc,graphics=off", "-m", "64", *COMMON, *PC, *BIOS_CLOCK]
OVMF = ["qemu-system-x86_64", "-M", "q35,graphics=off", "-m", "256", *COMMON, *PC, *UEFI_CLOCK]
AAVMF = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-m", "256", *COMMON]
AAVMF += UEFI_CLOCK
AAVMF_FLASH = "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
MARK = r"minipxe {} {}:{} build ([0-9a-f]{{8}}) {}\r?\n"


def boot(
    directory: Path, command: list[str], is_complete: Callable[[str], bool], *, keys: str = ""
) -> tuple[str, int | None]:
    """Runs QEMU until ``is_complete`` is true of the serial port's text, or QEMU ends.

    Returns the text and the exit status, which is None where QEMU had to be killed. ``keys`` are
    typed once U-Boot shows its prompt.
    """
    serial = directory / "serial"
    serial.write_text("")
    command = [*command, "-serial", "stdio"]
    with serial.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, cwd=directory
        )
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and process.poll() is None:
            text = serial.read_text(errors="replace")
            if is_complete(text):
                break
            if keys and "=> " in text:
                assert process.stdin
                process.stdin.write(keys.encode())
                process.stdin.flush()
                keys = ""
            time.sleep(0.1)
        return serial.read_text(errors="replace"), process.poll()
    finally:
        process.kill()
        process.communicate()


def uefi(directory: Path, code: str, variables: str) -> list[str]:
    shutil.copy(variables, directory / "variables")
    drive = "if=pflash,format=raw,unit"
    code_drive = f"{drive}=0,readonly=on,file={code}"
    variables_drive = f"{drive}=1,file={directory / 'variables'}"
    return ["-drive", code_drive, "-drive", variables_drive]


def ovmf_firmware(directory: Path) -> list[str]:
    """The options that a proof has, too."""
    return qemu.firmware_options(qemu.MACHINES[Arch.X86_64], directory)


def card(device: str, rom: Path) -> list[str]:
    return ["-netdev", "user,id=n0,restrict=on", "-device", f"{device},netdev=n0,romfile={rom}"]


def bios(directory: Path, device: str, rom: Path) -> tuple[str, int | None]:
    """Ends where the image ends QEMU, or SeaBIOS gives up."""
    machine = [*PC_BIOS, "-debugcon", f"file:{directory / 'debug'}", *card(device, rom)]
    return boot(directory, machine, lambda text: "No bootable device" in text)


def ovmf(directory: Path, device: str, rom: Path, until: str) -> str:
    machine = [*OVMF, *ovmf_firmware(directory), *card(device, rom)]
    text, _ = boot(directory, machine, lambda text: until in text)
    return text


def aavmf(directory: Path, device: str, rom: Path, until: str) -> str:
    machine = [*AAVMF, *uefi(directory, *AAVMF_FLASH), *card(device, rom)]
    text, _ = boot(directory, machine, lambda text: until in text)
    return text
