# SPDX-License-Identifier: GPL-2.0-or-later
"""Link maps, as the GNU ld of this machine writes them for links made here, against the linked file itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from romforge.base.errors import RomforgeError
from romforge.formats import elf, ld_map

SOURCES = {
    "start": "int driver(int); int _start(void) { return driver(3); } int left_out_with_a_name_too_long_for_a_column(void) { return 7; }",
    "driver": "char obj_driver, heap[1 << 20]; int table[100] = {1}; int unused[9] = {2};"
    "int driver(int x) { heap[x] = 1; return table[x]; }",
    "config": "extern char obj_http; char *obj_config = &obj_http;",
    "http": "char obj_http; const char text[4000] = {5}; const char *fetch(void) { return text; }",
    "never": "char obj_never; int never(void) { return 1; }",
}


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with x, linked from an archive with two roots beside the entry, and its map."""
    directory = tmp_path_factory.mktemp("link")
    for name, text in SOURCES.items():
        (directory / f"{name}.c").write_text(text)
    options = [
        "-O1",
        "-ffreestanding",
        "-fno-pic",
        "-ffunction-sections",
        "-fdata-sections",
        "-fno-asynchronous-unwind-tables",
    ]
    run(["gcc", *options, "-c", *(f"{name}.c" for name in SOURCES)], directory)
    run(["ar", "rcsD", "blib.a", *(f"{name}.o" for name in SOURCES if name != "start")], directory)
    roots = ["-u", "obj_config", "-u", "fetch"]
    run(
        [
            "ld",
            "--gc-sections",
            *roots,
            "-e",
            "_start",
            "-Map",
            "x.map",
            "-o",
            "x",
            "start.o",
            "blib.a",
        ],
        directory,
    )
    return directory


def run(command: list[str], directory: Path) -> str:
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout


def test_the_objects_of_a_link_and_who_asked_for_each(link: Path):
    found = ld_map.parse_map((link / "x.map").read_text())
    asked = {
        (ld_map.object_name(one.member), ld_map.object_name(one.by) if one.by else "", one.symbol)
        for one in found.included
    }
    assert asked == {
        ("driver", "start", "driver"),
        ("config", "", "obj_config"),
        ("http", "", "fetch"),
    }
    assert sorted(found.roots()) == ["fetch", "obj_config"]
    assert sorted(found.objects()) == ["config", "driver", "http", "start"]


def test_sizes_add_up_to_the_sections_of_the_linked_file(link: Path):
    """Each section's inputs fill it but for gaps of alignment, and nothing that was discarded is counted."""
    found = ld_map.parse_map((link / "x.map").read_text())
    for line in run(["readelf", "-SW", "x"], link).splitlines():
        words = line.split("]", 1)[-1].split()
        if len(words) > 5 and words[0] in (".text", ".data", ".rodata", ".bss"):
            inputs = [one for one in found.kept if one.output == words[0]]
            begin, size = int(words[2], 16), int(words[4], 16)
            covered = {one.address + byte - begin for one in inputs for byte in range(one.size)}
            assert len(covered) == sum(one.size for one in inputs)  # none overlaps another
            assert covered <= set(range(size))
            assert size - len(covered) < 32  # alignment
    sizes = found.sizes(elf.sections_in_file(link / "x"))
    assert sizes["http"].file >= 4000
    assert sizes["http"].memory <= 1
    assert sizes["driver"].memory >= 1 << 20  # the heap, which the file does not hold
    assert 400 <= sizes["driver"].file < 1000


def test_discarded_sections_are_named_with_their_objects(link: Path):
    found = ld_map.parse_map((link / "x.map").read_text())
    gone = {(one.name, ld_map.object_name(one.object)) for one in found.discarded if one.size}
    assert (".text.left_out_with_a_name_too_long_for_a_column", "start") in gone
    assert (".data.unused", "driver") in gone
    assert all(one.output == "" for one in found.discarded)
    assert not gone & {(one.name, ld_map.object_name(one.object)) for one in found.kept}


def test_the_symbols_of_the_linked_file_lie_in_the_sections_that_the_map_names(link: Path):
    found = {one.name: one for one in ld_map.parse_map((link / "x.map").read_text()).kept}
    symbols = {
        words[2]: int(words[0], 16) for words in map(str.split, run(["nm", "x"], link).splitlines())
    }
    for symbol, section in (
        ("driver", ".text.driver"),
        ("table", ".data.table"),
        ("text", ".rodata.text"),
        ("fetch", ".text.fetch"),
    ):
        assert (
            found[section].address <= symbols[symbol] < found[section].address + found[section].size
        )


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("bin/blib.a(e1000.o)", "e1000"),
        ("bin-x86_64-efi/version.a.rom.o", "version.a.rom"),
        ("crt", "crt"),
    ],
)
def test_objects_go_by_their_own_name(member: str, name: str):
    assert ld_map.object_name(member) == name


@given(some.text(alphabet=" .()\n0x1abo*", max_size=300))
def test_any_text_is_a_map_or_refused_in_words(text: str):
    ld_map.parse_map(f"Linker script and memory map\n{text}")
    with pytest.raises(RomforgeError, match="no map of GNU ld"):
        ld_map.parse_map(text)
