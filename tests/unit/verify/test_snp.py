# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the Simple Network Protocol: of a complete driver, and of others that must fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from romforge.base.arch import Arch
from romforge.formats import efi_image, option_rom
from romforge.plan import planner
from romforge.spec import loader
from romforge.verify import boot, cases, guest_report, snp
from romforge.verify.boot import CheckFailed
from romforge.verify.guest_report import Call
from tests.support.project import run, spec_text
from tests.support.proofs import E1000, NONCE, OTHER, UEFI_TEXT, without_interfaces

LINES = "romforge call Start 00000000 state=1\r\nromforge call Receive.empty 80000006\r\n"
REPORT = UEFI_TEXT.replace("uefi", "snp").format("rom 00000000 000001ff deadbeef iPXE")
GOOD = [
    Call(name, expected.statuses[0], expected.detail or "anything")
    for name, expected in snp.CALLS.items()
]


def prove(rom: bytes, directory: Path) -> snp.Seen:
    boot.fresh_directory(directory / "guest")
    proof = cases.of_device(cases.SNP, Arch.X86_64, "e1000", E1000)
    return snp.prove_interface(proof, rom, directory / "guest", directory / "cache")


# In QEMU


class Verified(NamedTuple):
    """A project whose SNP proof of Debian's driver was run, and what `verify` said of it."""

    top: Path
    done: subprocess.CompletedProcess[str]

    def again(self) -> subprocess.CompletedProcess[str]:
        return verify(self.top)


def verify(top: Path) -> subprocess.CompletedProcess[str]:
    rom = "verify:usr/share/qemu/efi-e1000.rom"
    proofs = [f"{rom}:structure", f"{rom}:snp-x86_64"]
    return run([sys.executable, "-m", "romforge", "verify", "--json", *proofs], top)


def rows_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return {row["column"]: row for row in json.loads(done.stdout)["proofs"]}


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory, releases: dict[str, Path]) -> Verified:
    top = tmp_path_factory.mktemp("verified")
    extra = "[verify]\nroms = []\nsnp = true\n"
    (top / "romspec.toml").write_text(spec_text(releases["sid"], extra=extra))
    return Verified(top, verify(top))


@pytest.mark.slow
@pytest.mark.qemu
def test_a_stored_and_a_compressed_driver_return_the_same(
    tmp_path: Path, verified: Verified, e1000: bytes
):
    """All calls of Debian's driver return what they must, and the same when stored uncompressed."""
    row = rows_of(verified.done)["snp-x86_64"]
    assert row["text"].startswith(
        f"82540em.efidrv: {len(snp.CALLS)} calls, packets sent and received"
    )
    compressed = [Call(*call) for call in row["calls"]]
    assert [call.name for call in compressed] == list(snp.CALLS)
    image = option_rom.parse_rom(e1000).images[-1]
    stored = efi_image.wrap_driver(option_rom.driver_of(image), image.ids)
    calls = snp.calls(stored, Arch.X86_64, "e1000", tmp_path / "guest", tmp_path / "cache")
    assert snp.differences(compressed, calls) == []


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_without_a_network_interface_is_not_called(tmp_path: Path, e1000: bytes):
    with pytest.raises(
        CheckFailed,
        match=r"^driver: the ROM's driver \(82540em.efidrv\) is bound to the NIC, but offers no",
    ):
        prove(without_interfaces(e1000), tmp_path)


@pytest.mark.slow
@pytest.mark.qemu
def test_a_network_without_an_answer_fails_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """The packets are sent, and no reply comes: the proof depends on the exchange."""
    monkeypatch.setattr(snp, "_NETWORK", ("-netdev", "hubport,id=n0,hubid=0"))
    with pytest.raises(CheckFailed) as raised:
        prove(e1000, tmp_path)
    text = str(raised.value)
    assert text.startswith(
        "calls: 82540em.efidrv: Receive returned EFI_NOT_READY (no reply), "
        "where the UEFI Specification wants"
    )
    assert "Transmit returned" not in text
    assert len(text.splitlines()) == 4  # Receive, .small, .reset, .again


@pytest.mark.slow
@pytest.mark.qemu
def test_verify_reports_the_calls(verified: Verified):
    """The name, status and detail of each call as JSON, also of an earlier run."""
    for before, done in ((False, verified.done), (True, verified.again())):
        rows = rows_of(done)
        assert set(rows) == {"structure", "snp-x86_64"}
        assert all(row["state"] == "passed" for row in rows.values())
        row = rows["snp-x86_64"]
        assert (row["state"], row["before"], row["kind"]) == ("passed", before, "snp")
        assert [name for name, status, detail in row["calls"]] == list(snp.CALLS)
        assert ["Receive", 0, "sender=52:55:0a:00:02:02 fields=right"] in row["calls"]
        assert "calls" not in rows["structure"]


# Without QEMU


def replace_call(name: str, **fields: Any) -> list[Call]:
    """The good calls, one of them with other fields."""
    calls = []
    for call in GOOD:
        if call.name == name:
            calls.append(call._replace(**fields))
        else:
            calls.append(call)
    return calls


def test_calls_are_read_in_their_order():
    text = REPORT.replace("romforge end", LINES + "romforge end")
    report = guest_report.read_report(text, NONCE)
    assert report
    assert (report.firmware, report.driver_name) == ("snp", "iPXE")
    assert report.calls == (Call("Start", 0, "state=1"), Call("Receive.empty", snp.NOT_READY, ""))


def test_calls_of_an_unfinished_report_are_read():
    text = REPORT.replace("romforge end\r\n", LINES + "romforge call Trans")
    assert guest_report.read_report(text, NONCE) is None
    names = [call.name for call in guest_report.unfinished_calls(text, NONCE)]
    assert names == ["Start", "Receive.empty"]
    assert guest_report.unfinished_calls(text, OTHER) == ()


def test_calls_with_the_expected_results_pass():
    assert snp.check_calls(GOOD, "x") == f"x: {len(snp.CALLS)} calls, packets sent and received"


@pytest.mark.parametrize("name", snp.CALLS)
def test_each_call_is_checked(name: str):
    """A missing call fails. Another status fails, or is only reported where iPXE deviates."""
    with pytest.raises(CheckFailed, match=f"{name} was not called"):
        snp.check_calls([call for call in GOOD if call.name != name], "x")
    bad = replace_call(name, status=0x80000015)
    if snp.CALLS[name].required:
        with pytest.raises(CheckFailed, match=f"{name} returned 80000015"):
            snp.check_calls(bad, "x")
    else:
        assert snp.check_calls(bad, "x").endswith(
            f"1 return another status than the UEFI Specification says: {name}"
        )


@pytest.mark.parametrize("name", [name for name, expected in snp.CALLS.items() if expected.detail])
def test_the_detail_of_a_call_is_checked(name: str):
    bad = replace_call(name, detail="other")
    message = rf"{name} returned \w+ \(other\), where .* with {snp.CALLS[name].detail}"
    with pytest.raises(CheckFailed, match=message):
        snp.check_calls(bad, "x")


def test_differences_are_listed_call_by_call():
    changed = replace_call("Reset", status=snp.NOT_READY)
    other = [call for call in changed if call.name != "Stop"]
    assert snp.differences(GOOD, GOOD) == []
    assert snp.differences(GOOD, other) == [
        "Reset: EFI_SUCCESS (state=2); EFI_NOT_READY (state=2)",
        "Stop: EFI_SUCCESS (state=0); not called",
    ]


@pytest.mark.parametrize(
    ("source", "key", "expected"),
    [
        ('roms = "roms"', "", False),
        ('roms = "roms"', "snp = true", True),
        ('tree = "ipxe"', "", True),
        ('tree = "ipxe"', "snp = false", False),
        ('tree = "ipxe"', 'boot = ["bios"]', False),
        ('tree = "ipxe"\nmark = "hello"', "snp = true", False),
    ],
)
def test_drivers_of_a_tree_are_called_by_default(
    tmp_path: Path, source: str, key: str, expected: bool
):
    """Those of other sources only where the spec requests it; those with a mark never."""
    text = spec_text("roms", extra=f"[verify]\n{key}\n").replace('roms = "roms"', source)
    (tmp_path / "romspec.toml").write_text(text)
    spec = loader.load_spec(tmp_path / "romspec.toml")
    columns = {proof.column: proof for proof in cases.make_proofs(spec, planner.make_plan(spec))}
    for kind in cases.CALLED:
        column = f"{kind}-x86_64"
        assert (column in columns) == expected
        if expected:
            assert (columns[column].kind, columns[column].default) == (kind, False)
