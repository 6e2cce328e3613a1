# SPDX-License-Identifier: GPL-2.0-or-later
"""The roots and objects that a driver is linked without: plans, stubs, rules for make, checks."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from romforge.base.errors import RomforgeError
from romforge.formats import elf, ld_map
from romforge.plan.steps import StripOptions
from romforge.sources.ipxe import link_check, link_roots, make_rules
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan, make_link_plan

SOURCES = {"efi_snp", "device", "config", "intel"}


def downgraded_plan(strip: StripOptions) -> LinkPlan:
    """The plan for EFI drivers of a tree whose configuration defines EFI_DOWNGRADE_UX."""
    return make_link_plan(strip, legacy=False, downgraded=True, sources=SOURCES)


def left_out(plan: LinkPlan) -> set[str]:
    names: set[str] = set()
    for group in plan.left_out:
        names.update(group.objects)
    return names


def test_safe_drops_the_configuration_and_adds_the_interface_and_the_shutdown():
    """Only the configuration requires both. The driver would be dead, or would not be shut down."""
    plan = downgraded_plan(StripOptions())
    assert plan.drop == ("obj_config", "obj_config_efi")
    assert plan.add == ("obj_efi_snp", "obj_device")
    assert {"autoboot", "ipv4", "config_ethernet"} <= left_out(plan)
    assert "efi_snp_hii" not in left_out(plan)


def test_minimal_leaves_out_more_than_safe_and_none_nothing():
    """Minimal also leaves out forms, settings and VLANs."""
    minimal = downgraded_plan(StripOptions("minimal"))
    safe = downgraded_plan(StripOptions("safe"))
    assert left_out(minimal) > left_out(safe)
    assert {"efi_snp_hii", "settings", "vlan"} <= left_out(minimal)
    assert downgraded_plan(StripOptions("none")) == LinkPlan()


@pytest.mark.parametrize("downgraded", [False, None])
@pytest.mark.parametrize("strength", ["safe", "minimal"])
def test_without_downgrade_nothing_is_left_out_and_the_plan_says_why(
    strength: str, downgraded: bool | None
):
    """The firmware then calls iPXE's own boot stack."""
    plan = make_link_plan(
        StripOptions(strength), legacy=False, downgraded=downgraded, sources=SOURCES
    )
    assert plan._replace(reason=None) == LinkPlan()
    assert plan.reason
    assert "EFI_DOWNGRADE_UX" in plan.reason
    assert 'config = "qemu"' in plan.reason


def test_a_tree_without_devices_needs_no_root_for_them():
    """The miniature has none, and an undefined root fails the link."""
    plan = make_link_plan(
        StripOptions(), legacy=False, downgraded=True, sources={"efi_snp", "config"}
    )
    assert plan.add == ("obj_efi_snp",)


def test_a_tree_without_efi_snp_keeps_all():
    """It is not known which objects such a driver needs."""
    plan = make_link_plan(StripOptions(), legacy=False, downgraded=True, sources={"config"})
    assert plan.drop == ()
    assert "efi_snp" in str(plan.reason)


def test_legacy_images_keep_all_objects_that_the_spec_does_not_name():
    plan = make_link_plan(
        StripOptions(leave_out=("aoe",)), legacy=True, downgraded=True, sources=SOURCES
    )
    assert plan == LinkPlan(left_out=(LeftOut(("aoe",), True),))


def test_lists_of_the_spec_take_precedence_over_a_strength():
    """What is kept is neither dropped nor left out; an object in leave_out must not be linked."""
    strip = StripOptions(
        "safe", drop=("obj_x",), keep=("obj_config", "obj_ipv4"), leave_out=("aoe", "config_pci")
    )
    plan = downgraded_plan(strip)
    assert plan.drop == ("obj_config_efi", "obj_x")
    assert plan.add == ("obj_efi_snp", "obj_device", "obj_config", "obj_ipv4")
    assert "ipv4" not in left_out(plan)
    assert LeftOut(("aoe",), True) in plan.left_out
    assert LeftOut(("config_pci",), True) in plan.left_out
    assert LeftOut(("config_pci",)) not in plan.left_out


def test_the_source_of_stubs_has_only_the_requested_blocks():
    text = link_roots.stub_source([LeftOut(("autoboot",)), LeftOut(("config_pci",))])
    assert "ipxe (" in text
    assert ".set obj_autoboot, 0" in text
    assert ".set obj_config_pci, 0" in text
    assert "inet_ntoa" not in text


MAKEFILE = """\
BIN = bin
MAKEDEPS := Makefile
TGT_LD_ENTRY = _efidrv_start
TGT_LD_DRIVERS = obj_intel
TGT_LD_FLAGS = $(foreach SYM,$(TGT_LD_ENTRY) $(TGT_LD_DRIVERS) \\
  pci_devlist_8086100e obj_config obj_config_efi,\\
  -u $(SYM) --defsym check_$(SYM)=$(SYM)) --defsym pci_vendor_id=0x8086 -e $(TGT_LD_ENTRY)
COMPILE_c = gcc
bin/version.%.o : ; @touch $@
bin/blib.a : ; @touch $@
bin/%.tmp : bin/version.%.o bin/blib.a
\t@echo "flags: $(TGT_LD_FLAGS) $< bin/blib.a" | tr -s ' '; touch $@
"""


def flags_of(top: Path, plan: LinkPlan, stage: str = "8086100e.efidrv.tmp") -> list[str]:
    """The arguments of the linker that a make prints with romforge's rules."""
    (top / "Makefile").write_text(MAKEFILE)
    (top / "bin").mkdir(exist_ok=True)
    make_rules.write_rules(top, plan, {stage: plan.left_out}, "bin")
    command = ["make", "-s", *make_rules.rules_arguments(), f"bin/{stage}"]
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("flags: ")]
    return line.split()[1:]


def test_make_links_from_the_trees_roots_with_some_dropped_and_added(tmp_path: Path):
    """The tree's IDs and entry are kept; an undefined root is still an error."""
    plan = LinkPlan(("obj_config", "obj_config_efi"), ("obj_efi_snp",), (LeftOut(("autoboot",)),))
    flags = flags_of(tmp_path, plan)
    roots = ["_efidrv_start", "obj_intel", "pci_devlist_8086100e", "obj_efi_snp"]
    linked_from = [flags[index + 1] for index, flag in enumerate(flags) if flag == "-u"]
    assert linked_from == roots
    checks = [flag for flag in flags if flag.startswith("check_")]
    assert checks == [f"check_{root}={root}" for root in roots]
    assert "--defsym=pci_vendor_id=0x8086" in flags
    assert flags[flags.index("-e") + 1] == "_efidrv_start"
    stubs, version, library = flags[-3:]
    assert re.fullmatch(r"bin/romforge_stubs\.[0-9a-f]{12}\.o", stubs)
    assert (version, library) == ("bin/version.8086100e.efidrv.o", "bin/blib.a")


def test_make_notes_the_trees_own_roots_and_drivers(tmp_path: Path):
    """As they were before any was dropped."""
    flags_of(tmp_path, LinkPlan(drop=("obj_config",)))
    noted = make_rules.read_roots(tmp_path / "bin/8086100e.efidrv.tmp")
    tree_roots = [
        "_efidrv_start",
        "obj_intel",
        "pci_devlist_8086100e",
        "obj_config",
        "obj_config_efi",
    ]
    assert noted == (tree_roots, ["obj_intel"])
    assert make_rules.read_roots(tmp_path / "bin/other.tmp") is None


def test_unchanged_rules_keep_their_mtime(tmp_path: Path):
    """make would build everything that depends on them again."""
    make_rules.write_rules(tmp_path, LinkPlan(), {}, "bin")
    before = (tmp_path / make_rules.RULES).stat().st_mtime_ns
    make_rules.write_rules(tmp_path, LinkPlan(), {}, "bin")
    assert (tmp_path / make_rules.RULES).stat().st_mtime_ns == before


COMPILE = shlex.split("gcc -c -g0 -Os -ffreestanding -fno-pic -mcmodel=large -ffunction-sections")
LINK = shlex.split("ld -q --gc-sections -e main -u main")


def linked(top: Path, *sources: str, stubs: str) -> tuple[ld_map.LinkMap, Path]:
    """Compiles each source into an object of a library, and links main with the stubs first.

    The name of a source is in a comment at its start. Returns the map and the linked file.
    """
    objects = []
    for text in sources:
        name = re.match(r"// (\w+)", text)
        assert name, text
        path = top / f"{name[1]}.c"
        path.write_text(text)
        subprocess.run([*COMPILE, path, "-o", path.with_suffix(".o")], check=True)
        objects.append(path.with_suffix(".o").name)
    subprocess.run(["ar", "rcD", "blib.a", *objects], cwd=top, check=True)
    command = [*LINK, stubs, "blib.a", "-o", "out", "-Map", "out.map"]
    subprocess.run(command, cwd=top, check=True)
    return link_check.read_map(top / "out.map"), top / "out"


def compile_stubs(top: Path, groups: list[LeftOut]) -> str:
    """Compiles the stubs for some groups; returns the name of the object."""
    (top / "romforge_stubs.x.c").write_text(link_roots.stub_source(groups))
    subprocess.run(["gcc", "-c", "-Os", "romforge_stubs.x.c"], cwd=top, check=True)
    return "romforge_stubs.x.o"


MAIN = """// main
int ipxe(void *);
int main(void) { __asm__ ( ".reloc ., R_X86_64_NONE, obj_aoe" ); return ipxe(0); }
"""
AUTOBOOT = "// autoboot\nint obj_autoboot; int ipxe(void *netdev) { return netdev != 0; }"
AOE = "// aoe\nchar obj_aoe; int aoe_open(void) { return 1; }"


def test_a_stub_replaces_an_object_that_is_called(tmp_path: Path):
    groups = [LeftOut(("autoboot",)), LeftOut(("aoe",), True)]
    stubs = compile_stubs(tmp_path, groups)
    link, file = linked(tmp_path, MAIN, AUTOBOOT, AOE, stubs=stubs)
    assert link_check.object_stems(link.objects()) == {"main"}
    assert link_check.find_needed_groups(link, groups, file, []) == []


def test_an_object_that_is_called_and_has_no_stub_is_kept(tmp_path: Path):
    """If the spec names it in leave_out, that is an error, and the caller is named."""
    caller = "// main\nint aoe_open(void); int main(void) { return aoe_open(); }"
    group = LeftOut(("aoe",))
    link, file = linked(tmp_path, caller, AOE, stubs=compile_stubs(tmp_path, [group]))
    assert link_check.find_needed_groups(link, [group], file, []) == [group]
    message = "leave_out names aoe, which is needed: main refers to its symbol aoe_open"
    with pytest.raises(RomforgeError, match=message):
        link_check.find_needed_groups(link, [group._replace(explicit=True)], file, [])


def test_code_that_uses_the_address_of_a_symbol_defined_as_0_is_an_error(tmp_path: Path):
    """The linked file's relocations show it; REQUIRE_OBJECT makes a relocation without effect."""
    user = "// main\nextern char obj_aoe; char * main(void) { return &obj_aoe; }"
    groups = [LeftOut(("aoe",), True)]
    link, file = linked(tmp_path, user, AOE, stubs=compile_stubs(tmp_path, groups))
    message = r"leave_out names aoe, but out, section \.text\S*, uses the address of obj_aoe"
    with pytest.raises(RomforgeError, match=message):
        link_check.find_needed_groups(link, groups, file, [])


def test_relocations_without_effect_do_not_count(tmp_path: Path):
    groups = [LeftOut(("autoboot",)), LeftOut(("aoe",))]
    _, file = linked(tmp_path, MAIN, AUTOBOOT, AOE, stubs=compile_stubs(tmp_path, groups))
    assert elf.has_relocations(file)
    assert elf.relocations_to(file, ["obj_aoe"]) == []
    (relocation,) = elf.relocations_to(file, ["ipxe"])
    assert relocation.symbol == "ipxe"
