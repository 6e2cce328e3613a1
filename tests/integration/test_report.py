# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge report`: what the page says of a set; test_report_page.py is how a browser shows it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from romforge.base.pci_id import PciId
from tests.support import boot_files, builders, forge
from tests.support.boot_files import DISK, GROWTH, NET
from tests.support.documents import document
from tests.support.project import TOP, Run, spec_text

pytestmark = pytest.mark.slow

NICS = 'e1000 = "8086:100e"\nvirtio = "1af4:1000"'
VOID = {"meta", "input", "br"}  # elements without an end


@pytest.fixture
def built(tmp_path: Path, doit: Run, romforge: Run) -> Path:
    """Two NICs with long names in the paths, locked; a third ROM of them is not built."""
    (tmp_path / "roms").mkdir()
    for nic, ids in (("e1000", builders.E1000), ("virtio", PciId(0x1AF4, 0x1000))):
        data = builders.legacy(ids, last=False, blocks=140) + builders.efi(ids=ids)
        (tmp_path / f"roms/efi-{nic}.rom").write_bytes(data)
    (tmp_path / "romspec.toml").write_text(spec_text("roms", nics=NICS))
    assert doit().returncode == 0
    assert romforge("lock").returncode == 0
    return tmp_path


class Words(HTMLParser):
    """The text of a page, and whether its elements are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.open, self.seen = "", [""], set[str]()
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.feed(page)
        assert self.open == [""], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.anchors += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def report(top: Path, romforge: Run, *more: str, status: int = 0) -> str:
    done = romforge("report", "-o", "page.html", *more)
    assert (done.returncode, done.stdout) == (status, "page.html\n"), done.stderr
    return (top / "page.html").read_text()


def test_the_page_tells_what_was_built(built: Path, romforge: Run):
    """Bytes and buckets of each ROM, as text. The page loads nothing, and tells the browser so."""
    page = report(built, romforge)
    contents = Words(page)
    assert "4 ROMs: 2 NICs in 2 targets, 289,792 bytes in use" in contents.words
    assert "usr/share/qemu/efi-e1000.rom" in contents.words
    assert "73,216 bytes of 256 KiB" in contents.words
    assert "71,680 bytes of 128 KiB" in contents.words
    assert {"27 %", "54 %", "188,928", "59,392"} <= set(
        re.findall(r"[\d,]+(?: %)?", contents.words)
    )
    assert not re.search(r"src=|url\(|@import|https?://", page)
    assert "default-src 'none'" in page
    assert [link for link in contents.links if not link.startswith("#")] == []


def test_the_page_tells_what_changed_and_what_is_wrong(built: Path, romforge: Run):
    """Against the lock; and a ROM with a fault, and one that is gone."""
    assert "Nothing changed." in Words(report(built, romforge)).words
    path = built / "out/usr/share/qemu/efi-e1000.rom"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data) + bytes(1 << 18))
    (built / "out/usr/share/qemu/pxe-virtio.rom").unlink()
    words = Words(report(built, romforge, status=1)).words
    assert "its bucket was 256 KiB, is now 512 KiB" in words
    assert "the checksum is" in words
    assert "usr/share/qemu/pxe-virtio.rom: is not built" in words
    assert "2 of 4 ROMs not built" in words
    assert "2 ROMs not as locked" in words
    assert words.index("2 of 4 ROMs") < words.index("not as locked")


def test_the_page_tells_whether_guests_migrate(
    built: Path, romforge: Run, releases: dict[str, Path]
):
    """From each older set that is named, with the reason if not.

    The page also shows a file that the older set lacks.
    """
    larger = built / "larger"
    shutil.copytree(built / "out/usr/share/qemu", larger)
    (larger / "efi-e1000.rom").write_bytes((larger / "efi-e1000.rom").read_bytes() * 2)
    (larger / "pxe-virtio.rom").unlink()
    sets = "--against", f"sid={releases['sid']}", "--against", "larger"
    words = Words(report(built, romforge, *sets, status=1)).words
    assert "fails for 1 ROM" in words
    assert "from sid" in words
    assert "from larger: cannot migrate" in words
    assert "QEMU says Size mismatch: 0000:00:02.0/e1000.rom: 0x80000 != 0x40000" in words
    assert "Remedy: migrates to a QEMU started with romsize=524288" in words
    assert "the older set has no such file" in words


def test_no_older_set_is_lost(built: Path, romforge: Run):
    """Two directories of one name are two sets; the first of these has a larger bucket."""
    for place, size in (("one/qemu", 2), ("two/qemu", 1)):
        shutil.copytree(built / "out/usr/share/qemu", built / place)
        rom = built / place / "efi-e1000.rom"
        rom.write_bytes(rom.read_bytes() * size)
    words = ["--against", "one/qemu", "--against", "two/qemu"]
    done = romforge("report", "-o", "page.html", *words)
    assert (done.returncode, done.stderr) == (1, "romforge: 1 ROM to which guests cannot migrate\n")
    page = (built / "page.html").read_text()
    assert "two/qemu" in page
    done = romforge(
        "report", "-o", "page.html", "--against", "x=one/qemu", "--against", "x=two/qemu"
    )
    assert (done.returncode, "there are two sets x" in done.stderr) == (2, True)


def test_a_set_with_which_nothing_is_compared_is_told(built: Path, romforge: Run):
    (built / "other.rom").write_bytes(builders.legacy())
    done = romforge("report", "-o", "page.html", "--against", "other.rom")
    assert "other.rom: has no file of the name of a ROM" in done.stderr


def test_the_page_tells_of_objects(tmp_path: Path, romforge: Run, doit: Run):
    """Of an image that a tree built: what each object has of the ROM, by the name of the NIC."""
    nics = '[nic.e1000]\nid = "8086:100e"\n'
    target = '[target.qemu]\ndir = "qemu"\nfile = "{nic}.rom"\nimages = ["pcbios", "x86_64-efi"]\n'
    source = f'[source.ipxe]\ntree = "{TOP}/vendor/minipxe"\nconfig = "qemu"\n'
    platforms = "[platform.pcbios]\n[platform.x86_64-efi]\n"
    (tmp_path / "romspec.toml").write_text(f"spec = 1\n{source}{platforms}{nics}{target}")
    assert doit().returncode == 0
    page = report(tmp_path, romforge)
    words = Words(page).words
    images = json.loads(romforge("why", "--json", "qemu/e1000.rom").stdout)["images"]
    for image in images:
        platform = image["name"].split("/")[0]
        assert f"{platform}: {image['size']:,} bytes in the ROM" in words
        for part in image["parts"]:
            if part["compressed"] <= 0:
                continue  # it has no area
            assert f"{part['name']} {part['compressed']:,}" in words
    largest = max(images[1]["parts"], key=lambda part: part["compressed"])
    path = f"{largest['directory']}/{largest['name']}"
    sizes = f"about {largest['compressed']:,} in the ROM, {largest['size']:,} linked"
    assert f"<title>{path}: {sizes}" in page
    assert "compiler" in words
    assert "GCC: (" in words
    efi = {part["name"]: part for part in images[1]["parts"]}
    assert (efi["intel"]["directory"], efi["efi_snp"]["directory"]) == (
        "drivers/net",
        "interface/efi",
    )
    # the heap takes memory, and no part of the picture
    assert efi["malloc"]["memory"] > 100 * efi["malloc"]["compressed"]
    assert max(part["compressed"] for part in efi.values()) < images[1]["size"]


def test_what_cannot_be_told_is_said(built: Path, romforge: Run):
    done = romforge("report", "-o", "page.html", "--against", "nowhere.deb")
    assert (done.returncode, "nowhere.deb" in done.stderr) == (1, True), done.stderr
    shutil.rmtree(built / "out")
    done = romforge("report", "-o", "page.html")
    assert (done.returncode, "run doit first" in done.stderr) == (1, True), done.stderr
    assert not (built / "page.html").exists()


def test_names_cannot_break_the_page(tmp_path: Path, romforge: Run, doit: Run):
    """File names and IDs go into it as text."""
    (tmp_path / "roms").mkdir()
    (tmp_path / "roms/efi-e1000.rom").write_bytes(builders.legacy(blocks=140))
    text = (
        spec_text("roms")
        .replace("efi-{nic}.rom", "<b>&'\\\"{nic}.rom")
        .replace(', "x86_64-efi"', "", 1)
    )
    (tmp_path / "romspec.toml").write_text(text)
    assert doit().returncode == 0
    page = report(tmp_path, romforge)
    assert "<b>&" not in page
    assert "<b>&'\"e1000.rom" in Words(page).words


def test_each_link_leads_somewhere_and_each_rom_fault_and_change_has_an_anchor(
    built: Path, romforge: Run
):
    """A ROM has two faults, and another bucket than the locked one; the spec has one ROM less."""
    path = built / "out/usr/share/qemu/efi-e1000.rom"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data) + bytes(1 << 18))
    (built / "out/usr/share/qemu/efi-virtio.rom").unlink()
    with (built / "romspec.toml").open("a") as spec:
        spec.write('nics = ["e1000"]\n')  # of the target pxe
    contents = Words(report(built, romforge, "--against", "out/usr", status=1))
    assert len(set(contents.anchors)) == len(contents.anchors)
    assert {link[1:] for link in contents.links} <= {*contents.anchors}
    rom = "usr/share/qemu/efi-e1000.rom"
    wanted = {f"rom/{rom}", f"fault/{rom}", f"fault/{rom}~~2", f"change/{rom}", f"migration/{rom}"}
    wanted |= {"fault/usr/share/qemu/efi-virtio.rom", "rom/usr/share/qemu/efi-virtio.rom"}
    wanted |= {"change/usr/share/qemu/pxe-virtio.rom"}
    assert wanted <= {*contents.anchors}


def test_the_page_tells_where_the_roms_come_from(built: Path, romforge: Run):
    """The spec with its digest, and the date of SOURCE_DATE_EPOCH; else no date."""
    digest = hashlib.sha256((built / "romspec.toml").read_bytes()).hexdigest()
    words = Words(report(built, romforge)).words
    for text in ("romspec.toml", digest, "revision not recorded", "SOURCE_DATE_EPOCH is not set"):
        assert text in words, text
    done = romforge("report", "-o", "page.html", SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Tokyo")
    assert done.returncode == 0, done.stderr
    assert "2023-11-14 22:13 UTC" in Words((built / "page.html").read_text()).words
    done = romforge("report", "-o", "page.html", SOURCE_DATE_EPOCH="yesterday")
    assert done.returncode == 1
    assert "SOURCE_DATE_EPOCH is 'yesterday', and not a number" in done.stderr


def test_the_page_tells_the_revision_of_a_checkout(tmp_path: Path, romforge: Run):
    shutil.copytree(TOP / "vendor/minipxe", tmp_path / "tree")
    forge.committed(tmp_path / "tree")
    head = forge.git(tmp_path / "tree", "rev-parse", "HEAD")
    (tmp_path / "romspec.toml").write_text(
        'spec = 1\n[source.ipxe]\ntree = "tree"\n[platform.pcbios]\n[nic.e1000]\nid = "8086:100e"\n'
        '[target.qemu]\ndir = "qemu"\nfile = "{nic}.rom"\nimages = ["pcbios"]\n'
    )
    assert romforge("build").returncode == 0
    assert f"v1.0.0-1-g{head}" in Words(report(tmp_path, romforge)).words


@pytest.fixture(scope="module")
def ready_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boot_files.build(tmp_path_factory.mktemp("files"))


@pytest.fixture
def files(ready_files: Path, tmp_path: Path) -> Path:
    """A ROM and two files that are no ROMs, built and locked; a test changes what it likes."""
    shutil.copytree(ready_files, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


def check_links(page: str) -> Words:
    contents = Words(page)
    assert len(set(contents.anchors)) == len(contents.anchors)
    assert {link[1:] for link in contents.links} <= {*contents.anchors}
    return contents


def test_the_page_has_the_files_that_are_no_roms(files: Path, romforge: Run):
    """One is as built, one has grown since the lock; each has an anchor."""
    boot_files.let_grow(files, DISK)
    contents = check_links(report(files, romforge))
    size = (files / "out" / DISK).stat().st_size
    for words in ("Files that are no ROMs", "2 of 2 files", "1 file changed", f"+{GROWTH}"):
        assert words in contents.words, words
    assert re.search(rf"1 ROM: .* in use; 2 files, {2 * size:,} bytes\n", contents.words)
    assert {f"file/{DISK}", f"file/{NET}", f"change/{DISK}", "files"} <= {*contents.anchors}
    assert {"#files", f"#file/{DISK}", f"#change/{DISK}"} <= {*contents.links}


def test_the_page_tells_which_file_is_wrong(files: Path, romforge: Run):
    """An altered one, and one that is gone; the JSON has both."""
    (files / "out" / NET).write_bytes(b"altered")
    (files / "out" / DISK).unlink()
    done = romforge("report", "--json", "-o", "page.html")
    assert done.returncode == 1
    contents = check_links((files / "page.html").read_text())
    table = contents.words.partition("Files that are no ROMs")[2]
    for words in ("2 of 2 files not built", "2 files not as locked"):
        assert words in contents.words, words
    for words in ("was changed since it was built", "is not built", "no file"):
        assert words in table, words
    found = document(done.stdout, "report")
    assert found["counts"]["files_not_built"] == found["counts"]["files_not_as_locked"] == 2
    assert [(file["file"], file["size"], file["built"]) for file in found["files"]] == [
        (DISK, None, False),
        (NET, len(b"altered"), False),
    ]
    assert "2 files not built as the spec says" in done.stderr


def test_the_page_of_files_alone_tells_nothing_of_roms(files: Path, romforge: Run):
    """But where they come from; and what is locked and no longer in the spec links to the table."""
    (files / "romspec.toml").write_text(boot_files.FILES)
    contents = check_links(report(files, romforge, status=1))  # the lock has the ROM
    assert "roms/e1000.rom: is in the lock, but no longer in the spec" in contents.words
    boot_files.without_roms(files)
    contents = check_links(report(files, romforge))
    assert "2 of 2 files" in contents.words
    assert "source ipxe" in contents.words
    assert "GCC: (" in contents.words
    for section in ("roms", "faults", "migration", "proofs", "bytes"):
        assert section not in contents.anchors
    assert {"files", "changes"} <= {*contents.anchors}


def test_the_same_set_gives_the_same_page(built: Path, romforge: Run):
    first = report(built, romforge)
    (built / "page.html").unlink()
    assert report(built, romforge) == first


def test_only_the_page_needs_jinja(built: Path, romforge: Run, tmp_path: Path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/jinja2.py").write_text("raise ImportError\n")
    without = {"PYTHONPATH": f"{tmp_path}/hidden:{TOP}/src"}
    done = romforge("report", "-o", "page.html", **without)
    assert done.returncode == 1
    assert "jinja2: not found; install the Debian package python3-jinja2" in done.stderr
    assert not (built / "page.html").exists()
    for name in ("page.md", "badge.svg"):
        assert romforge("report", "-o", name, **without).returncode == 0
    assert romforge("status", **without).returncode == 0
