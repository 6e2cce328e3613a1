# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots that fail, each for another reason, and what is said of it: in QEMU where its firmware can be had to do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.base.arch import Arch
from romforge.base.pci_id import PciId
from romforge.formats import efi_image, option_rom
from romforge.verify import boot, cases, diagnosis, qemu
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import Proof
from romforge.verify.guest_report import GuestReport, Interfaces
from tests.support.proofs import E1000, VIRTIO, dead, proof


def refuted(one: Proof, data: bytes, directory: Path) -> str:
    """Why a boot fails."""
    boot.fresh_directory(directory / "guest")
    with pytest.raises(CheckFailed) as raised:
        boot.prove_boot(one, data, directory / "guest", directory / "cache")
    return str(raised.value)


# In QEMU

GAVE_UP = '{}: the boot file did not run: the firmware says "UEFI Interactive Shell"; '


@pytest.mark.slow
@pytest.mark.qemu
def test_a_rom_without_an_efi_image_has_no_driver(tmp_path: Path, releases: dict[str, Path]):
    text = refuted(
        proof("e1000", E1000), (releases["sid"] / "pxe-e1000.rom").read_bytes(), tmp_path
    )
    assert text.startswith(
        GAVE_UP.format("driver")
        + "no driver is bound to the NIC, and the firmware holds no driver from its ROM"
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_of_another_device_is_loaded_and_not_bound(
    tmp_path: Path, releases: dict[str, Path]
):
    text = refuted(
        proof("e1000", E1000), (releases["sid"] / "efi-rtl8139.rom").read_bytes(), tmp_path
    )
    assert text.startswith(
        GAVE_UP.format("driver")
        + "no driver is bound to the NIC, although the firmware loaded one from its ROM"
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_without_a_network_interface_is_dead(tmp_path: Path, e1000: bytes):
    """And the same driver boots where it has one: it is for this alone that it fails."""
    text = refuted(proof("e1000", E1000), dead(e1000), tmp_path)
    assert text.startswith(
        GAVE_UP.format("driver")
        + "the ROM's driver (82540em.efidrv) is bound to the NIC, but offers no network interface"
    )
    assert "obj_efi_snp" in text
    image = option_rom.parse_rom(e1000).images[-1]
    alive = efi_image.wrap_driver(option_rom.driver_of(image), image.ids)
    boot.fresh_directory(tmp_path / "guest")
    assert (
        boot.prove_boot(proof("e1000", E1000), alive, tmp_path / "guest", tmp_path / "cache")
        == "booted by 82540em.efidrv"
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_of_the_firmware_is_not_the_rom_s(tmp_path: Path, releases: dict[str, Path]):
    """Although it fetches our program."""
    rom = releases["sid"] / "pxe-virtio.rom"
    text = refuted(proof("virtio-net-pci", VIRTIO), rom.read_bytes(), tmp_path)
    assert text.startswith("driver: the NIC has a driver of the firmware's own (Virtio ")


@pytest.mark.slow
@pytest.mark.qemu
def test_a_download_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """By UEFI's PXE, and by iPXE under a PC BIOS."""
    network = boot._network
    monkeypatch.setattr(boot, "_network", lambda boot_file: network("missing"))
    text = refuted(proof("e1000", E1000), e1000, tmp_path)
    assert text.startswith(
        GAVE_UP.format("boot")
        + "the firmware tried to boot from the network, and the download failed: PXE-E23"
    )
    text = refuted(proof("e1000", E1000, cases.BIOS), e1000, tmp_path)
    assert 'iPXE ran, and its boot failed; its last error is "tftp://10.0.2.2/missing... ' in text


@pytest.mark.slow
@pytest.mark.qemu
def test_a_legacy_image_for_another_device_is_not_run(tmp_path: Path, e1000: bytes):
    text = refuted(proof("rtl8139", PciId(0x10EC, 0x8139), cases.BIOS), e1000, tmp_path)
    assert text.startswith(
        'boot: the boot file did not run: the firmware says "No bootable device"; iPXE printed nothing'
    )


@pytest.mark.slow
@pytest.mark.qemu
def test_firmware_may_need_random_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """Newer firmware boots with an RNG device alone, and it is said what it lacks; older firmware needs none."""
    monkeypatch.setattr(boot, "random_numbers", lambda machine: [])
    boot.fresh_directory(tmp_path / "guest")
    try:
        seen = boot.prove_boot(proof("e1000", E1000), e1000, tmp_path / "guest", tmp_path / "cache")
    except CheckFailed as refused:
        seen = str(refused)
    if seen != "booted by 82540em.efidrv":
        assert (
            "the ROM's driver (82540em.efidrv) offers a network interface, but the firmware offers no network boot"
            in seen
        )
        assert "add -device virtio-rng-pci" in seen


def test_a_qemu_without_the_rng_device_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch):
    machine = qemu.MACHINES[Arch.X86_64]
    assert "virtio-rng-pci,rng=rng,addr=4" in boot.random_numbers(machine)
    assert qemu.has_device(machine, "e1000")
    assert not qemu.has_device(machine, "e100")
    monkeypatch.setattr(qemu, "has_device", lambda machine, device: False)
    assert boot.random_numbers(machine) == []


# Without it

INTERFACE = Interfaces(images=1, snp=1, nii=1, mnp=1, pxe=2, loadfile=2, rng=1)


def of_rom(interfaces: Interfaces) -> GuestReport:
    return GuestReport("disk", 1024, 0, "rom", 0, 1023, 0, "iPXE", interfaces)


@pytest.mark.parametrize(
    ("interfaces", "words"),
    [
        (
            INTERFACE._replace(snp=0, mnp=0, pxe=0, loadfile=0, nii=0),
            "offers no network interface: neither",
        ),
        (
            INTERFACE._replace(snp=0, mnp=0, pxe=0, loadfile=0),
            "(a Network Interface Identifier is there)",
        ),
        (INTERFACE._replace(rng=0, pxe=0, loadfile=0), "no source of random numbers"),
        (
            INTERFACE._replace(mnp=0, pxe=0, loadfile=0),
            "its network stack is not bound to the interface",
        ),
        (INTERFACE._replace(pxe=0, loadfile=0), "(no PXE Base Code, no Load File)"),
        (INTERFACE, "although it has PXE Base Code for it"),
    ],
)
def test_what_the_disk_s_program_reports_is_explained(interfaces: Interfaces, words: str):
    assert words in diagnosis.explain_uefi("BdsDxe: starting\r\n", of_rom(interfaces))


def test_a_console_that_shows_a_download_is_quoted_whoever_reports():
    console = "\r\n>>Start PXE over IPv4.\x1b[0m\r\n  PXE-E18: Server response timeout.  \r\n"
    for report in (None, of_rom(INTERFACE)):
        text = diagnosis.explain_uefi(console, report)
        assert text.endswith("the download failed: PXE-E18: Server response timeout.")
    assert diagnosis.explain_uefi("", None) == "nothing on the console says why"
    silent = diagnosis.explain_uefi(">>Start PXE over IPv6\r\n", of_rom(INTERFACE))
    assert silent.endswith("without an error on the console")


@pytest.mark.parametrize(
    ("console", "words"),
    [
        ("", "the console is empty"),
        ("SeaBIOS (version 1.16)\r\nPress ESC\r\n", "neither iPXE nor the BIOS says why"),
        ("SeaBIOS\r\nNo bootable device.  Retrying in 60 seconds.\r\n", "iPXE printed nothing"),
        ("iPXE (PCI 00:03.0) starting execution...ok\r\n", "iPXE ran as far as"),
        ("iPXE (PCI 00:03.0) starting\r\nNo more network devices\r\n", "has no network device"),
        (
            "iPXE 2.0.0 -- Open Source Network Boot Firmware\r\nConnection timed out (https://ipxe.org/4c0a6035)\r\n",
            'its last error is "Connection timed out (https://ipxe.org/4c0a6035)"',
        ),
    ],
)
def test_a_bios_console_is_explained(console: str, words: str):
    assert words in diagnosis.explain_bios(console)
