# SPDX-License-Identifier: GPL-2.0-or-later
"""Processor architectures, and their names in iPXE, PE, EFI and the GNU toolchain."""

from __future__ import annotations

from enum import Enum


class Arch(Enum):
    """An architecture by iPXE's name.

    ``machine`` is the machine field of a PE file (UEFI Specification, 2.1.1). ``triplet`` is the
    prefix of Debian's cross tools. ``compilers`` are the processors whose compilers can build for
    the architecture, as the output of ``gcc -dumpmachine`` begins.
    """

    I386 = "i386", 0x014C, "i686-linux-gnu", ("i386", "i486", "i586", "i686", "x86_64")
    X86_64 = "x86_64", 0x8664, "x86_64-linux-gnu", ("x86_64",)
    ARM32 = "arm32", 0x01C2, "arm-linux-gnueabi", ("arm", "armv6l", "armv7l")
    ARM64 = "arm64", 0xAA64, "aarch64-linux-gnu", ("aarch64",)
    RISCV32 = "riscv32", 0x5032, "riscv64-linux-gnu", ("riscv32", "riscv64")
    RISCV64 = "riscv64", 0x5064, "riscv64-linux-gnu", ("riscv64",)
    LOONG64 = "loong64", 0x6264, "loongarch64-linux-gnu", ("loongarch64",)

    def __init__(
        self, ipxe_name: str, machine: int, triplet: str, compilers: tuple[str, ...]
    ) -> None:
        self.ipxe_name = ipxe_name
        self.machine = machine
        self.triplet = triplet
        self.compilers = compilers

    @property
    def has_port_io(self) -> bool:
        """Whether iPXE can access the I/O space of the PCI bus.

        Elsewhere than on x86, its functions for that read ones and write nothing.
        """
        return self in (Arch.I386, Arch.X86_64)


BY_NAME = {arch.ipxe_name: arch for arch in Arch}
BY_MACHINE = {arch.machine: arch for arch in Arch}


def tools_package(tools: str, prefix: str) -> str:
    """Debian's package of cross tools with a prefix, or of the native tools without one.

    ``tools`` is ``gcc`` or ``binutils``. The prefix may begin with a directory.

    >>> tools_package("gcc", "x86_64-linux-gnu-")
    'gcc-x86-64-linux-gnu'
    """
    triplet = prefix.rpartition("/")[2].rstrip("-").replace("_", "-")
    return f"{tools}-{triplet}" if triplet else tools


def machine_name(machine: int) -> str:
    """iPXE's name of a PE machine, such as ``x86_64``; ``machine 0x1234`` for an unknown one."""
    if machine in BY_MACHINE:
        return BY_MACHINE[machine].ipxe_name
    return f"machine {machine:#06x}"
