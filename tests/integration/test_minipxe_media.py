# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of vendor/minipxe that boot by themselves: kernels, PXE programs, EFI applications, CDs."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from romforge.formats import pe
from tests.support.machines import MARK, OVMF, PC_BIOS, boot, ovmf_firmware
from tests.support.minipxe import SOURCE, Tree

pytestmark = pytest.mark.slow

BIOS_FILES = ["ipxe.lkrn", "ipxe.pxe", "undionly.kpxe", "undionly.kkpxe", "ipxe.iso"]
EFI_FILES = ["snponly.efi", "ipxe.iso"]
MAC = "52:54:00:12:34:56"
E1000_FOUND = f"minipxe e1000 found, Intel 82540EM: {MAC}\n"
UNDI_FOUND = f"minipxe undionly found, PXE stack: {MAC}\n"
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    tree = Tree(tmp_path_factory.mktemp("media") / "minipxe")
    goals = [f"bin/{name}" for name in [*BIOS_FILES, "undionly.lkrn"]]
    tree.prepare("bin", "bin-x86_64-efi")
    tree.make(*goals, *(f"bin-x86_64-efi/{name}" for name in EFI_FILES))
    return tree


def booted(directory: Path, *words: str) -> str:
    """What an image writes to the debug console of a PC with an e1000, until it ends QEMU."""
    log = directory / "debug"
    text, status = boot(directory, [*PC_BIOS, "-debugcon", f"file:{log}", *words], lambda _: False)
    assert status == 33, text
    return log.read_bytes().decode()


def has_mark(text: str, driver: str, stage: str = "boot") -> bool:
    return re.search(MARK.format(driver, "0000", "0000", stage), text) is not None


# BIOS


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("driver", "found"),
    [
        ("ipxe", E1000_FOUND),
        ("undionly", "minipxe undionly: no PXE stack has loaded this image\n"),
    ],
    ids=["ipxe", "undionly"],
)
def test_qemu_runs_an_lkrn_as_a_kernel(media: Tree, tmp_path: Path, driver: str, found: str):
    card = ["-netdev", "user,id=n,restrict=on", "-device", "e1000,netdev=n,romfile="]
    text = booted(tmp_path, *card, "-kernel", f"{media.src}/bin/{driver}.lkrn")
    assert has_mark(text, driver)
    assert text.endswith(found)
    assert (E1000_FOUND in text) == (driver == "ipxe")


def test_an_lkrn_has_the_header_of_the_boot_protocol(media: Tree):
    data = media.read("bin/ipxe.lkrn")
    setup = (data[0x1F1] + 1) * 512
    payload = int.from_bytes(data[0x1F4:0x1F8], "little") * 16
    assert (data[0x1FE:0x200], data[0x202:0x206]) == (b"\x55\xaa", b"HdrS")
    assert int.from_bytes(data[0x214:0x218], "little") == 0x100000
    assert setup < len(data) <= setup + payload  # memory that is not in the file counts as well


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("name", "found"),
    [("ipxe.pxe", E1000_FOUND), ("undionly.kpxe", UNDI_FOUND), ("undionly.kkpxe", UNDI_FOUND)],
    ids=["pxe", "kpxe", "kkpxe"],
)
def test_a_pxe_stack_loads_and_runs_the_program(media: Tree, tmp_path: Path, name: str, found: str):
    """The stack is that of the ROM which QEMU has for the card."""
    network = f"user,id=n,restrict=on,tftp={media.src}/bin,bootfile={name}"
    text = booted(tmp_path, "-netdev", network, "-device", "e1000,netdev=n", "-boot", "n")
    assert has_mark(text, name.partition(".")[0])
    assert text.endswith(found)


@pytest.mark.qemu
def test_seabios_boots_the_cd(media: Tree, tmp_path: Path):
    card = ["-netdev", "user,id=n,restrict=on", "-device", "e1000,netdev=n,romfile="]
    text = booted(tmp_path, *card, "-cdrom", f"{media.src}/bin/ipxe.iso", "-boot", "d")
    assert has_mark(text, "ipxe")
    assert text.endswith(E1000_FOUND)


def test_ipxe_has_all_drivers_and_undionly_only_its_own(media: Tree):
    drivers = {path.stem.replace("-", "_") for path in (SOURCE / "src/drivers/net").glob("*.c")}
    linked = set(media.make("bin/ipxe.lkrn.objs").split())
    assert drivers < linked
    assert {"lkrnprefix", "undionly", "romprefix"} & linked == {"lkrnprefix"}
    linked = set(media.make("bin/undionly.kpxe.objs").split())
    assert not drivers & linked
    assert {"kpxeprefix", "pxeprefix", "undionly"} & linked == {"kpxeprefix", "undionly"}


# EFI


@pytest.mark.qemu
def test_ovmf_loads_snponly_from_the_network(media: Tree, tmp_path: Path):
    """By its own driver of the card, whose address the application finds on its device path."""
    network = f"user,id=n,restrict=on,tftp={media.src}/bin-x86_64-efi,bootfile=snponly.efi"
    card = ["-netdev", network, "-device", "virtio-net-pci,netdev=n,romfile="]
    machine = [*OVMF, *ovmf_firmware(tmp_path), *card]
    found = f"minipxe snponly found, SNP: {MAC}"
    text, _ = boot(tmp_path, machine, lambda text: found in text)
    assert has_mark(text, "snponly", "efi"), text
    assert found in text


@pytest.mark.qemu
def test_ovmf_boots_the_cd(media: Tree, tmp_path: Path):
    card = ["-netdev", "user,id=n,restrict=on", "-device", "e1000,netdev=n,romfile="]
    machine = [*OVMF, *ovmf_firmware(tmp_path), *card]
    machine += ["-cdrom", f"{media.src}/bin-x86_64-efi/ipxe.iso"]
    text, _ = boot(tmp_path, machine, lambda text: E1000_FOUND.strip() in text)
    assert has_mark(text, "ipxe", "efi"), text
    assert E1000_FOUND.strip() in text


# util/genfsimg


def application(machine: int) -> bytes:
    """What of a PE file tells its machine."""
    header = bytearray(256)
    header[:2], header[0x3C], header[0x80:0x84] = b"MZ", 0x80, b"PE\0\0"
    header[0x84:0x86] = machine.to_bytes(2, "little")
    return bytes(header)


def genfsimg(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", SOURCE / "src/util/genfsimg", *words],
        cwd=directory,
        env=os.environ | EPOCH | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_cd_has_each_file_where_firmware_looks_for_it(media: Tree, tmp_path: Path):
    """And the same bytes for other times of the files."""
    machines = {"BOOTX64": pe.parse_pe(media.read("bin-x86_64-efi/snponly.efi")).machine}
    machines |= {"BOOTIA32": 0x14C, "BOOTAA64": 0xAA64}
    machines |= {"BOOTRISCV64": 0x5064, "BOOTLOONGARCH64": 0x6264}
    for name, machine in machines.items():
        (tmp_path / f"{name}.efi").write_bytes(application(machine))
    (tmp_path / "k.lkrn").write_bytes(media.read("bin/ipxe.lkrn"))
    files = ["k.lkrn", *(f"{name}.efi" for name in machines)]
    assert genfsimg(tmp_path, "-o", "one.iso", *files).stderr == ""
    for name in files:
        os.utime(tmp_path / name, (1, 1))
    time.sleep(2)  # in which the times of files in a FAT image would change
    assert genfsimg(tmp_path, "-o", "two.iso", *files).stderr == ""
    assert (tmp_path / "one.iso").read_bytes() == (tmp_path / "two.iso").read_bytes()
    extract = ["xorriso", "-osirrox", "on", "-indev", "one.iso", "-extract", "/", "cd"]
    subprocess.run(extract, cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "cd/k.lkrn").read_bytes() == media.read("bin/ipxe.lkrn")
    assert "DEFAULT k.lkrn\n" in (tmp_path / "cd/isolinux.cfg").read_text()
    for name, machine in machines.items():
        show = ["mtype", "-i", "cd/esp.img", f"::EFI/BOOT/{name}.EFI"]
        done = subprocess.run(show, cwd=tmp_path, capture_output=True, check=True)
        assert done.stdout == application(machine)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "usage: genfsimg -o OUT.iso"),
        (["x.rom"], "x.rom is neither an .lkrn nor an .efi"),
        (["no.efi"], "no.efi is not a PE file"),
        (["vax.efi"], "vax.efi is for machine 0x1234, for which no firmware has a name"),
        (["arm.efi", "arm2.efi"], "arm2.efi: another file is BOOTAA64.EFI, too"),
    ],
)
def test_what_cannot_be_on_a_cd_is_refused(tmp_path: Path, files: list[str], message: str):
    (tmp_path / "no.efi").write_bytes(b"MZ" + bytes(300))
    (tmp_path / "vax.efi").write_bytes(application(0x1234))
    (tmp_path / "arm.efi").write_bytes(application(0xAA64))
    (tmp_path / "arm2.efi").write_bytes(application(0xAA64))
    done = genfsimg(tmp_path, "-o", "x.iso", *files)
    assert done.returncode == 1
    assert done.stderr.startswith(f"genfsimg: {message}")
    assert not (tmp_path / "x.iso").exists()
