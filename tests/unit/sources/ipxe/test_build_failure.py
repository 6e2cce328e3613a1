# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person reads of a make that failed: messages in the form of upstream's, and the hints for known causes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.plan.planner import TreeBuild
from romforge.sources.ipxe import build_failure, toolchain
from romforge.sources.ipxe.build_failure import Facts

PLENTY = 1 << 30  # bytes
SPEC = """\
spec = 1

[source.ipxe]
tree = "ipxe"
config = "qemu"

[config.qemu.general]
define = ["PXE_STACK"]

[platform.pcbios]
embed = [
  "one",
  "two",
]

[nic.odd]
id = "8086:04df"

[nic.named]
id = "10ec:8139"
goal = "rtl8193"

[target.qemu]
dir = "roms"
file = "{nic}.rom"
images = ["pcbios"]
"""
ROM_DEFS = """\
# NIC\t80860440\t8086,0440\tOne
DRIVER_80860440 = intel
PCI_VENDOR_80860440 = 0x8086
PCI_DEVICE_80860440 = 0x0440

DRIVER_one = intel
PCI_VENDOR_one = 0x8086
PCI_DEVICE_one = 0x0440

DRIVER_80860039 := tulip
PCI_VENDOR_80860039 := 0x8086
PCI_DEVICE_80860039 := 0x0039

DRIVER_8086100e = intel
PCI_VENDOR_8086100e = 0x8086
PCI_DEVICE_8086100e = 0x100e

DRIVER_10ec8139 = rtl8139
PCI_VENDOR_10ec8139 = 0x10ec
PCI_DEVICE_10ec8139 = 0x8139
"""


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    src = tmp_path / "work/src"
    (src / "bin").mkdir(parents=True)
    (src / "config").mkdir()
    (src / "bin/.rom.defs").write_text(ROM_DEFS)
    (tmp_path / "romspec.toml").write_text(SPEC)
    return Facts(
        source="ipxe",
        platform="pcbios",
        goals=("8086100e", "808604df", "rtl8193"),
        media="rom",
        bin="bin",
        legacy=True,
        variables={},
        config="qemu",
        headers={},
        tree=tmp_path / "ipxe/src",
        src=src,
        log=tmp_path / "work/make.log",
        command="make bin/8086100e.rom",
        free=PLENTY,
        spec=tmp_path / "romspec.toml",
    )


def told(words: str, target: str, facts: Facts) -> str:
    """The message of a make that said this when it failed at a target."""
    output = f"  [LD] {target}\n{words}\nmake: *** [Makefile:9: {target}] Error 1\n"
    return build_failure.explain(output, 2, facts)


def test_the_cause_comes_last_and_the_whole_is_short(facts: Facts):
    text = told(
        "\n".join(f"ld: undefined reference to `f{n}'" for n in range(20_000)),
        "bin/8086100e.rom.tmp",
        facts,
    )
    lines = text.splitlines()
    assert lines[0] == "make ended with status 2 at bin/8086100e.rom.tmp"
    assert lines[1] == f"  the whole log: {facts.log}"
    assert lines[2] == "  to see it again: make bin/8086100e.rom"
    assert lines[-1] == "  ld: undefined reference to `f19999'"
    assert len(lines) <= 12


def test_lines_are_no_longer_than_a_person_reads(facts: Facts):
    assert max(map(len, told("x" * 9999, "bin/a.o", facts).splitlines())) < 400


# Disks


@pytest.mark.parametrize(
    ("output", "free", "full"),
    [
        ("ar: bin/blib.a: No space left on device\nmake: *** [bin/blib.a] Error 1\n", PLENTY, True),
        ("gcc: error\nmake: *** [bin/a.o] Error 1\n", 0, True),
        ("gcc: error\nmake: *** [bin/a.o] Error 1\n", 4096, False),
        ("  [BUILD] bin/a.o\n", 4096, True),
        ("  [BUILD] bin/a.o\n", PLENTY, False),
    ],
)
def test_a_disk_is_full_where_a_tool_says_so_or_nothing_is_free(output: str, free: int, full: bool):
    """Or where the log ends without make's last words, and hardly anything is free."""
    assert build_failure.disk_is_full(output, free) is full


def test_what_found_no_room_is_shown():
    text = build_failure.explain_full_disk(
        "x\nar: bin/blib.a: No space left on device\n", Path("work"), 4096
    )
    assert text.startswith(
        "work: no space left on device (4,096 bytes are free); make room, and the next build"
    )
    assert text.endswith("\n  ar: bin/blib.a: No space left on device")


def test_a_log_that_breaks_off_is_reported(facts: Facts):
    text = build_failure.explain("  [LD] x\nlast words\n", 2, facts)
    assert text.endswith(
        "  last words\n  hint: the log ends without make's last words; 1,073,741,824 bytes are free there"
    )


def test_a_failure_of_no_known_cause_has_no_hint(facts: Facts):
    assert "hint" not in told("perl: something odd", "bin/.rom.defs", facts)


# Devices


@pytest.mark.parametrize(
    "words",
    [
        "ld:--defsym:2: undefined symbol `obj_808604df' referenced in expression",
        "ld: required symbol `obj_808604df' not defined",
    ],
)
def test_an_id_without_a_driver_is_reported_with_the_nearest(words: str, facts: Facts):
    text = told(words, "bin/808604df.rom.tmp", facts)
    assert text.endswith(
        f"  {words}\n  hint: this tree has no driver for the PCI ID 8086:04df; "
        "the nearest are 8086:0440 (intel), 8086:0039 (tulip) and 8086:100e (intel); "
        'correct id in [nic.odd] (romspec.toml:16), or set goal there, such as goal = "80860440"'
    )


def test_an_id_of_an_unknown_vendor_has_none_near(facts: Facts):
    facts = facts._replace(goals=("12345678",), spec=None)
    text = told("ld: required symbol `obj_12345678' not defined", "bin/12345678.rom.tmp", facts)
    assert text.endswith(
        "PCI ID 1234:5678, nor for any of vendor 1234; correct id, or set goal, in [nic.NAME]"
    )


def test_a_driver_that_is_not_there_is_reported_with_a_near_miss(facts: Facts):
    text = told("ld: required symbol `obj_rtl8193' not defined", "bin/rtl8193.rom.tmp", facts)
    assert text.endswith(
        'hint: this tree has no driver or device rtl8193 (did you mean "rtl8139"?); correct goal in [nic.named] (romspec.toml:19)'
    )


def test_devices_are_read_from_the_makefiles_own_list(facts: Facts):
    devices = build_failure.read_devices(facts.src / "bin/.rom.defs")
    assert devices[1] == ("one", "80860440", "intel")
    assert build_failure.read_devices(facts.src / "nosuch") == []


# Warnings


WERROR = "net/a.c:7:3: error: odd [-Werror=array-bounds]\ncc1: all warnings being treated as errors"
NEWER = "a warning stopped the build, as of a compiler that is newer than the tree; set make = { NO_WERROR = 1 } in [source.ipxe]"


def test_a_warning_that_stopped_the_build_has_a_remedy(facts: Facts):
    assert f"hint: {NEWER} (romspec.toml:3)" in told(WERROR, "bin/a.o", facts)
    of_assembler = "a.S: Assembler messages:\na.S:1: Warning: odd\n/tmp/x.s: Error: 1 warning, treating warnings as errors"
    text = told(of_assembler, "bin/a.o", facts)
    assert "a.S:1: Warning: odd" in text
    assert NEWER in text


def test_the_remedy_for_warnings_is_told_only_where_it_is_one(facts: Facts):
    assert "NO_WERROR" not in told(
        f"net/a.c:9:1: error: 'x' undeclared\n{WERROR}", "bin/a.o", facts
    )
    assert "NO_WERROR" not in told(WERROR, "bin/a.o", facts._replace(variables={"NO_WERROR": "1"}))


# Legacy images


MAP = """\
Archive member included to satisfy reference by file (symbol)

bin/blib.a(config.o)
                              (obj_config)
bin/blib.a(http.o)            bin/blib.a(config.o) (obj_http)
bin/blib.a(uri.o)             bin/blib.a(http.o) (parse_uri)
bin/blib.a(intel.o)           (obj_intel)

Linker script and memory map

.textdata       0x0000000000000000    0x90000
 .text.http     0x0000000000000000    0x1000 bin/blib.a(http.o)
 .text.uri      0x0000000000001000    0x800 bin/blib.a(uri.o)
 .text.intel    0x0000000000001800    0x2000 bin/blib.a(intel.o)
 .bss.heap      0x0000000000003800    0x80000 bin/blib.a(malloc.o)
.debug_info     0x0000000000000000    0x100
 .debug_info    0x0000000000000000    0x90000 bin/blib.a(config.o)
"""


def test_a_legacy_image_that_is_too_large_is_reported_with_its_largest_objects(facts: Facts):
    (facts.src / "config/config.c").write_text(
        "#ifdef DOWNLOAD_PROTO_HTTP\nREQUIRE_OBJECT ( http );\n#endif\n"
    )
    (facts.src / "bin/8086100e.rom.tmp.map").write_text(MAP)
    overflow = "Add 0+0x11a at 0x2 overflows 1-byte field (13312 bytes too big)"
    output = "  [ZBIN] bin/8086100e.rom.zbin\nmake: *** Deleting file 'bin/8086100e.rom.zbin'\n"
    output += f"{overflow}\nmake: *** [Makefile.housekeeping:9: bin/8086100e.rom.zbin] Error 1\n"
    text = build_failure.explain(output, 2, facts)
    assert text.endswith(
        f"  {overflow}\n"
        "  hint: the legacy image has 144,384 bytes, and its header can state 130,560 (127.5 KiB) at most; "
        'leave options out of its configuration, or set media = "mrom" in [platform.pcbios] (romspec.toml:10)\n'
        "  hint: its largest objects, in bytes before compression, and the option that asked first: "
        "intel 8,192, http 4,096 (DOWNLOAD_PROTO_HTTP), uri 2,048 (DOWNLOAD_PROTO_HTTP)"
    )


# Options of a configuration

ASKS = "#ifdef PXE_STACK\nREQUIRE_OBJECT ( pxe_call );\n#endif\n#ifdef NET_PROTO_IPV4\nREQUIRE_OBJECT ( ipv4 );\n#endif\n"
BIOS_MAP = """\
Archive member included to satisfy reference by file (symbol)

bin-x86_64-efi/blib.a(config.o)
                              (obj_config)
bin-x86_64-efi/blib.a(pxe_call.o)
                              bin-x86_64-efi/blib.a(config.o) (obj_pxe_call)
bin-x86_64-efi/blib.a(librm.o)
                              bin-x86_64-efi/blib.a(pxe_call.o) (rm_sp)
"""


@pytest.fixture
def of_efi(facts: Facts) -> Facts:
    (facts.src / "config/config.c").write_text(ASKS)
    directory = facts.src / "bin-x86_64-efi"
    directory.mkdir()
    (directory / "8086100e.efidrv.tmp.map").write_text(BIOS_MAP)
    efi: dict[str, Any] = {
        "platform": "x86_64-efi",
        "media": "efidrv",
        "bin": "bin-x86_64-efi",
        "legacy": False,
    }
    return facts._replace(**efi, headers={"general": "#undef PXE_STACK\n#define PXE_STACK\n"})


def test_an_option_of_the_bios_alone_is_named_where_efi_cannot_link_it(of_efi: Facts):
    """On x86 its objects are built for EFI too, and cannot be linked; the map says who asked for them."""
    words = "bin-x86_64-efi/blib.a(librm.o): in function `real_to_prot':\n"
    words += (
        "(.text16.real_to_prot+0x8): relocation truncated to fit: R_X86_64_16 against `.data16.gdt'"
    )
    text = told(words, "bin-x86_64-efi/8086100e.efidrv.tmp", of_efi)
    assert text.endswith(
        "  hint: PXE_STACK, defined in [config.qemu.general] (romspec.toml:7), is for BIOS alone, not for x86_64-efi: it brings in librm.o"
    )


def test_an_option_whose_object_is_not_built_is_named(of_efi: Facts):
    """As on arm64, where nothing of x86 is built."""
    (of_efi.src / "arch/x86").mkdir(parents=True)
    (of_efi.src / "arch/x86/pxe_call.c").write_text("")
    facts = of_efi._replace(platform="arm64-efi")
    words = "ld: bin-arm64-efi/blib.a(config.o): undefined reference to `obj_pxe_call'"
    text = told(words, "bin-arm64-efi/8086100e.efidrv.tmp", facts)
    assert text.endswith(
        "  hint: PXE_STACK, defined in [config.qemu.general] (romspec.toml:7), is not for the platform arm64-efi: "
        "arch/x86/pxe_call.c is not built for it"
    )
    text = told("ld: undefined reference to `obj_ipv4'", "bin-arm64-efi/8086100e.efidrv.tmp", facts)
    assert text.endswith(
        "hint: NET_PROTO_IPV4, see config/config.c:5, is not for the platform arm64-efi: the tree has no ipv4"
    )


# git


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("/bin/sh: 1: git: not found", "install the Debian package git"),
        ("make: git: No such file or directory", "install the Debian package git"),
        (
            "fatal: detected dubious ownership in repository at '/x'",
            "run git config --global --add safe.directory {}",
        ),
    ],
)
def test_a_version_that_git_does_not_give_is_the_cause_though_a_compiler_fails(
    said: str, remedy: str, facts: Facts
):
    output = f"{said}\n  [VERSION] bin/version.8086100e.rom.o\ncore/version.c:48:32: error: expected expression before ',' token\n"
    output += "make: *** [Makefile:9: bin/version.8086100e.rom.o] Error 1\n"
    text = build_failure.explain(output, 2, facts)
    assert "  core/version.c:48:32: error: expected expression before ',' token\n" in text
    assert text.endswith(
        f"hint: the tree's version comes from git ({said}); {remedy.format(facts.tree.parent)}"
    )


def test_a_commit_that_the_makefile_does_not_find_has_a_remedy(facts: Facts):
    text = build_failure.explain(
        "Makefile:231: *** Unable to determine git commit ID.  Stop.\n", 2, facts
    )
    assert (
        'set make = { GITVERSION = "…" } in [source.ipxe] (romspec.toml:3) to what git rev-parse HEAD prints'
        in text
    )


def make_step(**fields: Any) -> TreeBuild:
    return TreeBuild(**{name: fields.get(name, ()) for name in TreeBuild._fields})


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_checkout_needs_git_unless_the_spec_has_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What is no checkout needs none either."""
    step, src = make_step(source="ipxe"), tmp_path / "ipxe/src"
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    toolchain.require_git(step, src)
    (tmp_path / "ipxe/.git").mkdir(parents=True)
    with pytest.raises(MissingTool) as error:
        toolchain.require_git(step, src)
    assert str(error.value) == (
        f"git: not found; the version of {tmp_path}/ipxe comes from git: install the Debian package git, "
        'or set make = { VERSION = "…" } in [source.ipxe]'
    )
    toolchain.require_git(step._replace(variables=(("VERSION", "1.21.1"),)), src)


def test_a_tree_that_git_refuses_is_reported_before_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "ipxe/.git").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    refusal = "fatal: detected dubious ownership in repository at '/x'"
    program(tmp_path / "bin/git", f'echo "{refusal}" >&2; exit 128')
    with pytest.raises(MissingTool) as error:
        toolchain.require_git(make_step(source="ipxe"), tmp_path / "ipxe/src")
    assert (
        f"git refuses the tree: {refusal}\n  run git config --global --add safe.directory {tmp_path}/ipxe, or"
        in str(error.value)
    )
    program(tmp_path / "bin/git", "exit 0")
    toolchain.require_git(make_step(source="ipxe"), tmp_path / "ipxe/src")


# Embedded files


def test_a_missing_embedded_file_is_reported_with_its_line(facts: Facts):
    step = make_step(platform="pcbios", files=(("EMBED", (str(facts.src), f"{facts.src}/nosuch")),))
    assert facts.spec
    with pytest.raises(RomforgeError) as error:
        build_failure.require_embedded(step, facts.spec)
    assert str(error.value) == (
        f"romspec.toml:12: platform.pcbios.embed[0]: {facts.src}: cannot be read: Is a directory\n"
        '    12 | "one",\n'
        f"romspec.toml:13: platform.pcbios.embed[1]: {facts.src}/nosuch: cannot be read: No such file or directory\n"
        '    13 | "two",'
    )
    facts.spec.write_text("spec = [")
    with pytest.raises(RomforgeError) as error:
        build_failure.require_embedded(step, facts.spec)
    assert str(error.value).startswith(f"platform.pcbios.embed[0]: {facts.src}: cannot be read")
