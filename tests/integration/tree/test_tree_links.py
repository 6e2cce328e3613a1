# SPDX-License-Identifier: GPL-2.0-or-later
"""What images of a tree hold and what is left out of them: real builds of vendor/minipxe."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from romforge.formats import ld_map, rom_check
from tests.support.forge import BINS, EFI, GOALS, LEGACY, Forge, stamp

pytestmark = pytest.mark.slow

SIMPLE_NETWORK = uuid.UUID("a19832b9-ac25-11d3-9a2d-0090273fc14d").bytes_le
QEMU = 'config = "qemu"'  # defines EFI_DOWNGRADE_UX
CONFIGURATION = {"config", "config_efi", "config_ethernet", "shell", "dhcp", "http", "aoe"}
E1000_ROM = f"{EFI}/e1000.rom"


@pytest.fixture
def qemu(with_qemu: Forge, tmp_path: Path) -> Forge:
    return with_qemu.copy(tmp_path)


def objects(forge: Forge, nic: str = "e1000") -> set[str]:
    return forge.objects(EFI, nic, "with-qemu")


def recorded(forge: Forge, nic: str) -> dict[str, Any]:
    """What the record of the working tree says of an image."""
    text = (forge.work(EFI, "with-qemu") / "record.json").read_text()
    found: dict[str, Any] = json.loads(text.partition("\n")[2])["goals"][GOALS[nic]]
    return found


# The default


def test_a_driver_for_qemu_offers_its_network_interface_and_has_no_boot_stack(with_qemu: Forge):
    """With no [config] table: config = "qemu" names a directory of the tree."""
    for nic in ("e1000", "pcnet"):
        assert SIMPLE_NETWORK in with_qemu.code(f"{EFI}/{nic}.rom")
        held = objects(with_qemu, nic)
        assert "efi_snp" in held
        assert not held & (CONFIGURATION | {"autoboot", "ipv4", "efi_cmdline"})


@pytest.mark.parametrize(
    "strip",
    [
        'strip = { keep = [], drop = ["obj_efi_snp"] }',
        'strip = { strength = "none", drop = ["obj_config", "obj_config_efi"] }',
    ],
    ids=["interface dropped", "configuration dropped"],
)
def test_a_driver_without_its_network_interface_is_refused(qemu: Forge, strip: str):
    """Its link succeeds, for nothing refers to efi_snp; no firmware could boot with it."""
    before = qemu.roms()
    qemu.spec({EFI: f"{QEMU}\n{strip}"}, ("e1000",))
    errors = qemu.failed()
    assert "efi_snp" not in objects(qemu)
    assert "the driver inside offers no network interface" in errors
    assert qemu.roms() == before


def test_without_downgrade_nothing_is_left_out_and_a_note_says_why(forge: Forge):
    """The image is that of the tree's own make, whose firmware needs its boot stack."""
    forge.spec({EFI: ""}, ("e1000",))
    done = forge.build()
    message = (
        f"make:ipxe/{EFI}: nothing is left out of the drivers, since the configuration does not"
    )
    assert f"{message} define EFI_DOWNGRADE_UX" in done.stderr
    assert 'config = "qemu"' in done.stderr
    assert forge.objects(EFI, "e1000") >= CONFIGURATION | {"autoboot", "ipv4", "efi_snp"}
    goal = BINS[EFI].format(GOALS["e1000"])
    forge.prepare(forge.src, goal.split("/")[0])
    forge.make(forge.src, goal)
    assert forge.stage(EFI, "e1000").read_bytes() == (forge.src / goal).read_bytes()


def test_a_macro_of_the_specs_configuration_counts(built: Forge):
    """What is left out goes by what the configuration defines at the time, not by its name."""
    downgrade = '[config.c.general]\ndefine = ["EFI_DOWNGRADE_UX"]'
    for extra, is_whole in ((downgrade, False), ("[config.c.general]", True), (downgrade, False)):
        built.spec({EFI: 'config = "c"'}, ("e1000",), extra=extra)
        done = built.build()
        held = built.objects(EFI, "e1000", "with-c")
        assert ("shell" in held, "EFI_DOWNGRADE_UX" in done.stderr) == (is_whole, is_whole)
        assert "efi_snp" in held


# Strengths


def test_minimal_is_less_than_safe_and_safe_less_than_none(qemu: Forge):
    """In bytes of the driver; each of them is a sound image of which nothing is compiled anew."""
    whole: dict[str, bytes] = {}
    held = {}
    compiled = {
        path: stamp(path)
        for path in qemu.stage(EFI, "e1000", "", "with-qemu").parent.glob("[!vr]*.o")
    }
    for strength in ("safe", "none", "minimal"):
        qemu.spec({EFI: f'{QEMU}\nstrip = "{strength}"'}, ("e1000",))
        qemu.build()
        whole[strength] = qemu.code(E1000_ROM)
        held[strength] = objects(qemu)
        assert rom_check.find_faults(qemu.roms()[E1000_ROM]) == []
        assert SIMPLE_NETWORK in whole[strength]
    assert len(whole["minimal"]) < len(whole["safe"]) < len(whole["none"])
    assert held["none"] >= CONFIGURATION
    assert held["safe"] - held["minimal"] >= {"efi_snp_hii", "settings"}
    assert {path: stamp(path) for path in compiled} == compiled


# Lists of the spec


@pytest.mark.parametrize("platform", [LEGACY, EFI])
def test_an_object_that_is_merely_required_can_be_left_out(built: Forge, platform: str):
    """aoe: the configuration requires it, and nobody calls it."""
    assert "aoe" in built.objects(platform, "e1000")
    before = len(built.code(f"{platform}/e1000.rom"))
    built.spec({platform: 'leave_out = ["aoe"]'}, ("e1000",))
    built.build()
    held = built.objects(platform, "e1000")
    assert held & {"aoe", "lldp", "config_ethernet"} == {"lldp", "config_ethernet"}
    assert len(built.code(f"{platform}/e1000.rom")) <= before
    assert b"AoE" not in built.code(f"{platform}/e1000.rom")
    assert rom_check.find_faults(built.roms()[f"{platform}/e1000.rom"]) == []


def test_an_object_that_is_called_and_has_no_stub_cannot(built: Forge):
    """The caller is named, with the symbol; the ROM that was there stays."""
    before = built.roms()
    built.spec({EFI: 'leave_out = ["tcpip"]'}, ("e1000",))
    errors = built.failed()
    match = re.search(
        r"leave_out names tcpip, which is needed: (\w+) refers to its symbol (\w+)", errors
    )
    assert match, errors
    caller, symbol = match.groups()
    assert symbol.startswith("tcpip_")
    (source,) = built.src.rglob(f"{caller}.c")
    assert f"{symbol} (" in source.read_text()
    assert "for which romforge has no stub; take tcpip out of leave_out" in errors
    assert built.roms() == before


CALLS = """
static uint64_t pcnet_probe ( struct pci_device *pci, const struct pci_id *id ) {
	struct in_addr address = { { 192, 168, ipv4_bits(), 1 } };

	if ( id->device == 1 )
		inet_ntoa ( address );
"""


def test_what_a_driver_needs_of_a_default_group_is_linked_all_the_same(qemu: Forge):
    """pcnet calls two functions of ipv4, and only one of them has a stub: the real one must win.

    The other driver is linked without ipv4 as before.
    """
    with (qemu.src / "net/ipv4.c").open("a") as file:
        file.write("\nint ipv4_bits ( void );\nint ipv4_bits ( void ) {\n\treturn 32;\n}\n")
    begin = "\nstatic uint64_t pcnet_probe ( struct pci_device *pci, const struct pci_id *id ) {\n"
    qemu.edit("drivers/net/pcnet.c", begin, CALLS)
    include = "#include <pci.h>\n#include <netdevice.h>\nint ipv4_bits ( void );\n"
    qemu.edit("drivers/net/pcnet.c", "#include <pci.h>\n", include)
    assert "ipv4" in recorded(qemu, "pcnet")["left_out"]
    qemu.build()
    assert "ipv4" in objects(qemu, "pcnet")
    assert "ipv4" not in objects(qemu)
    assert "ipv4" not in recorded(qemu, "pcnet")["left_out"]
    assert "ipv4" in recorded(qemu, "e1000")["left_out"]
    text = qemu.stage(EFI, "pcnet", ".tmp.map", "with-qemu").read_text()
    places = {one.object for one in ld_map.parse_map(text).kept if one.name.endswith("inet_ntoa")}
    assert {ld_map.object_name(place) for place in places} == {"ipv4"}
    assert b"%u.%u.%u.%u\0" in qemu.code(f"{EFI}/pcnet.rom")
    assert rom_check.find_faults(qemu.roms()[f"{EFI}/pcnet.rom"]) == []
    assert qemu.romforge("plan", "--why").stdout == "all is up to date\n"


# The dependency files


@pytest.mark.parametrize(("platform", "config"), [(LEGACY, ""), (EFI, ""), (EFI, QEMU)])
def test_each_dependency_file_is_made_once_in_a_fresh_bin(
    ready: Forge, with_qemu: Forge, platform: str, config: str
):
    """Make by itself makes each twice: it finds its lists and local headers newer."""
    log = (with_qemu.work(EFI, "with-qemu") if config else ready.work(platform)) / "make.log"
    made = re.findall(r"\[DEPS\] (\S+)", log.read_text())
    assert len(made) > 30
    assert sorted(made) == sorted(set(made))
