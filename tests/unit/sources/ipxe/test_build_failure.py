# SPDX-License-Identifier: GPL-2.0-or-later
"""The error message for a failed make, and its hints; the output has the form of upstream's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.plan.steps import TreeBuild
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


def explained(message: str, target: str, facts: Facts) -> str:
    """The error message for a make that failed at a target, where a tool printed ``message``."""
    output = f"  [LD] {target}\n{message}\nmake: *** [Makefile:9: {target}] Error 1\n"
    return build_failure.explain(output, 2, facts)


def test_the_cause_comes_last_and_the_message_is_short(facts: Facts):
    errors = [f"ld: undefined reference to `f{number}'" for number in range(20_000)]
    text = explained("\n".join(errors), "bin/8086100e.rom.tmp", facts)
    lines = text.splitlines()
    assert lines[0] == "make ended with status 2 at bin/8086100e.rom.tmp"
    assert lines[1] == f"  the whole log: {facts.log}"
    assert lines[2] == "  to see it again: make bin/8086100e.rom"
    assert lines[-1] == "  ld: undefined reference to `f19999'"
    assert len(lines) <= 12


def test_long_lines_are_cut(facts: Facts):
    lines = explained("x" * 9999, "bin/a.o", facts).splitlines()
    assert max(map(len, lines)) < 400


# Disks


@pytest.mark.parametrize(
    ("output", "free", "full"),
    [
        ("ar: bin/blib.a: No space left on device\nmake: *** [bin/blib.a] Error 1\n", PLENTY, True),
        ("ar: unable to copy file 'bin/a'; reason: Success\nmake: *** [a] Error 1\n", PLENTY, True),
        ("ar: unable to copy file 'bin/a'; reason: Is a directory\n***\n", PLENTY, False),
        ("gcc: error\nmake: *** [bin/a.o] Error 1\n", 0, True),
        ("gcc: error\nmake: *** [bin/a.o] Error 1\n", 4096, False),
        ("  [BUILD] bin/a.o\n", 4096, True),
        ("  [BUILD] bin/a.o\n", PLENTY, False),
    ],
)
def test_a_disk_is_full_if_a_tool_reports_it_or_nothing_is_free(output: str, free: int, full: bool):
    """Or if the log ends without make's last lines and little space is free."""
    assert build_failure.disk_is_full(output, free) is full


def test_the_file_that_could_not_be_written_is_shown():
    output = "x\nar: bin/blib.a: No space left on device\n"
    text = build_failure.explain_full_disk(output, Path("work"), 4096)
    assert text.startswith(
        "work: no space left on device (4,096 bytes are free); free some space; the next build"
    )
    assert text.endswith("\n  ar: bin/blib.a: No space left on device")


def test_a_log_that_breaks_off_is_reported(facts: Facts):
    text = build_failure.explain("  [LD] x\nlast line\n", 2, facts)
    assert text.endswith(
        "  last line\n  hint: the log ends without make's last lines; "
        "1,073,741,824 bytes are free on its disk"
    )


def test_a_failure_of_no_known_cause_has_no_hint(facts: Facts):
    assert "hint" not in explained("perl: something odd", "bin/.rom.defs", facts)


# Devices


@pytest.mark.parametrize(
    "message",
    [
        "ld:--defsym:2: undefined symbol `obj_808604df' referenced in expression",
        "ld: required symbol `obj_808604df' not defined",
    ],
)
def test_an_id_without_a_driver_is_reported_with_the_nearest(message: str, facts: Facts):
    text = explained(message, "bin/808604df.rom.tmp", facts)
    assert text.endswith(
        f"  {message}\n  hint: this tree has no driver for the PCI ID 8086:04df; "
        "the nearest are 8086:0440 (intel), 8086:0039 (tulip) and 8086:100e (intel); "
        'correct id in [nic.odd] (romspec.toml:16), or set goal there, such as goal = "80860440"'
    )


def test_no_other_id_is_suggested_for_an_unknown_vendor(facts: Facts):
    facts = facts._replace(goals=("12345678",), spec=None)
    text = explained(
        "ld: required symbol `obj_12345678' not defined", "bin/12345678.rom.tmp", facts
    )
    assert text.endswith(
        "PCI ID 1234:5678, nor for any of vendor 1234; correct id, or set goal, in [nic.NAME]"
    )


def test_an_unknown_driver_is_reported_with_a_near_miss(facts: Facts):
    text = explained("ld: required symbol `obj_rtl8193' not defined", "bin/rtl8193.rom.tmp", facts)
    assert text.endswith(
        'hint: this tree has no driver or device rtl8193 (did you mean "rtl8139"?); '
        "correct goal in [nic.named] (romspec.toml:19)"
    )


def test_devices_are_read_from_the_makefiles_own_list(facts: Facts):
    devices = build_failure.read_devices(facts.src / "bin/.rom.defs")
    assert devices[1] == ("one", "80860440", "intel")
    assert build_failure.read_devices(facts.src / "nosuch") == []


# Warnings


WERROR = "net/a.c:7:3: error: odd [-Werror=array-bounds]\ncc1: all warnings being treated as errors"
HINT = (
    "a warning stopped the build, as happens if the compiler is newer than the tree; "
    "set make = { NO_WERROR = 1 } in [source.ipxe]"
)


def test_a_warning_that_stopped_the_build_has_a_remedy(facts: Facts):
    assert f"hint: {HINT} (romspec.toml:3)" in explained(WERROR, "bin/a.o", facts)
    assembler = "a.S: Assembler messages:\na.S:1: Warning: odd\n"
    assembler += "/tmp/x.s: Error: 1 warning, treating warnings as errors"
    text = explained(assembler, "bin/a.o", facts)
    assert "a.S:1: Warning: odd" in text
    assert HINT in text


def test_the_remedy_for_warnings_is_shown_only_if_it_helps(facts: Facts):
    error = f"net/a.c:9:1: error: 'x' undeclared\n{WERROR}"
    assert "NO_WERROR" not in explained(error, "bin/a.o", facts)
    facts = facts._replace(variables={"NO_WERROR": "1"})
    assert "NO_WERROR" not in explained(WERROR, "bin/a.o", facts)


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
        "  hint: the legacy image has 144,384 bytes, and its header can state at most 130,560 "
        "(127.5 KiB); remove options from its configuration, "
        'or set media = "mrom" in [platform.pcbios] (romspec.toml:10), '
        "for a card with a memory BAR as large as the ROM; those of QEMU's cards have "
        "at most 128 KiB\n"
        "  hint: its largest objects in bytes before compression, "
        "and the option that pulls each in: "
        "intel 8,192, http 4,096 (DOWNLOAD_PROTO_HTTP), uri 2,048 (DOWNLOAD_PROTO_HTTP)"
    )


# Options of a configuration

CONFIG_SOURCE = """\
#ifdef PXE_STACK
REQUIRE_OBJECT ( pxe_call );
#endif
#ifdef NET_PROTO_IPV4
REQUIRE_OBJECT ( ipv4 );
#endif
"""
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
def efi_facts(facts: Facts) -> Facts:
    (facts.src / "config/config.c").write_text(CONFIG_SOURCE)
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


def test_an_option_for_bios_only_is_named_if_efi_cannot_link_it(efi_facts: Facts):
    """On x86 its objects are built for EFI too, but cannot be linked."""
    message = (
        "bin-x86_64-efi/blib.a(librm.o): in function `real_to_prot':\n"
        "(.text16.real_to_prot+0x8): relocation truncated to fit: "
        "R_X86_64_16 against `.data16.gdt'"
    )
    text = explained(message, "bin-x86_64-efi/8086100e.efidrv.tmp", efi_facts)
    assert text.endswith(
        "  hint: PXE_STACK, defined in [config.qemu.general] (romspec.toml:7), "
        "is for BIOS only, not for x86_64-efi: it pulls in librm.o"
    )


def test_an_option_whose_object_is_not_built_is_named(efi_facts: Facts):
    """As on arm64, where no x86 source is built."""
    (efi_facts.src / "arch/x86").mkdir(parents=True)
    (efi_facts.src / "arch/x86/pxe_call.c").write_text("")
    facts = efi_facts._replace(platform="arm64-efi")
    target = "bin-arm64-efi/8086100e.efidrv.tmp"
    message = "ld: bin-arm64-efi/blib.a(config.o): undefined reference to `obj_pxe_call'"
    assert explained(message, target, facts).endswith(
        "  hint: PXE_STACK, defined in [config.qemu.general] (romspec.toml:7), "
        "is not available on the platform arm64-efi: arch/x86/pxe_call.c is not built for it"
    )
    message = "ld: undefined reference to `obj_ipv4'"
    assert explained(message, target, facts).endswith(
        "hint: NET_PROTO_IPV4, see config/config.c:5, "
        "is not available on the platform arm64-efi: the tree has no ipv4"
    )


# git


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("/bin/sh: 1: git: not found", "install the Debian package git"),
        ("make: git: No such file or directory", "install the Debian package git"),
        (
            "fatal: detected dubious ownership in repository at '/x'",
            "run git config --global --add safe.directory {}",
        ),
    ],
)
def test_git_is_named_as_the_cause_though_the_compiler_fails(line: str, remedy: str, facts: Facts):
    error = "core/version.c:48:32: error: expected expression before ',' token\n"
    output = f"{line}\n  [VERSION] bin/version.8086100e.rom.o\n{error}"
    output += "make: *** [Makefile:9: bin/version.8086100e.rom.o] Error 1\n"
    text = build_failure.explain(output, 2, facts)
    assert f"  {error}" in text
    remedy = remedy.format(facts.tree.parent)
    assert text.endswith(f"hint: the tree's version comes from git ({line}); {remedy}")


def test_a_commit_that_the_makefile_does_not_find_has_a_remedy(facts: Facts):
    output = "Makefile:231: *** Unable to determine git commit ID.  Stop.\n"
    text = build_failure.explain(output, 2, facts)
    assert 'set make = { GITVERSION = "…" } in [source.ipxe] (romspec.toml:3) to what' in text
    assert text.endswith("git rev-parse HEAD prints")


def make_step(**fields: Any) -> TreeBuild:
    return TreeBuild(**{name: fields.get(name, ()) for name in TreeBuild._fields})


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_checkout_needs_git_unless_the_spec_has_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A tree that is not a git checkout needs no git either."""
    step, src = make_step(source="ipxe"), tmp_path / "ipxe/src"
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    toolchain.require_git(step, src)
    (tmp_path / "ipxe/.git").mkdir(parents=True)
    with pytest.raises(MissingTool) as error:
        toolchain.require_git(step, src)
    assert str(error.value) == (
        f"git: not found; the version of {tmp_path}/ipxe comes from git: "
        'install the Debian package git, or set make = { VERSION = "…" } in [source.ipxe]'
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
    remedy = f"run git config --global --add safe.directory {tmp_path}/ipxe, or"
    assert f"git refuses the tree: {refusal}\n  {remedy}" in str(error.value)
    program(tmp_path / "bin/git", "exit 0")
    toolchain.require_git(make_step(source="ipxe"), tmp_path / "ipxe/src")


# Embedded files


def test_a_missing_embedded_file_is_reported_with_its_line(facts: Facts):
    missing = facts.src / "nosuch"
    step = make_step(platform="pcbios", files=(("EMBED", (str(facts.src), str(missing))),))
    assert facts.spec
    with pytest.raises(RomforgeError) as error:
        build_failure.require_embedded(step, facts.spec)
    first = f"platform.pcbios.embed[0]: {facts.src}: cannot be read: Is a directory\n"
    second = f"platform.pcbios.embed[1]: {missing}: cannot be read: No such file or directory\n"
    assert str(error.value) == (
        f'romspec.toml:12: {first}    12 | "one",\nromspec.toml:13: {second}    13 | "two",'
    )
    facts.spec.write_text("spec = [")
    with pytest.raises(RomforgeError) as error:
        build_failure.require_embedded(step, facts.spec)
    assert str(error.value).startswith(first)


@pytest.mark.parametrize(
    "message",
    [
        "These lack a FILE_SECBOOT() declaration:\ninterface/efi/efidrvprefix.c",
        "The build has files that must not be signed for UEFI Secure Boot",
    ],
)
def test_a_directory_of_secure_boot_that_refuses_a_source_names_the_other_one(
    message: str, facts: Facts
):
    facts = facts._replace(platform="secure", bin="bin-arm64-efi-sb")
    text = explained(message, "bin-arm64-efi-sb/8086100e.efidrv.secboot", facts)
    assert "hint: bin-arm64-efi-sb takes only sources that the tree declares fit" in text
    assert 'write bin = "bin-arm64-efi" in [platform.secure] and sign in the target' in text
    assert "FILE_SECBOOT" not in explained("an error", "bin/a.o", facts)


# Compilers


def test_clang_is_told_to_be_no_compiler_for_ipxe(facts: Facts):
    """It stops at warnings first, and without -Werror at what is no warning."""
    error = "clang: error: optimization flag '-fstrength-reduce' is not supported [-Werror,-Wx]"
    assert "name a gcc" not in explained(error, "bin/a.o", facts)
    text = explained(error, "bin/a.o", facts._replace(variables={"CC": "clang-19"}))
    assert "hint: clang compiles no iPXE up to 2.0.0" in text
    assert "NO_WERROR" not in text
