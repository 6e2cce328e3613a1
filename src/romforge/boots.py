# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a ROM in QEMU and tells what is wrong with what came of it.

A boot proves that the ROM's own driver fetched our boot program over the network; the program then tells what it read of
the ROM and which driver had the NIC, for OVMF has a virtio driver of its own.
"""

from __future__ import annotations

import re
import secrets
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from romforge import bootfile, pcirom, qemu
from romforge.combine import bucket_of
from romforge.errors import RomforgeError, at
from romforge.proofs import BIOS, START, Proof
from romforge.qemu import CONSOLE, MACHINES, PC, SLOT, Guest

_BOOT_FILE = "boot"
_GUEST_ENDED = 0x10 << 1 | 1  # QEMU's exit status when the boot program writes 10h to isa-debug-exit
# A guest's clock goes by its instructions, 64 ns each, and leaps where it waits: most of a boot is waiting for time to pass.
_CLOCK = "-icount", "shift=6,sleep=off"
# What the console shows where the firmware has given the network up.
_GIVEN_UP = {BIOS: re.compile("No bootable device|No more network devices"), "uefi": re.compile(r"Shell>|UEFI Interactive Shell")}


class Refuted(RomforgeError):
    """A proof that failed: ``check`` is the one that found it."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


class Card(NamedTuple):
    """A NIC with its ROM: the options of QEMU, and what its ROM is to hold as QEMU gives it to the guest."""

    options: list[str]
    content: bytes


def prove(proof: Proof, data: bytes, directory: Path, cache: Path, expected: bytes | None = None) -> str:
    """Boots a ROM, or starts QEMU with it; returns what was seen. Raises Refuted, and RomforgeError where it cannot be run.

    ``expected`` is what the guest is to find in the ROM's place, if that is not ``data``.
    """
    machine = MACHINES[proof.arch]
    nic = card(proof, data, directory)
    if proof.kind == START:
        return _start(machine, nic, directory)
    content = nic.content if expected is None else card(proof, expected, directory / "expected").content
    nonce = secrets.token_hex(8)
    served = directory / "tftp"
    served.mkdir()
    program = bootfile.compile("bios" if proof.kind == BIOS else proof.arch, cache)
    (served / _BOOT_FILE).write_bytes(bootfile.patched(program.read_bytes(), nonce))
    options = [*PC, "-boot", "n"] if proof.kind == BIOS else [*machine.options, *qemu.flash(machine, directory)]
    network = ["-netdev", f"user,id=n0,restrict=on,ipv6=off,tftp=tftp,bootfile={_BOOT_FILE}"]
    with qemu.start(machine, [*options, *_CLOCK, *network, *nic.options], directory) as guest:
        if proof.mark:
            return _marked(guest, proof)
        return _booted(guest, proof, nonce, content)


def card(proof: Proof, data: bytes, directory: Path) -> Card:
    """Puts a ROM where QEMU finds it, as its default ROM or by name; raises RomforgeError where it has no default one."""
    options = f"{proof.device},netdev=n0,addr={SLOT},id=nic"
    place = directory / "roms"
    place.mkdir(parents=True)
    content = data.ljust(bucket_of(len(data)), b"\0")
    if not proof.default:
        (place / "by-hand.rom").write_bytes(data)
        return Card(["-device", f"{options},romfile=roms/by-hand.rom"], content)
    name = qemu.default_rom(MACHINES[proof.arch], proof.kind != "uefi" and proof.arch.ipxe_name == "x86_64", proof.device)
    if not name:
        raise RomforgeError(f'QEMU has no default ROM for -device {proof.device}; write roms = ["romfile"] in [verify]')
    (place / name).write_bytes(data)
    return Card(["-L", "roms", "-device", options], as_default(content, proof.ids))


def as_default(data: bytes, ids: pcirom.Ids) -> bytes:
    """A ROM as QEMU gives it to a guest as the default one of a device: with its IDs in the first image (seen in QEMU 7.2)."""
    try:
        first = pcirom.parse_image(data, 0)
    except RomforgeError:
        return data
    if first.ids == ids:
        return data
    place = first.header.pcir_pointer + 4
    found = bytearray(data)
    old, new = data[place : place + 4], b"".join(one.to_bytes(2, "little") for one in ids)
    found[place : place + 4] = new
    found[pcirom.CHECKSUM] = (found[pcirom.CHECKSUM] + sum(old) - sum(new)) & 0xFF
    return bytes(found)


def _start(machine: qemu.Machine, nic: Card, directory: Path) -> str:
    """That QEMU starts with a ROM that has no code for its architecture, and the machine runs."""
    with qemu.start(machine, [*machine.options, "-netdev", "user,id=n0,restrict=on", *nic.options], directory) as guest:
        try:
            state = guest.monitor.ask("query-status")["status"]
        except EOFError:
            raise Refuted("start", guest.said() or "QEMU ended at once") from None
    if state != "running":
        raise Refuted("start", f"the machine is {state}, not running")
    return "runs"


def _marked(guest: Guest, proof: Proof) -> str:
    if not guest.wait(lambda text: proof.mark in text, proof.timeout):
        raise Refuted("boot", _no_boot(guest, proof, f'the console does not show "{proof.mark}"'))
    return f'shows "{proof.mark.strip()}"'


def _booted(guest: Guest, proof: Proof, nonce: str, content: bytes) -> str:
    """Waits for what the boot program says, and checks it."""
    given_up = _GIVEN_UP[proof.kind]
    guest.wait(lambda text: bootfile.read(text, nonce) or given_up.search(text), proof.timeout)
    found = bootfile.read(guest.console(), nonce)
    if not found:
        raise Refuted("boot", _no_boot(guest, proof, "the boot file did not run"))
    if proof.kind == BIOS:
        _check_content(content, found.rom_size, found.rom_crc)
        driver = "legacy image"
    else:
        driver = _check_driver(proof, found, content)
    if proof.arch.ipxe_name == "x86_64" and (status := guest.status()) != _GUEST_ENDED:
        raise Refuted("boot", f"QEMU ended with status {status}, where the boot program asks for {_GUEST_ENDED}")
    return f"booted by {driver}"


def _no_boot(guest: Guest, proof: Proof, what: str) -> str:
    """Why a boot failed, as far as can be told."""
    status = guest.process.poll()
    if status is not None:
        return f"{what}: QEMU ended with status {status}: {guest.said()}"
    if (pattern := _GIVEN_UP.get(proof.kind)) and (match := pattern.search(guest.console())):
        return f'{what}: the firmware says "{match[0]}"'
    return f"{what} within {proof.timeout} s"


def _check_content(content: bytes, size: int, crc: int, whole: bool = True) -> None:
    """That the guest read the ROM that is to be proven; firmware may read no more than its images."""
    if size > len(content) or (whole and size != len(content)) or not size:
        raise Refuted("content", f"the guest sees a ROM of {size:,} bytes, which is {len(content):,} here")
    if crc != zlib.crc32(content[:size]):
        raise Refuted("content", f"the guest read other bytes: CRC-32 {crc:08x}, which is {zlib.crc32(content[:size]):08x} here")


def _check_driver(proof: Proof, found: bootfile.Report, content: bytes) -> str:
    """That the NIC is driven by the ROM's image for this machine; returns the driver's name."""
    if found.driver != "rom":
        whose = f"a driver of the firmware's own ({found.driver_name})" if found.driver == "built-in" else "no driver"
        raise Refuted("driver", f"the NIC has {whose}, not that of the ROM")
    assert found.start is not None  # which that driver has
    assert found.end is not None
    _check_content(content, found.rom_size, found.rom_crc, whole=False)
    image = next((one for one in pcirom.parse_chain(content).images if one.offset <= found.start < one.offset + len(one.data)), None)
    if not image or image.machine != proof.arch.machine:
        what = f"is {image.kind}" if image else "is no image"
        raise Refuted("driver", f"the driver came from {at(found.start)} of the ROM, which {what}")
    if found.driver_crc != zlib.crc32(content[found.start : found.end + 1]):
        raise Refuted("content", f"the image at {at(found.start)} was read as other bytes: CRC-32 {found.driver_crc:08x}")
    return found.driver_name or "a driver without a name"


def fresh(directory: Path) -> None:
    """Makes a directory for a proof, empty."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def to_paste(directory: Path) -> Sequence[str]:
    """What a failed proof leaves for a person: the console's log, and the command."""
    return [f"console {directory / CONSOLE}", f"command {qemu.read(directory / qemu.COMMAND).strip()}"]
