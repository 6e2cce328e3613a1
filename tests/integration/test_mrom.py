# SPDX-License-Identifier: GPL-2.0-or-later
"""ROMs with an .mrom, whose two images stay together on every way, and ROMs with device lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from romforge.base.pci_id import PciId
from romforge.formats import efi_image, option_rom, rom_check
from romforge.verify import boot, cases
from romforge.verify.boot import CheckFailed
from tests.support import builders
from tests.support.builders import E1000
from tests.support.project import TOP, Run
from tests.support.proofs import make_proof

SOURCE = """spec = 1
[source.roms]
roms = "roms"
files = ["{nic}.rom"]
[platform.pcbios]
[platform.x86_64-efi]
[nic.e1000]
id = "8086:100e"
[bucket.b]
size = "16KiB"
[target.t]
dir = "set"
file = "{nic}.rom"
bucket = "b"
images = ["x86_64-efi", "pcbios"]
"""
TREE = f"""spec = 1
[source.ipxe]
tree = "{TOP}/vendor/minipxe"
mark = "minipxe {{nic}} {{vendor}}:{{device}} build"
[platform.pcbios]
media = "mrom"
[platform.x86_64-efi]
[nic.e1000]
id = "8086:100e"
[bucket.b]
size = "128KiB"
[target.t]
dir = "set"
file = "{{nic}}.rom"
bucket = "b"
images = ["pcbios", "x86_64-efi"]
level = "fast"
"""
MARK = 'mark = "minipxe e1000 8086:100e build"\n'


def kinds(data: bytes) -> list[str]:
    """The kinds of a ROM's images, which have no faults."""
    assert rom_check.find_faults(data) == []
    return [str(image.kind) for image in option_rom.parse_rom(data).images]


def put_rom(top: Path, data: bytes) -> None:
    (top / "roms").mkdir(exist_ok=True)
    (top / "roms/e1000.rom").write_bytes(data)


def test_a_payload_comes_along_from_a_rom_to_lock_and_proof(romforge: Run, tmp_path: Path):
    put_rom(tmp_path, builders.mrom(last=False) + builders.efi())
    (tmp_path / "romspec.toml").write_text(SOURCE + "[verify]\nboot = []\n")
    done = romforge("build")
    assert done.returncode == 0, done.stderr
    data = (tmp_path / "out/set/e1000.rom").read_bytes()
    assert kinds(data) == ["x86_64", "legacy", "payload"]
    *_, payload = option_rom.parse_rom(data).images
    assert payload.data[512:] == builders.payload()[512:]
    (entry,) = json.loads((tmp_path / "out/t.manifest.json").read_text())["roms"]
    names = [(image["name"], image["kind"]) for image in entry["images"]]
    assert names[1:] == [("pcbios", "legacy"), ("pcbios payload", "payload")]
    assert entry["used"] == payload.offset + len(payload.data)
    assert "pcbios 1,024 + pcbios payload 1,536" in romforge("plan").stdout
    assert romforge("verify").returncode == 0
    assert romforge("lock").returncode == 0
    assert 'kind = "payload", size = 1536' in (tmp_path / "romspec.lock").read_text()
    assert romforge("lock", "--check").returncode == 0
    assert romforge("report", "-o", "page.html").returncode == 0
    put_rom(tmp_path, builders.legacy(last=False) + builders.efi())
    assert romforge("build").returncode == 0
    assert "lost payload" in romforge("lock", "--check").stdout


def test_a_source_whose_payload_is_missing_is_refused(romforge: Run, tmp_path: Path):
    alone = option_rom.rewrite(option_rom.parse_image(builders.mrom()), last=False).data
    put_rom(tmp_path, alone + builders.efi())
    (tmp_path / "romspec.toml").write_text(SOURCE)
    done = romforge("build")
    assert done.returncode == 1
    assert "roms/e1000.rom is not a sound ROM" in done.stderr
    assert "its payload must be right behind it" in done.stderr


def test_both_images_are_dropped_where_one_does_not_fit(romforge: Run, tmp_path: Path):
    """The bucket has room for the first image of the .mrom, and none for its payload."""
    driver = builders.driver(size=15_000 - builders.DRIVER)
    put_rom(tmp_path, builders.mrom(last=False) + builders.efi(driver))
    (tmp_path / "romspec.toml").write_text(SOURCE)
    done = romforge("build")
    assert done.returncode == 1
    assert "leave out pcbios, which frees 2,560 bytes" in done.stdout + done.stderr
    (tmp_path / "romspec.toml").write_text(SOURCE + 'fit = ["pcbios"]\n')
    done = romforge("build")
    assert done.returncode == 0, done.stderr
    assert "no pcbios: does not fit" in done.stdout
    assert kinds((tmp_path / "out/set/e1000.rom").read_bytes()) == ["x86_64"]


def test_ids_are_written_into_both_images(romforge: Run, tmp_path: Path):
    other = PciId(0x8086, 0x100F)
    put_rom(tmp_path, builders.mrom(other, last=False) + builders.efi(ids=other))
    (tmp_path / "romspec.toml").write_text(SOURCE)
    assert romforge("build").returncode == 1
    (tmp_path / "romspec.toml").write_text(SOURCE + "fix_ids = true\n")
    assert romforge("build").returncode == 0
    data = (tmp_path / "out/set/e1000.rom").read_bytes()
    assert kinds(data) == ["x86_64", "legacy", "payload"]
    assert {image.ids for image in option_rom.parse_rom(data).images} == {E1000}


def test_split_and_combine_keep_both_images_together(romforge: Run, tmp_path: Path):
    data = builders.efi(last=False) + builders.mrom()
    (tmp_path / "whole.rom").write_bytes(data)
    done = romforge("split", "whole.rom", "-d", "parts")
    assert "1-legacy.rom  2,560  the image and its payload, byte for byte" in done.stdout
    files = ["parts/0-x86_64.rom", "parts/1-legacy.rom"]
    assert sorted(tmp_path.glob("parts/*.rom")) == [tmp_path / file for file in files]
    assert romforge("combine", "-o", "again.rom", *files).returncode == 0
    assert (tmp_path / "again.rom").read_bytes() == data
    done = romforge("combine", "-o", "other.rom", *reversed(files))
    assert done.stdout == "other.rom: 3 images, 4,096 bytes, bucket 4 KiB\n"
    assert kinds((tmp_path / "other.rom").read_bytes()) == ["legacy", "payload", "x86_64"]
    shown = romforge("inspect", "other.rom").stdout
    assert "code that loads the payload" in shown
    assert "stub" not in shown


def test_combine_refuses_half_an_mrom(romforge: Run, tmp_path: Path):
    (tmp_path / "first.rom").write_bytes(builders.mrom()[:1024])
    (tmp_path / "payload.rom").write_bytes(builders.payload())
    (tmp_path / "efi.rom").write_bytes(builders.efi())
    for files in (["first.rom"], ["payload.rom"], ["first.rom", "efi.rom", "payload.rom"]):
        done = romforge("combine", "-o", "x.rom", *files)
        assert done.returncode == 1
        assert "take both from the same .mrom" in done.stderr
    assert not (tmp_path / "x.rom").exists()
    assert romforge("combine", "-o", "x.rom", "first.rom", "payload.rom").returncode == 0
    assert kinds((tmp_path / "x.rom").read_bytes()) == ["legacy", "payload"]


def test_the_list_of_an_efi_image_counts_and_that_of_a_legacy_image_does_not(
    romforge: Run, tmp_path: Path
):
    """As firmware has it; the message says why a list does not help."""
    (tmp_path / "in.efi").write_bytes(builders.driver())
    ids = ["--id", "8086:100f", "--id", "8086:100e"]
    done = romforge("efirom", "--stored", *ids, "in.efi", "listed.rom")
    assert done.stdout.endswith(", 8086:100f and 8086:100e\n")
    (rom,) = json.loads(romforge("inspect", "--json", "listed.rom").stdout)["roms"]
    assert rom["images"][0]["devices"] == ["8086:100f", "8086:100e"]
    assert "8086:100f, 100e  " in romforge("inspect", "listed.rom").stdout
    listed = (tmp_path / "listed.rom").read_bytes()
    (tmp_path / "legacy.rom").write_bytes(builders.legacy())
    assert romforge("combine", "-o", "both.rom", "legacy.rom", "listed.rom").stderr == ""
    put_rom(tmp_path, builders.legacy(last=False) + listed)
    (tmp_path / "romspec.toml").write_text(SOURCE + "[verify]\nboot = []\n")
    assert romforge("verify").returncode == 0
    legacy = builders.legacy(PciId(0x8086, 0x100F), devices=[0x100F, 0x100E], last=False)
    put_rom(tmp_path, legacy + listed)
    done = romforge("build")
    assert done.returncode == 1
    assert (
        "carries 8086:100f; its device list has 8086:100e, but SeaBIOS does not read it"
        in done.stdout + done.stderr
    )
    (tmp_path / "romspec.toml").write_text(SOURCE + "fix_ids = true\n")
    assert romforge("build").returncode == 0
    images = option_rom.parse_rom((tmp_path / "out/set/e1000.rom").read_bytes()).images
    assert [image.ids for image in images] == [E1000] * 2
    assert [option_rom.device_list(image) for image in images] == [[0x100F, 0x100E]] * 2


@pytest.mark.slow
@pytest.mark.qemu
def test_an_mrom_of_a_tree_boots_beside_an_efi_image(romforge: Run, tmp_path: Path):
    """From the tree, and in the other order from the ROM that was built."""
    (tmp_path / "romspec.toml").write_text(TREE + '[verify]\nboot = ["bios"]\n')
    done = romforge("verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["state"] for row in json.loads(done.stdout)["proofs"]} == {"passed"}
    data = (tmp_path / "out/set/e1000.rom").read_bytes()
    assert kinds(data) == ["legacy", "payload", "x86_64"]
    put_rom(tmp_path, data)
    source = SOURCE.replace("16KiB", "128KiB").replace("[platform.pc", f"{MARK}[platform.pc")
    (tmp_path / "romspec.toml").write_text(source + '[verify]\nboot = ["bios"]\n')
    done = romforge("verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert kinds((tmp_path / "out/set/e1000.rom").read_bytes()) == ["x86_64", "legacy", "payload"]


@pytest.mark.slow
@pytest.mark.qemu
def test_seabios_ignores_device_lists_and_takes_the_ids_of_pcir(
    releases: dict[str, Path], tmp_path: Path
):
    """Debian's ROM, whose list has 8086:100e and whose PCI Data Structure is given another ID."""
    data = (releases["sid"] / "pxe-e1000.rom").read_bytes()
    image = option_rom.parse_image(data)
    assert option_rom.device_list(image) == [0x100E]
    place = image.header.pcir_pointer + 6
    other = builders.mended(builders.changed(image.data, place, b"\x0f\x10"), 6)
    assert rom_check.find_faults(other)[0].severity is rom_check.Severity.NOTE
    proof = make_proof("e1000", E1000, cases.BIOS)
    with pytest.raises(CheckFailed, match="the boot file did not run"):
        boot.prove_boot(proof, other, tmp_path / "listed", tmp_path / "cache")
    device = make_proof("e1000-82545em", PciId(0x8086, 0x100F), cases.BIOS)
    seen = boot.prove_boot(device, other, tmp_path / "of-pcir", tmp_path / "cache")
    assert seen == "booted by legacy image"


@pytest.mark.slow
@pytest.mark.qemu
def test_ovmf_boots_a_driver_whatever_its_device_list_has(
    releases: dict[str, Path], tmp_path: Path
):
    """The image that `efirom` makes of several IDs: with the device's, and without."""
    image = option_rom.parse_rom((releases["sid"] / "efi-e1000.rom").read_bytes()).images[1]
    driver = option_rom.driver_of(image)
    proof = make_proof("e1000", E1000)
    for name, second in {"with": E1000, "without": PciId(0x8086, 0x1010)}.items():
        data = efi_image.wrap_driver(driver, PciId(0x8086, 0x100F), [second])
        seen = boot.prove_boot(proof, data, tmp_path / name, tmp_path / "cache")
        assert "booted" in seen
