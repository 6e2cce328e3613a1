# SPDX-License-Identifier: GPL-2.0-or-later
"""Several NICs at once, and NICs that come and go: Debian's drivers, and guests that must fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from romforge.plan import planner
from romforge.spec import loader
from romforge.verify import boot, cases, guest_report, several_nics
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import Companion, Proof
from romforge.verify.guest_report import Call, Card, Cards
from romforge.verify.snp import Seen
from tests.support.project import spec_text
from tests.support.proofs import E1000, NONCE, OTHER, make_proof

CARD = (
    "romforge nic {} {}\r\nromforge rom 00000400 12345678\r\n"
    "romforge driver rom 00000000 000001ff deadbeef iPXE\r\n"
)


def prove(kind: str, rom: bytes, directory: Path, companion: bytes | None = None) -> Seen:
    """A proof of an e1000, beside a virtio-net-pci with the ROM ``companion``."""
    boot.fresh_directory(directory / "guest")
    proof = make_proof("e1000", E1000, kind)
    places = directory / "guest", directory / "cache"
    if kind == cases.HOTPLUG:
        return several_nics.prove_hotplug(proof, rom, *places)
    proof = proof._replace(companion=Companion("other.rom", "virtio-net-pci"))
    return several_nics.prove_nics(proof, rom, companion, *places)


# In QEMU


@pytest.mark.slow
@pytest.mark.qemu
def test_nics_of_two_models_work_at_once(tmp_path: Path, releases: dict[str, Path], e1000: bytes):
    """Each by the driver of its own ROM; each goes on when another is stopped."""
    other = (releases["sid"] / "efi-virtio.rom").read_bytes()
    seen = prove(cases.NICS, e1000, tmp_path, other)
    assert seen.text == (
        "82540em.efidrv, virtio-net.efidrv: 3 NICs at once (2 of one model and virtio-net-pci), "
        "each with the driver of its own ROM"
    )
    replies = [call.name for call in seen.calls if call.name.startswith("Receive.")]
    assert replies == [
        *("Receive.1.0", "Receive.2.0", "Receive.3.0"),
        *("Receive.2.1", "Receive.3.1"),
        "Receive.3.2",
    ]


@pytest.mark.slow
@pytest.mark.qemu
def test_a_nic_without_a_rom_takes_another_s_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """The firmware does that, and the proof must see it."""
    device = several_nics._device

    def without_second_rom(nic: several_nics._Nic, number: int, directory: Path) -> str:
        return device(nic, number, directory).replace("roms/1.rom", "")

    monkeypatch.setattr(several_nics, "_device", without_second_rom)
    with pytest.raises(
        CheckFailed, match=r"^driver: the NIC at 00:06\.0 has the driver of another"
    ):
        prove(cases.NICS, e1000, tmp_path)


@pytest.mark.slow
@pytest.mark.qemu
def test_a_network_without_an_answer_fails_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """No reply comes to any NIC, whatever they send to each other."""

    def network(count: int) -> Iterator[str]:
        for number in range(count):
            yield from ("-netdev", f"hubport,id=n{number},hubid=0")

    monkeypatch.setattr(several_nics, "_network", network)
    with pytest.raises(CheckFailed) as raised:
        prove(cases.NICS, e1000, tmp_path)
    text = str(raised.value)
    assert "Receive.1.0 returned EFI_NOT_READY (no reply sent=3)" in text
    assert "Receive.2.1 returned" in text
    assert "Transmit" not in text


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_comes_back_and_a_new_nic_works(tmp_path: Path, e1000: bytes):
    seen = prove(cases.HOTPLUG, e1000, tmp_path)
    assert seen.text == (
        "82540em.efidrv: works again after DisconnectController and ConnectController; "
        "a NIC added to the running guest works after a reset"
    )
    assert Call("Disconnected.2.0", 0, "gone") in seen.calls


@pytest.mark.slow
@pytest.mark.qemu
def test_a_machine_without_a_place_for_a_new_nic_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """QEMU refuses the second NIC, since it has the ID of the first. The rest is proven."""
    device = several_nics._device

    def same_id(nic: several_nics._Nic, number: int, directory: Path) -> str:
        return device(nic, number, directory).replace("id=nic1", "id=nic0")

    monkeypatch.setattr(several_nics, "_device", same_id)
    seen = prove(cases.HOTPLUG, e1000, tmp_path)
    assert "and ConnectController; no NIC can be added to the running guest: " in seen.text
    assert "nic0" in seen.text


# Without QEMU


def test_reports_of_each_boot_are_read():
    """Not one that is unfinished, or of another nonce."""
    card = CARD.format("00000018", "own")
    added = CARD.format("00000100", "other")
    call = "romforge call Start.1.0 00000000 state=1\r\n"
    first = f"romforge {NONCE} hotplug\r\n{card}{call}romforge end\r\n"
    second = f"firmware\r\nromforge {NONCE} hotplug\r\n{card}{added}"
    reports = guest_report.read_cards(first + second, NONCE)
    assert [[read.place for read in report.cards] for report in reports] == [[0x18]]
    assert reports[0].calls == (Call("Start.1.0", 0, "state=1"),)
    reports = guest_report.read_cards(f"{first}{second}romforge end\r\n", NONCE)
    assert [(read.place, read.own) for read in reports[1].cards] == [(0x18, True), (0x100, False)]
    assert reports[1].cards[0].report.rom_size == 0x400
    assert guest_report.read_cards(first, OTHER) == []


def test_a_missing_card_is_reported():
    """With its place, as PCI shows it."""
    proof = make_proof("e1000", E1000, cases.HOTPLUG)
    nic = several_nics._Nic("e1000", b"")
    report = guest_report.GuestReport("hotplug", 0, 0)
    found = Cards((Card(0x18, True, report),), ())
    with pytest.raises(
        CheckFailed, match=r"shows NICs at 00:03\.0, .* has them at 00:03\.0, 01:00"
    ):
        several_nics._check_cards(proof, found, [nic, nic], [0x18, 0x100])


@pytest.mark.parametrize("name", dict(several_nics._calls_of_reconnection(1)))
def test_each_call_of_a_reconnection_is_checked(name: str):
    expected = dict(several_nics._calls_of_reconnection(1))
    made = [Call(call, wanted.statuses[0], wanted.detail) for call, wanted in expected.items()]
    several_nics._check_calls(made, expected, "x")
    others = [call for call in made if call.name != name]
    with pytest.raises(CheckFailed, match=f"{name} was not called"):
        several_nics._check_calls(others, expected, "x")


def test_repeated_requests_are_named():
    once = Call("Receive.1.0", 0, "sender=x fields=right")
    twice = Call("Receive.3.0", 0, "sender=x fields=right sent=2")
    assert several_nics._repetitions([once]) == ""
    text = several_nics._repetitions([once, twice])
    assert text == "; 1 request had to be sent again (Receive.3.0)"


def companions(top: Path, nics: str) -> dict[str, Proof]:
    """The proofs of several NICs, by the NIC of the ROM."""
    text = spec_text("roms", nics=nics, extra="[verify]\nsnp = true\n")
    (top / "romspec.toml").write_text(text)
    spec = loader.load_spec(top / "romspec.toml")
    proofs = cases.make_proofs(spec, planner.make_plan(spec))
    return {proof.nic: proof for proof in proofs if proof.kind == cases.NICS}


def test_the_next_nic_of_the_set_is_the_other_model(tmp_path: Path):
    """The proof needs its ROM, too; a set of one model has none."""
    nics = 'e1000 = "8086:100e"\nrtl8139 = "10ec:8139"\nvirtio = "1af4:1000"'
    proofs = companions(tmp_path, nics)
    devices = {}
    for nic, proof in proofs.items():
        assert proof.companion
        devices[nic] = proof.companion.device
        assert len(proof.needs) == 2
        assert any(proof.companion.rom in task for task in proof.needs)
    assert devices == {"e1000": "rtl8139", "rtl8139": "virtio-net-pci", "virtio": "e1000"}
    assert companions(tmp_path, 'e1000 = "8086:100e"')["e1000"].companion is None
