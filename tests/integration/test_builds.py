# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds, one ROM at a time: what is redone, what the manifest holds, what a failure reports."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.support import debian
from tests.support.project import Run, run, spec_text

IDS = {
    "e1000": "8086:100e",
    "e1000e": "8086:10d3",
    "eepro100": "8086:1229",
    "ne2k_pci": "10ec:8029",
    "pcnet": "1022:2000",
    "rtl8139": "10ec:8139",
    "virtio": "1af4:1041",
    "vmxnet3": "15ad:07b0",
}
THREE = ("e1000", "pcnet", "vmxnet3")
QEMU = Path("out/usr/share/qemu")


def nics(names: tuple[str, ...] = THREE, **other: str) -> str:
    """NICs as ``spec_text`` takes them, with ``other`` IDs for some."""
    return "\n".join(f'{name} = "{(IDS | other)[name]}"' for name in names)


def counts(done: CompletedProcess[str]) -> tuple[int, int, int]:
    """Failed, built and up to date, from a build's last line."""
    last = done.stdout.splitlines()[-1]
    match = re.fullmatch(r"(?:([\d,]+) failed, )?(\d+) built, (\d+) up to date, in \S+", last)
    assert match, done.stdout + done.stderr
    return int(match[1] or 0), int(match[2]), int(match[3])


class Project:
    """A directory with a spec, ROMs of its own to build from, and the build's two commands."""

    def __init__(self, top: Path, doit: Run, romforge: Run, roms: Path) -> None:
        self.top, self.doit, self.romforge = top, doit, romforge
        self.roms = top / "roms"
        shutil.copytree(roms, self.roms)

    def write(self, text: str) -> None:
        (self.top / "romspec.toml").write_text(text)

    def build(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        done = self.doit(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def counts(self, *arguments: str) -> tuple[int, int, int]:
        return counts(self.build(*arguments))

    def states(self) -> dict[str, tuple[int, ...]]:
        """What tells whether a ROM file was written anew."""
        times = {path: path.stat() for path in (self.top / "out").rglob("*.rom")}
        return {
            path.name: (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) for path, now in times.items()
        }

    def rewritten(self, act: Callable[[], object]) -> set[str]:
        """The ROM files that ``act`` writes anew."""
        before = self.states()
        act()
        return {name for name, state in self.states().items() if before.get(name) != state}

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.top / QEMU).iterdir()}

    def manifest(self, target: str) -> Any:
        return json.loads((self.top / "out" / f"{target}.manifest.json").read_text())


@pytest.fixture
def project(tmp_path: Path, doit: Run, romforge: Run, releases: dict[str, Path]) -> Project:
    """Three NICs times two targets, not built yet; its sources are those of sid."""
    made = Project(tmp_path, doit, romforge, releases["sid"])
    made.write(spec_text(made.roms, nics=nics()))
    return made


@pytest.fixture
def built(project: Project) -> Project:
    assert project.counts() == (0, 6, 0)
    return project


def test_nothing_is_redone_where_nothing_changed(built: Project):
    assert built.rewritten(built.build) == set()
    assert built.counts() == (0, 0, 6)
    assert counts(built.romforge("build")) == (0, 0, 6)


def test_a_quiet_build_says_what_is_wrong_alone(project: Project):
    done = project.romforge("build", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((project.top / QEMU).iterdir())) == 2 * len(THREE)
    done = project.romforge("build", "-q", "--json")
    assert json.loads(done.stdout)["roms"]
    spec = project.top / "romspec.toml"
    spec.write_text(spec.read_text().replace('"256KiB"', '"64KiB"'))
    done = project.romforge("build", "-q")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count(" over its bucket of 64 KiB") == len(THREE)


def test_json_lists_the_same_entries_as_the_manifests(built: Project):
    entries = json.loads(built.romforge("build", "--json").stdout)["roms"]
    listed = [entry for target in ("efi", "pxe") for entry in built.manifest(target)["roms"]]
    assert sorted(entries, key=lambda entry: str(entry["file"])) == sorted(
        listed, key=lambda entry: str(entry["file"])
    )
    assert len(entries) == 6


def test_another_id_of_a_nic_redoes_that_nic_alone(project: Project):
    fixed = (
        spec_text(project.roms, nics=nics())
        .replace("[target.", "fix_ids = true\n[target.")
        .replace("pad = false\nfix_ids = true", "pad = false")
    )
    project.write(fixed + "fix_ids = true\n")
    assert project.counts() == (0, 6, 0)
    project.write(fixed.replace("1022:2000", "1022:2001") + "fix_ids = true\n")
    done: list[CompletedProcess[str]] = []
    assert project.rewritten(lambda: done.append(project.build())) == {
        "efi-pcnet.rom",
        "pxe-pcnet.rom",
    }
    assert counts(done[0]) == (0, 2, 4)


def test_another_bucket_redoes_its_target_alone(built: Project):
    built.write(spec_text(built.roms, nics=nics()).replace('"256KiB"', '"512KiB"'))
    done: list[CompletedProcess[str]] = []
    assert built.rewritten(lambda: done.append(built.build())) == {
        f"efi-{nic}.rom" for nic in THREE
    }
    assert counts(done[0]) == (0, 3, 3)
    assert {len(data) for name, data in built.bytes().items() if name.startswith("efi")} == {
        512 << 10
    }


@pytest.mark.exact_bytes("sid")
def test_another_input_redoes_what_is_made_of_it(built: Project, releases: dict[str, Path]):
    before = built.bytes()
    shutil.copy(releases["trixie"] / "efi-e1000.rom", built.roms)
    done: list[CompletedProcess[str]] = []
    assert built.rewritten(lambda: done.append(built.build())) == {"efi-e1000.rom", "pxe-e1000.rom"}
    assert counts(done[0]) == (0, 2, 4)
    assert (
        built.bytes()["efi-e1000.rom"]
        == (releases["trixie"] / "efi-e1000.rom").read_bytes()
        != before["efi-e1000.rom"]
    )


def test_an_input_touched_or_copied_over_itself_redoes_nothing(built: Project):
    shutil.copy(built.roms / "efi-e1000.rom", built.top / "copy")
    (built.top / "copy").replace(built.roms / "efi-e1000.rom")
    os.utime(built.roms / "efi-pcnet.rom")
    assert built.counts() == (0, 0, 6)


def test_an_input_that_is_not_read_redoes_nothing(built: Project):
    (built.roms / "pxe-e1000.rom").write_bytes(b"no ROM at all")
    (built.roms / "efi-rtl8139.rom").unlink()
    assert built.counts() == (0, 0, 6)


def test_an_input_that_comes_up_earlier_in_the_search_is_taken(
    project: Project, releases: dict[str, Path]
):
    (project.roms / "efi-e1000.rom").rename(project.roms / "8086100e.rom")
    project.write(spec_text(project.roms))
    assert project.counts() == (0, 2, 0)
    shutil.copy(releases["trixie"] / "efi-e1000.rom", project.roms)
    assert project.counts() == (0, 2, 0)
    assert project.bytes()["efi-e1000.rom"] == (releases["trixie"] / "efi-e1000.rom").read_bytes()


def test_comments_blanks_and_order_of_the_spec_redo_nothing(built: Project):
    text = spec_text(built.roms, nics=nics())
    tables = re.split(r"\n(?=\[)", text.removeprefix("spec = 1\n"))
    bodies = [table.split("\n", 1) for table in tables]
    turned = [
        "\n".join([head, *reversed(rest[0].strip().splitlines())]) if rest else head
        for head, *rest in bodies
    ]
    built.write(
        "# a comment\n  spec  =  1 # the first\n\n\n" + "\n\n# more\n".join(reversed(turned)) + "\n"
    )
    assert built.rewritten(built.build) == set()
    assert built.counts() == (0, 0, 6)


def test_a_deleted_output_is_redone_and_no_other(built: Project):
    before = built.bytes()
    (built.top / QEMU / "pxe-pcnet.rom").unlink()
    done: list[CompletedProcess[str]] = []
    assert built.rewritten(lambda: done.append(built.build())) == {"pxe-pcnet.rom"}
    assert counts(done[0]) == (0, 1, 5)
    assert built.bytes() == before


@pytest.mark.parametrize(
    "settle", [True, False], ids=["with its old mtime", "in place, right after the build"]
)
def test_an_altered_output_is_redone_and_no_other(built: Project, settle: bool):
    """Same size, one bit: the file keeps its inode, and its mtime where it is set back."""
    before = built.bytes()
    path = built.top / QEMU / "efi-e1000.rom"
    if not settle:
        path.unlink()
        built.build()
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 1]))
    if settle:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert path.stat().st_ino == times.st_ino
    done: list[CompletedProcess[str]] = []
    assert built.rewritten(lambda: done.append(built.build())) == {"efi-e1000.rom"}
    assert counts(done[0]) == (0, 1, 5)
    assert built.bytes() == before


def test_a_removed_nic_takes_its_files_along_and_nothing_else(built: Project):
    own = built.top / QEMU / "efi-mine.rom"
    own.write_bytes(b"the user's own")
    built.write(spec_text(built.roms, nics=nics(("e1000", "vmxnet3"))))
    assert built.counts() == (0, 0, 4)
    assert set(built.bytes()) == {"efi-mine.rom"} | {
        f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in ("e1000", "vmxnet3")
    }
    assert [entry["nic"] for entry in built.manifest("efi")["roms"]] == ["e1000", "vmxnet3"]
    assert own.read_bytes() == b"the user's own"


def test_a_removed_nics_file_stays_where_a_user_has_put_another_in_its_place(built: Project):
    (built.top / QEMU / "efi-pcnet.rom").write_bytes(b"the user's own")
    built.write(spec_text(built.roms, nics=nics(("e1000", "vmxnet3"))))
    built.build()
    assert (built.top / QEMU / "efi-pcnet.rom").read_bytes() == b"the user's own"
    assert not (built.top / QEMU / "pxe-pcnet.rom").exists()


def test_a_nic_removed_after_it_failed_takes_its_file_along(built: Project):
    """The entry of a failed ROM must not forget the file that an earlier build left."""
    (built.roms / "efi-pcnet.rom").write_bytes(b"no ROM")
    assert counts(built.doit()) == (2, 0, 4)
    built.write(spec_text(built.roms, nics=nics(("e1000", "vmxnet3"))))
    built.build()
    assert not (built.top / QEMU / "efi-pcnet.rom").exists()


def test_another_file_pattern_moves_the_files(built: Project):
    built.write(spec_text(built.roms, nics=nics()).replace("pxe-{nic}.rom", "{vendor}{device}.rom"))
    assert built.counts() == (0, 3, 3)
    assert set(built.bytes()) == {f"efi-{nic}.rom" for nic in THREE} | {
        IDS[nic].replace(":", "") + ".rom" for nic in THREE
    }


def test_a_nic_that_comes_back_is_built_anew(built: Project):
    before = built.bytes()
    built.write(spec_text(built.roms, nics=nics(("e1000",))))
    built.build()
    built.write(spec_text(built.roms, nics=nics()))
    assert built.counts() == (0, 4, 2)
    assert built.bytes() == before


EXTRA = """default = true
[target.spare]
dir = "spare"
file = "{nic}.rom"
images = ["pcbios"]
nics = ["e1000", "pcnet"]
default = false
"""


@pytest.mark.parametrize(
    ("selection", "files"),
    [
        (["nic:e1000"], {"efi-e1000.rom", "pxe-e1000.rom"}),
        (["target:pxe"], {f"pxe-{nic}.rom" for nic in THREE}),
        (["rom:usr/share/qemu/efi-pcnet.rom"], {"efi-pcnet.rom"}),
        (
            ["rom:spare/e1000.rom", "target:efi"],
            {"e1000.rom", *(f"efi-{nic}.rom" for nic in THREE)},
        ),
        (["target:spare"], {"e1000.rom", "pcnet.rom"}),
        ([], {f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in THREE}),
        (
            ["all"],
            {
                "e1000.rom",
                "pcnet.rom",
                *(f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in THREE),
            },
        ),
    ],
    ids=[
        "a NIC",
        "a target",
        "a ROM",
        "a ROM and a target",
        "a target that is no default",
        "nothing",
        "all",
    ],
)
def test_a_selection_builds_what_it_names(project: Project, selection: list[str], files: set[str]):
    """For doit and for ``romforge build`` alike; what one built is up to date for the other."""
    project.write(spec_text(project.roms, nics=nics(), extra=EXTRA))
    assert project.counts(*selection) == (0, len(files), 0)
    assert set(project.states()) == files
    assert counts(project.romforge("build", *selection)) == (0, 0, len(files))
    assert project.rewritten(lambda: project.romforge("build", *selection)) == set()


def test_a_rom_is_selected_by_its_bare_path_too(project: Project):
    assert counts(project.romforge("build", "usr/share/qemu/efi-pcnet.rom")) == (0, 1, 0)


def test_a_nic_of_no_default_target_can_be_selected(project: Project):
    """Both commands do the same: report an error or build. Neither guesses what is meant."""
    extra = EXTRA.replace('"e1000", ', "")
    text = spec_text(project.roms, nics=nics(("e1000", "pcnet")), extra=extra)
    project.write(text.replace('images = ["pcbios"', 'nics = ["e1000"]\nimages = ["pcbios"', 2))
    for done in (project.romforge("build", "nic:pcnet"), project.doit("nic:pcnet")):
        assert done.returncode == 0, done.stderr
    assert set(project.states()) == {"pcnet.rom"}


def test_both_commands_take_the_same_names(project: Project):
    """doit keeps its own: patterns of tasks, its commands, and targets that are no ROMs."""
    absolute = str(project.top / QEMU / "pxe-pcnet.rom")
    assert counts(project.romforge("build", "e1000", "efi-pcnet.rom"))[1:] == (3, 0)
    assert counts(project.doit("e1000", absolute))[1:] == (1, 2)
    assert counts(project.doit("rom:*pcnet*", f"{QEMU}/efi-e1000.rom"))[1:] == (0, 3)
    assert "nic:e1000" in project.build("list", "e1000").stdout
    assert "up-to-date" in project.build("info", "pxe-pcnet.rom").stdout
    project.build("clean", absolute)
    assert not Path(absolute).exists()
    project.build("out/efi.manifest.json")


def test_doit_reads_paths_from_where_it_was_started(project: Project):
    below = project.top / "below"
    below.mkdir()
    command = [sys.executable, "-m", "doit", "-f", "../dodo.py", "--dir", ".."]
    done = run([*command, f"../{QEMU}/efi-e1000.rom"], below)
    assert done.returncode == 0, done.stderr
    assert "1 built" in done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nic:e100", 'the spec has no "nic:e100" (did you mean "nic:e1000"?); name a card, a ROM'),
        ("e100", 'the spec has no "e100" (did you mean "e1000"?); name a card, a ROM file, nic:'),
        ("efi-e1000.rm", '(did you mean "efi-e1000.rom"?)'),
        ("foo", 'the spec has no "foo"; name a card, a ROM file, nic:NAME, target:NAME'),
    ],
)
def test_an_unknown_selection_is_told_alike_by_all(project: Project, name: str, words: str):
    commands = [[command, name] for command in ("build", "verify", "lock", "plan", "stripped")]
    for command in [*commands, ["why", name], ["why", "config", "--in", name]]:
        done = project.romforge(*command)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    for command in ([name], ["list", name], ["info", name], ["clean", name], ["forget", name]):
        done = project.doit(*command)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
        assert done.stdout == ""
    done = project.romforge("inspect", name)
    assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert f"{name}: cannot be read: No such file or directory" in done.stderr


def test_doit_tells_near_misses_of_its_commands_and_knows_those_of_romforge(project: Project):
    assert 'the spec has no "lst" (did you mean "list"?)' in project.doit("lst").stderr
    assert '"check" is a command of romforge; run `romforge check`' in project.doit("check").stderr


def test_plan_shows_the_steps_of_a_selection(project: Project):
    every = {
        step["task"] for step in json.loads(project.romforge("plan", "--json").stdout)["steps"]
    }
    done = project.romforge("plan", "efi-e1000.rom", "--json")
    (step,) = json.loads(done.stdout)["steps"]
    assert step["task"] in every
    assert step["outputs"] == [f"{QEMU}/efi-e1000.rom"]
    done = project.romforge("plan", "--why", "nic:e1000")
    assert "efi-e1000.rom" in done.stdout
    assert "pcnet" not in done.stdout


def test_inspect_and_split_take_a_rom_of_the_spec_by_name(project: Project):
    project.build()
    (found,) = json.loads(project.romforge("inspect", "efi-e1000.rom", "--json").stdout)["roms"]
    assert found["file"] == f"{QEMU}/efi-e1000.rom"
    found = json.loads(project.romforge("inspect", "e1000", "--json").stdout)["roms"]
    assert {Path(one["file"]).name for one in found} == {"efi-e1000.rom", "pxe-e1000.rom"}
    assert project.romforge("split", "pxe-e1000.rom", "-d", "parts").returncode == 0
    assert [path.name for path in (project.top / "parts").iterdir()] == ["0-legacy.rom"]
    done = project.romforge("split", "e1000", "-d", "parts")
    assert done.returncode == 2
    assert '"e1000" names several ROMs: ' in done.stderr
    shutil.copy(project.top / QEMU / "pxe-e1000.rom", project.top / "e1000")  # a file comes first
    (found,) = json.loads(project.romforge("inspect", "e1000", "--json").stdout)["roms"]
    assert found["file"] == "e1000"


def test_doit_lists_its_tasks(project: Project):
    listed = {line.split()[0] for line in project.build("list", "--all").stdout.splitlines()}
    assert {
        "all",
        "nic:e1000",
        "target:efi",
        "target:pxe",
        "rom:usr/share/qemu/efi-vmxnet3.rom",
    } <= listed
    assert {line.split()[0] for line in project.build("list").stdout.splitlines()} == {
        *("all", "lock_check", "nic", "rom", "source", "target", "verify")
    }


def test_doit_info_tells_whether_a_rom_is_up_to_date(built: Project):
    rom = "rom:usr/share/qemu/efi-e1000.rom"
    assert "up-to-date" in built.build("info", rom).stdout
    (built.top / QEMU / "efi-e1000.rom").unlink()
    done = built.doit("info", rom)
    assert "status" in done.stdout
    assert "run" in done.stdout


def test_doit_clean_removes_what_was_built_and_nothing_else(built: Project):
    (built.top / QEMU / "efi-mine.rom").write_bytes(b"the user's own")
    built.build("clean")
    assert set(built.bytes()) == {"efi-mine.rom"}
    assert not list((built.top / "out").glob("*.manifest.json"))
    assert built.counts() == (0, 6, 0)
    built.build("clean", "rom:usr/share/qemu/efi-e1000.rom")
    assert "efi-e1000.rom" not in built.bytes()
    assert built.counts() == (0, 1, 5)


def test_doit_forget_makes_the_next_run_do_the_work_again(built: Project):
    before = built.bytes()
    built.build("forget", "--all")
    assert built.counts() == (0, 6, 0)
    built.build("forget", "rom:usr/share/qemu/efi-e1000.rom")
    assert built.counts() == (0, 1, 5)
    assert built.bytes() == before


def images(data: bytes) -> list[tuple[int, int, str]]:
    """Offset, size and IDs of each image of a ROM, told from the PCI structures alone."""
    parts, offset = [], 0
    while data[offset : offset + 2] == b"\x55\xaa":
        pcir = offset + int(struct.unpack_from("<H", data, offset + 0x18)[0])
        assert data[pcir : pcir + 4] == b"PCIR"
        vendor, device = struct.unpack_from("<HH", data, pcir + 4)
        size = 512 * int(struct.unpack_from("<H", data, pcir + 16)[0])
        parts.append((offset, size, f"{vendor:04x}:{device:04x}"))
        offset += size
        if data[pcir + 21] & 0x80:
            break
    return parts


def test_the_manifest_is_right(built: Project):
    for target, bucket in (("efi", 256 << 10), ("pxe", 128 << 10)):
        document = built.manifest(target)
        assert document["target"] == target
        assert [entry["file"] for entry in document["roms"]] == [
            f"usr/share/qemu/{target}-{nic}.rom" for nic in THREE
        ]
        for entry in document["roms"]:
            data = (built.top / "out" / entry["file"]).read_bytes()
            found = images(data)
            assert [
                (image["offset"], image["size"], image["ids"]) for image in entry["images"]
            ] == found
            assert [image["name"] for image in entry["images"]] == ["pcbios", "x86_64-efi"][
                : len(found)
            ]
            assert entry["size"] == len(data)
            assert entry["used"] == sum(size for _, size, _ in found)
            assert entry["bucket"] == bucket
            assert entry["sha256"] == hashlib.sha256(data).hexdigest()
            for image, (offset, size, ids) in zip(entry["images"], found):
                assert image["sha256"] == hashlib.sha256(data[offset : offset + size]).hexdigest()
                assert ids == IDS[entry["nic"]]
                assert re.fullmatch(rf"roms: efi-{entry['nic']}\.rom image [01]", image["origin"])


def test_the_manifest_keeps_what_a_selection_did_not_touch(project: Project):
    project.build("nic:pcnet")
    assert [entry["nic"] for entry in project.manifest("efi")["roms"]] == ["pcnet"]
    project.build("target:efi")
    assert [entry["nic"] for entry in project.manifest("efi")["roms"]] == list(THREE)
    assert [entry["nic"] for entry in project.manifest("pxe")["roms"]] == ["pcnet"]
    project.build("nic:e1000")
    assert [entry["nic"] for entry in project.manifest("efi")["roms"]] == list(THREE)
    assert [entry["nic"] for entry in project.manifest("pxe")["roms"]] == ["e1000", "pcnet"]


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b'{"roms": 1}', b'{"roms": [{"file": 1}, 7]}', b"\xff\xfe", b"[]"]
)
def test_a_broken_manifest_is_written_anew(built: Project, content: bytes | None):
    path = built.top / "out" / "efi.manifest.json"
    right = path.read_bytes()
    path.unlink() if content is None else path.write_bytes(content)
    assert built.counts() == (0, 0, 6)
    assert path.read_bytes() == right


OVER = """default = true
[bucket.small]
size = "128KiB"
[bucket.large]
size = "512KiB"
pad = false
[target.over]
dir = "over"
file = "{nic}.rom"
images = ["pcbios", "x86_64-efi"]
nics = ["e1000"]
bucket = "small"
[target.under]
dir = "under"
file = "{nic}.rom"
images = ["pcbios", "x86_64-efi"]
nics = ["pcnet"]
bucket = "large"
"""


@pytest.mark.exact_bytes("sid")
@pytest.mark.parametrize("command", ["doit", "romforge build"])
def test_a_rom_out_of_its_bucket_fails_with_the_map_and_all_others_are_built(
    project: Project, command: str
):
    project.write(spec_text(project.roms, nics=nics(), extra=OVER))
    done = project.doit() if command == "doit" else project.romforge("build")
    assert done.returncode == 1
    assert counts(done) == (2, 6, 0)
    assert len(project.bytes()) == 6
    assert not list(project.top.glob("out/over/*")) + list(project.top.glob("out/under/*"))

    over, under = sorted(done.stderr.split("romforge: rom:")[1:])
    used = 108_544 + 38_400
    assert over.startswith("over/e1000.rom: 15,872 bytes (0x3e00) over its bucket of 128 KiB")
    assert f"{used - (128 << 10):,} bytes ({used - (128 << 10):#x}) over" in over
    assert re.search(r"pcbios +108,544 +0x1a800 +roms: efi-e1000.rom image 0", over)
    assert re.search(r"x86_64-efi +38,400 +0x9600 +roms: efi-e1000.rom image 1", over)
    assert re.search(rf"together +{used:,} +{used:#x}", over)
    assert over.count("remedy: ") == 2
    assert "a bucket of 256 KiB" in over

    used = 108_032 + 36_864
    short = (256 << 10) + 1 - used
    message = (
        f"under/pcnet.rom: {short:,} bytes ({short:#x}) short of its bucket of 512 KiB: "
        "QEMU would give it 256 KiB"
    )
    assert message in under
    assert re.search(rf"together +{used:,} +{used:#x}", under)
    assert "remedy: `pad = true`" in under

    (entry,) = project.manifest("over")["roms"]
    assert [(image["name"], image["offset"], image["size"]) for image in entry["images"]] == [
        ("pcbios", 0, 108_544),
        ("x86_64-efi", 108_544, 38_400),
    ]
    assert (entry["used"], entry["bucket"]) == (146_944, 128 << 10)
    assert "15,872 bytes (0x3e00) over" in entry["error"]
    assert "sha256" not in entry

    again = project.doit()
    assert (again.returncode, counts(again)) == (1, (2, 0, 6))


def test_a_rom_that_fails_keeps_the_file_of_an_earlier_build(built: Project):
    before = built.bytes()
    built.write(spec_text(built.roms, nics=nics()).replace('"256KiB"', '"128KiB"'))
    done = built.doit()
    assert (done.returncode, counts(done)) == (1, (3, 0, 3))
    assert built.bytes() == before
    built.write(spec_text(built.roms, nics=nics()))
    built.build()
    assert built.bytes() == before
    assert "error" not in json.dumps(built.manifest("efi"))


NE2K = 'ne2k_pci = "10ec:8029"\ne1000 = "8086:100e"'


def test_ids_that_do_not_match_fail_with_words(project: Project):
    project.write(spec_text(project.roms, nics=NE2K))
    done = project.doit()
    assert (done.returncode, counts(done)) == (1, (2, 2, 0))
    assert "the device is 10ec:8029, but" in done.stderr
    assert "pcbios of roms: efi-ne2k_pci.rom image 0 carries 0000:0000" in done.stderr
    assert "x86_64-efi of roms: efi-ne2k_pci.rom image 1 carries 0000:0000" in done.stderr
    assert "`fix_ids = true` in the target would rewrite them" in done.stderr
    assert project.manifest("efi")["roms"][0]["error"].startswith("the device is 10ec:8029")


def test_accepted_ids_are_left_as_they_are(project: Project, releases: dict[str, Path]):
    text = spec_text(project.roms, nics=NE2K)
    project.write(text.replace('id = "10ec:8029"', 'id = "10ec:8029"\naccept_ids = ["0000:0000"]'))
    assert project.counts() == (0, 4, 0)
    assert (
        project.bytes()["efi-ne2k_pci.rom"] == (releases["sid"] / "efi-ne2k_pci.rom").read_bytes()
    )


def test_fixed_ids_are_in_every_image(project: Project):
    project.write(
        spec_text(project.roms, nics=NE2K).replace("bucket = ", "fix_ids = true\nbucket = ")
    )
    assert project.counts() == (0, 4, 0)
    for name, data in project.bytes().items():
        assert {ids for _, _, ids in images(data)} == {
            "10ec:8029" if "ne2k" in name else "8086:100e"
        }
        for offset, size, _ in images(data)[:1]:
            assert sum(data[offset : offset + size]) % 256 == 0, "the legacy image's checksum"
        done = project.romforge("inspect", "--json", project.top / QEMU / name)
        assert (
            done.returncode,
            [
                one
                for one in json.loads(done.stdout)["roms"][0]["faults"]
                if one["severity"] == "fault"
            ],
        ) == (0, [])


def test_a_source_without_the_file_says_where_it_looked(project: Project):
    (project.roms / "efi-pcnet.rom").unlink()
    (project.roms / "pxe-pcnet.rom").unlink()
    done = project.doit()
    assert (done.returncode, counts(done)) == (1, (2, 4, 0))
    assert (
        f"source roms: {project.roms} has none of the files\n  efi-pcnet.rom\n  pxe-pcnet.rom\n"
        in done.stderr
    )
    shutil.copy(project.roms / "efi-e1000.rom", project.roms / "efi-pcnet.rom")
    assert "carries 8086:100e" in project.doit().stderr


def test_a_source_that_is_no_directory_is_told(project: Project):
    project.write(spec_text(project.top / "nowhere"))
    done = project.doit()
    assert done.returncode == 1
    assert "nowhere" in done.stderr


def test_a_source_with_the_legacy_image_alone_is_told(project: Project):
    (project.roms / "efi-pcnet.rom").unlink()
    done = project.doit()
    assert (done.returncode, counts(done)) == (1, (1, 5, 0))
    assert f"source roms: pxe-pcnet.rom of {project.roms} holds no x86_64 image" in done.stderr


@pytest.mark.parametrize("fault", ["checksum", "truncated", "empty", "text", "no permission"])
def test_a_source_with_a_fault_fails_its_roms_alone(project: Project, fault: str):
    path = project.roms / "efi-pcnet.rom"
    data = bytearray(path.read_bytes())
    if fault == "checksum":
        data[9000] ^= 1
    damaged = {"truncated": bytes(data[:70_000]), "empty": b"", "text": b"hello\n"}.get(
        fault, bytes(data)
    )
    path.write_bytes(damaged)
    if fault == "no permission":  # root may read it all the same
        path.unlink()
        path.symlink_to("efi-pcnet.rom")
        (project.roms / "pxe-pcnet.rom").unlink()
    done = project.doit()
    assert (done.returncode, counts(done)) == (1, (2, 4, 0))
    assert "efi-pcnet.rom" in done.stderr
    assert not {"efi-pcnet.rom", "pxe-pcnet.rom"} & set(project.bytes())
    assert all(
        "error" in entry for entry in project.manifest("efi")["roms"] if entry["nic"] == "pcnet"
    )


def deb_spec(key: str, sha256: str | None = None) -> str:
    """A spec over a package, with both targets of one NIC."""
    extra = f'\nsha256 = "{sha256}"' if sha256 else ""
    return spec_text("@").replace('roms = "@"', key + extra)


def test_a_deb_is_a_source(project: Project, releases: dict[str, Path]):
    deb = debian.package("sid")
    version, sha256 = debian.version_of(deb), debian.sha256_of(deb)
    project.write(deb_spec(f'roms = "{deb}"', sha256))
    assert project.counts() == (0, 2, 0)
    assert project.bytes() == {
        f"{kind}-e1000.rom": (releases["sid"] / f"{kind}-e1000.rom").read_bytes()
        for kind in ("efi", "pxe")
    }
    assert project.manifest("efi")["sources"] == {
        "roms": {"deb": f"ipxe-qemu {version}", "sha256": sha256}
    }
    assert project.counts() == (0, 0, 2)
    extracted = next((project.top / "out/.romforge/source").rglob("efi-e1000.rom"))
    extracted.write_bytes(extracted.read_bytes()[:-1] + b"\0")
    assert project.counts() == (0, 0, 2)
    assert extracted.read_bytes() == (releases["sid"] / "efi-e1000.rom").read_bytes()


def test_another_deb_in_its_place_is_taken(project: Project, releases: dict[str, Path]):
    """bookworm's ROMs are in a directory that is searched later. None of sid's ROMs may be left."""
    deb = project.top / "roms.deb"
    shutil.copy(debian.package("sid"), deb)
    project.write(deb_spec('roms = "roms.deb"'))
    project.build()
    shutil.copy(debian.package("bookworm"), deb)
    project.build()
    assert project.bytes()["efi-e1000.rom"] == (
        releases["bookworm"] / "efi-e1000.rom"
    ).read_bytes().ljust(256 << 10, b"\xff")
    assert project.manifest("efi")["sources"]["roms"]["sha256"] == debian.sha256_of(
        debian.package("bookworm")
    )
    project.build("clean")
    assert not list((project.top / "out/usr").rglob("*.rom"))
    project.build("clean", "source:roms")
    assert not list((project.top / "out").rglob("*.rom"))


def test_a_deb_with_another_sum_builds_nothing(project: Project):
    wrong = "0" * 64
    right = debian.sha256_of(debian.package("sid"))
    project.write(deb_spec(f'roms = "{debian.package("sid")}"', wrong))
    for done in (project.doit(), project.romforge("build")):
        assert done.returncode == 1
        message = f"has the sha256\n  {right}\nwhere the spec asks for\n  {wrong}"
        assert message in done.stderr
    assert not list((project.top / "out").rglob("*.rom"))


def test_roms_whose_source_failed_are_counted_as_failed(project: Project):
    """The last line must not look as if there had been nothing to do."""
    project.write(deb_spec(f'roms = "{debian.package("sid")}"', "0" * 64))
    done = project.doit()
    assert (done.returncode, counts(done)) == (1, (2, 0, 0))


@pytest.mark.parametrize("content", [None, b"", b"!<arch>\n", b"no package"])
def test_a_deb_that_is_none_is_told(project: Project, content: bytes | None):
    if content is not None:
        (project.top / "roms.deb").write_bytes(content)
    project.write(deb_spec('roms = "roms.deb"'))
    done = project.doit()
    assert done.returncode == 1
    assert "roms.deb" in done.stderr


def commands(top: Path, **scripts: str) -> str:
    """A PATH that holds the given shell scripts alone, and dpkg-deb if its script is "real"."""
    (top / "bin").mkdir()
    for name, script in scripts.items():
        path = top / "bin" / name.replace("_", "-")
        if script == "real":
            path.symlink_to(shutil.which(path.name) or "")
        else:
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
    return str(top / "bin")


def test_without_apt_the_words_say_what_else_to_do(project: Project):
    project.write(deb_spec('package = "ipxe-qemu"'))
    done = project.doit(PATH=commands(project.top))
    assert done.returncode == 1
    message = (
        "source:roms: the package ipxe-qemu cannot be downloaded: apt-get: not found; "
        "install the Debian package apt"
    )
    assert message in done.stderr
    assert 'set roms = "DIR" or roms = "FILE.deb" in [source.roms]' in done.stderr


def test_without_dpkg_the_words_name_its_package(project: Project):
    project.write(deb_spec(f'roms = "{debian.package("sid")}"'))
    done = project.doit(PATH=commands(project.top))
    assert done.returncode == 1
    assert "dpkg-deb: not found; install the Debian package dpkg" in done.stderr


def test_a_package_comes_through_apt_once(project: Project, releases: dict[str, Path]):
    """A stand-in for apt-get notes how it was called, and hands over the package of sid."""
    project.write(deb_spec('package = "ipxe-qemu"'))
    script = (
        f'echo "$*" >> {project.top}/calls; /bin/cp {debian.package("sid")} ipxe-qemu_2_all.deb'
    )
    path = commands(project.top, apt_get=script, dpkg_deb="real") + ":/usr/bin:/bin"
    assert counts(project.build(PATH=path)) == (0, 2, 0)
    assert project.bytes()["efi-e1000.rom"] == (releases["sid"] / "efi-e1000.rom").read_bytes()
    assert counts(project.build(PATH=path)) == (0, 0, 2)
    assert (project.top / "calls").read_text().count("download ipxe-qemu\n") == 1
    assert project.manifest("pxe")["sources"]["roms"]["sha256"] == debian.sha256_of(
        debian.package("sid")
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo 'E: Unable to locate package ipxe-qemu' >&2; exit 100",
            "E: Unable to locate package ipxe-qemu",
        ),
        ("exit 0", "left 0 packages"),
        ("echo > a.deb; echo > b.deb", "left 2 packages"),
        ("echo > a.deb", "a.deb"),
    ],
    ids=["fails", "gives none", "gives two", "gives junk"],
)
def test_an_apt_that_fails_is_told(project: Project, script: str, words: str):
    project.write(deb_spec('package = "ipxe-qemu"'))
    done = project.doit(PATH=commands(project.top, apt_get=script, dpkg_deb="real"))
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.parametrize("suite", list(debian.KNOWN))
def test_a_spec_for_debians_set_gives_debians_bytes(
    project: Project, releases: dict[str, Path], suite: str
):
    """Each of the 16 ROMs of a release, taken apart and chained anew, is the same file."""
    accepted = '\naccept_ids = ["0000:0000", "fff3:0000"]'
    text = spec_text(releases[suite], nics=nics(tuple(IDS))).replace(
        'id = "10ec:8029"', 'id = "10ec:8029"' + accepted
    )
    if suite == "bookworm":
        text = text.replace('size = "256KiB"', 'size = "256KiB"\npad = false')
    project.write(text)
    assert project.counts() == (0, 16, 0)
    assert project.bytes() == {name: (releases[suite] / name).read_bytes() for name in debian.ROMS}
