# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that guests boot to tell us what they see: how to build them, and how to read what they print.

Their sources are in ``boot``. A nonce, put into the finished file, tells the lines of one boot from those of any other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from romforge import install, record, tool
from romforge.arch import Arch
from romforge.errors import RomforgeError
from romforge.toolchain import NATIVE

BIOS, COUNT = "bios", "count"  # a network boot program for PC BIOS; a PC BIOS that counts
EXIT_STATUS = 33  # of a QEMU with isa-debug-exit, at the end of a report
Kind = Arch | str  # an architecture stands for its EFI application

_SOURCES = Path(__file__).resolve().parent / "boot"
_PLACEHOLDER = b"NONCE-GOES-HERE!"
_OUTPUT = "output"
_LEGACY = {BIOS: ("nbp.S", "0x7c00"), COUNT: ("count.S", "0")}  # and where its code begins
# What UEFI's calling conventions and interrupts ask for, and the linker's emulation.
_EFI = {
    Arch.I386: (["-m32", "-march=i686", "-malign-double", "-mgeneral-regs-only"], "elf_i386"),
    Arch.X86_64: (["-m64", "-mno-red-zone", "-mgeneral-regs-only"], "elf_x86_64"),
    Arch.ARM64: (["-mgeneral-regs-only", "-mstrict-align"], "aarch64linux"),
    Arch.RISCV64: (["-march=rv64imac", "-mabi=lp64", "-mcmodel=medany", "-mno-relax"], "elf64lriscv"),
    Arch.LOONG64: (["-mabi=lp64s", "-msoft-float"], "elf64loongarch"),
}
# Distributions switch on what needs a C library or leaves sections of its own.
_PLAIN = ["-c", "-Os", "-g0", "-std=gnu11", "-ffreestanding", "-nostdinc"]
_PLAIN += ["-fpie", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns"]
_PLAIN += ["-fno-stack-protector", "-fno-stack-clash-protection", "-fcf-protection=none"]
_PLAIN += ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]

NAMES: dict[Kind, str] = {BIOS: "bios.0", COUNT: "count.bin", **{arch: f"{arch.ipxe_name}.efi" for arch in _EFI}}


class _Recipe(NamedTuple):
    """The sources by name, and the commands to run one after another beside them, each with its Debian package."""

    sources: dict[str, bytes]
    commands: list[tuple[list[str], str]]


def compile(kind: Kind, cache: Path) -> Path:
    """The boot file, without a nonce, in ``cache``: built there unless it is there; raises RomforgeError.

    Its name carries a digest of all that it is made of, so an old one is never taken for it.
    """
    recipe = _recipe(kind)
    name = Path(NAMES[kind])
    place = cache / f"{name.stem}-{record.sha256(repr(recipe).encode())[:16]}{name.suffix}"
    if not place.is_file():
        data = _built(recipe)
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RomforgeError(f"{cache}: cannot be created: {error.strerror}") from None
        install.replace(place, data)
    return place


def patched(data: bytes, nonce: str) -> bytes:
    """The boot file with its nonce, 16 lower-case letters and digits."""
    assert re.fullmatch("[a-z0-9]{16}", nonce), nonce
    assert data.count(_PLACEHOLDER) == 1, "no boot file without a nonce"
    return data.replace(_PLACEHOLDER, nonce.encode())


def _built(recipe: _Recipe) -> bytes:
    with TemporaryDirectory(prefix="romforge-boot-") as work:
        for name, source in recipe.sources.items():
            Path(work, name).write_bytes(source)
        for command, package in recipe.commands:
            tool.run(command, package=package, cwd=work)
        return Path(work, _OUTPUT).read_bytes()


def _recipe(kind: Kind) -> _Recipe:
    if isinstance(kind, Arch):
        return _Recipe(_read("header.S", "uefi.h", "efi.c", "efi.lds"), list(_efi_commands(kind)))
    return _Recipe(_read("com1.S", _LEGACY[kind][0]), list(_legacy_commands(*_LEGACY[kind])))


def _read(*names: str) -> dict[str, bytes]:
    return {name: (_SOURCES / name).read_bytes() for name in names}


def _efi_commands(arch: Arch) -> Iterator[tuple[list[str], str]]:
    """It is efi.lds that makes the file a flat one, and stops the linker where that needs relocations."""
    cross = _cross(arch)
    flags, emulation = _EFI[arch]
    link = ["-m", emulation, "-pie", "--no-dynamic-linker", "--build-id=none", "-e", "efi_main", "-T", "efi.lds"]
    yield [f"{cross}gcc", *_PLAIN, *flags, "efi.c", "-o", "efi.o"], _package("gcc", cross)
    yield [f"{cross}gcc", *_PLAIN, *flags, "header.S", "-o", "header.o"], _package("gcc", cross)
    yield [f"{cross}ld", *link, "header.o", "efi.o", "-o", "efi.elf"], _package("binutils", cross)
    yield [f"{cross}objcopy", "-O", "binary", "efi.elf", _OUTPUT], _package("binutils", cross)


def _legacy_commands(source: str, start: str) -> Iterator[tuple[list[str], str]]:
    cross = "" if _native(Arch.I386) else _cross(Arch.X86_64)
    package = _package("binutils", cross)
    link = ["-m", "elf_i386", "--build-id=none", "-e", "_start", f"-Ttext={start}", "--oformat", "binary"]
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


@dataclass(frozen=True)
class Report:
    """What a guest saw of PCI device 00:03.0.

    Under UEFI ``rom_size`` is the length of the images that the firmware took, under a BIOS the size of the window.
    ``driver`` is "rom", "built-in" or "none"; from ``start`` to ``end``, the last byte, it lies in the ROM.
    """

    firmware: str  # "bios" or "uefi"
    rom_size: int
    rom_crc: int
    driver: str | None = None  # a BIOS has none
    start: int | None = None
    end: int | None = None
    driver_crc: int | None = None
    driver_name: str | None = None


_HEX = "([0-9a-f]{8})"
_HEAD = re.compile(r"romforge ([a-z0-9]{16}) (bios|uefi)\n")
_ROM = re.compile(rf"^romforge rom {_HEX} {_HEX}$", re.MULTILINE)
_DRIVER = re.compile(rf"^romforge driver (?:(none)|(built-in)(?: (.+))?|(rom) {_HEX} {_HEX} {_HEX}(?: (.+))?)$", re.MULTILINE)
_END = re.compile(r"^romforge end\n", re.MULTILINE)
_NOISE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\r\0\a\b]")  # what terminals are told
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)  # a console may fill its lines


def read(console: str, nonce: str) -> Report | None:
    """The report of the boot with this nonce; None until it is complete."""
    _, *parts = _HEAD.split(_plain(console))
    for found, firmware, lines in zip(parts[::3], parts[1::3], parts[2::3]):
        end = _END.search(lines)
        if found == nonce and end and (report := _report(firmware, lines[: end.start()])):
            return report
    return None


def _plain(console: str) -> str:
    return _BLANKS.sub("", _NOISE.sub("", console))


def _report(firmware: str, lines: str) -> Report | None:
    """None where a line is missing."""
    rom, driver = _ROM.search(lines), _DRIVER.search(lines)
    if not rom or (firmware == "uefi" and not driver):
        return None
    size, crc = (int(digits, 16) for digits in rom.groups())
    if not driver or firmware == "bios":
        return Report(firmware, size, crc)
    none, built_in, built_in_name, _, *place, rom_name = driver.groups()
    if none or built_in:
        return Report(firmware, size, crc, none or built_in, driver_name=_name(built_in_name))
    start, end, driver_crc = (int(digits, 16) for digits in place)
    return Report(firmware, size, crc, "rom", start, end, driver_crc, _name(rom_name))


def _name(name: str | None) -> str | None:
    return None if name == "-" else name


def counts(console: str, nonce: str) -> list[int]:
    """What the counter with this nonce counted, as far as whole lines tell."""
    lines = re.findall(rf"^romforge {re.escape(nonce)} {_HEX}\n", _plain(console), re.MULTILINE)
    return [int(digits, 16) for digits in lines]
