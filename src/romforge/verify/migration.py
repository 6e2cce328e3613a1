# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrates a guest, which counts, from a QEMU with one ROM to a QEMU with another. QEMU asks for equal buckets."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from romforge.verify import guest_program, qemu
from romforge.verify.boot import CheckFailed, fresh_directory, nic_setup
from romforge.verify.cases import Proof
from romforge.verify.qemu import MACHINES, Guest

_SOCKET, _BIOS = "migration", "count.bin"
_COUNTED = 3  # lines on either side
_MACHINE = "-M", "pc", "-m", "64", "-vga", "none"
_POLL = 0.02  # seconds


def prove_migration(proof: Proof, old: bytes, new: bytes, directory: Path, cache: Path) -> str:
    """Moves a guest from the old ROM to the new one; returns what was seen. Raises Refuted with QEMU's reason.

    Source: QEMU's docs/devel/migration; that blocks of RAM must have one size on both sides is ram_load's check.
    """
    nonce = secrets.token_hex(8)
    image = guest_program.patch_nonce(
        guest_program.compile_program("count", cache).read_bytes(), nonce
    )
    cards = {}
    for side, data in (("source", old), ("destination", new)):
        fresh_directory(directory / side)
        (directory / side / _BIOS).write_bytes(image)
        cards[side] = nic_setup(proof, data, directory / side)
    machine = MACHINES[proof.arch]
    options = {
        side: [*_MACHINE, "-bios", _BIOS, "-netdev", "user,id=n0,restrict=on", *one.options]
        for side, one in cards.items()
    }
    arriving = ["-incoming", f"unix:../{_SOCKET}"]
    with (
        qemu.start(machine, options["source"], directory / "source") as source,
        qemu.start(
            machine, [*options["destination"], *arriving], directory / "destination"
        ) as destination,
    ):
        if not source.wait(
            lambda text: len(guest_program.read_counts(text, nonce)) >= _COUNTED, proof.timeout
        ):
            raise CheckFailed("start", f"the guest does not count before it moves: {source.said()}")
        _move(source, destination, proof)
        last = guest_program.read_counts(source.console(), nonce)[-1]
        if not destination.wait(
            lambda text: len(guest_program.read_counts(text, nonce)) >= _COUNTED, proof.timeout
        ):
            raise CheckFailed(
                "migration", f"the guest does not go on counting: {destination.said()}"
            )
        after = guest_program.read_counts(destination.console(), nonce)
    # a line that the source had begun may be printed by neither
    if not last < after[0] <= last + 2 or after != list(range(after[0], after[0] + len(after))):
        raise CheckFailed(
            "migration",
            f"the guest counted to {last} at the source, and goes on with {after[:_COUNTED]}",
        )
    return f"counted to {last:,}, went on at {after[0]:,}"


def _move(source: Guest, destination: Guest, proof: Proof) -> None:
    """Waits until the guest has moved; raises Refuted where QEMU refuses, with the words of the destination, which knows why."""
    try:
        destination.monitor.ask("query-status")
    except EOFError:
        raise CheckFailed("start", destination.said()) from None
    source.monitor.ask("migrate", uri=f"unix:../{_SOCKET}")
    end = time.monotonic() + proof.timeout
    while True:
        state = source.monitor.ask("query-migrate").get("status")
        if state == "completed":
            return
        if state in ("failed", "cancelled"):
            destination.status()
            raise CheckFailed("migration", destination.said() or f"QEMU says {state}")
        if time.monotonic() > end:
            raise CheckFailed("migration", f"the guest has not moved within {proof.timeout} s")
        time.sleep(_POLL)
