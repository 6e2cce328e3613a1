# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls the Simple Network Protocol of a ROM's driver, each function and in each state, and checks what it returns.

``guest/snp.c`` makes the calls in a guest, for the firmware's own network stack makes few of them. Two ROMs that are to
do the same, such as one with all its objects and one without some, can be compared call by call (``differences``).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.arch import Arch
from romforge.formats import option_rom
from romforge.verify import boot, cases, diagnosis, guest_program, qemu
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import SNP, Proof
from romforge.verify.guest_program import Call

# EFI statuses (UEFI Specification, appendix D), with the error bit at the top of 32
SUCCESS = 0
_ERROR = 0x8000_0000
INVALID_PARAMETER = _ERROR | 2
UNSUPPORTED = _ERROR | 3
BUFFER_TOO_SMALL = _ERROR | 5
NOT_READY = _ERROR | 6
DEVICE_ERROR = _ERROR | 7
NOT_STARTED = _ERROR | 19
ALREADY_STARTED = _ERROR | 20
_NAMES = {
    SUCCESS: "EFI_SUCCESS",
    INVALID_PARAMETER: "EFI_INVALID_PARAMETER",
    UNSUPPORTED: "EFI_UNSUPPORTED",
    BUFFER_TOO_SMALL: "EFI_BUFFER_TOO_SMALL",
    NOT_READY: "EFI_NOT_READY",
    DEVICE_ERROR: "EFI_DEVICE_ERROR",
    NOT_STARTED: "EFI_NOT_STARTED",
    ALREADY_STARTED: "EFI_ALREADY_STARTED",
}


_NETWORK = "-netdev", "user,id=n0,restrict=on,ipv6=off"


class Seen(NamedTuple):
    """What a proof saw, in words; and the calls, where it made any."""

    text: str
    calls: tuple[Call, ...] = ()


class Expected(NamedTuple):
    """What a call is to return by the specification, and to have done.

    Where it is not ``required``, another status is reported and does not fail: iPXE takes several calls in states in
    which the specification wants an error.
    """

    statuses: tuple[int, ...]
    detail: str = ""  # which the line must hold
    required: bool = True


def _must(*statuses: int, detail: str = "") -> Expected:
    return Expected(statuses, detail)


def _should(*statuses: int) -> Expected:
    return Expected(statuses, required=False)


_STOPPED, _STARTED, _INITIALIZED = "state=0", "state=1", "state=2"
_SENT = "buffer=returned"
_REPLY = "fields=right"
# The calls in their order (UEFI Specification, 24.1).
CALLS = {
    "OpenProtocol": _must(SUCCESS),
    "GetStatus.stopped": _should(NOT_STARTED),
    "Transmit.stopped": _should(NOT_STARTED),
    "Receive.stopped": _should(NOT_STARTED),
    "Start": _must(SUCCESS, detail=_STARTED),
    "Start.again": _should(ALREADY_STARTED),
    "Transmit.started": _should(DEVICE_ERROR),
    "Receive.started": _should(DEVICE_ERROR),
    "Initialize": _must(SUCCESS, detail=_INITIALIZED),
    "Mode.sizes": _must(SUCCESS, detail="address=6 header=14 packet=1500"),
    "Mode.filters": _must(SUCCESS),
    "Mode.link": _must(SUCCESS, detail="type=1"),
    "Mode.media": _must(SUCCESS),
    "Mode.permanent": _must(SUCCESS),
    "Mode.broadcast": _must(SUCCESS, detail="address=ff:ff:ff:ff:ff:ff"),
    "ReceiveFilters.set": _must(SUCCESS),
    "ReceiveFilters.list": _should(SUCCESS),
    "ReceiveFilters.none": _should(SUCCESS),
    "ReceiveFilters.wrong": _should(INVALID_PARAMETER),
    "MCastIpToMac.ipv4": _must(SUCCESS, detail="address=01:00:5e:01:02:03"),
    "MCastIpToMac.ipv6": _must(SUCCESS, UNSUPPORTED),
    "StationAddress.other": _must(SUCCESS, UNSUPPORTED),
    "StationAddress.back": _must(SUCCESS, UNSUPPORTED),
    "StationAddress.reset": _must(SUCCESS, UNSUPPORTED),
    "NvData.read": _should(SUCCESS, UNSUPPORTED, INVALID_PARAMETER),
    "Receive.empty": _must(NOT_READY),
    "Statistics.reset": _must(SUCCESS, UNSUPPORTED),
    "Transmit.wrong": _should(INVALID_PARAMETER),
    "Transmit.short": _should(BUFFER_TOO_SMALL),
    "Transmit": _must(SUCCESS),
    "GetStatus": _must(SUCCESS, detail=_SENT),
    "Receive": _must(SUCCESS, detail=_REPLY),
    "Receive.drained": _must(NOT_READY),
    "Transmit.whole": _must(SUCCESS),
    "GetStatus.whole": _must(SUCCESS, detail=_SENT),
    "Receive.small": _must(BUFFER_TOO_SMALL, detail="size=needed"),
    "Statistics.read": _must(SUCCESS, UNSUPPORTED),
    "Reset": _must(SUCCESS, detail=_INITIALIZED),
    "ReceiveFilters.reset": _must(SUCCESS),
    "Transmit.reset": _must(SUCCESS),
    "GetStatus.reset": _must(SUCCESS, detail=_SENT),
    "Receive.reset": _must(SUCCESS, detail=_REPLY),
    "Shutdown": _must(SUCCESS, detail=_STARTED),
    "Transmit.shutdown": _should(DEVICE_ERROR),
    "Initialize.again": _must(SUCCESS, detail=_INITIALIZED),
    "ReceiveFilters.again": _must(SUCCESS),
    "Transmit.again": _must(SUCCESS),
    "GetStatus.again": _must(SUCCESS, detail=_SENT),
    "Receive.again": _must(SUCCESS, detail=_REPLY),
    "Shutdown.again": _must(SUCCESS, detail=_STARTED),
    "Stop": _must(SUCCESS, detail=_STOPPED),
    "Stop.again": _should(NOT_STARTED),
    "Transmit.end": _should(NOT_STARTED),
}


def prove_interface(
    proof: Proof,
    data: bytes,
    directory: Path,
    cache: Path,
    expected: bytes | None = None,
) -> Seen:
    """Makes the calls with a ROM, and checks them; raises Refuted, and RomforgeError where they cannot be made.

    ``expected`` is what the guest is to find in the ROM's place, if that is not ``data``.
    """
    machine = qemu.MACHINES[proof.arch]
    nic = boot.nic_setup(proof, data, directory)
    content = nic.content
    if expected is not None:
        content = boot.nic_setup(proof, expected, directory / "expected").content
    nonce = secrets.token_hex(8)
    program = guest_program.compile_program(proof.arch, cache, guest_program.SNP)
    application = guest_program.patch_nonce(program.read_bytes(), nonce)
    options = [
        *machine.options,
        *qemu.flash(machine, directory),
        *boot.CLOCK,
        *boot.random_numbers(machine),
    ]
    options += [*_NETWORK, *nic.options]
    options += boot.boot_disk(proof.arch, application, directory)
    with qemu.start(machine, options, directory) as guest:
        guest.wait(lambda console: guest_program.read_report(console, nonce), proof.timeout)
        console = guest.console()
        report = guest_program.read_report(console, nonce)
        if not report:
            raise CheckFailed(
                "calls", _unfinished(guest, proof, guest_program.unfinished_calls(console, nonce))
            )
    name = boot.check_driver(proof, report, content)
    if not report.calls:
        raise CheckFailed("driver", diagnosis.no_interface(name, identified=False))
    return Seen(check_calls(report.calls, name), report.calls)


def calls(rom: bytes, arch: Arch, device: str, directory: Path, cache: Path) -> list[Call]:
    """The calls and what came of them, for a ROM and a device of QEMU; raises as ``prove_boot`` does.

    ``directory`` is emptied for the guest; in ``cache`` the program is kept that it runs.
    """
    boot.fresh_directory(directory)
    ids = option_rom.parse_rom(rom).images[0].ids
    return list(
        prove_interface(cases.of_device(SNP, arch, device, ids), rom, directory, cache).calls
    )


def differences(one: Sequence[Call], other: Sequence[Call]) -> list[str]:
    """The calls that returned or did other things, a line each; none where two drivers do the same."""
    first = {call.name: call for call in one}
    second = {call.name: call for call in other}
    found = []
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            found.append(f"{name}: {_shown(first.get(name))}; {_shown(second.get(name))}")
    return found


def check_calls(made: Sequence[Call], driver: str) -> str:
    """Checks all calls; returns what is to be said of them, and raises Refuted where one that must work did not."""
    wrong = []
    lax = []
    by_name = {call.name: call for call in made}
    for name, expected in CALLS.items():
        call = by_name.get(name)
        if call is None:
            wrong.append(f"{name} was not called")
            continue
        right = call.status in expected.statuses
        if right and expected.detail in call.detail:
            continue
        wanted = " or ".join(map(status_name, expected.statuses))
        if expected.detail:
            wanted += f" with {expected.detail}"
        text = f"{name} returned {_shown(call)}, where the UEFI Specification wants {wanted}"
        if expected.required:
            wrong.append(text)
        else:
            lax.append(name)
    if wrong:
        raise CheckFailed("calls", f"{driver}: " + "\n  ".join(wrong))
    seen = f"{driver}: {len(CALLS)} calls, packets sent and received"
    if lax:
        seen += (
            f"; {len(lax)} return another status than the UEFI Specification says: {', '.join(lax)}"
        )
    return seen


def status_name(status: int) -> str:
    """EFI_NOT_READY, or eight digits where the status is none of ours."""
    return _NAMES.get(status, f"{status:08x}")


def _shown(call: Call | None) -> str:
    if call is None:
        return "not called"
    return (
        f"{status_name(call.status)} ({call.detail})" if call.detail else status_name(call.status)
    )


def _unfinished(guest: qemu.Guest, proof: Proof, made: Sequence[Call]) -> str:
    """What is known of a run that did not come to its end."""
    how = f"the program did not end within {proof.timeout} s"
    if (status := guest.process.poll()) is not None:
        how = f"QEMU ended with status {status}: {guest.said()}"
    if not made:
        return f"{how}; it made no call"
    return f"{how}; the last call that returned is {made[-1].name}"
