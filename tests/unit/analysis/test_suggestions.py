# SPDX-License-Identifier: GPL-2.0-or-later
"""The suggestions of `romforge why` for objects to leave out, on links of a few objects."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from romforge.analysis import image_sizes, suggestions
from romforge.analysis.image_sizes import LinkedImage
from romforge.analysis.reference_graph import SectionPlace
from romforge.analysis.suggestions import Candidate
from romforge.formats import elf
from romforge.plan import planner
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe.link_roots import LinkPlan
from romforge.spec import loader

REQUIRE = '__asm__ ( ".section .tbl.requiring_symbols, \\"a\\", %progbits\\n.byte 0\\n'
# The sources of a driver's objects. All but the first few are candidates.
SOURCES = {
    "efidrvprefix": """
int probe ( int );
char obj_efidrvprefix;
int _efidrv_start ( int x ) { return probe ( x ); }
""",
    "version": """
const char product[] = "a product of its own";
const char *shared_version ( void ) { return "a string that two objects share"; }
""",
    "e1000": """
char obj_e1000, heap[1 << 20];
int probe ( int x ) { heap[x] = 1; return x; }
""",
    "efi_snp": """
char obj_efi_snp;
int ipxe ( void * ); int helper ( int ); extern int knob; extern char *efi_cmdline;
int snp ( int x ) { efi_cmdline = 0; return ipxe ( 0 ) + helper ( x ) + knob; }
const char *shared_snp ( void ) { return "a string that two objects share"; }
"""
    + REQUIRE
    + '.reloc ., R_X86_64_NONE, obj_aoe\\n.previous" );',
    "autoboot": "char obj_autoboot; int ipxe ( void *net ) { return net != 0; }",
    "efi_cmdline": "char obj_efi_cmdline; char *efi_cmdline = (char *) 1;",
    "aoe": """
char obj_aoe; extern const char *deep ( void );
static const char *entry __attribute__ (( section ( ".tbl.protocols.01" ), used )) = "aoe";
const char *call ( void ) { return deep (); }
""",
    "deep": """
char obj_deep; const char deep_text[900] = { 1 };
const char *deep ( void ) { return deep_text; }
""",
    "helper": "char obj_helper; int helper ( int x ) { return x * 3 + 7; }",
    "knob": "char obj_knob; int knob = 5;",
}
SCRIPT = """
SECTIONS {
 .text 0x1000 : { *(.text .text.*) }
 .rodata : { *(.rodata .rodata.*) }
 .data : { *(.data .data.*) KEEP(*(SORT(.tbl.*))) KEEP(*(.text.call)) }
 .bss : { *(.bss .bss.*) *(COMMON) }
 /DISCARD/ : { *(.comment) *(.note.*) }
}
"""
ROOTS = [
    "_efidrv_start",
    "obj_e1000",
    "obj_efi_snp",
    "snp",
    "shared_snp",
    "shared_version",
    "product",
]
SPEC = """spec = 1
[source.ipxe]
tree = "tree"
[platform.pcbios]
[platform.x86_64-efi]
leave_out = ["stp"]
[nic.e1000]
id = "8086:100e"
[target.qemu]
dir = "qemu"
file = "{nic}.rom"
images = ["pcbios", "x86_64-efi"]
"""


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A link in a directory bin, of objects in an archive and of version.o by name."""
    top = tmp_path_factory.mktemp("suggestions")
    (top / "bin").mkdir()
    for name, text in SOURCES.items():
        (top / f"{name}.c").write_text(text + "\n")
        options = ["-O1", "-ffreestanding", "-fno-pic", "-ffunction-sections", "-fdata-sections"]
        options += ["-fno-asynchronous-unwind-tables", "-fno-stack-protector"]
        run(["gcc", *options, "-c", f"{name}.c", "-o", f"bin/{name}.o"], top)
    (top / "script.lds").write_text(SCRIPT)
    members = [f"bin/{name}.o" for name in SOURCES if name != "version"]
    run(["ar", "rcsD", "bin/blib.a", *members], top)
    arguments = [
        "--gc-sections",
        "-q",
        "-T",
        "script.lds",
        "-Map",
        "bin/x.tmp.map",
        "-o",
        "bin/x.tmp",
    ]
    for root in ROOTS:
        arguments += ["-u", root]
    run(["ld", *arguments, "bin/version.o", "bin/blib.a"], top)
    return top / "bin" / "x.tmp"


def run(command: list[str], directory: Path) -> str:
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout


def read(linked: Path) -> LinkedImage:
    return image_sizes.read_link(linked.parent.parent, linked, ROOTS, image_sizes.ObjectFiles())


@pytest.fixture(scope="module")
def makes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TreeBuild]:
    spec = tmp_path_factory.mktemp("spec") / "romspec.toml"
    spec.write_text(SPEC)
    return {make.platform: make for make in planner.make_plan(loader.load_spec(spec), None).makes}


@pytest.fixture(scope="module")
def candidates(linked: Path, makes: dict[str, TreeBuild]) -> dict[tuple[str, ...], Candidate]:
    link = read(linked)
    result = suggestions.suggest(makes["x86_64-efi"], LinkPlan(), link, link.size())
    assert result.reason is None
    return {candidate.objects: candidate for candidate in result.candidates}


# Objects and links


def test_objects_distinguish_required_from_used_symbols(linked: Path):
    """And functions from variables."""
    snp = elf.read_object(linked.parent / "efi_snp.o")
    assert {"obj_aoe", "ipxe", "helper", "knob"} <= set(snp.wants)
    assert {"ipxe", "helper", "knob"} <= snp.uses()
    assert "obj_aoe" not in snp.uses()
    assert snp.defines["snp"].code
    assert not snp.defines["obj_efi_snp"].code
    assert not elf.read_object(linked.parent / "knob.o").defines["knob"].code


def test_weak_symbols_are_recognized(tmp_path: Path):
    source = tmp_path / "x.c"
    source.write_text("int __attribute__ (( weak )) f ( void ) { return 0; } int g = 1;\n")
    run(["gcc", "-c", source.name], tmp_path)
    defines = elf.read_object(tmp_path / "x.o").defines
    assert (defines["f"].weak, defines["f"].code) == (True, True)
    assert (defines["g"].weak, defines["g"].code) == (False, False)


def test_memory_is_counted_separately(linked: Path):
    link = read(linked)
    assert link.memory_by_object()["e1000"] >= 1 << 20
    assert sum(link.pieces["e1000"].values()) < 1000
    assert link.size() == sum(item.size for item in link.outputs.values() if item.filled)
    assert link.size() < 1 << 16


def test_an_object_that_is_gone_is_read_from_the_map(linked: Path):
    """Make removes version objects. All bytes are attributed, and its own to the object."""
    present = read(linked)
    version = linked.parent / "version.o"
    aside = version.with_name("aside")
    version.rename(aside)
    try:
        link = read(linked)
    finally:
        aside.rename(version)
    assert link.size() == present.size()
    assert sum(span.size for span in link.spans) == sum(link.sizes.values()) + sum(
        span.size for span in link.spans if span.object == image_sizes.PADDING
    )
    assert "version" in link.graph.command_line_objects
    of_version = sum(link.pieces["version"].values())
    assert of_version >= len("a product of its own") + 1
    # the string that both have may be attributed to either
    shared = len("a string that two objects share") + 1
    assert abs(of_version - sum(present.pieces["version"].values())) <= shared
    for name in present.graph.objects:
        if name != "version":
            assert link.pieces.get(name) == present.pieces.get(name) or name == "efi_snp"
    assert set(link.graph.objects) == set(present.graph.objects)


# What is suggested


def test_an_object_that_is_only_required_needs_nothing(
    candidates: dict[tuple[str, ...], Candidate],
):
    """Other objects that leave count too, and the linker tables with an entry are named."""
    aoe = candidates["aoe",]
    assert (aoe.stubs, aoe.storage, aoe.missing, aoe.possible) == ((), (), (), True)
    assert aoe.asked_by == {"efi_snp": ["obj_aoe"]}
    assert aoe.with_it == ("deep",)
    assert aoe.tables == ("protocols",)
    assert aoe.leaves >= 900
    assert aoe.saves == aoe.leaves  # since nothing is compressed
    assert aoe.line == 'leave_out = ["stp", "aoe"]'


def test_functions_need_stubs_and_variables_need_storage(
    candidates: dict[tuple[str, ...], Candidate],
):
    """romforge has these for the objects that it knows, and not for others."""
    autoboot = candidates["autoboot",]
    assert (autoboot.stubs, autoboot.storage) == (("ipxe",), ())
    assert autoboot.possible
    cmdline = candidates["efi_cmdline",]
    assert (cmdline.stubs, cmdline.storage) == ((), ("efi_cmdline",))
    assert cmdline.possible
    helper = candidates["helper",]
    assert (helper.stubs, helper.missing, helper.possible) == (("helper",), ("helper",), False)
    knob = candidates["knob",]
    assert (knob.storage, knob.missing, knob.possible) == (("knob",), ("knob",), False)


def test_the_driver_itself_is_no_candidate(
    candidates: dict[tuple[str, ...], Candidate], linked: Path
):
    named = {name for objects in candidates for name in objects}
    assert not named & {"e1000", "efi_snp", "efidrvprefix", "version"}
    # and what it needs does not leave
    everything = read(linked).graph.reached()
    leaving = read(linked).leaving(everything, ("helper",))
    assert leaving.objects == ("helper",)


def test_the_largest_saving_comes_first(linked: Path, makes: dict[str, TreeBuild]):
    """First of those that need only a line in the spec, then of the others."""
    link = read(linked)
    result = suggestions.suggest(makes["x86_64-efi"], LinkPlan(), link, link.size())
    ranks = [(not candidate.possible, -candidate.saves) for candidate in result.candidates]
    assert ranks == sorted(ranks)
    assert {candidate.possible for candidate in result.candidates} == {True, False}


def test_nothing_is_suggested_where_nothing_may_be_left_out(
    linked: Path, makes: dict[str, TreeBuild]
):
    """The reason is given. A legacy image has neither suggestions nor a reason."""
    link = read(linked)
    plan = LinkPlan(reason="it boots with its own stack")
    result = suggestions.suggest(makes["x86_64-efi"], plan, link, link.size())
    assert (result.candidates, result.reason) == ((), "it boots with its own stack")
    legacy = suggestions.suggest(makes["pcbios"], LinkPlan(), link, link.size())
    assert (legacy.candidates, legacy.reason) == ((), None)


def test_nothing_is_suggested_that_removes_the_network_interface(
    linked: Path, makes: dict[str, TreeBuild]
):
    """In a link where the configuration refers to it, and not a root."""
    link = read(linked)
    of_interface = "obj_efi_snp", "snp", "shared_snp"
    link.graph.roots = tuple(root for root in link.graph.roots if root not in of_interface)
    link.graph.next[SectionPlace("version", -1)].append(SectionPlace("helper", -1))
    link.graph.next[SectionPlace("helper", -1)].append(SectionPlace("efi_snp", -1))
    result = suggestions.suggest(makes["x86_64-efi"], LinkPlan(), link, link.size())
    assert "efi_snp" in {place.object for place in link.graph.reached()}
    assert ("helper",) not in {candidate.objects for candidate in result.candidates}


def test_an_object_without_a_known_referrer_stays(linked: Path):
    """Its referrer may be an object whose file is missing."""
    roots = [root for root in ROOTS if root not in ("obj_efi_snp", "snp", "shared_snp")]
    src = linked.parent.parent
    link = image_sizes.read_link(src, linked, roots, image_sizes.ObjectFiles())
    assert {"efi_snp", "aoe", "helper"} <= {place.object for place in link.graph.reached()}
    assert link.size() == read(linked).size()
