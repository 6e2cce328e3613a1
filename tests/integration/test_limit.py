# SPDX-License-Identifier: GPL-2.0-or-later
"""A limit of a ROM's bytes, beside a bucket or without one, and what makes a ROM small enough."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from romforge.base.arch import Arch
from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.verify import cases, runner
from romforge.verify.boot import CheckFailed
from tests.support import builders, linked
from tests.support.project import Run

IDS = PciId(0x8086, 0x100E)
# A legacy image of 20 KiB and two drivers, each 15.5 KiB and the block of the header: 52 KiB.
USED = 52 << 10
SPEC = """spec = 1
[source.roms]
roms = "roms"
files = ["{nic}.rom"]
[platform.pcbios]
[platform.x86_64-efi]
[platform.arm64-efi]
[nic.e1000]
id = "8086:100e"
[bucket.unpadded]
size = "64KiB"
pad = false
[target.t]
dir = "set"
file = "{nic}.rom"
images = ["pcbios", "x86_64-efi", "arm64-efi"]
"""


class Project:
    """A project whose source is a ROM of 52 KiB with three images."""

    def __init__(self, top: Path, romforge: Run) -> None:
        self.top, self.romforge = top, romforge
        (top / "roms").mkdir()
        size = (16 << 10) - builders.DRIVER
        drivers = []
        for machine in (builders.X86_64, builders.ARM64):
            driver = builders.driver(machine, size=size)
            last = machine == builders.ARM64
            drivers.append(builders.efi(driver, IDS, last=last, machine=machine))
        legacy = builders.legacy(IDS, last=False, blocks=40)
        (top / "roms/e1000.rom").write_bytes(b"".join([legacy, *drivers]))

    def build(self, lines: str, status: int = 0) -> str:
        (self.top / "romspec.toml").write_text(SPEC + lines)
        done = self.romforge("build")
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def rom(self) -> bytes:
        return (self.top / "out/set/e1000.rom").read_bytes()

    def entry(self) -> dict[str, object]:
        (entry,) = json.loads((self.top / "out/t.manifest.json").read_text())["roms"]
        assert isinstance(entry, dict)
        return entry


@pytest.fixture
def project(tmp_path: Path, romforge: Run) -> Project:
    return Project(tmp_path, romforge)


def cells(table: str) -> list[str]:
    """The cells behind the images in the only row of a size table."""
    row = next(line for line in table.splitlines() if line.startswith("set/e1000.rom"))
    return re.split(" {2,}", row)[2:]


def test_a_file_may_have_any_size_up_to_its_limit(project: Project):
    """Nothing is padded or rounded up; the table counts what is free up to the limit."""
    table = project.build('limit = "56KiB"\n')
    assert len(project.rom()) == USED
    assert cells(table)[:4] == [f"{USED:,}", "64 KiB", "56 KiB", "4,096"]
    assert project.entry()["limit"] == 56 << 10
    done = project.romforge("verify", "verify:set/e1000.rom:structure")
    assert (done.returncode, "1 proven" in done.stdout) == (0, True), done.stdout + done.stderr
    plan = project.romforge("plan").stdout
    assert "at most 56 KiB" in plan
    assert "4,096 free" in plan


def test_a_file_as_large_as_its_limit_is_built(project: Project):
    project.build(f"limit = {USED}\n")
    assert len(project.rom()) == USED


def test_a_file_a_byte_over_its_limit_fails_and_is_not_written(project: Project):
    text = project.build(f"limit = {USED - 1}\n", status=1)
    assert f"1 bytes (0x1) over its limit of {USED - 1:,} bytes" in text
    assert "remedy: a larger limit" in text
    assert '`fit = ["' in text
    assert not (project.top / "out/set/e1000.rom").exists()
    assert project.entry()["limit"] == USED - 1


def test_a_limit_holds_beside_a_bucket(project: Project):
    project.build('bucket = "unpadded"\nlimit = "56KiB"\n')
    assert len(project.rom()) == USED
    text = project.build('bucket = "unpadded"\nlimit = "50KiB"\n', status=1)
    assert "2,048 bytes (0x800) over its limit of 50 KiB" in text
    assert "a bucket of" not in text


def test_images_are_dropped_to_hold_a_limit(project: Project):
    """As for a bucket: no more than must be, and the manifest says why."""
    table = project.build('limit = "40KiB"\nfit = ["arm64-efi", "x86_64-efi"]\n')
    kinds = [image.kind for image in option_rom.parse_rom(project.rom()).images]
    assert kinds == ["legacy", "x86_64"]
    assert "no arm64-efi: does not fit" in table
    assert "did not fit into 40 KiB" in str(project.entry()["dropped"])


def test_another_limit_builds_the_rom_again_and_the_same_one_does_not(project: Project):
    project.build('limit = "56KiB"\n')
    assert "0 built, 1 up to date" in project.build('limit = "56KiB"\n')
    assert "1 built, 0 up to date" in project.build('limit = "60KiB"\n')


def test_the_structure_of_a_rom_includes_its_limit(project: Project):
    """`verify` finds a file over its limit, though it is a sound ROM."""
    verify = "[verify]\nboot = []\n"
    project.build(f'limit = "56KiB"\n{verify}')
    assert project.romforge("verify").returncode == 0
    (project.top / "romspec.toml").write_text(SPEC + f"limit = {USED}\n{verify}")
    rom = project.rom() + b"\xff"
    proof = cases.of_device(cases.STRUCTURE, Arch.X86_64, "e1000", IDS)
    kinds = tuple(image.kind for image in option_rom.parse_rom(rom).images)
    proof = proof._replace(images=kinds, limit=USED)
    runner.structure(proof, project.rom())
    with pytest.raises(CheckFailed, match="more than its limit of 52 KiB"):
        runner.structure(proof, rom)


TREE = """spec = 1
[source.ipxe]
tree = "tree"
config = "small"
[config.small.general]
undef = []
[platform.pcbios]
[platform.x86_64-efi]
strip = "none"
[nic.e1000]
id = "8086:100e"
[target.t]
dir = "set"
file = "{nic}.rom"
images = ["pcbios", "x86_64-efi"]
"""


@pytest.mark.slow
def test_what_would_save_most_is_named_before_a_larger_limit(tmp_path: Path, romforge: Run):
    """And it does: the first of the changes saves about as much as was said."""
    linked.minipxe(tmp_path / "tree")
    spec = tmp_path / "romspec.toml"
    spec.write_text(TREE)
    assert romforge("build").returncode == 0
    before = (tmp_path / "out/set/e1000.rom").stat().st_size
    spec.write_text(TREE + f"limit = {before - 1}\n")
    done = romforge("build")
    assert done.returncode == 1
    remedies = re.findall("remedy: (.*)", done.stderr)
    assert "\n  next: `romforge why set/e1000.rom` lists what fills it\n" in done.stderr
    assert romforge("why", "set/e1000.rom").returncode == 0
    first, *others = remedies
    change = re.fullmatch(
        r"`undef = \[(\"\w+\")\]` in \[config\.small\.general\] leaves \w+ and \w+ out of"
        r" pcbios and x86_64-efi, which saves about ([\d,]+) bytes",
        first,
    )
    assert change, first
    savings = [int(text.replace(",", "")) for text in re.findall(r"about ([\d,]+)", done.stderr)]
    assert savings == sorted(savings, reverse=True)
    assert any(
        "`leave_out = [" in remedy and "[platform.x86_64-efi]" in remedy for remedy in others
    )
    assert remedies[-1].startswith("a larger limit")
    assert all("a larger limit" not in remedy for remedy in remedies[:-1])

    spec.write_text(
        TREE.replace("undef = []", f"undef = [{change[1]}]") + f"limit = {before - 1}\n"
    )
    done = romforge("build")
    assert done.returncode == 0, done.stderr
    saved = before - (tmp_path / "out/set/e1000.rom").stat().st_size
    assert abs(saved - savings[0]) < 2048  # two images, each of whole blocks, and an estimate


@pytest.mark.slow
def test_a_rom_that_fits_makes_no_build_look_into_links(tmp_path: Path, romforge: Run):
    """What finds remedies is slow to import: only a ROM that is too large may load it."""
    linked.minipxe(tmp_path / "tree")
    (tmp_path / "romspec.toml").write_text(TREE)
    done = romforge("build", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "romforge.rom.build" in done.stderr
    assert "romforge.analysis" not in done.stderr
