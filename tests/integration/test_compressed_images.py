# SPDX-License-Identifier: GPL-2.0-or-later
"""Compression in builds and commands: each driver once, never larger, right after any failure."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

# EDK2's own C code
from uefi_firmware import efi_compressor as independent  # type: ignore[import-untyped]

from romforge.base import image_kind, output_files
from romforge.base.pci_id import PciId
from romforge.formats import efi_image, option_rom, rom_check
from romforge.formats.option_rom import EfiHeader
from romforge.formats.uefi_compression import decoder, encoder
from romforge.rom import compression_cache
from tests.support import builders, debian
from tests.support.project import PATIENCE, TOP, Run, Started, all_gone, run, users

IDS = {
    "e1000": "8086:100e",
    "e1000e": "8086:10d3",
    "eepro100": "8086:1229",
    "ne2k_pci": "10ec:8029",
    "pcnet": "1022:2000",
    "rtl8139": "10ec:8139",
    "virtio": "1af4:1000",
    "vmxnet3": "15ad:07b0",
}
COMMANDS = {
    "doit": ["doit"],
    "doit, threads": ["doit", "-n", "2", "-P", "thread"],
    "doit, processes": ["doit", "-n", "2", "-P", "process"],
    "romforge build, jobs": ["romforge", "build", "--jobs", "2"],
}
FAST, RECOMPRESS = 'level = "fast"\n', 'level = "fast"\nrecompress = true\n'
E1000, RTL8139 = PciId(0x8086, 0x100E), PciId(0x10EC, 0x8139)


def driver(words: str = "words", size: int = 6000, machine: int = builders.X86_64) -> bytes:
    """A driver that compresses well, and quickly."""
    text = " ".join(
        random.Random(words).choices(
            ["some", "words", "that", "come", "again", "and", words], k=size // 4
        )
    )
    return builders.driver(machine, size=512) + text.encode()[: size - 512].ljust(size - 512, b".")


def stubborn(size: int = 1400) -> bytes:
    """A driver that no compressor makes smaller."""
    start = builders.driver(size=160)
    return start + random.Random("stubborn").randbytes(size - len(start))


def rom(content: bytes, ids: PciId = E1000) -> bytes:
    """A ROM with a legacy image and a stored driver."""
    return builders.legacy(ids, last=False) + builders.efi(content, ids)


def images(data: bytes) -> tuple[option_rom.Image, ...]:
    return option_rom.parse_rom(data).images


def is_compressed(image: option_rom.Image) -> bool:
    return (
        isinstance(image.header, EfiHeader)
        and image.header.compression_type == option_rom.UEFI_COMPRESSED
    )


def same_driver(one: option_rom.Image, other: option_rom.Image) -> bool:
    """Whether two images hold the same driver, up to the padding behind a stored one."""
    found = sorted((option_rom.driver_of(one), option_rom.driver_of(other)), key=len)
    return found[1].startswith(found[0]) and not found[1][len(found[0]) :].strip(b"\0")


# Notes each process that compresses, at its begin and its end, and may hold it up.
NOTE = """
import subprocess
class Noting(subprocess.Popen):
    noted = False
    def __init__(self, args, *rest, **named):
        if "romforge.rom.compression_process" in args:
            self.noted = True
            self.note("begin " + args[-1])
            place = args.index("-m") - 1
            args = [*args[:place], "sh", "-c", {wait!r}, "sh", *args[place:]]
        super().__init__(args, *rest, **named)
    def __exit__(self, *rest):
        super().__exit__(*rest)
        if self.noted:
            self.note("end")
    def note(self, text):
        with open({log!r}, "a") as log:
            log.write(text + chr(10))
subprocess.Popen = Noting
"""
# A process that compresses reports it and then never ends, and reports nothing more: nobody would
# hear it. Packing passes a path to its processes that lacks this code, so Popen passes ours.
ENDLESS = """
import os, subprocess
from romforge.formats.uefi_compression import encoder
class Leading(subprocess.Popen):
    def __init__(self, args, *rest, **named):
        if "romforge.rom.compression_process" in args:
            named["env"] = dict(named["env"], PYTHONPATH=os.environ["PYTHONPATH"])
        super().__init__(args, *rest, **named)
subprocess.Popen = Leading
compress = encoder.compress
def endless(data, level, told=None):
    open({begun!r}, "w").close()
    while True:
        compress(data, level)
encoder.compress = endless
"""


class Project(Started):
    """A directory with a spec of ROMs in ``roms``, and notes of each process that compressed."""

    def __init__(self, top: Path) -> None:
        self.top, self.out, self.cache = top, top / "out", top / "out/.romforge/compressed"
        self.log, self.begun = top / "compressed.log", top / "begun"
        self.started: list[subprocess.Popen[str]] = []
        (top / "roms").mkdir()

    def put(self, nic: str, data: bytes, place: str = "roms") -> None:
        (self.top / place).mkdir(exist_ok=True)
        (self.top / place / f"{nic}.rom").write_bytes(data)

    def spec(
        self,
        nics: tuple[str, ...] = ("e1000",),
        targets: dict[str, str] | None = None,
        roms: Path | str = "roms",
        platform: str = "",
        extra: str = "",
    ) -> None:
        """Targets with their keys; the ROMs are TARGET/NIC.rom."""
        named = "".join(f'[nic.{nic}]\nid = "{IDS[nic]}"\n' for nic in nics)
        made = "".join(
            f'[target.{name}]\ndir = "{name}"\nfile = "{{nic}}.rom"\n{keys}'
            + ("" if "images" in keys else f"images = {BOTH}\n")
            for name, keys in (targets or {"small": RECOMPRESS}).items()
        )
        (self.top / "romspec.toml").write_text(
            f'spec = 1\n[source.roms]\nroms = "{roms}"\n'
            'files = ["{nic}.rom", "efi-{nic}.rom"]\n'
            f"[platform.pcbios]\n[platform.x86_64-efi]\n{platform}{named}{made}{extra}"
        )

    def noted(self, seconds: float = 0, together: int = 0) -> dict[str, str]:
        """The environment of a build whose compressing processes are noted.

        They wait for each other until there are so many, and then for a while.
        """
        met = (
            f"until [ $(grep -c begin {shlex.quote(str(self.log))}) -ge {together} ]; "
            "do sleep 0.02; done"
        )
        wait = f'timeout {PATIENCE} sh -c {shlex.quote(met)}; sleep {seconds}; exec "$@"'
        return self.patched(NOTE.format(log=str(self.log), wait=wait))

    def endless(self) -> dict[str, str]:
        """The environment of what compresses without end."""
        self.begun.unlink(missing_ok=True)
        return self.patched(ENDLESS.format(begun=str(self.begun)))

    def notes(self) -> list[str]:
        """The notes since the last look."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def compressed(self) -> int:
        """How many processes compressed since the last look."""
        return sum(note.startswith("begin") for note in self.notes())

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit status and all that was printed; a traceback fails the test."""
        output, errors = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in output + errors, errors
        return process.returncode, output + errors

    def run(self, command: list[str], **environment: str) -> tuple[int, str]:
        done = run([sys.executable, "-m", *command], self.top, **environment)
        return done.returncode, done.stdout + done.stderr

    def build(self, command: tuple[str, ...] | list[str] = ("doit",), **environment: str) -> str:
        """Runs a build, which must do, and notes what it compresses."""
        status, output = self.run(list(command), **(self.noted() | environment))
        assert status == 0, output
        return output

    def rom(self, name: str = "small/e1000.rom") -> bytes:
        return (self.out / name).read_bytes()

    def efi(self, name: str = "small/e1000.rom") -> option_rom.Image:
        return images(self.rom(name))[-1]

    def alive(self) -> dict[int, str]:
        """The processes that are at work in our directory, each with its name."""
        commands = {}
        for pid in [int(name) for name in os.listdir("/proc") if name.isdecimal()]:
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd") == str(self.top):
                    commands[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        return commands

    def workers(self) -> list[int]:
        """The processes that compress."""
        return [
            pid
            for pid, command in self.alive().items()
            if "-m romforge.rom.compression_process" in command and "setpriv" not in command
        ]


BOTH = '["pcbios", "x86_64-efi"]'


@pytest.fixture
def project(tmp_path: Path, doit: Run) -> Iterator[Project]:
    """``doit`` is asked for since it puts a dodo.py there."""
    made = Project(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# Debian's ROMs, compressed anew


@pytest.mark.slow
@pytest.mark.parametrize("suite", list(debian.KNOWN))
def test_debians_roms_compressed_anew_hold_the_same_in_less(
    project: Project, releases: dict[str, Path], suite: str
):
    """They have no fault. Only their drivers differ from those of ROMs that are not compressed.

    Eight ROMs of the oldest release, and two of the others, which are smaller already.
    """
    nics: tuple[str, ...] = ("e1000", "virtio")
    least = 1000
    if suite == "bookworm":
        nics = debian.NICS
        least = 500_000
    project.spec(
        nics,
        {"plain": "fix_ids = true\n", "small": "fix_ids = true\n" + RECOMPRESS},
        roms=releases[suite],
    )
    project.build()
    saved = 0
    for nic in nics:
        before, after = project.rom(f"plain/{nic}.rom"), project.rom(f"small/{nic}.rom")
        assert rom_check.find_faults(after) == []
        assert len(after) <= len(before)
        saved += len(before) - len(after)
        (legacy, was), (same, now) = images(before), images(after)
        assert same == legacy
        assert same_driver(was, now)
        assert is_compressed(now)
        assert option_rom.checksum(now.data) == option_rom.checksum(was.data) == 0
        assert now.ids == was.ids
        assert now.is_last
        entry = next(
            one
            for one in json.loads((project.out / "small.manifest.json").read_bytes())["roms"]
            if one["nic"] == nic
        )
        place = now.header.efi_image_offset  # type: ignore[union-attr]
        assert entry["images"][1]["stream"] == decoder.sizes(now.data, place)[0]
    assert saved > least
    assert project.compressed() == len(nics)


@pytest.mark.slow
def test_recompress_of_a_target_or_of_a_platform_compresses_that_alone(project: Project):
    """A target compresses all its EFI images, a platform its images in all targets.

    Legacy images do not change.
    """
    foreign = driver(machine=builders.ARM64)
    efi = builders.efi(driver(), last=False) + builders.efi(foreign, machine=builders.ARM64)
    project.put("e1000", builders.legacy(last=False) + efi)
    three = 'images = ["pcbios", "x86_64-efi", "arm64-efi"]\n'
    arm = "[platform.arm64-efi]\n"
    cases = {
        "neither": ("", "", [False, False], [False, False]),
        "target": ("", RECOMPRESS, [False, False], [True, True]),
        "platform": ("recompress = true\n", FAST, [True, False], [True, False]),
    }
    for platform, keys, plain, small in cases.values():
        project.spec(targets={"plain": three, "small": three + keys}, platform=platform + arm)
        project.build()
        for name, wanted in (("plain", plain), ("small", small)):
            legacy, *others = images(project.rom(f"{name}/e1000.rom"))
            assert [is_compressed(image) for image in others] == wanted
            assert [option_rom.driver_of(image).rstrip(b"\0") for image in others] == [
                driver(),
                foreign,
            ]
            assert legacy == images(rom(driver()))[0]


@pytest.mark.slow
def test_a_driver_that_does_not_compress_stays_as_it_is(project: Project):
    """Byte for byte, whether it is stored or already compressed as well as possible.

    A driver whose compression would save no block stays, too.
    """
    small = stubborn()
    project.put("e1000", rom(small))
    project.put(
        "pcnet",
        builders.legacy(PciId(0x1022, 0x2000), last=False)
        + builders.compressed_efi(encoder.compress(driver(), "best"), PciId(0x1022, 0x2000)),
    )
    barely = builders.driver(size=160) + random.Random(1).randbytes(380)
    project.put("rtl8139", rom(barely, RTL8139))
    project.spec(("e1000", "pcnet", "rtl8139"))
    project.build()
    for nic in ("e1000", "pcnet", "rtl8139"):
        assert project.rom(f"small/{nic}.rom") == (project.top / f"roms/{nic}.rom").read_bytes(), (
            nic
        )
    assert len(encoder.compress(barely)) < len(barely)
    assert len(builders.compressed_efi(encoder.compress(barely))) == len(builders.efi(barely))


def structures_behind(what: str) -> bytes:
    """A sound EFI image that has its PCI Data Structure or a device list behind the driver."""
    content = driver()
    image = builders.efi(content + bytes(512))
    place = builders.DRIVER + len(content)
    if what == "device list":
        image = builders.changed(image, place, bytes.fromhex("0e1034120000"))
        distance = place - builders.PCIR
        image = builders.with_field(
            image, option_rom.PciDataStructure, builders.PCIR, device_list_pointer=distance
        )
    else:
        image = builders.changed(
            image, place, builders.pcir(E1000, len(image) // 512, image_kind.EFI, True)
        )
        image = builders.with_field(image, EfiHeader, 0, pcir_pointer=place)
    assert rom_check.find_faults(image) == []
    return image


@pytest.mark.slow
@pytest.mark.parametrize("what", ["PCI Data Structure", "device list"])
def test_an_image_with_a_structure_behind_the_driver_stays_sound(project: Project, what: str):
    """Compressed anew or not, it has the same driver, IDs and devices, and no fault."""
    image = structures_behind(what)
    project.put("e1000", builders.legacy(last=False) + image)
    project.spec()
    project.build()
    assert rom_check.find_faults(project.rom()) == []
    (was,) = images(image)
    assert option_rom.driver_of(project.efi()).startswith(driver())
    assert (project.efi().ids, option_rom.device_list(project.efi())) == (
        was.ids,
        option_rom.device_list(was),
    )


@pytest.mark.slow
def test_a_level_of_stored_goes_without_recompress(project: Project):
    project.put("e1000", rom(driver()))
    project.spec(targets={"small": 'level = "stored"\nrecompress = true\n'})
    status, output = project.run(["romforge", "check"])
    assert status == 2
    assert 'target.small.recompress: cannot be used with the level "stored"' in output
    project.spec(targets={"small": 'level = "stored"\n'}, platform="recompress = true\n")
    project.build()
    assert project.rom() == rom(driver())
    assert project.compressed() == 0
    project.spec(targets={"small": 'level = "fastest"\n'})
    status, output = project.run(["romforge", "check"])
    assert status == 2
    assert 'write "stored", "fast", "default" or "best"' in output


TREE = """spec = 1
[source.ipxe]
tree = "tree"
[platform.x86_64-efi]
[nic.e1000]
id = "8086:100e"
[nic.pcnet]
id = "1022:2000"
"""


@pytest.mark.slow
def test_images_of_a_tree_are_compressed_or_stored_as_each_target_says(project: Project):
    """By default they are compressed; at the level "stored" they are as make left them.

    After a change of a source only its own driver is compressed again.
    """
    shutil.copytree(
        TOP / "vendor/minipxe", project.top / "tree", ignore=shutil.ignore_patterns("bin*", "zbin")
    )
    levels = {"normal": "", "quick": FAST, "stored": 'level = "stored"\n'}
    targets = [
        f'[target.{name}]\ndir = "{name}"\nfile = "{{nic}}.rom"\nimages = ["x86_64-efi"]\n{keys}'
        for name, keys in levels.items()
    ]
    (project.top / "romspec.toml").write_text(TREE + "".join(targets))
    project.build(SOURCE_DATE_EPOCH="1700000000")
    assert project.compressed() == 4
    drivers = {}
    for nic in ("e1000", "pcnet"):
        (left,) = project.out.glob(f".romforge/tree/ipxe/**/{IDS[nic].replace(':', '')}.efidrv")
        drivers[nic] = left.read_bytes()
        ids = project.efi(f"stored/{nic}.rom").ids
        assert project.rom(f"stored/{nic}.rom") == efi_image.wrap_driver(drivers[nic], ids)
        for name, level in (("normal", "default"), ("quick", "fast")):
            image = project.efi(f"{name}/{nic}.rom")
            assert (
                image.data
                == option_rom.repacked(
                    project.efi(f"stored/{nic}.rom"), encoder.compress(drivers[nic], level)
                ).data
            )
            assert len(image.data) < len(project.rom(f"stored/{nic}.rom"))
            assert rom_check.find_faults(image.data) == []

    source = project.top / "tree/src/drivers/net/intel.c"
    text = source.read_text()
    assert "Intel 82540EM" in text
    source.write_text(text.replace("Intel 82540EM", "Intel 82540EX"))
    project.build(SOURCE_DATE_EPOCH="1700000000")
    assert project.compressed() == 2
    assert b"82540EX" in option_rom.driver_of(project.efi("normal/e1000.rom"))
    assert option_rom.driver_of(project.efi("normal/pcnet.rom")) == drivers["pcnet"]


# The cache


@pytest.mark.slow
def test_a_driver_is_compressed_once_for_all_roms_that_hold_it(project: Project):
    """Two NICs, sources, platforms and targets; later builds compress only what is new."""
    project.put("e1000", rom(driver()))
    project.put("rtl8139", rom(driver(), RTL8139))
    project.put("e1000", rom(driver()) + b"\xff" * 512, "others")
    project.put("rtl8139", rom(driver(), RTL8139) + b"\xff" * 512, "others")
    others = (
        '[source.others]\nroms = "others"\nfiles = ["{nic}.rom"]\n'
        '[platform.x86_64-efi-sb]\nsource = "others"\n'
    )
    targets = {
        "small": RECOMPRESS + 'source = "roms"\n',
        "again": RECOMPRESS + 'source = "roms"\n',
        "other": RECOMPRESS + 'source = "roms"\nimages = ["pcbios", "x86_64-efi-sb"]\n',
    }
    nics = "e1000", "rtl8139"
    project.spec(nics, targets, extra=others)
    project.build()
    assert project.compressed() == 1
    (kept,) = project.cache.iterdir()
    stamp = kept.stat().st_mtime_ns
    right = {path: path.read_bytes() for path in project.out.glob("*/*.rom")}
    assert len(right) == 6
    assert all(is_compressed(images(data)[1]) for data in right.values())

    other_legacy = builders.legacy(last=False, blocks=3)
    project.put("e1000", other_legacy + builders.efi(driver()))
    project.build()
    assert len(images(project.rom())[0].data) == 1536
    for path in (*right, project.out / ".romforge/state.json"):
        path.unlink()
    project.build()
    assert project.compressed() == 0
    assert kept.stat().st_mtime_ns == stamp

    project.put("rtl8139", rom(driver("other"), RTL8139))
    project.build()
    assert project.compressed() == 1
    project.spec(
        nics,
        {**targets, "again": 'level = "default"\nrecompress = true\nsource = "roms"\n'},
        extra=others,
    )
    project.build()
    assert project.compressed() == 2
    assert kept.stat().st_mtime_ns == stamp


def damages(kept: bytes) -> dict[str, bytes]:
    whole = encoder.compress(b"another driver")
    return {
        "empty": b"",
        "cut": kept[:-9],
        "cut in the digest": kept[:40],
        "a bit": kept[:-50] + bytes([kept[-50] ^ 1]) + kept[-49:],
        "longer": kept + b"\0",
        "zeros": bytes(len(kept)),
        "another stream under its digest": kept[:65] + whole,
        "no text": b"\xff\xfe" * 40,
    }


@pytest.mark.slow
def test_a_damaged_stream_in_the_cache_is_made_anew(project: Project):
    project.put("e1000", rom(driver()))
    project.spec()
    project.build()
    right = project.rom()
    (kept,) = project.cache.iterdir()
    content = kept.read_bytes()
    assert project.compressed() == 1
    for name, damaged in damages(content).items():
        kept.write_bytes(damaged)
        (project.out / "small/e1000.rom").unlink()
        project.build()
        assert project.rom() == right, name
        assert kept.read_bytes() == content, name
        assert project.compressed() == 1, name
    (project.out / "small/e1000.rom").unlink()
    kept.unlink()
    kept.symlink_to(project.top / "nowhere")
    project.build()
    assert project.rom() == right
    assert not (project.top / "nowhere").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["doit, threads", "romforge build, jobs"])
def test_two_roms_that_need_the_same_driver_at_once_have_it_compressed_once(
    project: Project, command: str
):
    """The second waits for the first, which is held up."""
    project.put("e1000", rom(driver()))
    project.put("rtl8139", rom(driver(), RTL8139))
    project.spec(("e1000", "rtl8139"))
    project.build(COMMANDS[command], **project.noted(0.7))
    assert project.compressed() == 1
    assert project.efi().data[0x40:] == project.efi("small/rtl8139.rom").data[0x40:]


@pytest.mark.slow
@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_way_to_build_gives_the_same_bytes(project: Project, command: str):
    """Also where workers are processes, which share no locks."""
    project.put("e1000", rom(driver()))
    project.put("rtl8139", rom(driver(), RTL8139))
    project.put("pcnet", rom(driver("other"), PciId(0x1022, 0x2000)))
    project.spec(("e1000", "rtl8139", "pcnet"))
    project.build(COMMANDS[command])
    for nic, ids, words in (
        ("e1000", E1000, "words"),
        ("rtl8139", RTL8139, "words"),
        ("pcnet", PciId(0x1022, 0x2000), "other"),
    ):
        stored = images(rom(driver(words), ids))[1]
        stream = encoder.compress(option_rom.driver_of(stored), "fast")
        assert (
            project.rom(f"small/{nic}.rom")
            == builders.legacy(ids, last=False) + option_rom.repacked(stored, stream).data
        )


@pytest.fixture
def five(project: Project) -> Project:
    """A project of five drivers."""
    nics = "e1000", "e1000e", "pcnet", "rtl8139", "vmxnet3"
    for nic in nics:
        vendor, device = (int(part, 16) for part in IDS[nic].split(":"))
        project.put(nic, rom(driver(nic), PciId(vendor, device)))
    project.spec(nics)
    return project


def peak(notes: list[str]) -> int:
    """How many processes there were at once; all of them have ended."""
    now = most = 0
    for note in notes:
        now += 1 if note.startswith("begin") else -1
        most = max(most, now)
    assert now == 0
    return most


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_as_many_drivers_are_compressed_at_once_as_there_are_jobs(five: Project, jobs: int):
    five.build(["romforge", "build", "--jobs", str(jobs)], **five.noted(0.1, together=jobs))
    assert peak(five.notes()) == jobs


@pytest.mark.slow
def test_compression_takes_its_jobs_from_the_pool_of_the_make_above(five: Project):
    """A make with two jobs to share, and a doit that would run four tasks at once."""
    (five.top / "Makefile").write_text(f"all:\n\t+{sys.executable} -m doit\n")
    environment = users({**five.noted(0.1, together=2), "DEB_BUILD_OPTIONS": "parallel=4"})
    clean = {
        key: value for key, value in environment.items() if not key.startswith(("MAKE", "MFLAGS"))
    }
    done = subprocess.run(
        ["make", "-j2"], cwd=five.top, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "5 built" in done.stdout
    assert peak(five.notes()) == 2


@pytest.mark.slow
def test_how_far_compression_has_come_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    """The rounds of the process at work, and nothing when it is done."""
    lines = set()

    class Watched(dict[str, str]):
        def __setitem__(self, name: str, text: str) -> None:
            super().__setitem__(name, text)
            lines.add(compression_cache.compressing_line())

    monkeypatch.setattr(compression_cache, "_progress", Watched())
    content = option_rom.driver_of(images(e1000)[1])[:20_000] + builders.SIMPLE_NETWORK
    output_files.prepare_root(project.out)
    assert compression_cache.compress_cached(content, "default", project.out) == encoder.compress(
        content
    )
    assert lines
    assert all(re.fullmatch(r"compressing: round [1-9] of \d+", text) for text in lines)
    assert compression_cache.compressing_line() == ""


# What goes wrong

BROKEN = {
    "it cannot begin": "exit 3",
    "it is killed": "kill -9 $$",
    "it ends before it has read": "echo no >&2; exec 0<&-; exit 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", list(BROKEN))
def test_a_process_that_fails_fails_its_rom_alone_and_in_words(
    project: Project, e1000: bytes, broken: str
):
    """With a driver larger than a pipe holds. The next run, where it does not fail, is right."""
    content = option_rom.driver_of(images(e1000)[1])
    project.put("e1000", rom(content + bytes(70_000)))
    project.put("rtl8139", rom(stubborn(), RTL8139))
    project.spec(("e1000", "rtl8139"))
    project.build(["doit", "nic:rtl8139"])
    (project.out / "small/rtl8139.rom").unlink()
    code = f"""
from romforge.base import programs
programs.pdeathsig_prefix = lambda: ["sh", "-c", {BROKEN[broken]!r}, "--"]
"""
    status, output = project.run(["doit"], **project.patched(code))
    assert status == 1, output
    assert not (project.out / "small/e1000.rom").exists()
    assert "compress" in output
    assert project.rom("small/rtl8139.rom") == rom(stubborn(), RTL8139)
    project.build()
    assert same_driver(project.efi(), images(rom(content))[1])
    assert is_compressed(project.efi())


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_told(project: Project):
    project.put("e1000", rom(driver()))
    project.spec()
    project.cache.parent.mkdir(parents=True)
    project.cache.write_text("")
    status, output = project.run(["doit"])
    assert status == 1
    assert "compressed" in output
    assert "cannot be written" in output
    project.cache.unlink()
    project.build()
    assert is_compressed(project.efi())


TWO = {"e1000": E1000, "rtl8139": RTL8139}


def compress_two(project: Project, releases: dict[str, Path], level: str) -> None:
    """A spec of parts of two drivers of bookworm: fast takes a quarter of a second for each."""
    for nic, ids in TWO.items():
        project.put(nic, rom(part_of_driver(releases, nic), ids))
    keys = f'level = "{level}"\nrecompress = true\n'
    project.spec(tuple(TWO), targets={"small": keys})


def part_of_driver(releases: dict[str, Path], nic: str) -> bytes:
    image = images((releases["bookworm"] / f"efi-{nic}.rom").read_bytes())[1]
    return option_rom.driver_of(image)[:30_000] + builders.SIMPLE_NETWORK


@functools.lru_cache
def fast(content: bytes) -> bytes:
    return encoder.compress(content, "fast")


def check_right(project: Project, releases: dict[str, Path]) -> None:
    """A build does, its ROMs are right, and nothing is left of what was begun."""
    compress_two(project, releases, "fast")
    project.build()
    for nic, ids in TWO.items():
        legacy, stored = images(rom(part_of_driver(releases, nic), ids))
        small = option_rom.repacked(stored, fast(option_rom.driver_of(stored)))
        assert project.rom(f"small/{nic}.rom") == legacy.data + small.data
        assert rom_check.find_faults(project.rom(f"small/{nic}.rom")) == []
    assert list((project.out / ".romforge/tmp").iterdir()) == []
    assert len(list(project.cache.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("group", [True, False], ids=["to all, as by ^C", "to the build alone"])
@pytest.mark.parametrize("command", ["doit", "doit, processes", "romforge build, jobs"])
def test_an_interrupt_while_compressing_ends_all_and_soon(
    project: Project, releases: dict[str, Path], command: str, group: bool
):
    """Status 130, words, no process that goes on for ever, no ROM; and the next run is right."""
    compress_two(project, releases, "best")
    process = project.start(*COMMANDS[command], **project.endless())
    project.wait_for(project.begun.exists, process)
    os.killpg(process.pid, signal.SIGINT) if group else os.kill(process.pid, signal.SIGINT)
    status, output = project.end(process)
    assert status == 130, output
    assert "romforge: interrupted" in output
    left = all_gone(project.alive)
    assert not left, f"still at work: {left}"
    assert not list(project.out.glob("small/*.rom"))
    check_right(project, releases)


def kill_a_worker(project: Project, process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        for one in project.workers()[:1]:
            os.kill(one, signal.SIGKILL)


def kill_all(project: Project, process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


KILLS: dict[str, Callable[[Project, subprocess.Popen[str]], None]] = {
    "the build": lambda project, process: process.kill(),
    "all": kill_all,
    "a worker": kill_a_worker,
}


@pytest.mark.slow
@pytest.mark.parametrize("victim", list(KILLS))
@pytest.mark.parametrize("command", ["doit, threads", "doit, processes"])
def test_a_kill_while_compressing_leaves_nothing_behind_and_the_next_run_right(
    project: Project, releases: dict[str, Path], command: str, victim: str
) -> None:
    """A worker ends with its build; a build whose worker is killed says so and ends with status 1.

    Whether that goes on for ever, or as it would and so may have ended before.
    """
    dice = random.Random(f"{command} {victim}")
    compress_two(project, releases, "fast")
    for endless in (True, False):
        shutil.rmtree(project.out, ignore_errors=True)
        process = project.start(*COMMANDS[command], **(project.endless() if endless else {}))
        project.wait_for(project.workers, process)
        time.sleep(dice.random() * 0.4)
        KILLS[victim](project, process)
        while victim == "a worker" and endless and process.poll() is None:
            KILLS[victim](project, process)
            time.sleep(0.02)
        status, output = project.end(process)
        if status or endless:
            assert status == (1 if victim == "a worker" else -signal.SIGKILL), output
            assert victim != "a worker" or "the compression failed with status -9" in output
        left = all_gone(project.alive)
        assert not left, f"still at work: {left}"
    check_right(project, releases)


# The commands


@pytest.mark.slow
def test_compress_and_decompress_give_back_the_same_bytes(
    romforge: Run, tmp_path: Path, e1000: bytes
):
    """At each level; and EDK2 reads what comes out."""
    cases = {
        "driver": option_rom.driver_of(images(e1000)[1])[:9000],
        "nothing": b"",
        "byte": b"x",
        "run": b"x" * 3000,
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        for level in ((), ("--level", "fast"), ("--level", "best")):
            done = romforge("compress", *level, name, "stream")
            stream = (tmp_path / "stream").read_bytes()
            assert (done.returncode, done.stdout) == (
                0,
                f"stream: {len(data):,} bytes compressed to {len(stream):,}\n",
            ), done.stderr
            assert stream == encoder.compress(data, level[1] if level else "default")
            assert bytes(independent.EfiDecompress(stream, len(stream))) == data
            done = romforge("decompress", "stream", "again")
            assert (done.returncode, done.stdout) == (0, f"again: {len(data):,} bytes\n")
            assert (tmp_path / "again").read_bytes() == data


def test_compress_may_write_over_what_it_read(romforge: Run, tmp_path: Path):
    (tmp_path / "file").write_bytes(driver())
    assert romforge("compress", "--level", "fast", "file", "file").returncode == 0
    assert (tmp_path / "file").read_bytes() == encoder.compress(driver(), "fast")
    assert romforge("decompress", "file", "file").returncode == 0
    assert (tmp_path / "file").read_bytes() == driver()


def test_decompress_reads_debians_streams_and_what_lies_behind_is_told(
    romforge: Run, tmp_path: Path, e1000: bytes
):
    """Padding is not worth a word, anything else is."""
    image = images(e1000)[1]
    assert isinstance(image.header, EfiHeader)
    begin = image.header.efi_image_offset
    end = begin + decoder.HEADER.size + decoder.sizes(image.data, begin)[0]
    (tmp_path / "stream").write_bytes(image.data[begin:end] + bytes(200))
    done = romforge("decompress", "stream", "driver")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "driver").read_bytes() == option_rom.driver_of(image)
    (tmp_path / "more").write_bytes(encoder.compress(b"some") + b"\0\0more\0")
    done = romforge("decompress", "more", "some")
    assert done.returncode == 0
    assert "more: 4 bytes after the compressed data are left out" in done.stderr
    assert (tmp_path / "some").read_bytes() == b"some"


def test_efirom_compresses_where_that_makes_the_image_smaller(
    romforge: Run, tmp_path: Path, e1000: bytes
):
    """At the chosen level. Firmware and inspect accept the image, and it holds the driver."""
    content = option_rom.driver_of(images(e1000)[1])[:20_000] + builders.SIMPLE_NETWORK
    (tmp_path / "in.efi").write_bytes(content)
    (tmp_path / "stubborn.efi").write_bytes(stubborn())
    stored = efi_image.wrap_driver(content, E1000)
    for options, level in (((), "default"), (("--level", "fast"), "fast")):
        done = romforge("efirom", *options, "--id", "8086:100e", "in.efi", "out.rom")
        image = (tmp_path / "out.rom").read_bytes()
        assert (
            done.stdout
            == f"out.rom: x86_64 image of {len(image):,} bytes ({len(image):#x}), 8086:100e\n"
        )
        assert (
            image
            == option_rom.repacked(
                option_rom.parse_image(stored), encoder.compress(content, level)
            ).data
        )
        assert len(image) < len(stored)
        assert rom_check.find_faults(image) == []
        assert option_rom.checksum(image) == 0
        assert option_rom.driver_of(option_rom.parse_image(image)) == content
    assert romforge("efirom", "--stored", "--id", "8086:100e", "in.efi", "out.rom").returncode == 0
    assert (tmp_path / "out.rom").read_bytes() == stored
    assert romforge("efirom", "--id", "8086:100e", "stubborn.efi", "out.rom").returncode == 0
    assert (tmp_path / "out.rom").read_bytes() == efi_image.wrap_driver(stubborn(), E1000)


GOOD = encoder.compress(b"words, and more words", "fast")
FILES = {
    "good": GOOD,
    "data": b"words",
    "in.efi": driver(),
    "nothing": b"",
    "short": GOOD[:7],
    "cut": GOOD[:-9],
    "cut and told": decoder.HEADER.pack(len(GOOD) - 17, 21) + GOOD[8:-9],
    "text": b"some text that is no stream, but long enough to be one",
    "liar": decoder.HEADER.pack(len(GOOD) - 8, 30 << 20) + GOOD[8:],
    "zeros": bytes(100),
}
BAD = [
    ("compress absent x", 1, "absent: cannot be read: No such file or directory"),
    ("compress . x", 1, ".: cannot be read: Is a directory"),
    ("compress large x", 1, "large: is larger than any option ROM, 16384 KiB"),
    ("compress data no/such/x", 1, "no/such/x: cannot be written: No such file or directory"),
    ("compress data directory", 1, "directory: cannot be written: Is a directory"),
    ("compress data data/x", 1, "data/x: cannot be written: Not a directory"),
    (
        "compress --level fastest data x",
        2,
        '"fastest" is none of its values (did you mean "fast"?)',
    ),
    ("compress --level stored data x", 2, '"stored" is none of its values'),
    ("compress data", 2, "the following arguments are required: OUT"),
    ("compress", 2, "the following arguments are required: IN, OUT"),
    ("decompress absent x", 1, "absent: cannot be read: No such file or directory"),
    ("decompress . x", 1, ".: cannot be read: Is a directory"),
    ("decompress large x", 1, "large: is larger than any option ROM, 16384 KiB"),
    (
        "decompress nothing x",
        1,
        "nothing: offset 0x0 (0): the compressed stream has no room for its 8-byte header",
    ),
    (
        "decompress short x",
        1,
        "short: offset 0x0 (0): the compressed stream has no room for its 8-byte header",
    ),
    ("decompress cut x", 1, "cut: offset 0x0 (0): the compressed size"),
    ("decompress cut-and-told x", 1, "the compressed stream is corrupted"),
    ("decompress text x", 1, "text: offset 0x0 (0): the compressed size"),
    ("decompress liar x", 1, "liar: offset 0x4 (4): the original size 31,457,280 bytes"),
    ("decompress good no/such/x", 1, "no/such/x: cannot be written: No such file or directory"),
    ("decompress good directory", 1, "directory: cannot be written: Is a directory"),
    ("decompress --level fast good x", 2, "unrecognized arguments"),
    ("decompress good", 2, "the following arguments are required: OUT"),
    (
        "efirom --id 8086:100e --level fastest in.efi x",
        2,
        '"fastest" is none of its values (did you mean "fast"?)',
    ),
    ("efirom --id 8086:100e --level fast --stored in.efi x", 2, "not allowed with argument"),
    ("efirom --id 8086:100e absent x", 1, "absent: cannot be read"),
    ("efirom --id 8086:100e . x", 1, ".: is not a file"),
    (
        "efirom --id 8086:100e large x",
        1,
        "16,777,217 bytes are too many for an option ROM, which has at most 16384 KiB",
    ),
    ("efirom --id 8086:100e text x", 1, "text: offset 0x0 (0): "),
    (
        "efirom --id 8086:100e in.efi no/such/x",
        1,
        "no/such/x: cannot be written: No such file or directory",
    ),
]


@pytest.mark.parametrize(
    ("command", "status", "words"), BAD, ids=[command for command, _, _ in BAD]
)
def test_bad_input_is_told_in_words(
    romforge: Run, tmp_path: Path, command: str, status: int, words: str
):
    """And nothing is written."""
    for name, data in FILES.items():
        (tmp_path / name.replace(" ", "-")).write_bytes(data)
    (tmp_path / "directory").mkdir()
    with (tmp_path / "large").open("wb") as large:
        large.truncate((16 << 20) + 1)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = romforge(*command.split())
    assert words in done.stderr
    assert done.returncode == status
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.slow
def test_an_interrupt_of_compress_leaves_no_file(project: Project, releases: dict[str, Path]):
    """Status 130, no traceback, no half a stream, and what was there before is unchanged."""
    content = option_rom.driver_of(images((releases["bookworm"] / "efi-e1000.rom").read_bytes())[1])
    (project.top / "driver").write_bytes(content)
    (project.top / "stream").write_text("before")
    before = sorted(path.name for path in project.top.iterdir())
    process = project.start(
        "romforge", "compress", "--level", "best", "driver", "stream", **project.endless()
    )
    project.wait_for(project.begun.exists, process)
    process.send_signal(signal.SIGINT)
    status, output = project.end(process)
    assert (status, output) == (130, "romforge: interrupted\n")
    project.begun.unlink()
    shutil.rmtree(project.top / "site")
    assert sorted(path.name for path in project.top.iterdir()) == before
    assert (project.top / "stream").read_text() == "before"
