# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a ROM in QEMU and reports what is wrong with what came of it.

A boot proves that the ROM's own driver fetched our boot program over the network; the program then reports what it read
of the ROM and which driver had the NIC, for OVMF has a virtio driver of its own.

Where UEFI firmware gets nothing by network, another guest with the same NIC boots a program of ours from a disk. It proves
nothing: its report says what the network boot lacked (``diagnosis``).
"""

from __future__ import annotations

import re
import secrets
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.base.pci_id import PciId
from romforge.base.text import format_offset
from romforge.formats import option_rom
from romforge.rom.assembly import bucket_of
from romforge.verify import diagnosis, fat_image, guest_program, network_server, qemu
from romforge.verify.cases import BIOS, IPV4, START, UEFI, Proof
from romforge.verify.qemu import CONSOLE, MACHINES, PC, SLOT, Guest

_BOOT_FILE = "boot"
_RNG, _RNG_SLOT = "virtio-rng-pci", 4
_DISK, _DISK_SLOT = "disk.img", 5
# Newer firmware, by that, does not try IPv4 (OvmfPkg's README, "Network Support"); older firmware fails there first.
_IPV6_ALONE = "-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n"
_EXAMINATION = "examination", 60  # of a boot that failed: the guest's directory, and its seconds
# Where firmware looks on a disk for what to boot (UEFI Specification, 3.5.1.1).
_REMOVABLE = {
    Arch.I386: "EFI/BOOT/BOOTIA32.EFI",
    Arch.X86_64: "EFI/BOOT/BOOTX64.EFI",
    Arch.ARM64: "EFI/BOOT/BOOTAA64.EFI",
    Arch.RISCV64: "EFI/BOOT/BOOTRISCV64.EFI",
    Arch.LOONG64: "EFI/BOOT/BOOTLOONGARCH64.EFI",
}
_GUEST_ENDED = (
    0x10 << 1 | 1
)  # QEMU's exit status when the boot program writes 10h to isa-debug-exit
# A guest's clock goes by its instructions, 64 ns each, and leaps where it waits: most of a boot is waiting for time to pass.
CLOCK = "-icount", "shift=6,sleep=off"
# What the console shows where the firmware has given the network up.
_GIVEN_UP = {
    BIOS: re.compile("No bootable device|No more network devices"),
    UEFI: re.compile(r"Shell>|UEFI Interactive Shell|No bootable option or device"),
}


class CheckFailed(RomforgeError):
    """A proof that failed: ``check`` is the one that found it."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


class NicSetup(NamedTuple):
    """A NIC with its ROM: the options of QEMU, and what its ROM is to hold as QEMU gives it to the guest."""

    options: list[str]
    content: bytes


def prove_boot(
    proof: Proof, data: bytes, directory: Path, cache: Path, expected: bytes | None = None
) -> str:
    """Boots a ROM, or starts QEMU with it; returns what was seen. Raises Refuted, and RomforgeError where it cannot be run.

    ``expected`` is what the guest is to find in the ROM's place, if that is not ``data``.
    """
    machine = MACHINES[proof.arch]
    nic = nic_setup(proof, data, directory)
    if proof.kind == START:
        return _start(machine, nic, directory)
    content = nic.content
    if expected is not None:
        content = nic_setup(proof, expected, directory / "expected").content
    nonce = secrets.token_hex(8)
    served = directory / "tftp"
    served.mkdir()
    program = guest_program.compile_program("bios" if proof.kind == BIOS else proof.arch, cache)
    (served / _BOOT_FILE).write_bytes(guest_program.patch_nonce(program.read_bytes(), nonce))
    options = nic.options
    if proof.kind == BIOS:
        options += [*PC, "-boot", "n"]
    else:
        options += [*machine.options, *qemu.flash(machine, directory), *random_numbers(machine)]
    with _run(proof, options, directory) as guest:
        if proof.mark:
            return _marked(guest, proof, proof.mark)
        report = _wait(guest, proof, nonce)
        if report:
            return _booted(guest, proof, report, content)
        ended = _how_it_ended(guest, proof)
        console = guest.console()
    if proof.kind == BIOS:
        raise CheckFailed("boot", f"{ended}; {diagnosis.explain_bios(console)}")
    found = _examine(proof, data, directory, cache)
    if found and found.driver == "rom":
        check_driver(proof, found, content)  # that it is of this image, and of these bytes
    dead = found is not None and found.interfaces is not None and not found.interfaces.snp
    raise CheckFailed(
        "driver" if dead else "boot", f"{ended}; {diagnosis.explain_uefi(console, found)}"
    )


def _examine(
    proof: Proof, data: bytes, directory: Path, cache: Path
) -> guest_program.GuestReport | None:
    """What a program on a disk sees of the NIC, in a guest of its own; None where that does not boot it."""
    name, seconds = _EXAMINATION
    directory = directory / name
    directory.mkdir()
    machine = MACHINES[proof.arch]
    nic = nic_setup(proof, data, directory)
    nonce = secrets.token_hex(8)
    program = guest_program.compile_program(proof.arch, cache, guest_program.DISK)
    application = guest_program.patch_nonce(program.read_bytes(), nonce)
    options = [*machine.options, *qemu.flash(machine, directory), *CLOCK, *random_numbers(machine)]
    options += ["-netdev", "user,id=n0,restrict=on,ipv6=off", *nic.options]
    options += boot_disk(proof.arch, application, directory)
    with qemu.start(machine, options, directory) as guest:
        guest.wait(
            lambda console: guest_program.read_report(console, nonce), min(seconds, proof.timeout)
        )
        return guest_program.read_report(guest.console(), nonce)


@contextmanager
def _run(proof: Proof, options: list[str], directory: Path) -> Iterator[Guest]:
    """A guest with a network that has the boot file: QEMU's own one, or ours for IPv6."""
    machine = MACHINES[proof.arch]
    if proof.network == IPV4:
        with qemu.start(machine, [*CLOCK, *_network(_BOOT_FILE), *options], directory) as guest:
            yield guest
        return
    files = {_BOOT_FILE: (directory / "tftp" / _BOOT_FILE).read_bytes()}
    with network_server.serve(network_server.Server(files, _BOOT_FILE)) as connection:
        # by the clock on the wall: a guest that leaps over waiting leaps over our answers
        descriptor = connection.fileno()
        network = [*_IPV6_ALONE, "-netdev", f"socket,id=n0,fd={descriptor}"]
        with qemu.start(machine, [*network, *options], directory, [descriptor]) as guest:
            connection.close()  # QEMU has its own
            yield guest


def _network(boot_file: str) -> list[str]:
    """A network that has a boot file for whoever asks, and lets nothing out."""
    return ["-netdev", f"user,id=n0,restrict=on,ipv6=off,tftp=tftp,bootfile={boot_file}"]


def random_numbers(machine: qemu.Machine) -> list[str]:
    """A source of random numbers: without one, edk2 since 2024 offers no network boot."""
    if not qemu.has_device(machine, _RNG):
        return []
    return ["-object", "rng-builtin,id=rng", "-device", f"{_RNG},rng=rng,addr={_RNG_SLOT}"]


def boot_disk(arch: Arch, application: bytes, directory: Path) -> list[str]:
    """A read-only disk with an EFI application to boot, in ``directory``.

    It has no ``bootindex=``: with one, firmware connects what has one alone, and starts no driver that came late, such
    as those that wait for random numbers.
    """
    (directory / _DISK).write_bytes(fat_image.make_fat_image(_REMOVABLE[arch], application))
    drive = f"if=none,id=disk,format=raw,readonly=on,file={_DISK}"
    device = f"virtio-blk-pci,drive=disk,addr={_DISK_SLOT}"
    return ["-drive", drive, "-device", device]


def nic_setup(proof: Proof, data: bytes, directory: Path) -> NicSetup:
    """Puts a ROM where QEMU finds it, as its default ROM or by name; raises RomforgeError where it has no default one."""
    options = f"{proof.device},netdev=n0,addr={SLOT},id=nic"
    place = directory / "roms"
    place.mkdir(parents=True)
    content = data.ljust(bucket_of(len(data)), b"\0")
    if not proof.default:
        (place / "by-hand.rom").write_bytes(data)
        return NicSetup(["-device", f"{options},romfile=roms/by-hand.rom"], content)
    name = qemu.default_rom(
        MACHINES[proof.arch], proof.kind != UEFI and proof.arch.ipxe_name == "x86_64", proof.device
    )
    if not name:
        raise RomforgeError(
            f'QEMU has no default ROM for -device {proof.device}; write roms = ["romfile"] in [verify]'
        )
    (place / name).write_bytes(data)
    return NicSetup(["-L", "roms", "-device", options], as_default(content, proof.ids))


def as_default(data: bytes, ids: PciId) -> bytes:
    """A ROM as QEMU gives it to a guest as the default one of a device: with its IDs in the first image (seen in QEMU 7.2)."""
    try:
        first = option_rom.parse_image(data, 0)
    except RomforgeError:
        return data
    if first.ids == ids:
        return data
    place = first.header.pcir_pointer + 4
    found = bytearray(data)
    old, new = data[place : place + 4], b"".join(one.to_bytes(2, "little") for one in ids)
    found[place : place + 4] = new
    found[option_rom.CHECKSUM] = (found[option_rom.CHECKSUM] + sum(old) - sum(new)) & 0xFF
    return bytes(found)


def _start(machine: qemu.Machine, nic: NicSetup, directory: Path) -> str:
    """That QEMU starts with a ROM that has no code for its architecture, and the machine runs."""
    with qemu.start(
        machine, [*machine.options, "-netdev", "user,id=n0,restrict=on", *nic.options], directory
    ) as guest:
        try:
            state = guest.monitor.ask("query-status")["status"]
        except EOFError:
            raise CheckFailed("start", guest.said() or "QEMU ended at once") from None
    if state != "running":
        raise CheckFailed("start", f"the machine is {state}, not running")
    return "runs"


def _marked(guest: Guest, proof: Proof, mark: str) -> str:
    if not guest.wait(lambda text: mark in text, proof.timeout):
        raise CheckFailed(
            "boot", _how_it_ended(guest, proof, f'the console does not show "{mark}"')
        )
    return f'shows "{mark.strip()}"'


def _wait(guest: Guest, proof: Proof, nonce: str) -> guest_program.GuestReport | None:
    """Waits for what the boot program reports; None where the firmware gives up, QEMU ends, or the time is over."""
    given_up = _GIVEN_UP[proof.kind]
    guest.wait(
        lambda text: guest_program.read_report(text, nonce) or given_up.search(text), proof.timeout
    )
    return guest_program.read_report(guest.console(), nonce)


def _booted(guest: Guest, proof: Proof, found: guest_program.GuestReport, content: bytes) -> str:
    """Checks what the boot program reports; returns what is to be said of it."""
    if proof.kind == BIOS:
        check_content(content, found.rom_size, found.rom_crc)
        driver = "legacy image"
    else:
        driver = check_driver(proof, found, content)
    if proof.arch.ipxe_name == "x86_64" and (status := guest.status()) != _GUEST_ENDED:
        raise CheckFailed(
            "boot",
            f"QEMU ended with status {status}, where the boot program asks for {_GUEST_ENDED}",
        )
    return f"booted by {driver}"


def _how_it_ended(guest: Guest, proof: Proof, what: str = "the boot file did not run") -> str:
    """How a boot ended that failed."""
    status = guest.process.poll()
    if status is not None:
        return f"{what}: QEMU ended with status {status}: {guest.said()}"
    pattern = _GIVEN_UP.get(proof.kind)
    given_up = pattern.search(guest.console()) if pattern else None
    if given_up:
        return f'{what}: the firmware says "{given_up[0]}"'
    return f"{what} within {proof.timeout} s"


def check_content(content: bytes, size: int, crc: int, whole: bool = True) -> None:
    """That the guest read the ROM that is to be proven; firmware may read no more than its images."""
    if size > len(content) or (whole and size != len(content)) or not size:
        raise CheckFailed(
            "content", f"the guest sees a ROM of {size:,} bytes, which is {len(content):,} here"
        )
    if crc != zlib.crc32(content[:size]):
        raise CheckFailed(
            "content",
            f"the guest read other bytes: CRC-32 {crc:08x}, which is {zlib.crc32(content[:size]):08x} here",
        )


def check_driver(proof: Proof, found: guest_program.GuestReport, content: bytes) -> str:
    """That the NIC is driven by the ROM's image for this machine; returns the driver's name."""
    if found.driver != "rom":
        whose = (
            f"a driver of the firmware's own ({found.driver_name})"
            if found.driver == "built-in"
            else "no driver"
        )
        raise CheckFailed("driver", f"the NIC has {whose}, not that of the ROM")
    assert found.start is not None  # which that driver has
    assert found.end is not None
    check_content(content, found.rom_size, found.rom_crc, whole=False)
    image = next(
        (
            one
            for one in option_rom.parse_chain(content).images
            if one.offset <= found.start < one.offset + len(one.data)
        ),
        None,
    )
    if not image or image.machine != proof.arch.machine:
        what = f"is {image.kind}" if image else "is no image"
        raise CheckFailed(
            "driver", f"the driver came from {format_offset(found.start)} of the ROM, which {what}"
        )
    if found.driver_crc != zlib.crc32(content[found.start : found.end + 1]):
        raise CheckFailed(
            "content",
            f"the image at {format_offset(found.start)} was read as other bytes: CRC-32 {found.driver_crc:08x}",
        )
    return found.driver_name or "a driver without a name"


def fresh_directory(directory: Path) -> None:
    """Makes a directory for a proof, empty."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def qemu_command_to_paste(directory: Path) -> Sequence[str]:
    """What a failed proof leaves for a person: the console's log, and the command."""
    return [
        f"console {directory / CONSOLE}",
        f"command {qemu.read_console(directory / qemu.COMMAND).strip()}",
    ]
