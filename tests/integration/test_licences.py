# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge licences`, of a tree whose files are marked as iPXE's are."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support import linked
from tests.support.documents import document
from tests.support.project import Run, run

pytestmark = pytest.mark.slow

SPEC = """spec = 1
[source.ipxe]
tree = "tree"
[platform.pcbios]
[platform.x86_64-efi]
[nic.e1000]
id = "8086:100e"
[target.t]
dir = "roms"
file = "{nic}.rom"
images = ["pcbios", "x86_64-efi"]
level = "fast"
"""
MARK = "/* Copyright (C) 2008, 2010 Some One <some@example.org>. All rights reserved. */\n"
MARK += "/* FILE_LICENCE ( GPL2_OR_LATER_OR_UBDL ); FILE_SECBOOT ( PERMITTED ); */\n"
DRIVER, OTHER = "drivers/net/intel.c", "drivers/net/pcnet.c"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tree has marks in all files."""
    top = tmp_path_factory.mktemp("ready")
    linked.minipxe(top / "tree")
    for path in (top / "tree/src").rglob("*.[chS]"):
        if path.suffix == ".S":
            unmark(path)
        elif path.is_file():
            mark(path, MARK)
    (top / "romspec.toml").write_text(SPEC)
    done = run([sys.executable, "-m", "romforge", "build"], top)
    assert done.returncode == 0, done.stderr
    return top


@pytest.fixture
def built(ready: Path, tmp_path: Path) -> Path:
    """A copy of that project."""
    shutil.copytree(ready, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


def mark(path: Path, text: str) -> None:
    """Puts text before a file, which is a hard link."""
    content = path.read_text()
    path.unlink()
    path.write_text(text + content)


def unmark(path: Path) -> None:
    """Takes the SPDX identifier out of a file, which is a hard link."""
    content = path.read_text()
    path.unlink()
    path.write_text(content.replace("SPDX-License-Identifier", "About"))


def test_the_files_of_the_images_are_listed_by_their_licences(built: Path, romforge: Run):
    """Each source and header of them, and no other; assembly without a mark is named."""
    done = romforge("licences", "--json")
    files = {row["file"]: row for row in document(done.stdout, "licences")["files"]}
    assert OTHER not in files
    row = files[DRIVER]
    assert row["licence"] == "GPL-2+ or UBDL"
    assert row["copyright"] == ["2008, 2010 Some One <some@example.org>"]
    assert (row["secure_boot"], row["platforms"]) == ("permitted", ["pcbios", "x86_64-efi"])
    assert any(file.startswith("include/") for file in files)
    unmarked = [file for file, row in files.items() if row["licence"] == "no mark"]
    assert unmarked
    assert all(file.endswith(".S") or file.startswith("config/") for file in unmarked)
    assert done.returncode == 1
    named = [file for file in unmarked if not file.startswith("config/")]
    assert done.stderr.count("has no mark FILE_LICENCE, so it is not known whether") == len(named)
    text = romforge("licences").stdout
    assert "GPL-2+ or UBDL" in text
    assert text.splitlines()[-1].split() == ["together", str(len(files)), "0"]


def test_a_mark_that_is_not_known_and_one_that_is_forbidden(built: Path, romforge: Run):
    for path in (built / "tree/src").rglob("*.S"):
        mark(path, "/* FILE_LICENCE ( BSD3 ); */\n")
    driver = built / "tree/src" / DRIVER
    driver.write_text(driver.read_text().replace("PERMITTED", "FORBIDDEN"))
    assert romforge("build").returncode == 0
    done = romforge("licences")
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("GPL-2+ or UBDL"))
    assert row.split()[-1] == "1"
    driver.write_text(driver.read_text().replace("GPL2_OR_LATER_OR_UBDL", "SECRET_TERMS"))
    assert romforge("build").returncode == 0
    done = romforge("licences")
    assert done.returncode == 1
    assert f"src/{DRIVER}: is marked SECRET_TERMS, which is not known" in done.stderr


def test_the_paragraphs_for_debian_have_each_marked_file_once(built: Path, romforge: Run):
    mark(built / "tree/src" / DRIVER, "/* Copyright 2011 An Other */\n")
    assert romforge("build").returncode == 0
    text = romforge("licences", "--debian", "--prefix", "ipxe/src/").stdout
    paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph]
    lines = [line for one in paragraphs for line in one.splitlines() if line.startswith(" ipxe/")]
    assert len(lines) == len(set(lines)) > 10
    (of_driver,) = [one for one in paragraphs if f" ipxe/src/{DRIVER}\n" in f"{one}\n"]
    assert of_driver.splitlines()[0] == "Files:"
    assert "\n 2011 An Other\n 2008, 2010 Some One <some@example.org>\n" in of_driver
    assert of_driver.splitlines()[-1] == "License: GPL-2+ or UBDL"


def test_a_copyright_file_states_licences_of_files_without_a_mark(built: Path, romforge: Run):
    """By the last of its paragraphs that match; one for all files does not count."""
    stated = built / "copyright"
    paragraphs = ["Files: *\nLicense: GPL-2+\n", "Files: src/*.S\nLicense: ISC\n text\n"]
    stated.write_text("\n".join(paragraphs[:1]))
    done = romforge("licences", "--copyright", "copyright")
    assert done.returncode == 1
    assert "has no mark FILE_LICENCE" in done.stderr
    stated.write_text("\n".join(paragraphs))
    done = romforge("licences", "--copyright", "copyright", "--json")
    assert done.returncode == 0, done.stderr
    rows = document(done.stdout, "licences")["files"]
    assembly = [row for row in rows if row["file"].endswith(".S")]
    assert {(row["licence"], row["by"]) for row in assembly} == {("ISC", "copyright")}
    assert not any(".." in row["file"] for row in rows)
    text = romforge("licences", "--copyright", "copyright", "--debian").stdout
    assert ".S" not in text  # they have their paragraph
    stated.write_text("Files: *\n\nno field\n")
    done = romforge("licences", "--copyright", "copyright")
    assert done.returncode == 1
    assert "copyright:3: " in done.stderr


def test_programs_are_listed_as_roms_are_and_by_spdx_identifiers(tmp_path: Path, romforge: Run):
    """A CD is made of a program, so its files are not known, which a warning says."""
    linked.minipxe(tmp_path / "tree")
    files = ("snponly.efi", "snponly.iso")
    tables = [
        f'[image.{name[8:]}]\nplatform = "x86_64-efi"\ngoal = "{name}"\ndir = "boot"\n'
        for name in files
    ]
    (tmp_path / "romspec.toml").write_text(SPEC.split("[nic", maxsplit=1)[0] + "".join(tables))
    assert romforge("build").returncode == 0
    done = romforge("licences", "--json")
    assert done.returncode == 0, done.stderr
    assert "snponly.iso: iPXE makes it of other files" in done.stderr
    rows = {row["file"]: row for row in document(done.stdout, "licences")["files"]}
    assert rows["interface/efi/efi_snp.c"]["licence"] == "GPL-2+"
    sources = [row for name, row in rows.items() if not name.startswith("config/")]
    assert {row["licence"] for row in sources} == {"GPL-2+"}
    source = tmp_path / "tree/src/interface/efi/efi_snp.c"
    unmark(source)
    assert romforge("build").returncode == 0
    done = romforge("licences", "image:efi")
    assert done.returncode == 1
    assert "src/interface/efi/efi_snp.c: has no mark FILE_LICENCE" in done.stderr


def test_what_is_not_built_is_an_error(built: Path, romforge: Run):
    done = romforge("licences", "--out", "empty")
    assert done.returncode == 1
    assert "8086100e.rom must be built first: it was not built yet" in done.stderr
