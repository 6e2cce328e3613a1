# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge status`, and the sizes of objects beside the lock, by which it says what grew."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from romforge.analysis import object_sizes
from romforge.analysis.object_sizes import LinkedSizes
from romforge.base.errors import RomforgeError
from romforge.base.pci_id import PciId
from tests.support import boot_files, builders, linked
from tests.support.boot_files import DISK, GROWTH, NET
from tests.support.documents import document
from tests.support.project import TOP, Run, run, spec_text

IDS = {"e1000": PciId(0x8086, 0x100E), "pcnet": PciId(0x1022, 0x2000)}
NICS = 'e1000 = "8086:100e"\npcnet = "1022:2000"'
TREE_SPEC = """spec = 1
[source.ipxe]
tree = "tree"
config = "qemu"
[config.qemu.general]
undef = ["NET_PROTO_DNS"]
[platform.pcbios]
[platform.x86_64-efi]
[nic.e1000]
id = "8086:100e"
[nic.virtio]
id = "1af4:1000"
[bucket.all]
size = "256KiB"
[target.qemu]
dir = "roms"
file = "{nic}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "all"
level = "stored"
"""


def put(top: Path, nic: str, blocks: int = 160, ids: PciId | None = None) -> None:
    data = builders.legacy(ids or IDS[nic], last=False, blocks=blocks)
    (top / f"roms/efi-{nic}.rom").write_bytes(data + builders.efi(ids=ids or IDS[nic]))


@pytest.fixture
def built(tmp_path: Path, romforge: Run) -> Path:
    """The ROMs of two NICs, built and locked; a copy of the set, ``old``."""
    (tmp_path / "roms").mkdir()
    put(tmp_path, "e1000")
    put(tmp_path, "pcnet", blocks=150)
    (tmp_path / "romspec.toml").write_text(spec_text("roms", nics=NICS))
    assert romforge("build").returncode == 0
    assert romforge("lock").returncode == 0
    shutil.copytree(tmp_path / "out/usr/share/qemu", tmp_path / "old")
    return tmp_path


def status_of(
    romforge: Run, *words: str, status: int = 0
) -> tuple[list[list[str]], dict[str, str]]:
    """The rows of the table, and the answers by their questions."""
    done = romforge("status", *words)
    assert done.returncode == status, done.stdout + done.stderr
    table, _, rest = done.stdout.partition("\n\n")
    rows = [re.split(r"  +", line) for line in table.splitlines()[2:]]
    *lines, last = rest.splitlines()
    answers = {}
    for line in lines:
        if not line.startswith(" "):
            question, _, answer = line.partition(": ")
            answers[question] = answer
    return rows, answers | {"": last}


def document_of(romforge: Run, *words: str) -> dict[str, Any]:
    return dict(json.loads(romforge("status", "--json", *words).stdout))


def test_what_is_nearest_to_its_bucket_comes_first(built: Path, romforge: Run):
    rows, answers = status_of(romforge)
    assert [row[0].rpartition("/")[2] for row in rows] == [
        *("pxe-e1000.rom", "pxe-pcnet.rom", "efi-e1000.rom", "efi-pcnet.rom"),
    ]
    assert rows[0][1:5] == ["81,920", "128 KiB", "49,152", "0"]
    assert answers["nearest to its bucket"].startswith(
        "pxe-e1000.rom (49,152 bytes free of 128 KiB), pxe-pcnet.rom"
    )
    assert answers["grown since the lock"] == "no ROM"
    assert answers["guests that break"].startswith("not compared; ")
    assert answers["proofs"].startswith("none was run; ")
    assert answers[""] == "4 ROMs, all built and without fault"


def test_the_worst_comes_first_and_sets_the_status(built: Path, romforge: Run):
    """A ROM whose build failed, then one that is not as locked."""
    put(built, "pcnet", ids=PciId(0x1234, 0x5678))
    put(built, "e1000", blocks=162)
    assert romforge("build").returncode == 1
    lock = built / "romspec.lock"
    lock.write_text(lock.read_text().replace("8086:100e", "8086:100f"))
    rows, answers = status_of(romforge, status=1)
    assert {row[0].rpartition("-")[2] for row in rows[:2]} == {"pcnet.rom"}
    assert all("NOT BUILT" in row for row in rows[:2])
    assert rows[2][0].endswith("pxe-e1000.rom")
    assert rows[2][4] == "+1,024"
    assert answers[""] == "2 ROMs not built as the spec says; 4 ROMs not as locked"
    roms = document_of(romforge)["roms"]
    assert [rom["built"] for rom in roms] == [False, False, True, True]


def test_guests_that_break_are_named_with_their_set(built: Path, romforge: Run):
    (built / "old/efi-e1000.rom").write_bytes(bytes(512))
    data = builders.legacy(IDS["e1000"], blocks=100)
    (built / "old/efi-e1000.rom").write_bytes(data)
    rows, answers = status_of(romforge, "--against", "old", status=1)
    assert rows[0][0].endswith("efi-e1000.rom")
    assert rows[0][5] == "NO (old)"
    assert [row[5] for row in rows[1:]] == ["yes"] * 3
    assert answers["guests that break"] == "efi-e1000.rom of old"
    assert document_of(romforge, "--against", "old")["roms"][0]["migrates"] == {"old": False}


def test_proofs_are_counted_and_the_first_failure_is_quoted(built: Path, romforge: Run):
    with (built / "romspec.toml").open("a") as spec:
        spec.write("[verify]\ntimeout = 1\n")
    rom = "usr/share/qemu/efi-e1000.rom"
    proofs = [f"verify:{rom}:structure", f"verify:{rom}:bios-default"]
    assert romforge("verify", *proofs).returncode == 1
    rows, answers = status_of(romforge, status=1)
    assert rows[0][0].endswith("efi-e1000.rom")
    assert re.fullmatch(r"\d+ FAILED", rows[0][-2]), rows[0]
    assert re.match(
        r"\d+ not proven, 1 proven, 1 failed; efi-e1000.rom bios-default: ", answers["proofs"]
    )
    results = document_of(romforge)["roms"][0]["proofs"]
    assert (results["failed"], results["proven"]) == (1, 1)


def test_nothing_is_built_and_without_a_build_it_says_so(tmp_path: Path, romforge: Run):
    (tmp_path / "roms").mkdir()
    put(tmp_path, "e1000")
    (tmp_path / "romspec.toml").write_text(spec_text("roms"))
    done = romforge("status")
    assert done.returncode == 1
    assert "none of the ROMs of romspec.toml is built" in done.stderr
    assert not list(tmp_path.glob("out/**/*.rom"))


# Files that are no ROMs


@pytest.fixture(scope="module")
def ready_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boot_files.build(tmp_path_factory.mktemp("files"))


@pytest.fixture
def files(ready_files: Path, tmp_path: Path) -> Path:
    """A ROM and two files, built and locked, of which a test changes what it likes."""
    shutil.copytree(ready_files, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


def file_rows(text: str) -> list[list[str]]:
    """The rows of the table of files, which comes last."""
    *_, table = (part for part in text.split("\n\n") if part.startswith("file "))
    title, _, *lines = [re.split(r"  +", line) for line in table.splitlines()]
    assert title == ["file", "bytes", "since lock", "platform", "state"]
    return lines


@pytest.mark.slow
def test_files_have_a_table_below_that_of_the_roms(files: Path, romforge: Run):
    done = romforge("status")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("roms/e1000.rom") < done.stdout.index(DISK)
    assert "\n1 ROM and 2 files, all built and without fault\n" in done.stdout
    size = (files / "out" / DISK).stat().st_size
    assert file_rows(done.stdout)[0] == [DISK, f"{size:,}", "0", "pcbios", "built"]
    found = document(romforge("status", "--json").stdout, "status")
    assert len(found["roms"]) == 1
    assert found["files"][0] == {
        "file": DISK,
        "platform": "pcbios",
        "goal": "8086100e.rom",
        "size": size,
        "since_lock": 0,
        "built": True,
        "faults": [],
    }


@pytest.mark.slow
def test_files_alone_are_a_set(files: Path, romforge: Run):
    """Also one of which something is there, and a set of which nothing is."""
    boot_files.without_roms(files)
    done = romforge("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("2 files, all built and without fault\n")
    assert [row[0] for row in file_rows(done.stdout)] == [DISK, NET]
    assert "bucket" not in done.stdout
    (files / "out" / DISK).unlink()
    done = romforge("status")
    assert done.returncode == 1
    assert "1 file not built as the spec says" in done.stdout
    (files / "out" / NET).unlink()
    done = romforge("status")
    assert done.returncode == 1
    reason = f"none of the files of romspec.toml is built ({DISK}: is not built)"
    assert reason in done.stderr


@pytest.mark.slow
def test_files_that_are_wrong_come_first(files: Path, romforge: Run):
    """One altered, gone, grown, or of another goal; one that is not default is not missed."""
    boot_files.let_grow(files, DISK)
    size = (files / "out" / DISK).stat().st_size
    (files / "out" / NET).write_bytes(b"altered")
    done = romforge("status")
    assert done.returncode == 1
    altered, grown = file_rows(done.stdout)
    assert (altered[0], altered[-1]) == (NET, "was changed since it was built")
    assert grown == [DISK, f"{size:,}", f"+{GROWTH}", "pcbios", "built"]
    assert f"grown since the lock: 8086100e.rom grew by {GROWTH} bytes" in done.stdout
    wrong = "1 file not built as the spec says; 1 file not as locked"
    assert done.stdout.endswith(f"{wrong}\n")
    (files / "out" / NET).unlink()
    assert file_rows(romforge("status").stdout)[0] == [NET, "pcbios", "is not built"]
    with (files / "romspec.toml").open("a") as spec:
        table = 'platform = "pcbios"\ngoal = "10222000.rom"\ndir = "boot"\ndefault = false\n'
        spec.write(f"[image.other]\n{table}")
    assert len(file_rows(romforge("status").stdout)) == 2
    spec_file = files / "romspec.toml"
    spec_file.write_text(spec_file.read_text().replace("8086100e.rom", "1af41000.rom", 1))
    spec_file.write_text(
        spec_file.read_text().replace("[image.net]", 'file = "8086100e.rom"\n[image.net]')
    )
    built = "is 8086100e.rom of pcbios, and not 1af41000.rom of pcbios as the spec says"
    assert [DISK, built] in [[row[0], row[-1]] for row in file_rows(romforge("status").stdout)]


@pytest.mark.slow
def test_a_file_whose_last_build_failed_is_an_earlier_one(files: Path, romforge: Run):
    driver = files / "tree/src/drivers/net/realtek.c"
    text = driver.read_text()
    driver.unlink()  # a hard link
    driver.write_text(f"{text}#error broken\n")
    assert romforge("build").returncode == 1
    rows = file_rows(romforge("status").stdout)  # make compiles all drivers, for whatever file
    assert [row[0] for row in rows] == [DISK, NET]
    for *_, state in rows:
        assert state.startswith("its last build failed: ")
        assert state.endswith(
            "realtek.c:15:2: error: #error broken; the file is of an earlier build"
        )


@pytest.mark.slow
def test_markdown_and_the_badge_have_the_files(files: Path, romforge: Run):
    boot_files.without_roms(files)
    badge = ElementTree.fromstring(romforge("report", "--format", "svg").stdout)
    assert badge.attrib["aria-label"] == "romforge: 2 files built"
    text = romforge("report", "--format", "md").stdout
    assert text.startswith("## ✅ 2 files, all built and without fault\n")
    assert "| ROM |" not in text
    (files / "out" / NET).unlink()
    done = romforge("report", "--format", "md")
    assert done.returncode == 1
    assert f"| `{NET}` ❌ | pcbios |  |  | is not built |" in done.stdout


@pytest.mark.slow
def test_a_check_of_the_lock_has_a_case_for_each_file(files: Path, romforge: Run):
    """With the line of the file's table."""
    assert romforge("lock", "--check", "--junit", "x.xml").returncode == 0
    suite = ElementTree.parse(files / "x.xml").getroot()
    assert [case.get("classname") for case in suite] == ["roms/e1000.rom", NET, DISK]
    assert suite.get("failures") == "0"
    (files / "out" / NET).unlink()
    assert romforge("lock", "--check", "--junit", "x.xml").returncode == 1
    _, case, _ = ElementTree.parse(files / "x.xml").getroot()
    line = (files / "romspec.lock").read_text().splitlines().index(f'[file."{NET}"]') + 1
    wanted = f"romspec.lock:{line}: is in the lock, but was not built"
    assert case.findtext("failure") == wanted


# The sizes of objects


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two NICs of a tree without DNS, built and locked; then with it, and with a larger driver."""
    top = tmp_path_factory.mktemp("grown")
    command = [sys.executable, "-m", "romforge"]
    linked.minipxe(top / "tree")
    spec = top / "romspec.toml"
    spec.write_text(TREE_SPEC)
    assert run([*command, "build"], top).returncode == 0
    assert run([*command, "lock"], top).returncode == 0
    spec.write_text(TREE_SPEC.replace('undef = ["NET_PROTO_DNS"]\n', ""))
    driver = top / "tree/src/drivers/net/virtio-net.c"
    text = driver.read_text()
    driver.unlink()  # a hard link
    table = "static volatile const unsigned char table[4000] = { [0 ... 3999] = 5 };\n"
    text = text.replace("static uint64_t virtio_probe", f"{table}static uint64_t virtio_probe")
    driver.write_text(text.replace("return 0;", "return table[at];"))
    assert run([*command, "build"], top).returncode == 0
    return top


@pytest.fixture
def tree(grown: Path, tmp_path: Path) -> Path:
    """A copy of that project."""
    shutil.copytree(grown, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.slow
def test_the_objects_that_grew_are_named_without_the_older_build(tree: Path, romforge: Run):
    text = romforge("lock", "--check").stdout
    (e1000,) = re.findall(r"^change roms/e1000.rom: grew .*", text, re.M)
    (virtio,) = re.findall(r"^change roms/virtio.rom: grew .*", text, re.M)
    assert re.search(r": pcbios: dns \+\d+ \(asked for by config\)$", e1000)
    pattern = r"pcbios: virtio-net \+([\d,]+), dns \+(\d+) \("
    ((driver, dns),) = re.findall(pattern, virtio)
    assert 3000 < int(driver.replace(",", "")) <= 4200
    assert 300 < int(dns) < 900
    assert re.search(r"; x86_64-efi: virtio-net \+[\d,]+$", virtio)
    _, answers = status_of(romforge)
    assert answers["grown since the lock"].startswith("virtio.rom grew by ")
    assert "virtio-net +" in answers["grown since the lock"]
    done = romforge("lock")
    assert done.returncode == 0
    assert "grew" not in romforge("lock", "--check").stdout


@pytest.mark.slow
def test_without_the_file_or_with_a_damaged_one(tree: Path, romforge: Run):
    """Without it, a ROM grew as before; a damaged one is an error, until the next lock."""
    sizes = tree / "romspec.sizes"
    good = sizes.read_bytes()
    sizes.unlink()
    text = romforge("lock", "--check").stdout
    assert re.search(r"virtio.rom: grew by [^:]*$", text, re.M)
    for damaged in (b"", good[:-9], b'{"sizes": 2}', b"[]", b"\xff", b"[" * 99_999):
        sizes.write_bytes(damaged)
        done = romforge("lock", "--check")
        assert done.returncode == 1
        assert "romspec.sizes: is no file of sizes of this version; run `romforge" in done.stderr
    assert romforge("lock").returncode == 0
    assert object_sizes.read_sizes(sizes).keys() == {
        f"ipxe/{platform}/{goal}"
        for platform in ("pcbios", "x86_64-efi")
        for goal in ("8086100e", "1af41000")
    }


@pytest.mark.slow
def test_without_pyelftools_the_lock_works_and_names_no_object(tree: Path, tmp_path: Path):
    """As in a checkout whose Python has the libraries of a build alone."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/elftools.py").write_text("raise ImportError\n")
    without = {"PYTHONPATH": f"{tmp_path}/hidden:{TOP}/src"}
    lock = [sys.executable, "-m", "romforge", "lock"]
    done = run([*lock, "--check"], tree, **without)
    assert done.returncode == 0
    assert re.search(r"virtio.rom: grew by [^:]*$", done.stdout, re.M)
    before = (tree / "romspec.sizes").read_bytes()
    done = run(lock, tree, **without)
    assert done.returncode == 0
    assert "install the Debian package python3-pyelftools" in done.stderr
    assert (tree / "romspec.sizes").read_bytes() == before


def test_sizes_come_back_as_they_were_written(tmp_path: Path):
    """Also of an image that lacks what the others have in common."""
    images = {
        "a/pcbios/1": LinkedSizes(10, {"x": 1, "y": 2, "own": 3}, {}),
        "a/pcbios/2": LinkedSizes(11, {"x": 1, "y": 3}, {}),
        "a/pcbios/3": LinkedSizes(12, {"y": 2}, {}),
        "b/arm64-efi/1": LinkedSizes(0, {}, {}),
    }
    path = tmp_path / "romspec.sizes"
    path.write_bytes(object_sizes.emit_sizes(images))
    assert object_sizes.read_sizes(path) == images
    with pytest.raises(RomforgeError, match="cannot be read"):
        object_sizes.read_sizes(tmp_path)


# The same as Markdown and as a badge


def test_markdown_has_the_verdict_the_changes_and_the_worst(built: Path, romforge: Run):
    """What Markdown would read as its own is escaped; a cell has no line break."""
    done = romforge("report", "--format", "md")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("## ✅ 4 ROMs, all built and without fault\n")
    assert "Changed since" not in done.stdout
    assert "| `usr/share/qemu/pxe-e1000.rom` | 81,920 | 128 KiB | 49,152 | +0 |" in done.stdout
    put(built, "e1000", blocks=162)
    put(built, "pcnet", ids=PciId(0x1234, 0x5678))
    assert romforge("build").returncode == 1
    done = romforge("report", "-o", "summary.md")
    assert (done.returncode, done.stdout) == (1, "summary.md\n")
    text = (built / "summary.md").read_text()
    assert text.startswith("## ❌ 2 ROMs not built as the spec says; ")
    assert "- ❌ `usr/share/qemu/pxe-pcnet.rom`: " in text
    assert "- `usr/share/qemu/pxe-e1000.rom`: grew by 1,024 bytes" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    plain = [re.sub(r"\\\|", "", line) for line in table]
    assert {line.count("|") for line in plain} == {3, 8}


def test_the_badge_has_the_worst_in_red(built: Path, romforge: Run):
    good = romforge("report", "--format", "svg")
    assert good.returncode == 0
    picture = ElementTree.fromstring(good.stdout)
    assert picture.attrib["aria-label"] == "romforge: 4 ROMs built"
    (built / "out/usr/share/qemu/pxe-e1000.rom").write_bytes(b"")
    bad = romforge("report", "-o", "badge.svg")
    assert bad.returncode == 1
    picture = ElementTree.fromstring((built / "badge.svg").read_text())
    assert picture.attrib["aria-label"] == "romforge: 1 ROM not built as the spec says"
    fills = {rect.get("fill") for rect in picture.iter("{http://www.w3.org/2000/svg}rect")}
    assert len(fills) == 2
    assert fills != {rect.get("fill") for rect in ElementTree.fromstring(good.stdout)}


def test_a_page_needs_a_file(built: Path, romforge: Run):
    for words in (["report"], ["report", "--json"], ["report", "--format", "html"]):
        done = romforge(*words)
        assert done.returncode == 2
        assert "name the file to write: -o FILE" in done.stderr


def test_a_file_that_is_no_rom_is_a_row_and_not_the_end(built: Path, romforge: Run):
    """Also for `lock --check` and the page: the other ROMs are shown as they are."""
    for content in (b"", bytes(4096)):
        (built / "out/usr/share/qemu/pxe-e1000.rom").write_bytes(content)
        rows, answers = status_of(romforge, status=1)
        assert rows[0][0].endswith("pxe-e1000.rom")
        assert "NOT BUILT" in rows[0]
        assert len(rows) == 4
        assert answers[""].startswith("1 ROM not built as the spec says")
        done = romforge("lock", "--check")
        assert done.returncode == 1
        assert re.search(r"^FAULT usr/share/qemu/pxe-e1000.rom: ", done.stdout, re.M)
        assert romforge("report", "-o", "page.html").returncode == 1
        assert "pxe-e1000.rom" in (built / "page.html").read_text()
