# SPDX-License-Identifier: GPL-2.0-or-later
"""Link maps that GNU ld writes for links made here, compared with the linked file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from romforge.base.errors import RomforgeError
from romforge.formats import elf, ld_map

SOURCES = {
    "start": "int driver(int); int _start(void) { return driver(3); }"
    "int left_out_with_a_name_too_long_for_a_column(void) { return 7; }",
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
    entry = ["-e", "_start"]
    outputs = ["-Map", "x.map", "-o", "x"]
    run(["ld", "--gc-sections", *roots, *entry, *outputs, "start.o", "blib.a"], directory)
    return directory


def run(command: list[str], directory: Path) -> str:
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout


def test_the_objects_of_a_link_and_what_refers_to_each(link: Path):
    link_map = ld_map.parse_map((link / "x.map").read_text())
    references = set()
    for inclusion in link_map.included:
        caller = ld_map.object_name(inclusion.by) if inclusion.by else None
        references.add((ld_map.object_name(inclusion.member), caller, inclusion.symbol))
    assert references == {
        ("driver", "start", "driver"),
        ("config", None, "obj_config"),
        ("http", None, "fetch"),
    }
    assert sorted(link_map.roots()) == ["fetch", "obj_config"]
    assert sorted(link_map.objects()) == ["config", "driver", "http", "start"]


def test_sizes_add_up_to_the_sections_of_the_linked_file(link: Path):
    """The inputs fill a section but for alignment, and nothing that was discarded is counted."""
    link_map = ld_map.parse_map((link / "x.map").read_text())
    for line in run(["readelf", "-SW", "x"], link).splitlines():
        words = line.split("]", 1)[-1].split()
        if len(words) > 5 and words[0] in (".text", ".data", ".rodata", ".bss"):
            inputs = [section for section in link_map.kept if section.output == words[0]]
            begin, size = int(words[2], 16), int(words[4], 16)
            covered: set[int] = set()
            for section in inputs:
                offset = section.address - begin
                covered |= set(range(offset, offset + section.size))
            assert len(covered) == sum(section.size for section in inputs)  # no overlaps
            assert covered <= set(range(size))
            assert size - len(covered) < 32  # alignment
    sizes = link_map.sizes(elf.sections_in_file(link / "x"))
    assert sizes["http"].file >= 4000
    assert sizes["http"].memory <= 1
    assert sizes["driver"].memory >= 1 << 20  # the heap, which the file does not contain
    assert 400 <= sizes["driver"].file < 1000


def short_names(sections: Iterable[ld_map.MapSection]) -> set[tuple[str, str]]:
    return {(section.name, ld_map.object_name(section.object)) for section in sections}


def test_discarded_sections_are_listed_with_their_objects(link: Path):
    link_map = ld_map.parse_map((link / "x.map").read_text())
    discarded = short_names(section for section in link_map.discarded if section.size)
    assert (".text.left_out_with_a_name_too_long_for_a_column", "start") in discarded
    assert (".data.unused", "driver") in discarded
    assert all(section.output == "" for section in link_map.discarded)
    assert not discarded & short_names(link_map.kept)


def test_the_symbols_of_the_linked_file_lie_in_the_sections_of_the_map(link: Path):
    link_map = ld_map.parse_map((link / "x.map").read_text())
    sections = {section.name: section for section in link_map.kept}
    addresses = {}
    for line in run(["nm", "x"], link).splitlines():
        address, _, name = line.split()
        addresses[name] = int(address, 16)
    for symbol, name in (
        ("driver", ".text.driver"),
        ("table", ".data.table"),
        ("text", ".rodata.text"),
        ("fetch", ".text.fetch"),
    ):
        section = sections[name]
        assert section.address <= addresses[symbol] < section.address + section.size


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("bin/blib.a(e1000.o)", "e1000"),
        ("bin-x86_64-efi/version.a.rom.o", "version.a.rom"),
        ("crt", "crt"),
    ],
)
def test_objects_have_short_names(member: str, name: str):
    assert ld_map.object_name(member) == name


@given(st.text(alphabet=" .()\n0x1abo*", max_size=300))
def test_any_text_is_a_map_or_refused(text: str):
    ld_map.parse_map(f"Linker script and memory map\n{text}")
    with pytest.raises(RomforgeError, match="not a map of GNU ld"):
        ld_map.parse_map(text)


def test_what_the_linker_adds_is_of_no_object():
    """As padding is; ld of binutils 2.47 names a file that does not exist."""
    text = """Linker script and memory map

.text           0x0000000000001000      0x118
 .text          0x0000000000001000      0x100 bin/blib.a(e1000.o)
 .text          0x0000000000001100       0x18 linker stubs
"""
    link_map = ld_map.parse_map(text)
    assert link_map.objects() == ["e1000"]
    (section,) = link_map.kept
    assert section.size == 0x100
    assert link_map.sizes({".text": True}) == {"e1000": ld_map.Size(file=0x100)}
