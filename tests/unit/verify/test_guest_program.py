# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that guests boot: how they are built, and what they report in QEMU."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import time
import zlib
from itertools import product
from pathlib import Path

import pytest

from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.formats import option_rom, pe
from romforge.verify import guest_program, guest_report
from romforge.verify.guest_program import APPLICATIONS, BIOS, COUNT, EXIT_STATUS, PROGRAM_NAMES
from romforge.verify.guest_report import GuestReport
from tests.support.machines import (
    AAVMF,
    AAVMF_FLASH,
    COMMON,
    OVMF,
    PC,
    PC_BIOS,
    boot,
    ovmf_firmware,
    uefi,
)
from tests.support.proofs import NONCE, OTHER

SOURCES = Path(guest_program.__file__).parent / "guest"
EFI = [kind for kind in PROGRAM_NAMES if isinstance(kind, Arch)]
# Not every Debian release has a cross compiler for loong64.
AVAILABLE = [
    arch for arch in EFI if arch is not Arch.LOONG64 or shutil.which("loongarch64-linux-gnu-gcc")
]
# QEMU, and its options, for the programs that count on a machine virt.
_VIRT = {
    Arch.ARM64: ["qemu-system-aarch64", "-cpu", "cortex-a57", "-m", "64"],
    Arch.RISCV64: ["qemu-system-riscv64", "-m", "64"],
    Arch.LOONG64: ["qemu-system-loongarch64", "-m", "1025"],
}
COUNTING = {arch: machine for arch, machine in _VIRT.items() if arch in AVAILABLE}
COMPILED = [*product(AVAILABLE, APPLICATIONS), *product(COUNTING, [COUNT])]
KINDS: list[guest_program.ProgramKind] = [BIOS, COUNT, *AVAILABLE]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[guest_program.ProgramKind, bytes]:
    """All programs that can be built here, without a nonce."""
    cache = tmp_path_factory.mktemp("boot")
    return {kind: guest_program.compile_program(kind, cache).read_bytes() for kind in KINDS}


def title(kind: guest_program.ProgramKind) -> str:
    return PROGRAM_NAMES[kind]


# Builds


def test_a_network_boot_program_is_a_boot_sector(built: dict[guest_program.ProgramKind, bytes]):
    assert len(built[BIOS]) == 512
    assert built[BIOS][-2:] == b"\x55\xaa"


def test_a_counting_bios_begins_at_the_reset_vector(built: dict[guest_program.ProgramKind, bytes]):
    image = built[COUNT]
    assert len(image) == 0x10000
    jump, offset, segment = struct.unpack("<BHH", image[0xFFF0:0xFFF5])
    assert (jump, segment) == (0xEA, 0xF000)
    assert image[offset] == 0xFA  # cli
    assert set(image[0xFFF5:]) == {0xFF}


@pytest.mark.parametrize("arch", AVAILABLE, ids=title)
def test_an_application_is_a_pe_file_as_it_lies_in_memory(
    built: dict[guest_program.ProgramKind, bytes], arch: Arch
):
    data = built[arch]
    assert pe.parse_pe(data) == pe.Pe(arch.machine, pe.EFI_APPLICATION, len(data))
    coff = pe.CoffHeader.parse(data, 0x40)
    assert (coff.section_count, coff.timestamp, coff.symbol_count) == (1, 0, 0)
    name, size, address, file_size, offset, *_, flags = struct.unpack_from(
        "<8s6I2HI", data, 0x58 + coff.optional_header_size
    )
    assert (name, size, address) == (b".text\0\0\0", file_size, offset)
    assert address + size == len(data)
    assert flags & 0xE0000000 == 0x60000000  # executed and read, not written
    (entry,) = struct.unpack_from("<I", data, 0x58 + 16)
    assert entry == address
    assert data[entry : entry + 4] not in (b"\0\0\0\0", b"NONC")
    directories = data[0x58 + coff.optional_header_size - 48 : 0x58 + coff.optional_header_size]
    assert directories == bytes(48)  # no base relocations among them


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "const char *const table[] = { nonce, nonce + 1 };",
            "there are relocations, and nobody applies them",
        ),
        ("int counter = 1;", "there are variables, and the only section is read-only"),
        ("int counter;", "there are variables, and the only section is read-only"),
    ],
)
@pytest.mark.parametrize("arch", AVAILABLE, ids=title)
def test_what_a_flat_file_cannot_hold_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: Arch, code: str, message: str
):
    shutil.copytree(SOURCES, tmp_path / "boot")
    with (tmp_path / "boot/efi.c").open("a") as source:
        source.write(code + "\n")
    monkeypatch.setattr(guest_program, "_SOURCES", tmp_path / "boot")
    with pytest.raises(RomforgeError, match=message):
        guest_program.compile_program(arch, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "const char *const table[] = { nonce, nonce + 1 };",
            "there are relocations, and nobody applies them",
        ),
        ("int counter = 1;", "there are variables, and the program may lie in flash"),
        ("int counter;", "there are variables, and the program may lie in flash"),
    ],
)
@pytest.mark.parametrize("arch", COUNTING, ids=title)
def test_what_flash_cannot_hold_stops_the_build_of_a_program_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: Arch, code: str, message: str
):
    shutil.copytree(SOURCES, tmp_path / "boot")
    with (tmp_path / "boot/count.c").open("a") as source:
        source.write(code + "\n")
    monkeypatch.setattr(guest_program, "_SOURCES", tmp_path / "boot")
    with pytest.raises(RomforgeError, match=message):
        guest_program.compile_program(arch, tmp_path / "cache", COUNT)


@pytest.mark.parametrize(("arch", "application"), COMPILED, ids=str)
def test_compilers_give_no_warnings(tmp_path: Path, arch: Arch, application: str):
    compile_source, *_ = guest_program._make_recipe(arch, application).commands
    arguments = [*compile_source.arguments[:-1], str(tmp_path / "efi.o")]
    strict = [*arguments, "-Wall", "-Wextra", "-Wvla", "-Wshadow", "-Werror"]
    done = subprocess.run(strict, cwd=SOURCES, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "application", [name for name in APPLICATIONS if name != guest_program.NETWORK]
)
@pytest.mark.parametrize("arch", AVAILABLE, ids=title)
def test_every_application_is_of_its_architecture(
    tmp_path: Path, arch: Arch, application: str, built: dict[guest_program.ProgramKind, bytes]
):
    path = guest_program.compile_program(arch, tmp_path / "cache", application)
    assert path.name.startswith(f"{arch.ipxe_name}-{application}-")
    data = path.read_bytes()
    assert pe.parse_pe(data) == pe.Pe(arch.machine, pe.EFI_APPLICATION, len(data))
    assert data != built[arch]
    assert guest_program.patch_nonce(data, OTHER).count(OTHER.encode()) == 1


@pytest.mark.parametrize("arch", COUNTING, ids=title)
def test_a_program_that_counts_is_of_its_architecture(tmp_path: Path, arch: Arch):
    path = guest_program.compile_program(arch, tmp_path / "cache", COUNT)
    assert re.fullmatch(rf"{arch.ipxe_name}-count-[0-9a-f]{{16}}\.bin", path.name)
    assert guest_program.patch_nonce(path.read_bytes(), OTHER).count(OTHER.encode()) == 1
    again = guest_program.compile_program(arch, tmp_path / "elsewhere", COUNT)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS, ids=title)
def test_builds_are_reproducible(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: guest_program.ProgramKind,
    built: dict[guest_program.ProgramKind, bytes],
):
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("CFLAGS", "-g -O0")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.chdir(tmp_path)
    again = guest_program.compile_program(kind, tmp_path / "elsewhere")
    assert again.read_bytes() == built[kind]
    assert os.listdir(again.parent) == [again.name]


def test_a_program_is_taken_from_the_cache_until_its_sources_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = guest_program.compile_program(BIOS, tmp_path / "cache")
    assert first.name.startswith("bios-")
    assert first.name.endswith(".0")
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert guest_program.compile_program(BIOS, tmp_path / "cache") == first
    monkeypatch.setenv("PATH", path)

    shutil.copytree(SOURCES, tmp_path / "boot")
    shared = tmp_path / "boot/com1.S"
    shared.write_text(shared.read_text() + "\n")
    monkeypatch.setattr(guest_program, "_SOURCES", tmp_path / "boot")
    second = guest_program.compile_program(BIOS, tmp_path / "cache")
    assert second != first
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ("machine", "kind", "program", "package"),
    [
        ("x86_64", Arch.X86_64, "gcc", "gcc"),
        ("x86_64", Arch.ARM64, "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("x86_64", BIOS, "as", "binutils"),
        ("aarch64", Arch.ARM64, "gcc", "gcc"),
        ("aarch64", Arch.X86_64, "x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
        ("aarch64", COUNT, "x86_64-linux-gnu-as", "binutils-x86-64-linux-gnu"),
    ],
)
def test_a_missing_tool_is_named_with_its_package(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    kind: guest_program.ProgramKind,
    program: str,
    package: str,
):
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6", "1", machine)))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        MissingTool, match=f"^{program}: not found; install the Debian package {package}$"
    ):
        guest_program.compile_program(kind, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RomforgeError, match="file/cache: cannot be created: Not a directory"):
        guest_program.compile_program(BIOS, tmp_path / "file/cache")


@pytest.mark.parametrize("kind", KINDS, ids=title)
def test_the_nonce_changes_16_bytes(
    built: dict[guest_program.ProgramKind, bytes], kind: guest_program.ProgramKind
):
    data = guest_program.patch_nonce(built[kind], NONCE)
    assert len(data) == len(built[kind])
    assert data.count(NONCE.encode()) == 1
    changed = [index for index, byte in enumerate(data) if byte != built[kind][index]]
    assert len(changed) == 16


@pytest.mark.parametrize("nonce", ["short", NONCE.upper(), NONCE + "\n", NONCE + "0"])
def test_a_nonce_of_another_form_is_a_programming_error(
    built: dict[guest_program.ProgramKind, bytes], nonce: str
):
    with pytest.raises(AssertionError):
        guest_program.patch_nonce(built[BIOS], nonce)


def test_a_nonce_is_patched_in_only_once(built: dict[guest_program.ProgramKind, bytes]):
    with pytest.raises(AssertionError):
        guest_program.patch_nonce(guest_program.patch_nonce(built[BIOS], NONCE), OTHER)


# Boots


def served(directory: Path, data: bytes, name: str) -> list[str]:
    """The options of a user network that serves a program, with its nonce."""
    (directory / "tftp").mkdir()
    (directory / "tftp" / name).write_bytes(guest_program.patch_nonce(data, NONCE))
    return ["-netdev", f"user,id=n0,restrict=on,ipv6=off,tftp={directory / 'tftp'},bootfile={name}"]


@pytest.mark.slow
@pytest.mark.qemu
def test_seabios_boots_the_program_which_reads_the_rom(
    tmp_path: Path, built: dict[guest_program.ProgramKind, bytes], releases: dict[str, Path]
):
    rom = releases["sid"] / "pxe-e1000.rom"
    machine = [*PC_BIOS, *served(tmp_path, built[BIOS], PROGRAM_NAMES[BIOS])]
    machine += ["-device", f"e1000,netdev=n0,addr=3,romfile={rom}"]
    text, status = boot(tmp_path, machine, lambda text: False)
    window = rom.read_bytes().ljust(0x20000, b"\0")
    assert rom.stat().st_size < len(window)
    assert (guest_report.read_report(text, NONCE), status) == (
        GuestReport("bios", len(window), zlib.crc32(window)),
        EXIT_STATUS,
    ), text


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize(
    ("card", "name", "size"),
    [
        ([], None, 0),
        (["-device", "e1000,addr=3,romfile="], None, 0),
        (["-device", "e1000,addr=3,romfile={}"], "efi-e1000.rom", 0x40000),
        (["-device", "vmxnet3,addr=3,romfile={},romsize=0x100000"], "pxe-vmxnet3.rom", 0x100000),
    ],
)
def test_seabios_boots_the_program_from_a_disk(
    tmp_path: Path,
    built: dict[guest_program.ProgramKind, bytes],
    releases: dict[str, Path],
    card: list[str],
    name: str | None,
    size: int,
):
    (tmp_path / "disk").write_bytes(guest_program.patch_nonce(built[BIOS], NONCE))
    rom = releases["bookworm"] / name if name else None
    machine = [*PC_BIOS, *(option.format(rom) for option in card)]
    machine += ["-drive", f"format=raw,file={tmp_path / 'disk'}"]
    text, status = boot(tmp_path, machine, lambda text: False)
    crc = 0
    if rom:
        crc = zlib.crc32(rom.read_bytes().ljust(size, b"\0"))
    assert (guest_report.read_report(text, NONCE), status) == (
        GuestReport("bios", size, crc),
        EXIT_STATUS,
    ), text


@pytest.mark.slow
@pytest.mark.qemu
def test_ovmf_boots_the_program_which_finds_the_driver(
    tmp_path: Path, built: dict[guest_program.ProgramKind, bytes], releases: dict[str, Path]
):
    rom = releases["sid"] / "efi-e1000.rom"
    machine = [*OVMF, *ovmf_firmware(tmp_path)]
    machine += served(tmp_path, built[Arch.X86_64], PROGRAM_NAMES[Arch.X86_64])
    machine += ["-device", f"e1000,netdev=n0,addr=3,romfile={rom}"]
    text, status = boot(tmp_path, machine, lambda text: False)
    legacy, efi = (image.data for image in option_rom.parse_rom(rom.read_bytes()).images)
    taken = legacy + efi  # without padding
    expected = GuestReport(
        "uefi",
        len(taken),
        zlib.crc32(taken),
        "rom",
        len(legacy),
        len(taken) - 1,
        zlib.crc32(efi),
        "82540em.efidrv",
    )
    assert (guest_report.read_report(text, NONCE), status) == (expected, EXIT_STATUS), text


@pytest.mark.slow
@pytest.mark.qemu
def test_aavmf_runs_the_program_on_arm64(
    tmp_path: Path, built: dict[guest_program.ProgramKind, bytes], releases: dict[str, Path]
):
    rom = releases["sid"] / "efi-e1000.rom"
    kernel = tmp_path / "kernel"
    kernel.write_bytes(guest_program.patch_nonce(built[Arch.ARM64], NONCE))
    machine = [*AAVMF, "-kernel", str(kernel), *uefi(tmp_path, *AAVMF_FLASH)]
    machine += ["-device", f"e1000,addr=3,romfile={rom}"]
    text, status = boot(tmp_path, machine, lambda text: False)
    taken = b"".join(image.data for image in option_rom.parse_rom(rom.read_bytes()).images)
    assert (guest_report.read_report(text, NONCE), status) == (
        GuestReport("uefi", len(taken), zlib.crc32(taken), "none"),
        0,
    ), text


@pytest.mark.slow
@pytest.mark.qemu
def test_u_boot_runs_the_program_on_riscv64(
    tmp_path: Path, built: dict[guest_program.ProgramKind, bytes]
):
    application = tmp_path / "application"
    application.write_bytes(guest_program.patch_nonce(built[Arch.RISCV64], NONCE))
    machine = ["qemu-system-riscv64", "-M", "virt", "-m", "256", *COMMON]
    machine += ["-bios", "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.elf"]
    machine += ["-kernel", "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"]
    machine += ["-device", f"loader,file={application},addr=0x84000000,force-raw=on"]
    keys = f"\nbootefi 0x84000000:{len(built[Arch.RISCV64]):x}\n"
    text, status = boot(tmp_path, machine, lambda text: False, keys=keys)
    assert (guest_report.read_report(text, NONCE), status) == (
        GuestReport("uefi", 0, 0, "none"),
        0,
    ), text


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("arch", COUNTING, ids=title)
def test_a_program_counts_in_place_of_firmware(tmp_path: Path, arch: Arch):
    """From 1 on, in whole lines, and not faster than a count in 10 ms of the guest's clock."""
    program = guest_program.compile_program(arch, tmp_path / "cache", COUNT)
    (tmp_path / "bios").write_bytes(guest_program.patch_nonce(program.read_bytes(), NONCE))
    binary, *options = COUNTING[arch]
    machine = [binary, "-M", "virt", *options, *COMMON, "-bios", str(tmp_path / "bios")]
    began = time.monotonic()
    text, status = boot(
        tmp_path, machine, lambda text: len(guest_report.read_counts(text, NONCE)) >= 50
    )
    counts = guest_report.read_counts(text, NONCE)
    assert counts == list(range(1, len(counts) + 1)), text
    assert status is None
    assert len(counts) <= 100 * (time.monotonic() - began)


@pytest.mark.slow
@pytest.mark.qemu
def test_a_counting_bios_counts(tmp_path: Path, built: dict[guest_program.ProgramKind, bytes]):
    (tmp_path / "bios").write_bytes(guest_program.patch_nonce(built[COUNT], NONCE))
    machine = ["qemu-system-x86_64", "-M", "pc", "-m", "64", *COMMON, *PC]
    machine += ["-bios", str(tmp_path / "bios"), "-device", "e1000"]
    text, status = boot(
        tmp_path, machine, lambda text: len(guest_report.read_counts(text, NONCE)) >= 50
    )
    assert status is None
    assert guest_report.read_counts(text, NONCE)[:50] == list(range(1, 51)), text
