# SPDX-License-Identifier: GPL-2.0-or-later
"""Processor architectures: one enum owns their names in iPXE, PE and EFI."""

from __future__ import annotations

from enum import Enum


class Arch(Enum):
    """An architecture under iPXE's name; ``machine`` is its PE machine field (UEFI Specification, 2.1.1)."""

    I386 = "i386", 0x014C
    X86_64 = "x86_64", 0x8664
    ARM32 = "arm32", 0x01C2
    ARM64 = "arm64", 0xAA64
    RISCV32 = "riscv32", 0x5032
    RISCV64 = "riscv64", 0x5064
    LOONG64 = "loong64", 0x6264

    def __init__(self, ipxe_name: str, machine: int) -> None:
        self.ipxe_name = ipxe_name
        self.machine = machine


BY_NAME = {arch.ipxe_name: arch for arch in Arch}
BY_MACHINE = {arch.machine: arch for arch in Arch}


def machine_name(machine: int) -> str:
    """``x86_64``, or ``machine 0x1234`` where the value is none of ours."""
    arch = BY_MACHINE.get(machine)
    return arch.ipxe_name if arch else f"machine {machine:#06x}"
