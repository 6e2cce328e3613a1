# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls each function of a driver's Simple Network Protocol in each state, and checks the results.

``guest/snp.c`` makes the calls in a guest, because the firmware's own network stack makes few of
them. ``differences`` compares two drivers call by call, such as one built with all its objects and
one without some of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.arch import Arch
from romforge.formats import option_rom
from romforge.verify import boot, cases, diagnosis, guest_program, guest_report, qemu
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import SNP, Proof
from romforge.verify.guest_report import Call

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
_NETWORK = boot.ISOLATED_NETWORK


class Seen(NamedTuple):
    """What a proof observed, as text; and the calls of an ``snp`` proof."""

    text: str
    calls: tuple[Call, ...] = ()


class Expected(NamedTuple):
    """The statuses that the specification allows for a call, and what the call must have done.

    Where it is not ``required``, another status is reported and is no failure: iPXE accepts several
    calls in states in which the specification requires an error.
    """

    statuses: tuple[int, ...]
    detail: str = ""  # a part of the call's detail; empty matches any
    required: bool = True


def _must(*statuses: int, detail: str = "") -> Expected:
    return Expected(statuses, detail)


def _should(*statuses: int) -> Expected:
    return Expected(statuses, required=False)


_STOPPED, _STARTED, _INITIALIZED = "state=0", "state=1", "state=2"
_SENT = "buffer=returned"
_REPLY = "fields=right"
# The calls in the order of guest/snp.c (UEFI Specification, 24.1).
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
    """Makes the calls with a ROM, and checks them.

    ``expected`` is the ROM that the guest must find, if that is not ``data``. Raises CheckFailed
    where a check fails, and RomforgeError where the calls cannot be made.
    """
    nic = boot.nic_setup(proof, data, directory)
    content = boot.expected_content(proof, nic, expected)
    nonce = secrets.token_hex(8)
    application = guest_program.make_application(proof.arch, guest_program.SNP, nonce, cache)
    options = [*_NETWORK, *nic.options, *boot.disk_options(proof, application, directory)]
    with qemu.start(qemu.MACHINES[proof.arch], options, directory) as guest:
        boot.wait_for(guest, proof, lambda console: guest_report.read_report(console, nonce))
        console = guest.console()
        report = guest_report.read_report(console, nonce)
        if not report:
            made = guest_report.unfinished_calls(console, nonce)
            raise CheckFailed("calls", describe_unfinished(guest, proof, made))
    driver = boot.check_driver(proof, report, content)
    if not report.calls:
        raise CheckFailed("driver", diagnosis.no_interface(driver, identified=False))
    return Seen(check_calls(report.calls, driver), report.calls)


def calls(rom: bytes, arch: Arch, device: str, directory: Path, cache: Path) -> list[Call]:
    """The calls and their results, for a ROM and a device of QEMU; raises as ``prove_interface``.

    The guest works in ``directory``, whose old content is deleted. ``cache`` keeps its program.
    """
    boot.fresh_directory(directory)
    ids = option_rom.parse_rom(rom).images[0].ids
    proof = cases.of_device(SNP, arch, device, ids)
    return list(prove_interface(proof, rom, directory, cache).calls)


def differences(first: Sequence[Call], second: Sequence[Call]) -> list[str]:
    """The calls with other results, one line each; empty where two drivers do the same.

    Example::

        Reset: EFI_SUCCESS (state=2); EFI_NOT_READY (state=2)
        Stop: EFI_SUCCESS (state=0); not called
    """
    first_calls = {call.name: call for call in first}
    second_calls = {call.name: call for call in second}
    lines = []
    for name in dict.fromkeys([*first_calls, *second_calls]):
        call = first_calls.get(name)
        other = second_calls.get(name)
        if call != other:
            lines.append(f"{name}: {_describe_call(call)}; {_describe_call(other)}")
    return lines


def check_calls(made: Sequence[Call], driver: str) -> str:
    """Checks all calls, and returns what was observed, as text.

    Raises CheckFailed where a call that must work did not.
    """
    failures = []
    deviations = []
    made_by_name = {call.name: call for call in made}
    for name, expected in CALLS.items():
        failure = check_call(name, made_by_name.get(name), expected)
        if failure is None:
            continue
        if name not in made_by_name or expected.required:
            failures.append(failure)
        else:
            deviations.append(name)
    if failures:
        raise CheckFailed("calls", f"{driver}: " + "\n  ".join(failures))
    text = f"{driver}: {len(CALLS)} calls, packets sent and received"
    if deviations:
        text += f"; {len(deviations)} return another status than the UEFI Specification says: "
        text += ", ".join(deviations)
    return text


def check_call(name: str, call: Call | None, expected: Expected) -> str | None:
    """How a call differs from the expected one, as text; None where it does not."""
    if call is None:
        return f"{name} was not called"
    if call.status in expected.statuses and expected.detail in call.detail:
        return None
    required = " or ".join(map(status_name, expected.statuses))
    if expected.detail:
        required += f" with {expected.detail}"
    result = _describe_call(call)
    return f"{name} returned {result}, where the UEFI Specification wants {required}"


def status_name(status: int) -> str:
    """The name of an EFI status, as EFI_NOT_READY; eight digits where it is not one of ours."""
    return _NAMES.get(status, f"{status:08x}")


def _describe_call(call: Call | None) -> str:
    if call is None:
        return "not called"
    if not call.detail:
        return status_name(call.status)
    return f"{status_name(call.status)} ({call.detail})"


def describe_unfinished(guest: qemu.Guest, proof: Proof, made: Sequence[Call]) -> str:
    """What is known of a program that did not come to its end."""
    end = guest.describe_end() or f"the program did not end within {proof.timeout} s"
    if not made:
        return f"{end}; it made no call"
    return f"{end}; the last call that returned is {made[-1].name}"
