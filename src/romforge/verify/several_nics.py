# SPDX-License-Identifier: GPL-2.0-or-later
"""Uses several NICs of a guest at once, and NICs whose driver or card comes and goes.

``guest/nics.c`` and ``guest/hotplug.c`` make the calls. Each NIC has its own copy of its ROM, so
its driver must come from there. All NICs are on one network, whose gateway answers ARP requests.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.text import plural
from romforge.rom.assembly import bucket_of
from romforge.verify import boot, diagnosis, guest_program, guest_report, qemu, snp
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import Proof
from romforge.verify.guest_report import Call, Cards
from romforge.verify.snp import CALLS, SUCCESS, Expected, Seen

_SLOTS = qemu.SLOT, 6, 7  # of the NICs; a root port for a new NIC takes the second one
_ADDED = 0x0100  # the place of a NIC behind the root port: bus 1, device 0
_GATEWAY = "-netdev", "user,id=lan,restrict=on,ipv6=off"
_ROOT_PORT = "pcie-root-port"
_DONE = Expected((SUCCESS,))


class _Nic(NamedTuple):
    """A NIC to put into a guest: QEMU's device with properties, and its ROM."""

    device: str
    rom: bytes


def prove_nics(
    proof: Proof, data: bytes, companion: bytes | None, directory: Path, cache: Path
) -> Seen:
    """Uses two NICs with a ROM at once, and one of another model with the ROM ``companion``.

    Raises CheckFailed where a check fails, and RomforgeError where the guest cannot be run.
    """
    nics = [_Nic(proof.device, data)] * 2
    if companion is not None:
        assert proof.companion is not None  # the ROM is this one's
        nics.append(_Nic(proof.companion.device, companion))
    options = list(_network(len(nics)))
    for number, nic in enumerate(nics):
        device = _device(nic, number, directory)
        options += ["-device", f"{device},addr={_SLOTS[number]}"]
    nonce = secrets.token_hex(8)
    program = guest_program.make_application(proof.arch, guest_program.NICS, nonce, cache)
    options += boot.disk_options(proof, program, directory)
    with qemu.start(qemu.MACHINES[proof.arch], options, directory) as guest:
        found = _wait_for_cards(guest, proof, nonce, 1)
    places = [slot << 3 for slot in _SLOTS[: len(nics)]]
    drivers = _check_cards(proof, found, nics, places)
    expected = dict(_calls_of_all(len(nics)))
    _check_calls(found.calls, expected, ", ".join(drivers))
    models = "2 of one model"
    if companion is not None:
        models += f" and {nics[2].device.partition(',')[0]}"
    text = f"{', '.join(dict.fromkeys(drivers))}: {plural(len(nics), 'NIC')} at once ({models}), "
    text += "each with the driver of its own ROM"
    return Seen(text + _repetitions(found.calls), found.calls)


def prove_hotplug(proof: Proof, data: bytes, directory: Path, cache: Path) -> Seen:
    """Disconnects and connects a driver; then adds a NIC to the running guest, and resets it.

    Raises as ``prove_nics``.
    """
    nics = [_Nic(proof.device, data)] * 2
    machine = qemu.MACHINES[proof.arch]
    devices = [_device(nic, number, directory) for number, nic in enumerate(nics)]
    options = [*_network(len(nics)), "-device", f"{devices[0]},addr={qemu.SLOT}"]
    has_port = qemu.has_device(machine, _ROOT_PORT)
    if has_port:
        options += ["-device", f"{_ROOT_PORT},id=rootport,chassis=1,addr={_SLOTS[1]}"]
    nonce = secrets.token_hex(8)
    program = guest_program.make_application(proof.arch, guest_program.HOTPLUG, nonce, cache)
    options += boot.disk_options(proof, program, directory)
    with qemu.start(machine, options, directory) as guest:
        first = _wait_for_cards(guest, proof, nonce, 1)
        drivers = _check_cards(proof, first, nics[:1], [qemu.SLOT << 3])
        _check_calls(first.calls, dict(_calls_of_reconnection(1)), drivers[0])
        text = f"{drivers[0]}: works again after DisconnectController and ConnectController"
        refusal = f"QEMU has no {_ROOT_PORT}"
        if has_port:
            refusal = _add_nic(guest, devices[1])
        if refusal:
            return Seen(f"{text}; no NIC can be added to the running guest: {refusal}", first.calls)
        guest.monitor.ask("set-action", reboot="reset")
        guest.monitor.ask("system_reset")
        second = _wait_for_cards(guest, proof, nonce, 2)
    drivers = _check_cards(proof, second, nics, [qemu.SLOT << 3, _ADDED])
    _check_calls(second.calls, dict(_calls_of_reconnection(2)), drivers[0])
    return Seen(f"{text}; a NIC added to the running guest works after a reset", second.calls)


def _network(count: int) -> Iterator[str]:
    """The options of one network for all NICs, n0, n1 and so on, with QEMU's gateway."""
    yield from _GATEWAY
    yield from ("-netdev", "hubport,id=gateway,hubid=0,netdev=lan")
    for number in range(count):
        yield from ("-netdev", f"hubport,id=n{number},hubid=0")


def _device(nic: _Nic, number: int, directory: Path) -> str:
    """A NIC of QEMU without its address; writes its ROM."""
    path = directory / "roms" / f"{number}.rom"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(nic.rom)
    return f"{nic.device},netdev=n{number},id=nic{number},romfile=roms/{path.name}"


def _add_nic(guest: qemu.Guest, device: str) -> str:
    """Adds a NIC behind the root port; returns why QEMU refuses it, or an empty text.

    The command for humans takes properties as text, as the command line does.
    """
    command = {"command-line": f"device_add {device},bus=rootport"}
    return str(guest.monitor.ask("human-monitor-command", **command)).strip()


def _wait_for_cards(guest: qemu.Guest, proof: Proof, nonce: str, boots: int) -> Cards:
    """The report of the last of several boots; raises CheckFailed where it does not come."""
    boot.wait_for(
        guest, proof, lambda console: len(guest_report.read_cards(console, nonce)) >= boots
    )
    console = guest.console()
    reports = guest_report.read_cards(console, nonce)
    if len(reports) < boots:
        made = guest_report.unfinished_calls(console, nonce)
        raise CheckFailed("calls", snp.describe_unfinished(guest, proof, made))
    return reports[boots - 1]


def _check_cards(
    proof: Proof, found: Cards, nics: Sequence[_Nic], places: Sequence[int]
) -> list[str]:
    """Checks where the cards are, and that each has the driver of its own ROM; returns the names.

    Raises CheckFailed.
    """
    seen = [card.place for card in found.cards]
    if seen != list(places):
        raise CheckFailed(
            "driver",
            f"the firmware shows NICs at {_places(seen)}, and the guest has them at "
            f"{_places(places)}",
        )
    drivers = []
    for card, nic in zip(found.cards, nics):
        if card.report.driver == "rom" and not card.own:
            raise CheckFailed(
                "driver", f"the NIC at {_places([card.place])} has the driver of another NIC's ROM"
            )
        content = nic.rom.ljust(bucket_of(len(nic.rom)), b"\0")
        drivers.append(boot.check_driver(proof, card.report, content))
    if not found.calls:
        raise CheckFailed("driver", diagnosis.no_interface(drivers[0], identified=False))
    return drivers


def _check_calls(made: Sequence[Call], expected: dict[str, Expected], driver: str) -> None:
    """Raises CheckFailed where a call is missing or its result is not the expected one."""
    made_by_name = {call.name: call for call in made}
    failures = []
    for name, wanted in expected.items():
        failure = snp.check_call(name, made_by_name.get(name), wanted)
        if failure:
            failures.append(failure)
    if failures:
        raise CheckFailed("calls", f"{driver}: " + "\n  ".join(failures))


def _repetitions(calls: Sequence[Call]) -> str:
    """What to say of requests that were sent again, since no reply came."""
    repeated = [call.name for call in calls if " sent=" in call.detail]
    if not repeated:
        return ""
    return f"; {plural(len(repeated), 'request')} had to be sent again ({', '.join(repeated)})"


def _calls_of_all(count: int) -> Iterator[tuple[str, Expected]]:
    """The calls of guest/nics.c with a number of cards."""
    for nic in range(1, count + 1):
        yield f"OpenProtocol.{nic}.0", _DONE
        yield from _calls_of_start(f"{nic}.0")
    for stopped in range(count):
        for nic in range(stopped + 1, count + 1):
            yield from _calls_of_exchange(f"{nic}.{stopped}")
        yield from _calls_of_stop(f"{stopped + 1}.{stopped}")


def _calls_of_reconnection(count: int) -> Iterator[tuple[str, Expected]]:
    """The calls of guest/hotplug.c with a number of cards."""
    for nic in range(1, count + 1):
        for suffix in (f"{nic}.0", f"{nic}.1"):
            yield f"Interface.{suffix}", Expected((SUCCESS,), "there")
            yield f"OpenProtocol.{suffix}", _DONE
            yield from _calls_of_start(suffix)
            yield from _calls_of_exchange(suffix)
            yield from _calls_of_stop(suffix)
            yield f"CloseProtocol.{suffix}", _DONE
        yield f"DisconnectController.{nic}.0", _DONE
        yield f"Disconnected.{nic}.0", Expected((SUCCESS,), "gone")
        yield f"ConnectController.{nic}.0", _DONE


def _calls_of_start(suffix: str) -> Iterator[tuple[str, Expected]]:
    yield f"Start.{suffix}", CALLS["Start"]
    yield f"Initialize.{suffix}", CALLS["Initialize"]
    yield f"ReceiveFilters.{suffix}", CALLS["ReceiveFilters.set"]


def _calls_of_exchange(suffix: str) -> Iterator[tuple[str, Expected]]:
    for name in ("Transmit", "GetStatus", "Receive"):
        yield f"{name}.{suffix}", CALLS[name]


def _calls_of_stop(suffix: str) -> Iterator[tuple[str, Expected]]:
    for name in ("Shutdown", "Stop"):
        yield f"{name}.{suffix}", CALLS[name]


def _places(places: Sequence[int]) -> str:
    """Places as PCI shows them, such as 00:03.0."""
    shown = [f"{place >> 8:02x}:{place >> 3 & 31:02x}.{place & 7}" for place in places]
    return ", ".join(shown) or "no place"
