# SPDX-License-Identifier: GPL-2.0-or-later
"""Which images a ROM gets: their choice and order per NIC, and what is dropped to fit a bucket."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from romforge.base.image_kind import ImageKind
from romforge.base.pci_id import PciId
from romforge.formats import option_rom, rom_check
from tests.support import builders
from tests.support.project import Run

BUCKET = 64 << 10
MACHINES = {"i386": 0x014C, "x86_64": 0x8664, "arm64": 0xAA64, "riscv64": 0x5064}
KINDS = ("legacy", *MACHINES)
PLATFORMS = ("pcbios", *(f"{arch}-efi" for arch in MACHINES))
IDS = PciId(0x8086, 0x100E)
SPEC = """spec = 1
[source.roms]
roms = "roms"
files = ["{nic}.rom"]
[platform.pcbios]
[platform.i386-efi]
[platform.x86_64-efi]
[platform.arm64-efi]
[platform.riscv64-efi]
[nic.e1000]
id = "8086:100e"
[nic.other]
id = "8086:100e"
device = "e1000"
[bucket.b]
size = "64KiB"
[target.t]
dir = "set"
file = "{nic}.rom"
images = ["pcbios", "i386-efi", "x86_64-efi", "arm64-efi", "riscv64-efi"]
nics = ["e1000"]
bucket = "b"
"""


class Project:
    """A project whose source is a ROM with a legacy image and four drivers of a given size."""

    def __init__(self, top: Path, doit: Run, romforge: Run) -> None:
        self.top, self.doit, self.romforge = top, doit, romforge
        (top / "roms").mkdir()
        self.spec = SPEC
        self.put_rom(driver=4096)

    def put_rom(self, driver: int) -> None:
        """Writes the source's ROMs; ``driver`` is the size of each driver in bytes."""
        images = [builders.legacy(IDS, last=False, blocks=64)]
        for machine in MACHINES.values():
            content = builders.driver(machine, size=driver)
            last = machine == 0x5064
            images.append(builders.efi(content, IDS, last=last, machine=machine))
        for nic in ("e1000", "other"):
            (self.top / f"roms/{nic}.rom").write_bytes(b"".join(images))

    def build(self, *words: str, status: int = 0) -> str:
        (self.top / "romspec.toml").write_text(self.spec)
        done = self.doit(*words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kinds(self, nic: str = "e1000") -> list[ImageKind]:
        """The kinds of a ROM's images, which is faultless and fills its bucket."""
        data = (self.top / f"out/set/{nic}.rom").read_bytes()
        assert rom_check.find_faults(data) == []
        assert len(data) == BUCKET
        return [image.kind for image in option_rom.parse_rom(data).images]

    def entry(self) -> dict[str, object]:
        (entry,) = json.loads((self.top / "out/t.manifest.json").read_text())["roms"]
        assert isinstance(entry, dict)
        return entry


@pytest.fixture
def project(tmp_path: Path, doit: Run, romforge: Run) -> Project:
    return Project(tmp_path, doit, romforge)


def test_what_fits_is_kept(project: Project):
    """A list of what may be dropped drops nothing from a ROM that fits."""
    project.spec += 'fit = ["i386-efi"]\n'
    table = project.build()
    assert "does not fit" not in table
    assert project.kinds() == list(KINDS)
    assert "dropped" not in project.entry()


def test_without_a_list_what_does_not_fit_is_an_error(project: Project):
    project.put_rom(driver=9000)
    text = project.build(status=1)
    assert "over its bucket of 64 KiB" in text
    assert '`fit = ["' in text  # the remedy
    assert not (project.top / "out/set/e1000.rom").exists()


@pytest.mark.parametrize(
    ("driver", "dropped"),
    [(9000, ["riscv64-efi"]), (12000, ["riscv64-efi", "i386-efi"])],
)
def test_images_are_dropped_in_the_order_of_the_list(
    project: Project, driver: int, dropped: list[str]
):
    """As many as must be; table, manifest, plan and lock say which."""
    project.spec += 'fit = ["riscv64-efi", "i386-efi", "arm64-efi"]\n'
    project.put_rom(driver)
    table = project.build()
    kept = [kind for kind, platform in zip(KINDS, PLATFORMS) if platform not in dropped]
    assert project.kinds() == kept
    assert f"no {' and '.join(dropped)}: does not fit" in table
    entries = project.entry()["dropped"]
    assert isinstance(entries, list)
    assert [entry["name"] for entry in entries] == dropped
    assert all("did not fit into 64 KiB" in entry["reason"] for entry in entries)
    plan = project.romforge("plan").stdout
    assert "where the ROM does not fit, drops riscv64-efi, then i386-efi, then arm64-efi" in plan
    assert project.romforge("lock").returncode == 0
    names = ", ".join(f'"{platform.removesuffix("-efi")}"' for platform in dropped)
    assert f"dropped = [{names}]" in (project.top / "romspec.lock").read_text()
    assert project.romforge("lock", "--check").returncode == 0
    assert project.romforge("report", "-o", "page.html").returncode == 0
    page = (project.top / "page.html").read_text()
    assert "Images left out" in page
    assert re.search(rf"no {' and '.join(dropped)}: [0-9,]+ bytes .* did not fit into 64 KiB", page)


def test_what_does_not_fit_without_all_of_the_list_is_an_error(project: Project):
    project.spec += 'fit = ["riscv64-efi"]\n'
    project.put_rom(driver=16000)
    text = project.build(status=1)
    assert "over its bucket of 64 KiB; without riscv64-efi it is" in text
    assert not (project.top / "out/set/e1000.rom").exists()


def test_an_image_that_is_dropped_after_the_lock_is_a_fault(project: Project):
    """The lock's check says that the image left since it did not fit."""
    project.spec += 'fit = ["i386-efi"]\n'
    project.build()
    assert project.romforge("lock").returncode == 0
    project.put_rom(driver=9000)
    project.build()
    done = project.romforge("lock", "--check")
    assert done.returncode == 1
    assert "lost i386 (i386 did not fit the bucket, and fit allows that)" in done.stdout


def test_the_structure_may_lack_what_was_dropped_and_nothing_else(project: Project):
    """`verify` accepts a ROM without the first of the list, and not one without another image."""
    project.spec += 'fit = ["i386-efi", "arm64-efi"]\n[verify]\nboot = []\n'
    project.put_rom(driver=9000)
    (project.top / "romspec.toml").write_text(project.spec)
    done = project.romforge("verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.kinds() == ["legacy", "x86_64", "arm64", "riscv64"]
    project.spec = project.spec.replace('"i386-efi", "arm64-efi"', '"arm64-efi", "i386-efi"')
    (project.top / "romspec.toml").write_text(project.spec)
    assert project.romforge("verify").returncode == 0
    assert project.kinds() == ["legacy", "i386", "x86_64", "riscv64"]


def test_a_nic_chooses_and_orders_its_images(project: Project):
    """In each target as far as that has them; another NIC's ROMs stay as the target says."""
    project.spec = project.spec.replace('nics = ["e1000"]\n', "").replace(
        'device = "e1000"', 'device = "e1000"\nimages = ["arm64-efi", "pcbios"]'
    )
    project.spec += """[target.efi]
dir = "efi"
file = "{nic}.rom"
images = ["x86_64-efi", "arm64-efi"]
"""
    project.build()
    assert project.kinds() == list(KINDS)
    assert project.kinds("other") == ["arm64", "legacy"]
    data = (project.top / "out/efi/other.rom").read_bytes()
    assert [image.kind for image in option_rom.parse_rom(data).images] == ["arm64"]


def test_a_nic_has_its_own_list_of_what_to_drop(project: Project):
    project.spec = project.spec.replace('nics = ["e1000"]\n', "").replace(
        'device = "e1000"', 'device = "e1000"\nfit = ["pcbios"]'
    )
    project.spec += 'fit = ["riscv64-efi"]\n'
    project.put_rom(driver=9000)
    project.build()
    assert project.kinds() == ["legacy", "i386", "x86_64", "arm64"]
    assert project.kinds("other") == ["i386", "x86_64", "arm64", "riscv64"]


@pytest.mark.qemu
def test_an_image_that_was_dropped_is_not_provable(project: Project):
    """Neither passed nor failed, with the reason; nor is a NIC that QEMU does not have."""
    project.spec += 'fit = ["x86_64-efi"]\n[verify]\nboot = ["x86_64"]\nroms = ["romfile"]\n'
    project.put_rom(driver=9000)
    (project.top / "romspec.toml").write_text(project.spec)
    done = project.romforge("verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    boot = next(
        row for row in json.loads(done.stdout)["proofs"] if row["column"] == "x86_64-romfile"
    )
    assert boot["state"] == "not provable here"
    assert boot["text"] == "the x86_64 image of the ROM was dropped to fit its bucket"
    assert project.romforge("verify", "--strict").returncode == 1


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("device", "mode", "reason"),
    [
        ("nonsuch-nic", "romfile", "this qemu-system-x86_64 has no device nonsuch-nic"),
        ("tulip", "default", "this QEMU gives -device tulip no ROM by default"),
    ],
)
def test_what_qemu_does_not_have_is_not_provable(
    project: Project, device: str, mode: str, reason: str
):
    """A NIC that it does not emulate, and a default ROM for a NIC that it gives none."""
    project.spec = project.spec.replace('device = "e1000"', f'device = "{device}"')
    project.spec = project.spec.replace('nics = ["e1000"]', 'nics = ["other"]')
    project.spec += f'[verify]\nboot = ["x86_64"]\nroms = ["{mode}"]\n'
    (project.top / "romspec.toml").write_text(project.spec)
    done = project.romforge("verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    boot = next(row for row in json.loads(done.stdout)["proofs"] if row["kind"] == "uefi")
    assert (boot["state"], boot["text"]) == ("not provable here", reason)
