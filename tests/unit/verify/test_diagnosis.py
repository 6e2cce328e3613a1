# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages about boots that fail, each for another reason.

They come from QEMU where its firmware can be made to fail, and from texts otherwise. That of a
driver of another device is one of the controls in test_verify.py.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from romforge.base.arch import Arch
from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.verify import boot, cases, corruptions, diagnosis, qemu, random_numbers
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import Proof
from romforge.verify.guest_report import GuestReport, Interfaces
from tests.support import firmware
from tests.support.proofs import E1000, VIRTIO, make_proof, without_interfaces


def failure_of(proof: Proof, data: bytes, directory: Path) -> str:
    """Why a boot fails."""
    boot.fresh_directory(directory / "guest")
    with pytest.raises(CheckFailed) as raised:
        boot.prove_boot(proof, data, directory / "guest", directory / "cache")
    return str(raised.value)


# In QEMU

GIVEN_UP = '{}: the boot file did not run: the firmware says "UEFI Interactive Shell"; '
OPTION_FAILED = 'boot: the boot file did not run: the firmware says "failed to load Boot0001"; '


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("arch", [Arch.X86_64, Arch.I386])
def test_a_rom_without_an_efi_image_has_no_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, releases: dict[str, Path], arch: Arch
):
    """The network stack of the firmware is found, although no NIC has an interface for it."""
    reports: list[GuestReport | None] = []
    examine = boot._examine

    def recorded(proof: Proof, data: bytes, directory: Path, cache: Path) -> GuestReport | None:
        reports.append(examine(proof, data, directory, cache))
        return reports[-1]

    monkeypatch.setattr(boot, "_examine", recorded)
    rom = releases["sid"] / "pxe-e1000.rom"
    text = failure_of(make_proof("e1000", E1000, arch=arch), rom.read_bytes(), tmp_path)
    (report,) = reports
    assert report
    check_stack_without_interface(report)
    assert text.startswith(
        GIVEN_UP.format("driver")
        + "no driver is bound to the NIC, and the firmware holds no driver from its ROM"
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_without_a_network_interface_does_not_boot(tmp_path: Path, e1000: bytes):
    """With its network interface, such a ROM boots, as a test of device lists shows."""
    text = failure_of(make_proof("e1000", E1000), without_interfaces(e1000), tmp_path)
    assert text.startswith(
        GIVEN_UP.format("driver")
        + "the ROM's driver (82540em.efidrv) is bound to the NIC, but offers no network interface"
    )
    assert "obj_efi_snp" in text


@pytest.mark.slow
@pytest.mark.qemu
def test_firmware_without_a_network_stack_is_no_excuse_for_a_driver_without_an_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """It fails there as it does elsewhere; with a sound driver, `verify` proves nothing there."""
    real = qemu.find_firmware(qemu.MACHINES[Arch.X86_64])
    code = tmp_path / "code.fd"
    data = Path(real.code).read_bytes()
    code.write_bytes(firmware.without_driver(data, firmware.MANAGED_NETWORK_DRIVER))
    monkeypatch.setattr(qemu, "find_firmware", lambda machine: real._replace(code=str(code)))
    text = failure_of(make_proof("e1000", E1000), without_interfaces(e1000), tmp_path)
    assert "is bound to the NIC, but offers no network interface" in text


def check_stack_without_interface(report: GuestReport) -> None:
    """The NIC has no interface, and a driver of the firmware would use one."""
    assert report.interfaces
    assert (report.interfaces.snp, report.interfaces.stack) == (0, 1)


@pytest.mark.slow
@pytest.mark.qemu
def test_the_network_stack_of_other_firmware_is_found(tmp_path: Path, releases: dict[str, Path]):
    """Also if the NIC has no interface that it could use."""
    boot.fresh_directory(tmp_path / "guest")
    proof = make_proof("e1000", E1000, arch=Arch.ARM64)
    rom = (releases["sid"] / "pxe-e1000.rom").read_bytes()
    report = boot._examine(proof, rom, tmp_path / "guest", tmp_path / "cache")
    assert report
    check_stack_without_interface(report)


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_of_the_firmware_is_not_the_rom_s(tmp_path: Path, releases: dict[str, Path]):
    """Although it fetches our program."""
    rom = releases["sid"] / "pxe-virtio.rom"
    proof = make_proof("virtio-net-pci", VIRTIO)
    text = failure_of(proof, rom.read_bytes(), tmp_path)
    assert text.startswith("driver: the NIC has a driver of the firmware's own (Virtio ")


@pytest.mark.slow
@pytest.mark.qemu
def test_a_download_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """From UEFI's PXE, and from iPXE under a PC BIOS."""
    network = boot._network
    monkeypatch.setattr(boot, "_network", lambda boot_file: network("missing"))
    text = failure_of(make_proof("e1000", E1000), e1000, tmp_path)
    assert text.startswith(
        f"{OPTION_FAILED}the firmware tried to boot from the network, and the download failed: "
        "PXE-E23"
    )
    assert text.endswith("; boot option failed: Not Found")
    text = failure_of(make_proof("e1000", E1000, cases.BIOS), e1000, tmp_path)
    assert 'iPXE ran, and its boot failed; its last error is "tftp://10.0.2.2/missing... ' in text


@pytest.mark.slow
@pytest.mark.qemu
def test_a_legacy_image_for_another_device_is_not_run(tmp_path: Path, e1000: bytes):
    proof = make_proof("rtl8139", PciId(0x10EC, 0x8139), cases.BIOS)
    text = failure_of(proof, e1000, tmp_path)
    assert text.startswith(
        'boot: the boot file did not run: the firmware says "No bootable device"; '
        "iPXE printed nothing"
    )


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.exact_bytes("sid")
def test_ipxe_that_cannot_load_itself_is_not_waited_for(tmp_path: Path, e1000: bytes):
    """Of another ROM, the bit that is flipped may do something else."""
    proof = make_proof("e1000", E1000, cases.BIOS)
    flip = corruptions.CONTROLS[corruptions.FLIPPED].corrupt
    corrupted = flip(option_rom.parse_rom(e1000), e1000, proof)
    text = failure_of(proof, corrupted.data, tmp_path)
    assert text.startswith(
        'boot: the boot file did not run; iPXE stopped the machine: it says "Installation failed"'
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_firmware_may_need_random_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """Newer firmware boots only with an RNG device, and the message says so."""
    monkeypatch.setattr(random_numbers, "sources", lambda machine: [])
    boot.fresh_directory(tmp_path / "guest")
    proof = make_proof("e1000", E1000)
    try:
        text = boot.prove_boot(proof, e1000, tmp_path / "guest", tmp_path / "cache")
    except CheckFailed as failure:
        text = str(failure)
    if text != "booted by 82540em.efidrv":
        assert (
            "the ROM's driver (82540em.efidrv) offers a network interface, "
            "but the firmware offers no network boot" in text
        )
        assert "add -device virtio-rng-pci" in text


# Without QEMU

INTERFACES = Interfaces(images=1, snp=1, nii=1, mnp=1, pxe=2, loadfile=2, rng=1, stack=1)


def report_of(interfaces: Interfaces) -> GuestReport:
    return GuestReport("disk", 1024, 0, "rom", 0, 1023, 0, "iPXE", interfaces)


@pytest.mark.parametrize(
    ("interfaces", "text"),
    [
        (
            INTERFACES._replace(snp=0, mnp=0, pxe=0, loadfile=0, nii=0),
            "offers no network interface: neither",
        ),
        (
            INTERFACES._replace(snp=0, mnp=0, pxe=0, loadfile=0),
            "(a Network Interface Identifier is there)",
        ),
        (INTERFACES._replace(rng=0, pxe=0, loadfile=0), "no source of random numbers"),
        (
            INTERFACES._replace(mnp=0, pxe=0, loadfile=0),
            "its network stack is not bound to the interface",
        ),
        (INTERFACES._replace(pxe=0, loadfile=0), "(no PXE Base Code, no Load File)"),
        (INTERFACES, "although it has PXE Base Code for it"),
    ],
)
def test_the_report_of_the_program_on_the_disk_is_explained(interfaces: Interfaces, text: str):
    assert text in diagnosis.explain_uefi("BdsDxe: starting\r\n", report_of(interfaces))


WITHOUT_STACK = INTERFACES._replace(mnp=0, pxe=0, loadfile=0, stack=0)


@pytest.mark.parametrize(
    "change",
    [{"snp": 0}, {"rng": 0}, {"mnp": 1}, {"pxe": 1}, {"loadfile": 1}, {"stack": 1}],
    ids=str,
)
def test_a_network_stack_is_missing_only_where_all_else_is_there(change: dict[str, int]):
    console = "BdsDxe: starting\r\n"
    report = report_of(WITHOUT_STACK)
    assert diagnosis.lacks_network_stack(console, report)
    changed = report_of(WITHOUT_STACK._replace(**change))
    assert not diagnosis.lacks_network_stack(console, changed)
    started = f"{console}>>Start PXE over IPv4.\r\n"
    assert not diagnosis.lacks_network_stack(started, report)
    for driver in ("built-in", "none"):
        other = dataclasses.replace(report, driver=driver)
        assert not diagnosis.lacks_network_stack(console, other)
    assert not diagnosis.lacks_network_stack(console, None)


def test_a_download_on_the_console_is_quoted_with_and_without_a_report():
    console = "\r\n>>Start PXE over IPv4.\x1b[0m\r\n  PXE-E18: Server response timeout.  \r\n"
    for report in (None, report_of(INTERFACES)):
        text = diagnosis.explain_uefi(console, report)
        assert text.endswith("the download failed: PXE-E18: Server response timeout.")
    assert diagnosis.explain_uefi("", None) == "nothing on the console says why"
    silent = diagnosis.explain_uefi(">>Start PXE over IPv6\r\n", report_of(INTERFACES))
    assert silent.endswith("without an error on the console")


def test_a_boot_option_that_cannot_be_loaded_is_quoted_once():
    line = 'BdsDxe: failed to load Boot0001 "UEFI PXEv4" from PciRoot(0x0): Not Found\r\n'
    text = diagnosis.explain_uefi(2 * line, None)
    assert text.endswith("the download failed: boot option failed: Not Found")


@pytest.mark.parametrize(
    ("console", "text"),
    [
        ("", "the console is empty"),
        ("SeaBIOS (version 1.16)\r\nPress ESC\r\n", "neither iPXE nor the BIOS says why"),
        ("SeaBIOS\r\nNo bootable device.  Retrying in 60 seconds.\r\n", "iPXE printed nothing"),
        ("iPXE (PCI 00:03.0) starting execution...ok\r\n", "iPXE ran as far as"),
        (
            "iPXE (PCI 00:03.0) starting execution...00000000 BABABABA 00040000\r\n"
            "Installation failed - cannot continue\r\n",
            "no memory BAR that is as large as the ROM",
        ),
        (
            "iPXE (PCI 00:03.0) starting execution...1B101B10 02FD11F4 00000763\r\n"
            "Installation failed - cannot continue\r\n",
            "is an .mrom whose payload is not right behind it",
        ),
        ("iPXE (PCI 00:03.0) starting\r\nNo more network devices\r\n", "has no network device"),
        (
            "iPXE 2.0.0 -- Open Source Network Boot Firmware\r\n"
            "Connection timed out (https://ipxe.org/4c0a6035)\r\n",
            'its last error is "Connection timed out (https://ipxe.org/4c0a6035)"',
        ),
    ],
)
def test_a_bios_console_is_explained(console: str, text: str):
    assert text in diagnosis.explain_bios(console)
