# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the programs that guests boot; ``guest_report`` reads what they print.

Their sources are in ``guest``. A nonce in the finished file tells the lines of one boot from those
of all other boots.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from romforge.base import fingerprint, output_files, programs
from romforge.base.arch import Arch, tools_package
from romforge.base.errors import RomforgeError
from romforge.sources.ipxe.toolchain import NATIVE

# A network boot program for PC BIOS; a PC BIOS that counts, or what counts in its place elsewhere.
BIOS, COUNT = "bios", "count"
# EFI applications: one that boots over the network; one that boots from a disk where that failed;
# those that boot from a disk and use NICs. SNP calls the Simple Network Protocol, NICS uses several
# NICs, HOTPLUG disconnects them, EXIT watches memory after ExitBootServices, STAY does not call it.
NETWORK, DISK, SNP = "efi", "disk", "snp"
NICS, HOTPLUG, EXIT, STAY = "nics", "hotplug", "exit", "stay"
APPLICATIONS = NETWORK, DISK, SNP, NICS, HOTPLUG, EXIT, STAY
# The programs write 10h to isa-debug-exit, and QEMU then ends with 2 * 10h + 1.
EXIT_STATUS = 33
ProgramKind = Arch | str  # an architecture stands for its EFI application

_SOURCES = Path(__file__).resolve().parent / "guest"
_PLACEHOLDER = b"NONCE-GOES-HERE!"
_OUTPUT = "output"
_HEADERS = "header.S", "uefi.h", "device.h", "network.h", "serial.h", "efi.lds"


class _LegacyProgram(NamedTuple):
    """A program in real mode: its source, and the address of its first byte."""

    source: str
    address: str


class _EfiTarget(NamedTuple):
    """How to compile an EFI application for an architecture.

    The compiler's flags follow UEFI's calling conventions and leave the registers alone that an
    interrupt handler of the firmware does not save. ``emulation`` is the linker's.
    """

    flags: list[str]
    emulation: str


class _Tools(NamedTuple):
    """How the tools for an architecture are called, and the Debian packages that have them."""

    compiler: list[str]
    linker: list[str]
    objcopy: list[str]
    gcc: str
    binutils: str


class _Command(NamedTuple):
    """A command, and the Debian package that has its program."""

    arguments: list[str]
    package: str


class _Recipe(NamedTuple):
    """The sources by name, and the commands to run beside them, one after another."""

    sources: dict[str, bytes]
    commands: list[_Command]


_LEGACY = {BIOS: _LegacyProgram("nbp.S", "0x7c00"), COUNT: _LegacyProgram("count.S", "0")}
_EFI = {
    Arch.I386: _EfiTarget(
        ["-m32", "-march=i686", "-malign-double", "-mgeneral-regs-only"], "elf_i386"
    ),
    Arch.X86_64: _EfiTarget(["-m64", "-mno-red-zone", "-mgeneral-regs-only"], "elf_x86_64"),
    Arch.ARM64: _EfiTarget(["-mgeneral-regs-only", "-mstrict-align"], "aarch64linux"),
    Arch.RISCV64: _EfiTarget(
        ["-march=rv64imac_zicsr", "-mabi=lp64", "-mcmodel=medany", "-mno-relax"], "elf64lriscv"
    ),
    Arch.LOONG64: _EfiTarget(["-mabi=lp64s", "-msoft-float"], "elf64loongarch"),
}
# Compilers of distributions enable by default what needs a C library or adds sections.
_FREESTANDING = ["-c", "-Os", "-g0", "-std=gnu11", "-ffreestanding", "-nostdinc"]
_FREESTANDING += ["-fpie", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns"]
_FREESTANDING += ["-fno-stack-protector", "-fno-stack-clash-protection", "-fcf-protection=none"]
_FREESTANDING += ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
_FLAT_LINK = ["-pie", "--no-dynamic-linker", "--build-id=none"]
_LEGACY_LINK = ["-m", "elf_i386", "--build-id=none", "-e", "_start", "--oformat", "binary"]

PROGRAM_NAMES: dict[ProgramKind, str] = {
    BIOS: "bios.0",
    COUNT: "count.bin",
    **{arch: f"{arch.ipxe_name}.efi" for arch in _EFI},
}


def compile_program(kind: ProgramKind, cache: Path, application: str = NETWORK) -> Path:
    """The path of a program, without a nonce, in ``cache``; builds it where it is missing.

    ``application`` chooses one of the EFI applications of an architecture, or ``COUNT``, which
    counts without firmware. The file's name carries a digest of the sources and commands, so a
    program of other sources is never used.

    Raises RomforgeError where the program cannot be built or written.
    """
    recipe = _make_recipe(kind, application)
    name = Path(PROGRAM_NAMES[kind])
    stem = name.stem
    if application != NETWORK:
        stem += f"-{application}"
    suffix = name.suffix
    if application == COUNT:
        suffix = Path(PROGRAM_NAMES[COUNT]).suffix
    digest = fingerprint.sha256(repr(recipe).encode())[:16]
    path = cache / f"{stem}-{digest}{suffix}"
    if path.is_file():
        return path
    data = _build(recipe)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RomforgeError(f"{cache}: cannot be created: {error.strerror}") from None
    output_files.replace_file(path, data)
    return path


def patch_nonce(data: bytes, nonce: str) -> bytes:
    """The program with its nonce, 16 lower-case letters and digits."""
    assert re.fullmatch("[a-z0-9]{16}", nonce), nonce
    assert data.count(_PLACEHOLDER) == 1, "the program has no placeholder for a nonce"
    return data.replace(_PLACEHOLDER, nonce.encode())


def make_application(arch: Arch, application: str, nonce: str, cache: Path) -> bytes:
    """An EFI application with its nonce; raises as ``compile_program``."""
    return patch_nonce(compile_program(arch, cache, application).read_bytes(), nonce)


def _build(recipe: _Recipe) -> bytes:
    with TemporaryDirectory(prefix="romforge-boot-") as directory:
        for name, source in recipe.sources.items():
            Path(directory, name).write_bytes(source)
        for command in recipe.commands:
            programs.run_program(command.arguments, package=command.package, cwd=directory)
        return Path(directory, _OUTPUT).read_bytes()


def _make_recipe(kind: ProgramKind, application: str) -> _Recipe:
    if isinstance(kind, Arch):
        source = f"{application}.c"
        if application == COUNT:
            return _Recipe(_read_sources(source, "count.lds"), list(_count_commands(kind)))
        sources = _read_sources(*_HEADERS, source)
        if application == STAY:  # includes the source of the other one
            sources |= _read_sources(f"{EXIT}.c")
        return _Recipe(sources, list(_efi_commands(kind, source)))
    program = _LEGACY[kind]
    sources = _read_sources("com1.S", program.source)
    return _Recipe(sources, list(_legacy_commands(program)))


def _read_sources(*names: str) -> dict[str, bytes]:
    return {name: (_SOURCES / name).read_bytes() for name in names}


def _efi_commands(arch: Arch, source: str) -> Iterator[_Command]:
    """The commands for an EFI application.

    efi.lds lays it out as it lies in memory, and fails the link where that needs relocations.
    """
    tools = _find_tools(arch)
    yield _Command([*tools.compiler, source, "-o", "efi.o"], tools.gcc)
    yield _Command([*tools.compiler, "header.S", "-o", "header.o"], tools.gcc)
    link = [*tools.linker, "-e", "efi_main", "-T", "efi.lds"]
    yield _Command([*link, "header.o", "efi.o", "-o", "efi.elf"], tools.binutils)
    yield _Command([*tools.objcopy, "efi.elf", _OUTPUT], tools.binutils)


def _count_commands(arch: Arch) -> Iterator[_Command]:
    """The commands for a program that counts; count.lds also fails where it needs relocations."""
    tools = _find_tools(arch)
    yield _Command([*tools.compiler, f"{COUNT}.c", "-o", "count.o"], tools.gcc)
    link = [*tools.linker, "-e", "start", "-T", "count.lds"]
    yield _Command([*link, "count.o", "-o", "count.elf"], tools.binutils)
    yield _Command([*tools.objcopy, "count.elf", _OUTPUT], tools.binutils)


def _find_tools(arch: Arch) -> _Tools:
    prefix = _tool_prefix(arch)
    target = _EFI[arch]
    return _Tools(
        compiler=[f"{prefix}gcc", *_FREESTANDING, *target.flags],
        linker=[f"{prefix}ld", "-m", target.emulation, *_FLAT_LINK],
        objcopy=[f"{prefix}objcopy", "-O", "binary"],
        gcc=tools_package("gcc", prefix),
        binutils=tools_package("binutils", prefix),
    )


def _legacy_commands(program: _LegacyProgram) -> Iterator[_Command]:
    prefix = ""
    if not _is_native(Arch.I386):
        prefix = _tool_prefix(Arch.X86_64)
    package = tools_package("binutils", prefix)
    assembler = [f"{prefix}as", "--32", "-mx86-used-note=no"]
    linker = [f"{prefix}ld", *_LEGACY_LINK, f"-Ttext={program.address}"]
    yield _Command([*assembler, program.source, "-o", "code.o"], package)
    yield _Command([*linker, "code.o", "-o", _OUTPUT], package)


def _is_native(arch: Arch) -> bool:
    return arch in NATIVE.get(os.uname().machine, ())


def _tool_prefix(arch: Arch) -> str:
    """The prefix of the names of an architecture's tools; empty for the native ones."""
    if _is_native(arch):
        return ""  # which may be installed without a prefix only
    return f"{arch.triplet}-"
