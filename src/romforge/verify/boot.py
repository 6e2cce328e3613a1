# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a ROM in QEMU over the network, and explains why a boot failed.

A boot shows that the ROM's own driver fetched our boot program. The program then reports what it
read of the ROM, and which driver is bound to the NIC: OVMF has a virtio driver of its own.

Where UEFI firmware does not boot from the network, a second guest with the same NIC boots another
program from a disk. That proves nothing, but its report shows what was missing (``diagnosis``).
"""

from __future__ import annotations

import re
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.base.pci_id import PciId
from romforge.base.text import format_offset
from romforge.formats import option_rom
from romforge.formats.option_rom import Image
from romforge.rom.assembly import bucket_of
from romforge.verify import (
    diagnosis,
    fat_image,
    guest_program,
    guest_report,
    network_server,
    qemu,
    random_numbers,
)
from romforge.verify.cases import BIOS, IPV4, IPV6, START, UEFI, Proof
from romforge.verify.guest_report import GuestReport
from romforge.verify.qemu import CONSOLE, MACHINES, PC, SLOT, Guest

_BOOT_FILE = "boot"
_WITH_EXIT_DEVICE = Arch.I386, Arch.X86_64  # the architectures whose guests end QEMU themselves
_DISK, _DISK_SLOT = "disk.img", 5
# Newer firmware then does not try IPv4 (OvmfPkg's README, "Network Support"). Older firmware
# ignores this, and fails over IPv4 first.
_IPV6_ONLY = "-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n"
ISOLATED_NETWORK = "-netdev", "user,id=n0,restrict=on,ipv6=off"
_EXAMINATION = "examination"  # the directory of the guest that examines a failed boot
_EXAMINATION_SECONDS = 60
# Where firmware looks for a boot program on a disk (UEFI Specification, 3.5.1.1).
_REMOVABLE_MEDIA_PATHS = {
    Arch.I386: "EFI/BOOT/BOOTIA32.EFI",
    Arch.X86_64: "EFI/BOOT/BOOTX64.EFI",
    Arch.ARM64: "EFI/BOOT/BOOTAA64.EFI",
    Arch.RISCV64: "EFI/BOOT/BOOTRISCV64.EFI",
    Arch.LOONG64: "EFI/BOOT/BOOTLOONGARCH64.EFI",
}
_WAITING_CLOCK = "-icount", "shift=4"  # 16 ns an instruction
# 256 ns: legacy code waits without halting the processor, and has a timer of only 18 Hz.
_BIOS_CLOCK = "-icount", "shift=8,sleep=off"
# What the console shows where the firmware has given up the network boot, or iPXE has stopped the
# machine. UEFI firmware tries other networks and HTTP next, where no boot program is served.
_PXE_FAILED = r'failed to (?:load|start) Boot[0-9A-F]{{4}}(?= "UEFI PXEv{} [^\n]*\n)'
_BIOS_ENDS = "No bootable device|No more network devices"
_UEFI_ENDS = r"Shell>|UEFI Interactive Shell|No bootable option or device"
_GIVEN_UP = {
    (BIOS, IPV4): re.compile(f"{_BIOS_ENDS}|{diagnosis.IPXE_STOPPED}"),
    (UEFI, IPV4): re.compile(f"{_UEFI_ENDS}|{_PXE_FAILED.format(4)}"),
    (UEFI, IPV6): re.compile(f"{_UEFI_ENDS}|{_PXE_FAILED.format(6)}"),
}


class CheckFailed(RomforgeError):
    """A proof that failed; ``check`` names the check, such as "boot" or "content"."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


class ProofFailed(RomforgeError):
    """A proof that failed, after ``seconds``; ``console`` is the end of what its guest printed."""

    def __init__(self, text: str, seconds: float, console: str) -> None:
        super().__init__(text)
        self.seconds = seconds
        self.console = console


class FirmwareHangs(RomforgeError):
    """A guest that did not finish, perhaps by a fault of its firmware: to be tried once more."""


class NotProvable(RomforgeError):
    """A proof that this machine can neither pass nor fail; the text says what it lacks."""


class NicSetup(NamedTuple):
    """A NIC with its ROM: the options of QEMU, and the ROM's content as the guest must see it."""

    options: list[str]
    content: bytes


def prove_boot(
    proof: Proof, data: bytes, directory: Path, cache: Path, expected: bytes | None = None
) -> str:
    """Boots a ROM, or only starts QEMU with it; returns what was observed, as text.

    ``expected`` is the ROM that the guest must find, if that is not ``data``. Raises CheckFailed
    where the proof fails, NotProvable where the firmware has no network stack, and RomforgeError
    where the proof cannot be run.
    """
    nic = nic_setup(proof, data, directory)
    if proof.kind == START:
        return _prove_start(proof, nic, directory)
    content = expected_content(proof, nic, expected)
    nonce = secrets.token_hex(8)
    _write_boot_file(proof, nonce, directory, cache)
    options = [*nic.options, *_firmware_options(proof, directory)]
    with _start_guest(proof, options, directory) as guest:
        if proof.mark:
            return _wait_for_mark(guest, proof, proof.mark)
        report = _wait_for_report(guest, proof, nonce)
        if report:
            return _check_report(guest, proof, report, content)
        failure = _describe_failure(guest, proof, "the boot file did not run")
        console = guest.console()
    if proof.kind == BIOS:
        raise CheckFailed("boot", f"{failure}; {diagnosis.explain_bios(console)}")
    examined = _examine(proof, data, directory, cache)
    if examined and examined.driver == "rom":
        check_driver(proof, examined, content)  # that the driver is of this ROM
    if diagnosis.lacks_network_stack(console, examined):
        firmware = qemu.find_firmware(MACHINES[proof.arch])
        raise NotProvable(
            f"the firmware {firmware.code} has no network stack; "
            "snp = true in [verify] proves drivers without one"
        )
    check = "boot"
    if examined and examined.interfaces and not examined.interfaces.snp:
        check = "driver"
    raise CheckFailed(check, f"{failure}; {diagnosis.explain_uefi(console, examined)}")


def expected_content(proof: Proof, nic: NicSetup, expected: bytes | None) -> bytes:
    """What the guest must read from the NIC's ROM: its own content, unless another is expected."""
    if expected is None:
        return nic.content
    return _guest_content(proof, expected)


def _write_boot_file(proof: Proof, nonce: str, directory: Path, cache: Path) -> None:
    kind: guest_program.ProgramKind = proof.arch
    if proof.kind == BIOS:
        kind = guest_program.BIOS
    program = guest_program.compile_program(kind, cache)
    tftp = directory / "tftp"
    tftp.mkdir()
    (tftp / _BOOT_FILE).write_bytes(guest_program.patch_nonce(program.read_bytes(), nonce))


def _firmware_options(proof: Proof, directory: Path) -> list[str]:
    if proof.kind == BIOS:
        return [*PC, "-boot", "n"]
    machine = MACHINES[proof.arch]
    return [
        *machine.options,
        *qemu.firmware_options(machine, directory),
        *random_numbers.sources(machine),
    ]


def _start_guest(
    proof: Proof, options: list[str], directory: Path
) -> AbstractContextManager[Guest]:
    """A guest whose network serves the boot file."""
    if proof.network == IPV4:
        machine = MACHINES[proof.arch]
        clock = _BIOS_CLOCK if proof.kind == BIOS else _clock(machine)
        return qemu.start(machine, [*clock, *_network(_BOOT_FILE), *options], directory)
    return _start_ipv6_guest(proof, options, directory)


@contextmanager
def _start_ipv6_guest(proof: Proof, options: list[str], directory: Path) -> Iterator[Guest]:
    """A guest on ``network_server``, for QEMU's own network has no DHCPv6.

    Its clock goes by its instructions, too, so that a busy host makes it slow and not late. But it
    does not skip waiting: that would also skip the time until our answers come.
    """
    files = {_BOOT_FILE: (directory / "tftp" / _BOOT_FILE).read_bytes()}
    with network_server.serve(network_server.Server(files, _BOOT_FILE)) as connection:
        descriptor = connection.fileno()
        network = [*_IPV6_ONLY, "-netdev", f"socket,id=n0,fd={descriptor}"]
        machine = MACHINES[proof.arch]
        options = [*_WAITING_CLOCK, *network, *options]
        with qemu.start(machine, options, directory, [descriptor]) as guest:
            connection.close()  # QEMU has inherited its own
            yield guest


def _network(boot_file: str) -> list[str]:
    """A network that serves the directory tftp, names a boot file, and lets nothing out."""
    return ["-netdev", f"user,id=n0,restrict=on,ipv6=off,tftp=tftp,bootfile={boot_file}"]


def _examine(proof: Proof, data: bytes, directory: Path, cache: Path) -> GuestReport | None:
    """The report of a program that a second guest boots from a disk; None where it does not run."""
    directory = directory / _EXAMINATION
    directory.mkdir()
    nic = nic_setup(proof, data, directory)
    nonce = secrets.token_hex(8)
    application = guest_program.make_application(proof.arch, guest_program.DISK, nonce, cache)
    options = [*ISOLATED_NETWORK, *nic.options, *disk_options(proof, application, directory)]
    with qemu.start(MACHINES[proof.arch], options, directory) as guest:
        guest.wait(
            lambda console: guest_report.read_report(console, nonce),
            min(_EXAMINATION_SECONDS, proof.timeout),
        )
        return guest_report.read_report(guest.console(), nonce)


def disk_options(proof: Proof, application: bytes, directory: Path) -> list[str]:
    """The options of a UEFI guest that boots an EFI application from a read-only disk.

    The disk has no ``bootindex=``. With it, firmware connects only the devices that have one, and
    does not start drivers that come late, such as those that wait for random numbers.
    """
    machine = MACHINES[proof.arch]
    image = fat_image.make_fat_image(_REMOVABLE_MEDIA_PATHS[proof.arch], application)
    (directory / _DISK).write_bytes(image)
    return [
        *machine.options,
        *qemu.firmware_options(machine, directory),
        *_clock(machine),
        *random_numbers.sources(machine),
        *("-drive", f"if=none,id=disk,format=raw,readonly=on,file={_DISK}"),
        *("-device", f"virtio-blk-pci,drive=disk,addr={_DISK_SLOT}"),
    ]


def _clock(machine: qemu.Machine) -> list[str]:
    """The options of a clock that counts the guest's instructions.

    It skips the time in which the guest only waits: most of a boot is waiting.
    """
    return ["-icount", f"shift={machine.clock_shift},sleep=off"]


def nic_setup(
    proof: Proof, data: bytes, directory: Path, machine_options: tuple[str, ...] | None = None
) -> NicSetup:
    """Writes a ROM where QEMU finds it: under the name of its default ROM, or for romfile=.

    ``machine_options`` choose QEMU's machine, if it is not the one that boots. Raises NotProvable
    where QEMU has no default ROM for the device.
    """
    device = f"{proof.device},netdev=n0,addr={SLOT},id=nic"
    roms = directory / "roms"
    roms.mkdir(parents=True)
    content = _guest_content(proof, data)
    if not proof.default:
        (roms / "by-hand.rom").write_bytes(data)
        return NicSetup(["-device", f"{device},romfile=roms/by-hand.rom"], content)
    machine = MACHINES[proof.arch]
    if machine_options is None:
        machine_options = PC if proof.kind == BIOS else machine.options
    name = qemu.default_rom(machine, machine_options, proof.device)
    if name is None:
        raise NotProvable(f"this QEMU gives -device {proof.device} no ROM by default")
    (roms / name).write_bytes(data)
    return NicSetup(["-L", "roms", "-device", device], content)


def _guest_content(proof: Proof, data: bytes) -> bytes:
    """A ROM as the guest reads it: padded to its bucket, and changed by QEMU if a default ROM."""
    content = data.ljust(bucket_of(len(data)), b"\0")
    if proof.default:
        return as_default(content, proof.ids)
    return content


def as_default(data: bytes, ids: PciId) -> bytes:
    """A default ROM as QEMU gives it to the guest: with the device's IDs in its first image.

    QEMU adjusts the checksum byte at offset 6 (``pci_patch_ids`` in hw/pci/pci.c).
    """
    try:
        first = option_rom.parse_image(data, 0)
    except RomforgeError:
        return data
    if first.ids == ids:
        return data
    offset = first.header.pcir_pointer + 4
    old_ids = data[offset : offset + 4]
    new_ids = ids.vendor.to_bytes(2, "little") + ids.device.to_bytes(2, "little")
    patched = bytearray(data)
    patched[offset : offset + 4] = new_ids
    difference = sum(old_ids) - sum(new_ids)
    patched[option_rom.CHECKSUM] = (patched[option_rom.CHECKSUM] + difference) & 0xFF
    return bytes(patched)


def _prove_start(proof: Proof, nic: NicSetup, directory: Path) -> str:
    """Checks that QEMU starts with a ROM that has no code for its architecture."""
    machine = MACHINES[proof.arch]
    options = [*machine.options, "-netdev", "user,id=n0,restrict=on", *nic.options]
    with qemu.start(machine, options, directory) as guest:
        try:
            state = guest.monitor.ask("query-status")["status"]
        except EOFError:
            raise CheckFailed("start", guest.failure() or "QEMU ended at once") from None
    if state != "running":
        raise CheckFailed("start", f"the machine is {state}, not running")
    return "runs"


def wait_for(guest: Guest, proof: Proof, matches: Callable[[str], object]) -> bool:
    """Waits until ``matches`` is true of the console; False where QEMU ends or time is over.

    Raises FirmwareHangs instead where the firmware may be to blame, unless the proof is repeated.
    """
    if guest.wait(matches, proof.timeout):
        return True
    if not proof.repeated and random_numbers.may_hang(guest):
        raise FirmwareHangs(
            f"the guest did not finish within {proof.timeout} s, and may hang in its firmware's"
            " virtio-rng driver, as edk2 before 2026 can"
        )
    return False


def _wait_for_mark(guest: Guest, proof: Proof, mark: str) -> str:
    """Waits until the console shows a mark; returns what was observed."""
    if not wait_for(guest, proof, lambda console: mark in console):
        event = f'the console does not show "{mark}"'
        raise CheckFailed("boot", _describe_failure(guest, proof, event))
    return f'shows "{mark.strip()}"'


def _wait_for_report(guest: Guest, proof: Proof, nonce: str) -> GuestReport | None:
    """Waits for the boot program's report.

    None where the firmware gives up, QEMU ends, or the time is over.
    """
    given_up = _GIVEN_UP[proof.kind, proof.network]
    wait_for(
        guest,
        proof,
        lambda console: guest_report.read_report(console, nonce) or given_up.search(console),
    )
    return guest_report.read_report(guest.console(), nonce)


def _check_report(guest: Guest, proof: Proof, report: GuestReport, content: bytes) -> str:
    """Checks what the boot program reports; returns what was observed."""
    if proof.kind == BIOS:
        check_content(content, report.rom_size, report.rom_crc)
        driver = "legacy image"
    else:
        driver = check_driver(proof, report, content)
    if proof.arch in _WITH_EXIT_DEVICE:
        status = guest.status()
        if status != guest_program.EXIT_STATUS:
            raise CheckFailed(
                "boot",
                f"QEMU ended with status {status}, and the boot program requests "
                f"{guest_program.EXIT_STATUS}",
            )
    return f"booted by {driver}"


def _describe_failure(guest: Guest, proof: Proof, event: str) -> str:
    """A failed boot in a sentence: ``event``, and how the guest ended."""
    end = guest.describe_end()
    if end is not None:
        return f"{event}: {end}"
    pattern = _GIVEN_UP.get((proof.kind, proof.network))
    if pattern:
        given_up = pattern.search(guest.console())
        if given_up and given_up[0] == diagnosis.IPXE_STOPPED:
            return event  # the diagnosis quotes iPXE, which is no firmware
        if given_up:
            return f'{event}: the firmware says "{given_up[0]}"'
    return f"{event} within {proof.timeout} s"


def check_content(content: bytes, size: int, crc: int, whole: bool = True) -> None:
    """Checks that the guest read ``content``: the number of bytes, and their CRC-32.

    UEFI firmware may read no more than the images, so ``whole`` is False for it. Raises
    CheckFailed.
    """
    too_short = whole and size < len(content)
    if not 0 < size <= len(content) or too_short:
        raise CheckFailed(
            "content",
            f"the guest sees a ROM of {size:,} bytes, and the ROM has {len(content):,} bytes",
        )
    expected = zlib.crc32(content[:size])
    if crc != expected:
        raise CheckFailed(
            "content",
            f"the guest read other bytes: CRC-32 {crc:08x}, and the ROM has {expected:08x}",
        )


def check_driver(proof: Proof, report: GuestReport, content: bytes) -> str:
    """Checks that the NIC's driver is the ROM's image for this machine; returns its name.

    Raises CheckFailed.
    """
    if report.driver != "rom":
        driver = "no driver"
        if report.driver == "built-in":
            driver = f"a driver of the firmware's own ({report.driver_name})"
        raise CheckFailed("driver", f"the NIC has {driver}, not that of the ROM")
    assert report.start is not None  # a driver of the ROM has both
    assert report.end is not None
    check_content(content, report.rom_size, report.rom_crc, whole=False)
    image = _image_at(content, report.start)
    if not image or image.machine != proof.arch.machine:
        content_there = "is no image"
        if image:
            content_there = f"is {image.kind}"
        raise CheckFailed(
            "driver",
            f"the driver came from {format_offset(report.start)} of the ROM, which {content_there}",
        )
    if report.driver_crc != zlib.crc32(content[report.start : report.end + 1]):
        raise CheckFailed(
            "content",
            f"the guest read other bytes of the image at {format_offset(report.start)}: "
            f"CRC-32 {report.driver_crc:08x}",
        )
    return report.driver_name or "a driver without a name"


def _image_at(rom: bytes, offset: int) -> Image | None:
    """The image that holds the byte at an offset of a ROM."""
    for image in option_rom.parse_chain(rom).images:
        if image.offset <= offset < image.offset + len(image.data):
            return image
    return None


def fresh_directory(directory: Path) -> None:
    """Makes an empty directory for a proof, in the place of an old one."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def qemu_command_to_paste(directory: Path) -> Sequence[str]:
    """The lines that help to look into a failed proof: its console's path, and its command."""
    command = qemu.read_console(directory / qemu.COMMAND).strip()
    return [f"console {directory / CONSOLE}", f"command {command}"]
