# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrates a running guest from a QEMU with one ROM to a QEMU with another.

QEMU requires that both ROMs have the same bucket (``ram_load`` in QEMU's migration/ram.c compares
the sizes of RAM blocks). The guest counts, so the test sees that it goes on after the migration.
Its program runs in place of firmware, which need not be installed.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from romforge.base.arch import BY_NAME
from romforge.base.programs import MissingTool
from romforge.verify import guest_program, guest_report, qemu
from romforge.verify.boot import CheckFailed, fresh_directory, nic_setup
from romforge.verify.cases import Proof
from romforge.verify.qemu import MACHINES, Guest

_SOCKET, _BIOS = "migration", "count.bin"
# QEMU's machines by the names in the spec. loong64's has no less memory in QEMU 7.2.
_MACHINES = {
    "pc": ("-M", "pc", "-m", "64", "-vga", "none"),
    "q35": ("-M", "q35", "-m", "64", "-vga", "none"),
    "arm64": ("-M", "virt", "-cpu", "cortex-a57", "-m", "64"),
    "riscv64": ("-M", "virt", "-m", "64"),
    "loong64": ("-M", "virt", "-m", "1025"),
}
_NETWORK = "-netdev", "user,id=n0,restrict=on"
_COUNTED = 3  # lines to wait for on either side
_POLL = 0.02  # seconds


def prove_migration(proof: Proof, old: bytes, new: bytes, directory: Path, cache: Path) -> str:
    """Moves a guest from the old ROM to the new one; returns what was observed, as text.

    Raises CheckFailed with QEMU's reason where the guest does not move or does not go on, and
    MissingTool where this QEMU cannot migrate guests with this device, whatever their ROM.
    """
    machine = MACHINES[proof.arch]
    device = proof.device.split(",")[0]
    if not qemu.has_device(machine, device):
        raise MissingTool(f"{machine.binary} has no -device {device}, so no guest migrates with it")
    nonce = secrets.token_hex(8)
    program = _compile_program(proof.machine, cache)
    source_options = _prepare_side(proof, old, program, nonce, directory / "source")
    destination_options = _prepare_side(proof, new, program, nonce, directory / "destination")
    destination_options += ["-incoming", f"unix:../{_SOCKET}"]
    with (
        qemu.start(machine, source_options, directory / "source") as source,
        qemu.start(machine, destination_options, directory / "destination") as destination,
    ):
        if not _wait_for_counts(source, proof, nonce):
            raise CheckFailed(
                "start", _with_error("the guest does not count before it moves", source)
            )
        _move(source, destination, proof)
        last = guest_report.read_counts(source.console(), nonce)[-1]
        if not _wait_for_counts(destination, proof, nonce):
            raise CheckFailed(
                "migration", _with_error("the guest does not continue to count", destination)
            )
        after = guest_report.read_counts(destination.console(), nonce)
    first = after[0]
    # A line that the source had begun may be missing on both sides.
    follows = last < first <= last + 2
    if not follows or after != list(range(first, first + len(after))):
        raise CheckFailed(
            "migration",
            f"the guest counted to {last} at the source, and continues with {after[:_COUNTED]}",
        )
    return f"counted to {last:,}, went on at {first:,}"


def _compile_program(machine: str, cache: Path) -> Path:
    """The absolute path of the program that counts on a machine, without a nonce."""
    cache = cache.absolute()
    if machine in BY_NAME:
        return guest_program.compile_program(BY_NAME[machine], cache, guest_program.COUNT)
    return guest_program.compile_program(guest_program.COUNT, cache)


def _prepare_side(
    proof: Proof, rom: bytes, program: Path, nonce: str, directory: Path
) -> list[str]:
    """Makes the directory of the source or the destination; returns the options of its QEMU."""
    fresh_directory(directory)
    machine = _MACHINES[proof.machine]
    nic = nic_setup(proof, rom, directory, (*machine, "-bios", str(program)))
    bios = guest_program.patch_nonce(program.read_bytes(), nonce)
    (directory / _BIOS).write_bytes(bios)
    return [*machine, "-bios", _BIOS, *_NETWORK, *nic.options]


def _wait_for_counts(guest: Guest, proof: Proof, nonce: str) -> bool:
    """Waits until the guest has counted several times; False where it does not."""
    return guest.wait(
        lambda console: len(guest_report.read_counts(console, nonce)) >= _COUNTED, proof.timeout
    )


def _with_error(text: str, guest: qemu.Guest) -> str:
    """What is wrong with a guest, and the error of its QEMU where it printed one."""
    return ": ".join(filter(None, (text, guest.failure())))


def _move(source: Guest, destination: Guest, proof: Proof) -> None:
    """Moves the guest, and waits until it has moved.

    Raises CheckFailed where QEMU fails, with the destination's message: that one has the reason.
    Raises MissingTool where QEMU does not even begin, since a device is not made for migration.
    """
    try:
        destination.monitor.ask("query-status")
    except EOFError:
        raise CheckFailed("start", destination.failure() or "QEMU ended at once") from None
    try:
        source.monitor.ask("migrate", uri=f"unix:../{_SOCKET}")
    except qemu.Refusal as refusal:
        raise MissingTool(f"no guest migrates with -device {proof.device}: {refusal}") from None
    end = time.monotonic() + proof.timeout
    while True:
        state = source.monitor.ask("query-migrate").get("status")
        if state == "completed":
            return
        if state in ("failed", "cancelled"):
            destination.status()
            raise CheckFailed("migration", destination.failure() or f"QEMU says {state}")
        if time.monotonic() > end:
            raise CheckFailed("migration", f"the guest has not moved within {proof.timeout} s")
        time.sleep(_POLL)
