# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory after ExitBootServices, with Debian's drivers.

A program that does not call it is a control of test_verify.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.base.pci_id import PciId
from romforge.verify import boot, cases, exit_watch, guest_report
from romforge.verify.boot import CheckFailed
from romforge.verify.guest_report import Call, Observation, Pass, Watch
from romforge.verify.snp import NOT_READY, Seen
from tests.support.proofs import E1000, NONCE, OTHER, make_proof

NE2000 = PciId(0x10EC, 0x8029)
NOTHING = Pass(2, 0, 0, 0xFFFFFFFF, 0)
CHANGED = Pass(1, 0x20, 4, 0x1000, 0x2FFF)
WATCH = Watch(0x100, 0x300, 0, (NOTHING,))
EXITED = (Call("ExitBootServices", 0, ""),)


def prove(
    rom: bytes,
    directory: Path,
    device: str = "e1000",
    ids: PciId = E1000,
) -> Seen:
    boot.fresh_directory(directory / "guest")
    proof = make_proof(device, ids, cases.EXIT)
    cache = directory / "cache"
    return exit_watch.prove_exit(proof, rom, directory / "guest", cache)


# In QEMU


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_stops_its_nic(tmp_path: Path, e1000: bytes):
    """Debian's writes while it works, and not after ExitBootServices."""
    text = prove(e1000, tmp_path).text
    assert "82540em.efidrv: no byte of " in text
    assert "changed after ExitBootServices; before it, " in text
    assert "bytes of boot services' memory changed, from 0x" in text


@pytest.mark.slow
@pytest.mark.qemu
def test_a_nic_that_writes_no_memory_is_named(tmp_path: Path, releases: dict[str, Path]):
    """The ne2k_pci has no DMA, so the proof says that it shows little."""
    rom = (releases["sid"] / "efi-ne2k_pci.rom").read_bytes()
    text = prove(rom, tmp_path, device="ne2k_pci", ids=NE2000).text
    assert text.endswith("nor before it: this NIC writes no memory by itself, so this shows little")


# Without QEMU


def test_what_the_program_prints_is_read():
    """States and passes only from whole lines; the pages of the second copy."""
    begun = f"romforge {NONCE} exit\r\nromforge state listen\r\nromforge state quiet\r\n"
    pages = "romforge pages 00000001 00000002 00000003 \r\n"
    pages += "romforge pages 00000100 00000300 00000000 \r\n"
    watch = f"{pages}romforge state watch\r\n"
    one = "romforge pass 00000001 00000020 00000004 00001000 00002fff \r\n"
    cut = "romforge pass 00000002 00000020 00000004 00001000 00002fff"
    assert guest_report.read_observation(begun, NONCE) == Observation("quiet", (), ())
    assert guest_report.read_observation(begun, OTHER) == Observation(None, (), ())
    assert guest_report.read_observation(begun + "romforge state wat", NONCE).state == "quiet"
    seen = guest_report.read_observation(f"{begun}{watch}{one}{cut}", NONCE)
    assert seen == Observation("watch", (), (WATCH._replace(passes=(CHANGED,)),))
    seen = guest_report.read_observation(f"{begun}{watch}{one}{watch}", NONCE)
    assert [len(read.passes) for read in seen.watches] == [1, 0]


def test_changes_after_exit_fail():
    """With their number and place."""
    seen = Observation("watch", EXITED, (WATCH, WATCH._replace(passes=(NOTHING, CHANGED))))
    with pytest.raises(CheckFailed) as raised:
        exit_watch._check_watches(seen, "x")
    assert str(raised.value) == (
        "memory: x: after ExitBootServices, while frames arrived, 32 bytes of boot services' "
        "memory and 4 bytes of free memory changed, from 0x1000 to 0x2fff; the driver must stop "
        "the NIC then"
    )


def test_changes_before_exit_are_the_control():
    before = WATCH._replace(passes=(CHANGED,))
    text = exit_watch._check_watches(Observation("watch", EXITED, (before, WATCH)), "x")
    assert text.startswith(
        "x: no byte of 5 MiB changed after ExitBootServices; before it, 32 bytes"
    )
    text = exit_watch._check_watches(Observation("watch", EXITED, (WATCH, WATCH)), "x")
    assert text.endswith("so this shows little")


def test_calls_and_pages_are_checked():
    failed = (Call("ExitBootServices", NOT_READY, ""),)
    with pytest.raises(CheckFailed, match="ExitBootServices returned EFI_NOT_READY"):
        exit_watch._check_watches(Observation("watch", failed, (WATCH, WATCH)), "x")
    small = WATCH._replace(left=7)
    with pytest.raises(CheckFailed, match="free memory is too small for 7 pages"):
        exit_watch._check_watches(Observation("watch", EXITED, (small, WATCH)), "x")
