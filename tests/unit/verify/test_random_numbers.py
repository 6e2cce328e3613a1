# SPDX-License-Identifier: GPL-2.0-or-later
"""Random numbers for guests, and the fault of firmware's virtio-rng driver.

No firmware of the oldest supported Debian asks virtio-rng for anything, so what QEMU's monitor
says of a guest that hangs is given here.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from romforge.base.arch import Arch
from romforge.base.image_kind import LEGACY, ImageKind
from romforge.verify import cases, qemu, random_numbers, runner
from romforge.verify.boot import ProofFailed
from romforge.verify.qemu import Guest
from tests.support.proofs import E1000, make_proof

IMAGES = ImageKind(LEGACY), ImageKind.efi(Arch.X86_64)
X86 = qemu.MACHINES[Arch.X86_64]
VIRTIO_RNG = ["-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng,addr=4"]


@pytest.mark.qemu
@pytest.mark.parametrize("arch", [Arch.X86_64, Arch.I386])
def test_a_guest_of_x86_has_a_processor_and_a_device(arch: Arch):
    model = {Arch.X86_64: "qemu64,+rdrand", Arch.I386: "qemu32,+rdrand"}[arch]
    assert random_numbers.sources(qemu.MACHINES[arch]) == ["-cpu", model, *VIRTIO_RNG]


@pytest.mark.qemu
def test_without_such_a_processor_there_is_the_device():
    for model in (None, "processor-of-the-future"):
        machine = X86._replace(random_cpu=model)
        assert random_numbers.sources(machine) == VIRTIO_RNG


@pytest.mark.qemu
def test_a_qemu_without_both_gets_none(monkeypatch: pytest.MonkeyPatch):
    assert qemu.has_device(X86, "e1000")
    assert not qemu.has_device(X86, "e100")
    monkeypatch.setattr(qemu, "has_device", lambda machine, device: False)
    assert random_numbers.sources(X86._replace(random_cpu=None)) == []


class GivenMonitor:
    """Answers as QEMU's monitor, with one queue's state after the other."""

    def __init__(self, *states: tuple[int, int] | None) -> None:
        self._states = iter(states)

    def ask(self, command: str, **arguments: str | int) -> Any:
        if command == "x-query-virtio":
            return [{"name": "virtio-blk", "path": "/a"}, {"name": "virtio-rng", "path": "/b"}]
        assert arguments == {"path": "/b", "queue": 0}
        state = next(self._states)
        if state is None:
            raise qemu.Refusal("QEMU refuses x-query-virtio-queue-status")
        used, available = state
        return {"used-idx": used, "shadow-avail-idx": available}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param([(37, 37), (37, 37)], True, id="all answered, and nothing follows"),
        pytest.param([(37, 37), (38, 38)], False, id="it goes on"),
        pytest.param([(37, 38)], False, id="a reply is awaited"),
        pytest.param([(1, 1)], False, id="no second request"),
        pytest.param([None], False, id="the monitor refuses"),
    ],
)
def test_a_guest_may_hang_if_no_request_follows_the_last_reply(
    monkeypatch: pytest.MonkeyPatch, states: list[tuple[int, int] | None], expected: bool
):
    monkeypatch.setattr(random_numbers, "_FLOW", 0)
    guest = cast("Guest", SimpleNamespace(monitor=GivenMonitor(*states)))
    assert random_numbers.may_hang(guest) is expected


@pytest.mark.qemu
def test_a_guest_without_the_device_does_not_hang_in_it(tmp_path: Path):
    with qemu.start(X86, [*X86.options, "-S"], tmp_path) as guest:
        assert not random_numbers.may_hang(guest)


@pytest.mark.qemu
def test_a_guest_with_the_device_at_rest_does_not_hang_in_it(tmp_path: Path):
    with qemu.start(X86, [*X86.options, "-S", *VIRTIO_RNG], tmp_path) as guest:
        names = [device["name"] for device in guest.monitor.ask("x-query-virtio")]
        assert names == ["virtio-rng"]
        assert not random_numbers.may_hang(guest)


@pytest.fixture
def impatient_guests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every guest seems to hang in its firmware; the first one is not waited for."""
    monkeypatch.setattr(random_numbers, "may_hang", lambda guest: True)
    waits: list[float] = []
    wait = Guest.wait

    def first_time_in_vain(self: Guest, matches: Any, seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 1 and wait(self, matches, seconds)

    monkeypatch.setattr(Guest, "wait", first_time_in_vain)
    return waits


@pytest.mark.slow
@pytest.mark.qemu
def test_a_proof_whose_guest_may_hang_is_repeated_once(
    tmp_path: Path, e1000: bytes, impatient_guests: list[float]
):
    (tmp_path / "e1000.rom").write_bytes(e1000)
    proof = make_proof("e1000", E1000)._replace(rom="e1000.rom", images=IMAGES)
    record = runner.run_proof(proof, tmp_path)
    assert record.proof
    assert json.loads(record.proof)["seen"] == (
        "booted by 82540em.efidrv; at the second attempt: the guest did not finish within "
        f"{proof.timeout} s, and may hang in its firmware's virtio-rng driver, as edk2 before "
        "2026 can"
    )
    assert len(impatient_guests) == 2


@pytest.mark.slow
@pytest.mark.qemu
def test_a_second_hang_fails_the_proof(
    tmp_path: Path, e1000: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(random_numbers, "may_hang", lambda guest: True)
    monkeypatch.setattr(Guest, "wait", lambda self, matches, seconds: False)
    proof = make_proof("e1000", E1000, kind=cases.BIOS)
    (tmp_path / "e1000.rom").write_bytes(e1000)
    with pytest.raises(ProofFailed, match="at the second attempt: the guest did not finish"):
        runner.run_proof(proof._replace(rom="e1000.rom", images=IMAGES), tmp_path)
