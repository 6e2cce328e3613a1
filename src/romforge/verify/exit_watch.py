# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches whether a NIC writes to memory after ExitBootServices, while frames arrive.

``guest/exit.c`` first watches with the driver at work. That is the control: the NIC must be seen to
write, or the watch shows nothing. Some NICs never write to memory, since they use port I/O.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from romforge.verify import boot, diagnosis, frame_source, guest_program, guest_report, qemu, snp
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import Proof
from romforge.verify.frame_source import FrameSource
from romforge.verify.guest_report import Observation, Pass, Watch
from romforge.verify.snp import Seen

_FRAMES = 64  # to send before the last passes: more than a driver has buffers
_PASSES = 2  # that begin or end after these frames
_CONTENT = {"listen": frame_source.BEGIN, "watch": frame_source.BEGIN, "quiet": frame_source.END}


class _Progress:
    """Tells the source what to send, by what the guest prints; and when enough has been seen."""

    def __init__(self, source: FrameSource, nonce: str) -> None:
        self._source, self._nonce = source, nonce
        self._enough: int | None = None  # the number of the last pass that is needed

    def is_over(self, console: str) -> bool:
        """Whether two passes have followed upon the frames that were sent in the second watch."""
        seen = guest_report.read_observation(console, self._nonce)
        self._source.send(_CONTENT.get(seen.state or ""))
        if len(seen.watches) < 2:
            return False
        made = len(seen.watches[1].passes)
        if self._enough is None and self._source.sent >= _FRAMES:
            self._enough = made + _PASSES
        return self._enough is not None and made >= self._enough


def prove_exit(
    proof: Proof,
    data: bytes,
    directory: Path,
    cache: Path,
    application: str = guest_program.EXIT,
) -> Seen:
    """Watches memory with a ROM's driver at work, and after ExitBootServices.

    Raises CheckFailed where the NIC still writes, or a check fails; RomforgeError where the guest
    cannot be run.
    """
    nic = boot.nic_setup(proof, data, directory)
    nonce = secrets.token_hex(8)
    program = guest_program.make_application(proof.arch, application, nonce, cache)
    options = [*nic.options, *boot.disk_options(proof, program, directory)]
    with frame_source.connect() as (source, connection):
        descriptor = connection.fileno()
        options += ["-netdev", f"socket,id=n0,fd={descriptor}"]
        progress = _Progress(source, nonce)
        with qemu.start(qemu.MACHINES[proof.arch], options, directory, [descriptor]) as guest:
            connection.close()  # QEMU has inherited its own
            over = boot.wait_for(guest, proof, progress.is_over)
            console = guest.console()
            report = guest_report.read_report(console, nonce)
            seen = guest_report.read_observation(console, nonce)
            unfinished = _describe_unfinished(guest, proof, seen)
    if not report:
        raise CheckFailed("memory", unfinished)
    driver = boot.check_driver(proof, report, nic.content)
    if not seen.calls:
        raise CheckFailed("driver", diagnosis.no_interface(driver, identified=False))
    if not over:
        raise CheckFailed("memory", f"{driver}: {unfinished}")
    return Seen(_check_watches(seen, driver), seen.calls)


def _check_watches(seen: Observation, driver: str) -> str:
    """Checks what was seen in both watches; returns it as text. Raises CheckFailed."""
    for call in seen.calls:
        if call.status != snp.SUCCESS:
            raise CheckFailed(
                "memory", f"{driver}: {call.name} returned {snp.status_name(call.status)}"
            )
    before, after = seen.watches
    for watch in seen.watches:
        if watch.left:
            raise CheckFailed(
                "memory", f"{driver}: free memory is too small for {watch.left} pages of firmware"
            )
    last = after.passes[-1]
    if _changed(last):
        raise CheckFailed(
            "memory",
            f"{driver}: after ExitBootServices, while frames arrived, {_describe_changes(last)}; "
            "the driver must stop the NIC then",
        )
    text = f"{driver}: no byte of {_size(after)} changed after ExitBootServices"
    control = before.passes[-1]
    if not _changed(control):
        return f"{text}; nor before it: this NIC writes no memory by itself, so this shows little"
    return f"{text}; before it, {_describe_changes(control)}"


def _changed(watched: Pass) -> int:
    return watched.firmware + watched.free


def _describe_changes(watched: Pass) -> str:
    text = f"{watched.firmware:,} bytes of boot services' memory"
    if watched.free:
        text += f" and {watched.free:,} bytes of free memory"
    return f"{text} changed, from {watched.lowest:#x} to {watched.highest:#x}"


def _size(watch: Watch) -> str:
    """The watched memory; each copied page is compared with its copy."""
    return f"{(2 * watch.copied + watch.filled) * 4 // 1024} MiB"


def _describe_unfinished(guest: qemu.Guest, proof: Proof, seen: Observation) -> str:
    """What is known of a program that did not come to its end."""
    text = snp.describe_unfinished(guest, proof, seen.calls)
    if seen.state:
        text += f'; its state is "{seen.state}"'
    if seen.state == "listen":
        text += ", so no broadcast was received"
    return text
