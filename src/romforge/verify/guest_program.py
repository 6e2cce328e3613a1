# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that guests boot to tell us what they see: how to build them, and how to read what they print.

Their sources are in ``boot``. A nonce, put into the finished file, tells the lines of one boot from those of any other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from romforge.base import fingerprint, output_files, programs
from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.sources.ipxe.toolchain import NATIVE

BIOS, COUNT = "bios", "count"  # a network boot program for PC BIOS; a PC BIOS that counts
# EFI applications: booted over the network; booted from a disk where the network was not;
# booted from a disk to drive the network interface.
NETWORK, DISK, SNP = "efi", "disk", "snp"
APPLICATIONS = NETWORK, DISK, SNP
EXIT_STATUS = 33  # of a QEMU with isa-debug-exit, at the end of a report
ProgramKind = Arch | str  # an architecture stands for its EFI application

_SOURCES = Path(__file__).resolve().parent / "guest"
_PLACEHOLDER = b"NONCE-GOES-HERE!"
_OUTPUT = "output"
_LEGACY = {BIOS: ("nbp.S", "0x7c00"), COUNT: ("count.S", "0")}  # and where its code begins
# What UEFI's calling conventions and interrupts ask for, and the linker's emulation.
_EFI = {
    Arch.I386: (["-m32", "-march=i686", "-malign-double", "-mgeneral-regs-only"], "elf_i386"),
    Arch.X86_64: (["-m64", "-mno-red-zone", "-mgeneral-regs-only"], "elf_x86_64"),
    Arch.ARM64: (["-mgeneral-regs-only", "-mstrict-align"], "aarch64linux"),
    Arch.RISCV64: (
        ["-march=rv64imac", "-mabi=lp64", "-mcmodel=medany", "-mno-relax"],
        "elf64lriscv",
    ),
    Arch.LOONG64: (["-mabi=lp64s", "-msoft-float"], "elf64loongarch"),
}
# Distributions switch on what needs a C library or leaves sections of its own.
_PLAIN = ["-c", "-Os", "-g0", "-std=gnu11", "-ffreestanding", "-nostdinc"]
_PLAIN += ["-fpie", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns"]
_PLAIN += ["-fno-stack-protector", "-fno-stack-clash-protection", "-fcf-protection=none"]
_PLAIN += ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]

PROGRAM_NAMES: dict[ProgramKind, str] = {
    BIOS: "bios.0",
    COUNT: "count.bin",
    **{arch: f"{arch.ipxe_name}.efi" for arch in _EFI},
}


class _Recipe(NamedTuple):
    """The sources by name, and the commands to run one after another beside them, each with its Debian package."""

    sources: dict[str, bytes]
    commands: list[tuple[list[str], str]]


def compile_program(kind: ProgramKind, cache: Path, application: str = NETWORK) -> Path:
    """The boot file, without a nonce, in ``cache``: built there unless it is there; raises RomforgeError.

    For an architecture it is one of its EFI applications. Its name carries a digest of all that it is made of, so an
    old one is never taken for it.
    """
    recipe = _recipe(kind, application)
    name = Path(PROGRAM_NAMES[kind])
    stem = name.stem if application == NETWORK else f"{name.stem}-{application}"
    place = cache / f"{stem}-{fingerprint.sha256(repr(recipe).encode())[:16]}{name.suffix}"
    if not place.is_file():
        data = _built(recipe)
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RomforgeError(f"{cache}: cannot be created: {error.strerror}") from None
        output_files.replace_file(place, data)
    return place


def patch_nonce(data: bytes, nonce: str) -> bytes:
    """The boot file with its nonce, 16 lower-case letters and digits."""
    assert re.fullmatch("[a-z0-9]{16}", nonce), nonce
    assert data.count(_PLACEHOLDER) == 1, "no boot file without a nonce"
    return data.replace(_PLACEHOLDER, nonce.encode())


def _built(recipe: _Recipe) -> bytes:
    with TemporaryDirectory(prefix="romforge-boot-") as work:
        for name, source in recipe.sources.items():
            Path(work, name).write_bytes(source)
        for command, package in recipe.commands:
            programs.run_program(command, package=package, cwd=work)
        return Path(work, _OUTPUT).read_bytes()


def _recipe(kind: ProgramKind, application: str) -> _Recipe:
    if isinstance(kind, Arch):
        source = f"{application}.c"
        sources = _read("header.S", "uefi.h", "device.h", "efi.lds", source)
        return _Recipe(sources, list(_efi_commands(kind, source)))
    return _Recipe(_read("com1.S", _LEGACY[kind][0]), list(_legacy_commands(*_LEGACY[kind])))


def _read(*names: str) -> dict[str, bytes]:
    return {name: (_SOURCES / name).read_bytes() for name in names}


def _efi_commands(arch: Arch, source: str) -> Iterator[tuple[list[str], str]]:
    """It is efi.lds that makes the file a flat one, and stops the linker where that needs relocations."""
    cross = _cross(arch)
    flags, emulation = _EFI[arch]
    link = [
        "-m",
        emulation,
        "-pie",
        "--no-dynamic-linker",
        "--build-id=none",
        "-e",
        "efi_main",
        "-T",
        "efi.lds",
    ]
    yield [f"{cross}gcc", *_PLAIN, *flags, source, "-o", "efi.o"], _package("gcc", cross)
    yield [f"{cross}gcc", *_PLAIN, *flags, "header.S", "-o", "header.o"], _package("gcc", cross)
    yield [f"{cross}ld", *link, "header.o", "efi.o", "-o", "efi.elf"], _package("binutils", cross)
    yield [f"{cross}objcopy", "-O", "binary", "efi.elf", _OUTPUT], _package("binutils", cross)


def _legacy_commands(source: str, start: str) -> Iterator[tuple[list[str], str]]:
    cross = "" if _native(Arch.I386) else _cross(Arch.X86_64)
    package = _package("binutils", cross)
    link = [
        "-m",
        "elf_i386",
        "--build-id=none",
        "-e",
        "_start",
        f"-Ttext={start}",
        "--oformat",
        "binary",
    ]
    yield [f"{cross}as", "--32", "-mx86-used-note=no", source, "-o", "code.o"], package
    yield [f"{cross}ld", *link, "code.o", "-o", _OUTPUT], package


def _native(arch: Arch) -> bool:
    return arch in NATIVE.get(os.uname().machine, ())


def _cross(arch: Arch) -> str:
    """What the names of the architecture's tools begin with; the native ones may have plain names alone."""
    return "" if _native(arch) else f"{arch.triplet}-"


def _package(tools: str, cross: str) -> str:
    return f"{tools}-{cross.rstrip('-').replace('_', '-')}" if cross else tools


# What they print


class Interfaces(NamedTuple):
    """How far PCI device 00:03.0 came towards a network boot, in numbers of handles.

    ``images`` are the drivers that the firmware loaded from its ROM. ``snp``, ``nii``, ``mnp``, ``pxe`` and ``loadfile``
    are protocols on the device or below it: Simple Network, Network Interface Identifier (UNDI), Managed Network,
    PXE Base Code, Load File. ``rng`` are sources of random numbers anywhere.
    """

    images: int
    snp: int
    nii: int
    mnp: int
    pxe: int
    loadfile: int
    rng: int


class Call(NamedTuple):
    """A call of the Simple Network Protocol: the EFI status with the error bit at the top of 32, and what came of it."""

    name: str
    status: int
    detail: str


@dataclass(frozen=True)
class GuestReport:
    """What a guest saw of PCI device 00:03.0.

    Under UEFI ``rom_size`` is the length of the images that the firmware took, under a BIOS the size of the window.
    ``driver`` is "rom", "built-in" or "none"; from ``start`` to ``end``, the last byte, it lies in the ROM.
    """

    firmware: str  # "bios"; "uefi" by network, "disk" from a disk; "snp" from a disk, with calls
    rom_size: int
    rom_crc: int
    driver: str | None = None  # a BIOS has none
    start: int | None = None
    end: int | None = None
    driver_crc: int | None = None
    driver_name: str | None = None
    interfaces: Interfaces | None = None  # of "disk"
    calls: tuple[Call, ...] = ()  # of "snp"


_HEX = "([0-9a-f]{8})"
_HEAD = re.compile(r"romforge ([a-z0-9]{16}) (bios|uefi|disk|snp)\n")
_ROM = re.compile(rf"^romforge rom {_HEX} {_HEX}$", re.MULTILINE)
_DRIVER = re.compile(
    rf"^romforge driver (?:(none)|(built-in)(?: (.+))?|(rom) {_HEX} {_HEX} {_HEX}(?: (.+))?)$",
    re.MULTILINE,
)
_INTERFACES = re.compile(
    "^romforge interfaces "
    + " ".join(f"{name}=(?P<{name}>[0-9]{{2}})" for name in Interfaces._fields)
    + "$",
    re.MULTILINE,
)
_CALL = re.compile(r"^romforge call (\S+) ([0-9a-f]{8})(?: (.*))?$", re.MULTILINE)
_END = re.compile(r"^romforge end\n", re.MULTILINE)
_NOISE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\r\0\a\b]"
)  # what terminals are told
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)  # a console may fill its lines


def read_report(console: str, nonce: str) -> GuestReport | None:
    """The report of the boot with this nonce; None until it is complete."""
    _, *parts = _HEAD.split(strip_terminal_codes(console))
    for found, firmware, lines in zip(parts[::3], parts[1::3], parts[2::3]):
        end = _END.search(lines)
        if found == nonce and end and (report := _report(firmware, lines[: end.start()])):
            return report
    return None


def strip_terminal_codes(console: str) -> str:
    """A console's text without what terminals are told, and without blanks at the ends of lines."""
    return _BLANKS.sub("", _NOISE.sub("", console))


def _report(firmware: str, lines: str) -> GuestReport | None:
    """None where a line is missing."""
    rom = _ROM.search(lines)
    if not rom:
        return None
    size, crc = (int(digits, 16) for digits in rom.groups())
    if firmware == "bios":
        return GuestReport(firmware, size, crc)
    driver = _DRIVER.search(lines)
    counted = _INTERFACES.search(lines)
    if not driver or (firmware == "disk" and not counted):
        return None
    interfaces = _interfaces(counted.groupdict()) if counted else None
    none, built_in, built_in_name, _, *place, rom_name = driver.groups()
    if none or built_in:
        return GuestReport(
            firmware,
            size,
            crc,
            none or built_in,
            driver_name=_name(built_in_name),
            interfaces=interfaces,
            calls=_calls(lines),
        )
    start, end, driver_crc = (int(digits, 16) for digits in place)
    return GuestReport(
        firmware,
        size,
        crc,
        "rom",
        start,
        end,
        driver_crc,
        _name(rom_name),
        interfaces,
        _calls(lines),
    )


def _calls(lines: str) -> tuple[Call, ...]:
    found = _CALL.finditer(lines)
    return tuple(Call(match[1], int(match[2], 16), match[3] or "") for match in found)


def unfinished_calls(console: str, nonce: str) -> tuple[Call, ...]:
    """The calls that the run with this nonce made so far, although it has not come to its end."""
    _, *parts = _HEAD.split(strip_terminal_codes(console))
    for found, lines in zip(parts[::3], parts[2::3]):
        if found == nonce:
            return _calls(lines)
    return ()


def _interfaces(counted: Mapping[str, str]) -> Interfaces:
    return Interfaces(**{name: int(digits) for name, digits in counted.items()})


def _name(name: str | None) -> str | None:
    return None if name == "-" else name


def read_counts(console: str, nonce: str) -> list[int]:
    """What the counter with this nonce counted, as far as whole lines tell."""
    lines = re.findall(
        rf"^romforge {re.escape(nonce)} {_HEX}\n", strip_terminal_codes(console), re.MULTILINE
    )
    return [int(digits, 16) for digits in lines]
