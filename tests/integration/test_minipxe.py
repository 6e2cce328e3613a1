# SPDX-License-Identifier: GPL-2.0-or-later
"""vendor/minipxe keeps iPXE's build contract, and what it builds runs."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from romforge.formats import option_rom, pe, rom_check
from tests.support.machines import COMMON, MARK, PC, aavmf, bios, boot, card, ovmf, uefi
from tests.support.minipxe import DEFAULTS, SOURCE, Tree
from tests.support.project import PATIENCE, TOP, source_files
from tests.support.yardstick import ratio

pytestmark = pytest.mark.slow

PACKAGES = [
    name
    for line in (TOP / "tests/packages").read_text().splitlines()
    if line[0] != "#"
    for name in line.split()
]
NICS = {
    "8086100e": ("e1000", "e1000"),
    "808610d3": ("e1000e", "e1000e"),
    "80861209": ("eepro100", "i82551"),
    "80861229": ("eepro100", "i82559c"),
    "80862449": ("eepro100", "i82801"),
    "8086100c": ("e1000", "e1000-82544gc"),
    "8086100f": ("e1000", "e1000-82545em"),
    "10110019": ("tulip", "tulip"),
    "10ec8029": ("ne2k_pci", "ne2k_pci"),
    "10222000": ("pcnet", "pcnet"),
    "10ec8139": ("rtl8139", "rtl8139"),
    "1af41000": ("virtio", "virtio-net-pci"),
    "1af41041": ("virtio", "virtio-net-pci,disable-legacy=on"),
    "15ad07b0": ("vmxnet3", "vmxnet3"),
}
SOURCES = {"e1000": "intel", "e1000e": "intel", "rtl8139": "realtek", "virtio": "virtio-net"}
LEGACY = ["bin", "bin-i386-pcbios", "bin-x86_64-pcbios"]
MACHINES = {
    "bin-i386-efi": 0x14C,
    "bin-x86_64-efi": 0x8664,
    "bin-arm64-efi": 0xAA64,
    "bin-riscv64-efi": 0x5064,
}
_TOOLS = r"util/(zbin|elf2efi|efirom)|\.echocheck"
SHARED = re.compile(rf"{_TOOLS}|config/local/.*|config/named\.h|include/(assert|compiler)\.h")
EFIDRV = "bin-x86_64-efi/8086100e.efidrv"
SNP = uuid.UUID("a19832b9-ac25-11d3-9a2d-0090273fc14d").bytes_le
NII31 = uuid.UUID("1aced566-76ed-4218-bc81-767f1f977a89").bytes_le
LOAD_FILE = uuid.UUID("56ec3091-954c-11d2-8e3f-00a0c969723b").bytes_le


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "minipxe")


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A tree with ROMs of all cards, for tests that change nothing."""
    tree = Tree(tmp_path_factory.mktemp("ready") / "minipxe")
    goals = [f"bin/{nic}.rom" for nic in NICS] + [f"bin-x86_64-efi/{nic}.efirom" for nic in NICS]
    goals += [f"{name}/8086100e.{media}" for name in MACHINES for media in ("efidrv", "efirom")]
    tree.prepare("bin", *MACHINES)
    tree.make(*goals)
    return tree


@pytest.fixture
def fresh(ready: Tree, tmp_path: Path) -> Tree:
    """A copy of that tree, its times too, to go on from."""
    return Tree(tmp_path / "fresh", ready.top)


def objects(tree: Tree, goal: str) -> set[str]:
    """The objects of a link, from its map."""
    archive = tree.text(f"{goal}.tmp.map").split("Discarded input sections")[0]
    return set(re.findall(r"blib\.a\((\S+)\.o\)", archive))


# Goals


def test_packages_are_installed():
    done = subprocess.run(
        ["dpkg-query", "-W", *PACKAGES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("nic", NICS)
def test_roms_of_all_cards_are_faultless(ready: Tree, nic: str):
    for name, kind in ((f"bin/{nic}.rom", "legacy"), (f"bin-x86_64-efi/{nic}.efirom", "x86_64")):
        data = ready.read(name)
        assert rom_check.find_faults(data) == []
        (image,) = option_rom.parse_rom(data).images
        assert (str(image.ids), image.kind) == (f"{nic[:4]}:{nic[4:]}", kind)
        assert len(data) == len(image.data)
        assert 10_000 < len(data) < 40_000


def test_a_legacy_rom_has_all_its_structures(ready: Tree):
    data = ready.read("bin/8086100e.rom")
    image = option_rom.parse_image(data)
    assert isinstance(image.header, option_rom.LegacyHeader)
    assert image.header.entry_point[0] == 0xE9
    assert data[image.header.ipxe_pointer :][:4] == b"iPXE"
    assert option_rom.PnpHeader.parse(data, image.header.pnp_pointer).bootstrap_entry_vector
    assert (image.pcir.revision, image.pcir.class_code, image.pcir.length) == (
        3,
        option_rom.NETWORK_ETHERNET,
        0x1C,
    )
    assert option_rom.device_list(image) == [0x100E]
    chained = option_rom.rewrite(image, last=False)
    assert [offset for offset in range(len(data)) if data[offset] != chained.data[offset]] == [
        6,
        image.header.pcir_pointer + 0x15,
    ]


@pytest.mark.parametrize("name", MACHINES)
def test_efi_goals_have_the_machine_and_subsystem(fresh: Tree, name: str):
    fresh.make(*(f"{name}/8086100e.{media}" for media in ("efirom", "efidrv", "efi")))
    for media, subsystem in (("efi", pe.EFI_APPLICATION), ("efidrv", pe.EFI_BOOT_SERVICE_DRIVER)):
        parsed = pe.parse_pe(fresh.read(f"{name}/8086100e.{media}"))
        assert (parsed.machine, parsed.subsystem) == (MACHINES[name], subsystem)
    image = option_rom.parse_image(fresh.read(f"{name}/8086100e.efirom"))
    assert rom_check.find_faults(image.data) == []
    assert option_rom.driver_of(image).startswith(fresh.read(f"{name}/8086100e.efidrv"))


@pytest.mark.parametrize("name", MACHINES)
def test_base_relocations_are_those_of_addresses(ready: Tree, name: str):
    data = ready.read(f"{name}/8086100e.efidrv")
    image, relocations = loaded(data)
    values = [
        int.from_bytes(image[place : place + width], "little") for place, width in relocations
    ]
    assert len(set(relocations)) == len(values) > 10
    assert all(0x1000 <= value < len(image) for value in values)


@pytest.mark.parametrize("name", LEGACY)
def test_all_names_of_pcbios_make_roms(fresh: Tree, tmp_path: Path, name: str):
    fresh.make(f"{name}/realtek.rom", f"{name}/8086100e.mrom")
    assert option_rom.parse_image(fresh.read(f"{name}/realtek.rom")).ids == (0, 0)
    mrom = fresh.read(f"{name}/8086100e.mrom")
    assert rom_check.find_faults(mrom) == []
    kinds = [image.kind for image in option_rom.parse_rom(mrom).images]
    assert kinds == ["legacy", "payload"]
    assert bios(tmp_path, "e1000", fresh.src / f"{name}/8086100e.mrom")[1] == 33


def test_a_name_is_a_driver_a_rom_or_ids_and_several_are_joined(fresh: Tree):
    goals = {
        "ne2k_pci": "0000:0000",
        "10500940": "1050:0940",
        "rtl8139": "10ec:8139",
        "10ec8139--82540em": "10ec:8139",
    }
    fresh.make(*(f"bin/{goal}.rom" for goal in goals))
    for goal, ids in goals.items():
        assert str(option_rom.parse_image(fresh.read(f"bin/{goal}.rom")).ids) == ids
    assert objects(fresh, "bin/10ec8139--82540em.rom") >= {"realtek", "intel"}
    assert b"rtl8139--e1000\0" in fresh.read("bin/10ec8139--82540em.rom")
    assert b"BIN/NAME.MEDIA" in fresh.make().encode()


def test_an_unknown_name_or_platform_is_an_error(fresh: Tree):
    assert "obj_nonsuch" in fresh.run("bin/nonsuch.rom").stderr
    assert (
        "bin-vax-efi: no platform efi on architecture vax"
        in fresh.run("bin-vax-efi/e1000.efi").stderr
    )


def test_secure_boot_is_a_platform_of_its_own(fresh: Tree):
    fresh.make("bin-x86_64-efi-sb/8086100e.efidrv")
    assert "shell" in objects(fresh, EFIDRV)
    assert "shell" not in objects(fresh, "bin-x86_64-efi-sb/8086100e.efidrv")


def test_goals_of_several_bins_are_built_by_one_make(tree: Tree):
    output = tree.make("bin/intel.rom", "bin-x86_64-efi/intel.efirom", jobs=4)
    assert "[AR] bin/blib.a" in output
    assert "[AR] bin-x86_64-efi/blib.a" in output
    tree.make("bin/intel.rom", "bin-x86_64-efi/intel.efirom")
    assert "  [" not in tree.make("bin/intel.rom", "bin-x86_64-efi/intel.efirom")


def test_rom_definitions_come_from_the_drivers(fresh: Tree):
    definitions = fresh.text("bin/.rom.defs")
    assert "DRIVER_82540em := intel" in definitions
    assert "PCI_VENDOR_8086100e := 0x8086" in definitions
    line = '	PCI_ROM ( 0x10ec, 0x8168, "r8168", "Another", 0 ),\n'
    fresh.edit("drivers/net/realtek.c", "	PCI_ROM", f"{line}	PCI_ROM")
    assert "[PARSEROM]" in fresh.make("bin/10ec8168.rom")
    (fresh.src / "drivers/net/realtek.c").unlink()
    assert fresh.run("bin/10ec8168.rom").returncode


def test_helper_goals_tell_what_a_goal_is_made_of(fresh: Tree):
    info = fresh.make("bin/8086100e.rom.tmp.info", "bin/8086100e.rom.info")
    assert info.count("TGT_LD_DRIVERS = obj_intel\n") == 2
    linked = fresh.make("bin/8086100e.rom.objs").split()
    assert {"intel", "config", "romprefix", "version"} <= set(linked)
    assert "pcnet" not in linked
    assert set(linked) - {"version"} == {
        name for name in objects(fresh, "bin/8086100e.rom") if not name.endswith(".ids")
    }
    assert "bin/intel.o" in fresh.make("bin/8086100e.rom.sizes")
    (line,) = fresh.make("bin/8086100e.rom.deps").splitlines()
    sources = line.split()
    assert sources == sorted(set(sources))
    assert {"drivers/net/intel.c", "core/version.c", "arch/x86/core/setjmp.S"} <= set(sources)
    assert {"include/pci.h", "config/local/general.h"} <= set(sources)
    assert "arch/x86/prefix/romprefix.S" in sources
    assert all((fresh.src / source).exists() for source in sources)


def test_progress_lines_and_commands(tree: Tree):
    lines = tree.make("bin/8086100e.rom").splitlines()
    built = "[BUILD] bin/intel.o", "[AR] bin/blib.a"
    for line in (*built, "[LD] bin/8086100e.rom.tmp", "[FINISH] bin/8086100e.rom"):
        assert f"  {line}" in lines
    (tree.src / "bin/intel.o").unlink()
    output = tree.make("bin/8086100e.rom", V="1")
    assert re.search(r"^gcc .*-c drivers/net/intel.c", output, re.MULTILINE)


# Links


def test_the_link_has_its_roots_and_drops_what_nothing_needs(ready: Tree):
    goal = "bin-x86_64-efi/8086100e.efidrv"
    roots = "_efidrv_start", "obj_intel", "pci_devlist_8086100e", "obj_config", "obj_config_efi"
    symbols = subprocess.run(
        ["nm", ready.src / f"{goal}.tmp"], capture_output=True, text=True, check=True
    ).stdout
    flags = ready.make(f"{goal}.info")
    for root in roots:
        # The script discards the list of devices, which only a legacy image has a use for.
        assert (f" {root}\n" in symbols) == (not root.startswith("pci_devlist"))
        assert f"-u {root} --defsym check_{root}={root} " in flags
    linked = objects(ready, goal)
    assert {"intel", "efi_snp", "http", "crc32", "efi_vars_cmd"} <= linked
    assert not {"pcnet", "efiprefix"} & linked
    assert "mac_bytes" not in symbols  # intel does not call it, though it is in a linked object
    assert re.search(
        r"\.text\.mac_bytes\s+0x0+\s",
        ready.text(f"{goal}.tmp.map").split("Discarded input sections")[1],
    )


STRIPPED = (
    "$(foreach root,$(TGT_LD_ENTRY) $(TGT_LD_DRIVERS) $(TGT_LD_DEVLIST) obj_efi_snp,-u $(root))"
    " $(addprefix --defsym ,$(TGT_LD_IDS)) -e $(TGT_LD_ENTRY)"
)


def linked_anew(tree: Tree, flags: str, goal: str = EFIDRV) -> set[str]:
    """Links an image with other flags; the objects of the link."""
    tree.remove(goal)
    tree.make(goal, TGT_LD_FLAGS=flags)
    return objects(tree, goal)


def test_link_roots_can_be_left_out_from_the_command_line(fresh: Tree):
    whole = len(fresh.read(EFIDRV))
    fresh.make(EFIDRV, TGT_LD_FLAGS=STRIPPED)
    assert len(fresh.read(EFIDRV)) == whole  # make does not track the variable
    linked = linked_anew(fresh, STRIPPED)
    assert linked >= {"intel", "efi_snp", "autoboot", "shell", "dhcp"}
    assert not linked & {"config", "config_efi", "efi_image", "http", "dns"}
    assert len(fresh.read(EFIDRV)) < whole - 2000


def test_a_driver_without_the_configuration_links_and_has_no_network_interface(fresh: Tree):
    assert {SNP, NII31} == {guid for guid in (SNP, NII31) if guid in fresh.read(EFIDRV)}
    dead = linked_anew(fresh, STRIPPED.replace("obj_efi_snp", ""))
    assert "intel" in dead
    assert not {"efi_snp", "efi_snp_hii", "ipv4", "autoboot"} & dead
    assert SNP not in fresh.read(EFIDRV)
    assert NII31 not in fresh.read(EFIDRV)
    linked_anew(fresh, STRIPPED)
    assert SNP in fresh.read(EFIDRV)
    assert NII31 in fresh.read(EFIDRV)


def test_nothing_but_an_image_type_refers_to_the_network_interface(fresh: Tree):
    asks = fresh.text(f"{EFIDRV}.tmp.map").split("\n\n")[1]
    assert re.search(r"\(efi_snp\.o\)\s+\S+blib\.a\(efi_image\.o\) \(last_opened_snpdev\)", asks)
    assert re.search(r"\(efi_image\.o\)\s+\S+blib\.a\(config\.o\) \(obj_efi_image\)", asks)


# What each symbol brings in, as for upstream: see the table of cuts in the README.
HII = "efi_snp_hii"
CUTS = {
    "obj_config_ethernet=0": {"config_ethernet", "aoe", "lldp", "stp", "eapol", "eth_slow"},
    "obj_config_pci=0": {"config_pci", "pci_cmd", "pci_settings"},
    "efi_cmdline=0 --defsym efi_cmdline_len=0": {"efi_cmdline", "image"},
    "ipxe=_efidrv_start": {"autoboot", "shell", "dhcp", "tftp", "crc32"},
    "inet_ntoa=_efidrv_start": {"ipv4", "arp", "icmp", "neighbour", "fragment", "tcpip"},
    f"{HII}_install=_efidrv_start --defsym {HII}_uninstall=_efidrv_start": {"efi_snp_hii"},
}


def test_each_cut_leaves_out_what_only_its_symbol_asks_for(fresh: Tree):
    flags, size = STRIPPED, len(fresh.read(EFIDRV))
    linked = linked_anew(fresh, flags)
    for symbols, objects_left_out in CUTS.items():
        assert objects_left_out <= linked
        flags += f" --defsym {symbols}"
        linked = linked_anew(fresh, flags)
        assert not objects_left_out & linked
    assert {"settings", "uri", "exec", "getopt", "parseopt", "script"} & linked == set()
    assert len(fresh.read(EFIDRV)) < size / 2


@pytest.mark.parametrize("name", MACHINES)
def test_a_requirement_is_a_relocation_without_effect(ready: Tree, name: str):
    command = ["readelf", "-rW", str(ready.src / name / "config_pci.o")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"R_\w+_NONE +(0+ +)?obj_pci_cmd", text)
    command[2] = str(ready.src / name / "8086100e.efidrv.tmp")
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (kind,) = set(re.findall(r"(R_\w+) .* obj_pci_cmd", text))
    assert kind.endswith("_NONE")


def test_load_file_is_offered_where_the_configuration_does_not_hide_it(fresh: Tree):
    assert LOAD_FILE in fresh.read(EFIDRV)
    assert "//#define EFI_DOWNGRADE_UX" in fresh.text("config/general.h")
    assert "\n#define EFI_DOWNGRADE_UX" in fresh.text("config/qemu/general.h")
    fresh.make(EFIDRV, CONFIG="qemu")
    assert LOAD_FILE not in fresh.read(EFIDRV)
    assert SNP in fresh.read(EFIDRV)


def test_a_root_that_nothing_defines_is_an_error(fresh: Tree):
    done = fresh.run("bin/10500940.rom", TGT_LD_DRIVERS="obj_nonsuch")
    assert done.returncode == 2
    assert "undefined symbol `obj_nonsuch' referenced in expression" in done.stderr


def test_ids_that_no_driver_has_are_taken_for_a_driver(fresh: Tree):
    done = fresh.run("bin-x86_64-efi/808604df.efidrv")
    error = r"^ld\S* undefined symbol `obj_808604df' referenced in expression"
    assert re.search(error, done.stderr, re.MULTILINE)


def test_an_option_of_a_bios_alone_is_an_undefined_reference_under_efi(fresh: Tree):
    assert "pxe_image" in objects(fresh, "bin/8086100e.rom")
    (fresh.src / "config/local/general.h").write_text("#define IMAGE_PXE\n")
    done = fresh.run(EFIDRV)
    assert done.returncode == 2
    assert "undefined reference to `obj_pxe_image'" in done.stderr


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (70_000, "the image does not fit its segment"),
        (130_000, r"Add 0x0\+0x\w+ at 0x2 overflows 1-byte field"),
    ],
)
def test_a_legacy_image_that_is_too_large_is_refused_at_its_end(fresh: Tree, size: int, error: str):
    (fresh.src / "large").write_bytes(b"x" * size)
    done = fresh.run("bin/8086100e.rom", EMBED="large")
    assert done.returncode == 2
    assert "[LD] bin/8086100e.rom.tmp" in done.stdout
    assert re.search(error, done.stderr)
    fresh.make(EFIDRV, EMBED="large")


def test_an_mrom_may_be_larger_than_any_legacy_image(fresh: Tree, tmp_path: Path):
    """Its payload has 16 bits for its length, and no BIOS copies it. The card limits it instead.

    e1000's largest memory BAR is of 128 KiB, and the ROM must fit there.
    """
    for size, boots in ((70_000, True), (200_000, False)):
        (fresh.src / "large").write_bytes(b"x" * size)
        fresh.make("bin/8086100e.mrom", EMBED="large")
        assert len(fresh.read("bin/8086100e.mrom")) > size
        assert rom_check.find_faults(fresh.read("bin/8086100e.mrom")) == []
        text, status = bios(tmp_path, "e1000", fresh.src / "bin/8086100e.mrom")
        assert (status == 33) == boots
        assert ("no memory BAR of the card is as large as its ROM" in text) != boots


def test_an_mrom_without_its_payload_says_so(fresh: Tree, tmp_path: Path):
    fresh.make("bin/8086100e.mrom")
    first, _ = option_rom.parse_rom(fresh.read("bin/8086100e.mrom")).images
    (tmp_path / "half.rom").write_bytes(option_rom.rewrite(first, last=True).data)
    text, status = bios(tmp_path, "e1000", tmp_path / "half.rom")
    assert "minipxe e1000 8086:100e" in text
    assert "the payload is not behind its image" in text
    assert status != 33


def test_version_objects_and_late_stages_are_removed_after_the_link(fresh: Tree):
    fresh.remove("bin/8086100e.rom")
    output = fresh.make("bin/8086100e.rom")
    assert re.search(r"^rm .*bin/version\.8086100e\.rom\.o", output, re.MULTILINE)
    fresh.make("bin-x86_64-efi/808610d3.efirom")
    names = {path.name for path in fresh.src.glob("bin*/*")}
    assert not [name for name in names if name.startswith("version.") or name.endswith(".bin")]
    assert {"8086100e.rom.tmp", "8086100e.rom.tmp.map", "808610d3.efidrv.tmp"} <= names
    assert "808610d3.efidrv" not in names
    assert "  [" not in fresh.make("bin/8086100e.rom", "bin-x86_64-efi/808610d3.efirom")


def test_the_build_id_sums_up_all_that_is_linked(fresh: Tree):
    before = {nic: fresh.build_id(f"bin/{nic}.rom") for nic in NICS}
    assert len(set(before.values())) == len(NICS)
    fresh.edit("drivers/net/pcnet.c", '"AMD PCnet"', '"AMD PCNET"')
    assert fresh.built("bin/8086100e.rom") == {"pcnet"}
    assert fresh.build_id("bin/8086100e.rom") != before["8086100e"]


def test_the_timestamp_is_of_the_epoch_or_the_clock(fresh: Tree):
    command = ["nm", str(fresh.src / "bin/8086100e.rom.tmp")]
    assert (
        f"{1700000000:08x} A _build_timestamp"
        in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    fresh.remove("bin/8086100e.rom")
    before = int(time.time())
    fresh.make("bin/8086100e.rom", SOURCE_DATE_EPOCH="")
    found = re.search(
        r"([0-9a-f]{8}) A _build_timestamp",
        subprocess.run(command, capture_output=True, text=True, check=True).stdout,
    )
    assert found
    assert before <= int(found[1], 16) <= time.time()


def test_another_directory_gives_the_same_bytes_where_paths_are_mapped(ready: Tree, tmp_path: Path):
    """Of the native compiler and of a foreign one; those of ``ready`` come from the cache."""
    other = Tree(tmp_path / "somewhere" / "else", cached=False)
    goals = ["bin/8086100e.rom", "bin/808610d3.rom", "bin-arm64-efi/8086100e.efirom"]
    other.prepare("bin", "bin-arm64-efi")
    other.make(*goals, jobs=1)
    assert [other.read(goal) for goal in goals] == [ready.read(goal) for goal in goals]
    for name in ("bin", "bin-arm64-efi"):
        built = sorted((other.src / name).glob("*.o"))
        assert len(built) > 50
        for path in built:
            assert path.read_bytes() == ready.read(f"{name}/{path.name}"), path


def test_another_directory_gives_another_build_id(tmp_path: Path):
    """Of one object already, which is compiled again after the tree was moved."""
    tree = Tree(tmp_path / "here", cached=False)
    build_ids = set()
    for _ in range(2):
        tree.make("bin/8086100e.rom", EXTRA_CFLAGS="")
        command = ["readelf", "--debug-dump=info", str(tree.src / "bin/intel.o")]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert re.search(rf"DW_AT_comp_dir.*: {re.escape(str(tree.src))}\n", text)
        build_ids.add(tree.build_id("bin/8086100e.rom"))
        (tree.src / "bin/intel.o").unlink()
        tree.top = tree.top.rename(tmp_path / "there")
        tree.src = tree.top / "src"
    assert len(build_ids) == 2


def test_memory_and_bytes_of_a_file_are_not_the_same(ready: Tree):
    command = ["size", str(ready.src / "bin-x86_64-efi/malloc.o")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    data, bss = text.splitlines()[1].split()[1:3]
    assert (data, int(bss)) == ("0", 4 << 20)
    parsed = pe.parse_pe(ready.read(EFIDRV))
    assert parsed.image_size > 4 << 20
    assert len(ready.read(EFIDRV)) < 40_000


# Versions


def git(top: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e", *words]
    return subprocess.run(
        command, cwd=top, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_version_is_that_of_git(fresh: Tree):
    git(fresh.top, "init", "-q")
    git(fresh.top, "add", ".")
    git(fresh.top, "commit", "-qm", "one")
    git(fresh.top, "tag", "-am", "one", "v1.30.2")
    fresh.make("bin/8086100e.rom")
    name = git(fresh.top, "rev-parse", "HEAD")
    found = re.search(rb"1\.30\.2 \(g([0-9a-f]{4,7})\)\0", fresh.read("bin/8086100e.rom"))
    assert found
    assert name.startswith(found[1].decode())
    fresh.edit("core/mark.c", "version %s", "Version %s")
    git(fresh.top, "commit", "-qam", "two")
    os.utime(fresh.top / ".git" / "index")
    assert "[VERSION]" in fresh.make("bin/8086100e.rom")
    assert re.search(rb"1\.30\.2\+ \(g[0-9a-f]{4,7}\)\0", fresh.read("bin/8086100e.rom"))


def test_a_repository_without_tags_gives_a_version_without_numbers(tree: Tree):
    git(tree.top, "init", "-q")
    git(tree.top, "add", ".")
    git(tree.top, "commit", "-qm", "one")
    assert re.fullmatch(r"[0-9a-f]{4,7}\.\.\+\n", tree.make("version", "bin", jobs=1, NEED_DEPS=""))


@pytest.mark.parametrize(
    ("variables", "version"),
    [
        ({}, "1.0.0+"),
        ({"EXTRAVERSION": "-7"}, "1.0.0-7"),
        ({"GITVERSION": "gabc"}, "1.0.0+ (gabc)"),
        ({"VERSION": "9.9"}, "9.9"),
    ],
)
def test_a_version_can_be_given(fresh: Tree, variables: dict[str, str], version: str):
    fresh.make("bin/version.e1000.rom.o", jobs=1, **variables)
    assert f"\0{version}\0".encode() in b"\0" + fresh.read("bin/version.e1000.rom.o")


# Configuration


def test_named_configurations_are_read(fresh: Tree):
    for directory, text in (("config/qemu", "one banner"), ("config/local/qemu", "another banner")):
        (fresh.src / directory).mkdir(parents=True, exist_ok=True)
        header = fresh.src / directory / "general.h"
        header.write_text(f'#undef BANNER\n#define BANNER "{text}"\n')
        fresh.make("bin/8086100e.rom", CONFIG="qemu")
        assert text.encode() in fresh.read("bin/8086100e.rom")
    assert (fresh.src / "config/local/qemu/console.h").read_text() == ""
    fresh.make("bin/8086100e.rom")
    assert b" banner" not in fresh.read("bin/8086100e.rom")


def test_another_configuration_recompiles_every_bin(fresh: Tree):
    assert fresh.built("bin/8086100e.rom") == set()
    # a new BIN remembers its configuration in a new list
    shutil.rmtree(fresh.src / "bin-x86_64-efi")
    fresh.make("bin-x86_64-efi/8086100e.efirom")
    everything = fresh.built("bin/8086100e.rom")
    assert len(everything) > 25
    fresh.make("bin-x86_64-efi/8086100e.efirom")
    assert fresh.built("bin/8086100e.rom") == set()
    fresh.make("bin-x86_64-efi/8086100e.efirom", CONFIG="qemu")
    assert fresh.text("bin-x86_64-efi/.config.list") == "qemu\n"
    assert fresh.built("bin/8086100e.rom") == everything


def test_a_header_recompiles_its_users_alone(fresh: Tree):
    fresh.built("bin/8086100e.rom")
    (fresh.src / "config/local/console.h").write_text("#undef CONSOLE_SERIAL\n")
    assert fresh.built("bin/8086100e.rom") == {"romprefix", "mromprefix", "bios_main"}
    (fresh.src / "include/pci.h").touch()
    drivers = {SOURCES.get(name, name) for name, _ in NICS.values()}
    others = {"pci", "pci_cmd", "pci_settings", "bios_main"}
    assert fresh.built("bin/8086100e.rom") == drivers | others
    (fresh.src / "config/local/general.h").write_text("#define BANNER_TIMEOUT 5\n")
    assert '"BANNER_TIMEOUT" redefined' in fresh.run("bin/8086100e.rom").stderr
    (fresh.src / "config/local/general.h").write_text(
        "#undef BANNER_TIMEOUT\n#define BANNER_TIMEOUT 5\n"
    )
    users = {"romprefix", "mromprefix", "bios_main", "autoboot"}
    users |= {"config", "config_ethernet", "config_pci"}
    assert fresh.built("bin/8086100e.rom") <= users
    (fresh.src / "config/local/general.h").write_text(
        "#undef DOWNLOAD_PROTO_HTTP\n#undef CRC_CMD\n"
    )
    size = len(fresh.read("bin/8086100e.rom"))
    fresh.make("bin/8086100e.rom")
    assert not {"http", "crc32"} & objects(fresh, "bin/8086100e.rom")
    assert len(fresh.read("bin/8086100e.rom")) < size - 8000


def test_files_can_be_embedded(fresh: Tree):
    (fresh.src / "script").write_text("echo from a script\n")
    assert fresh.built("bin/8086100e.rom", EMBED="script") == {"embedded"}
    assert b"echo from a script\n" in fresh.read("bin/8086100e.rom")
    (fresh.src / "script").write_text("echo once more\n")
    assert fresh.built("bin/8086100e.rom", EMBED="script") == {"embedded"}
    assert b"echo once more\n" in fresh.read("bin/8086100e.rom")
    assert fresh.built("bin/8086100e.rom") == {"embedded"}


def test_certificates_can_be_trusted_and_added(fresh: Tree):
    (fresh.src / "a.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    assert fresh.built("bin/8086100e.rom", TRUST="a.pem", CERT="a.pem") == {"rootcert", "certstore"}
    data = fresh.read("bin/8086100e.rom")
    assert b"-----BEGIN CERTIFICATE-----\n" in data
    digest = subprocess.run(
        ["sha256sum", fresh.src / "a.pem"], capture_output=True, text=True, check=True
    ).stdout[:64]
    assert bytes.fromhex(digest) in data


def test_objects_can_be_debugged_and_assertions_switched_on(fresh: Tree):
    assert fresh.built("bin/8086100e.rom", ASSERT="1") == {"pci"}
    assert b"assertion failed" in fresh.read("bin/8086100e.rom")
    assert fresh.built("bin/8086100e.rom", ASSERT="1", DEBUG="intel") == {"intel.dbg1"}
    assert b"RAH" in fresh.read("bin/8086100e.rom")
    fresh.make("bin/8086100e.rom", ASSERT="1")
    assert b"RAH" not in fresh.read("bin/8086100e.rom")


def test_other_variables_change_nothing_that_is_built(ready: Tree, fresh: Tree):
    fresh.make(
        "bin/8086100e.rom",
        EXTRA_CFLAGS="-DBANNER_X=1",
        NO_WERROR="1",
        CROSS_COMPILE="x86_64-linux-gnu-",
    )
    assert fresh.read("bin/8086100e.rom") == ready.read("bin/8086100e.rom")


# Dependencies


def dependencies(text: str) -> tuple[str, list[str]]:
    """The variable that a dependency file appends to, and the words."""
    rule, *_ = text.replace("\\\n", " ").splitlines()
    name, sign, *words = rule.split()
    assert sign == "+="
    return name, words


def test_a_source_has_a_dependency_file_of_its_own(ready: Tree):
    name, words = dependencies(ready.text("bin/deps/drivers/net/realtek.c.d"))
    assert name == "realtek_DEPS"
    assert words[0] == "drivers/net/realtek.c"
    assert {"include/pci.h", "include/compiler.h", "config/named.h"} <= set(words)
    assert "include/pci.h:\n" in ready.text("bin/deps/drivers/net/realtek.c.d")
    assert dependencies(ready.text("bin/deps/core/version.c.d"))[0] == "version_DEPS"
    name, words = dependencies(ready.text("bin/deps/config/config_pci.c.d"))
    assert name == "config_pci_DEPS"
    assert "config/local/general.h" in words
    # The same stem, and another source for each architecture
    directories = {"bin": "x86", "bin-arm64-efi": "arm64", "bin-riscv64-efi": "riscv64"}
    for where, directory in directories.items():
        source = f"arch/{directory}/core/setjmp.S"
        assert dependencies(ready.text(f"{where}/deps/{source}.d"))[1][0] == source
    # A name with a dash is not that of its object's symbol, so the list of a link lacks the driver.
    assert dependencies(ready.text("bin/deps/drivers/net/virtio-net.c.d"))[0] == "virtio-net_DEPS"
    assert "drivers/net/virtio-net.c" not in ready.make("bin/1af41000.rom.deps")
    assert "drivers/net/intel.c" in ready.make("bin/8086100e.rom.deps")


def test_in_a_new_bin_each_dependency_file_is_made_twice(tree: Tree):
    made = re.findall(r"\[DEPS\] (\S+)", tree.make("bin/8086100e.rom"))
    files = tree.src.glob("bin/deps/**/*.d")
    assert set(made) == {str(path.relative_to(tree.src / "bin/deps"))[:-2] for path in files}
    assert sorted(made) == sorted([*set(made), *set(made)])
    assert "[DEPS]" not in tree.make("bin/8086100e.rom")
    tree.edit("net/dns.c", "#include", "#include <assert.h>\n#include")
    assert "[DEPS] net/dns.c\n" in tree.make("bin/8086100e.rom")


def test_dependencies_are_made_once_where_lists_and_headers_are_there_before(tree: Tree):
    tree.prepare("bin")
    made = re.findall(r"\[DEPS\] (\S+)", tree.make("bin/8086100e.rom"))
    assert len(made) == len(set(made)) > 50


def test_dependencies_can_be_switched_off(tree: Tree):
    assert tree.make("bin-x86_64-efi") == ""
    assert (tree.src / "bin-x86_64-efi/.config.list").exists()
    assert not (tree.src / "bin-x86_64-efi/deps").exists()
    assert "[DEPS]" not in tree.make("version", NEED_DEPS="")
    assert "[DEPS]" in tree.make("version")


# The tree


def test_warnings_are_errors_unless_switched_off(fresh: Tree):
    (fresh.src / "net/http.c").open("a").write("static int unused;\n")
    assert "-Werror=unused-variable" in fresh.run("bin/8086100e.rom").stderr
    done = fresh.run("bin/8086100e.rom", NO_WERROR="1")
    assert done.returncode == 0
    assert "warning" in done.stderr


def test_warnings_of_the_assembler_are_errors_too(fresh: Tree):
    (fresh.src / "arch/x86/core/setjmp.S").open("a").write('\t.warning "beware"\n')
    done = fresh.run("bin/8086100e.rom")
    assert done.returncode == 2
    assert "beware" in done.stderr
    assert fresh.run("bin/8086100e.rom", NO_WERROR="1").returncode == 0
    (fresh.src / "bin/setjmp.o").unlink()
    lines = fresh.run("bin/8086100e.rom", NO_WERROR="1", V="1").stdout
    command = r"^gcc -E .* arch/x86/core/setjmp\.S \| as --32 +-o bin/setjmp\.o$"
    assert re.search(command, lines, re.MULTILINE)


def test_launchers_work_and_what_they_must_not_cache_is_kept_from_them(tree: Tree, tmp_path: Path):
    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\necho "$CCACHE_DISABLE $*" >> {tmp_path}/log\nexec "$@"\n')
    launcher.chmod(0o755)
    tree.make("bin/8086100e.rom", CC=f"{launcher} gcc")
    lines = (tmp_path / "log").read_text().splitlines()
    uncached = {re.sub(r".* ", "", line) for line in lines if line.startswith("1 ")}
    assert uncached == {"bin/embedded.o", "bin/certstore.o"}
    (tmp_path / "cache").mkdir()
    objects_anew = [f"bin/{name}.o" for name in ("printf", "embedded", "certstore")]
    for name in objects_anew:
        (tree.src / name).unlink()
    tree.make(*objects_anew, CC=f"env CCACHE_DIR={tmp_path}/cache ccache gcc")


def test_the_native_compiler_fails_at_another_architecture(tree: Tree):
    done = tree.run("bin-arm64-efi/8086100e.efirom", CROSS_COMPILE_arm64="")
    assert done.returncode == 2
    assert "-mstrict-align" in done.stderr


def test_the_header_of_liblzma_is_needed_for_legacy_roms(tree: Tree, tmp_path: Path):
    (tmp_path / "lzma.h").write_text("#error lzma.h is missing\n")
    done = tree.run("bin/8086100e.rom", HOST_CC=f"gcc -I{tmp_path}")
    assert "lzma.h is missing" in done.stderr
    tree.make("bin-x86_64-efi/8086100e.efirom", HOST_CC=f"gcc -I{tmp_path}")


def test_gold_is_refused(tree: Tree, tmp_path: Path):
    gold = tmp_path / "ld"
    gold.write_text("#!/bin/sh\necho GNU gold\n")
    gold.chmod(0o755)
    assert "gold cannot link this tree" in tree.run("bin/8086100e.rom", LD=str(gold)).stderr


def state(tree: Tree) -> dict[str, int]:
    return {
        str(path.relative_to(tree.src)): path.stat().st_mtime_ns
        for path in tree.src.rglob("*")
        if path.is_file()
    }


def test_bins_share_host_tools_checks_and_headers_alone(tree: Tree):
    before = state(tree)
    for name, goal in (
        ("bin", "bin/8086100e.rom"),
        ("bin-x86_64-efi", "bin-x86_64-efi/8086100e.efirom"),
    ):
        tree.make(goal, CONFIG="qemu")
        after = state(tree)
        changed = [
            path
            for path in after
            if after[path] != before.get(path) and not path.startswith(f"{name}/")
        ]
        assert [path for path in changed if not SHARED.fullmatch(path)] == []
        before = after


def test_two_makes_agree_once_what_they_share_is_there(ready: Tree, fresh: Tree):
    goals = "bin/8086100e.rom", "bin-x86_64-efi/8086100e.efirom"
    shutil.rmtree(fresh.src / "bin")
    shutil.rmtree(fresh.src / "bin-x86_64-efi")
    words = [f"{name}={value}" for name, value in DEFAULTS.items()]
    running = [
        subprocess.Popen(
            ["make", *words, goal],
            cwd=fresh.src,
            env=os.environ | fresh.compilers,
            stdout=subprocess.DEVNULL,
        )
        for goal in goals
    ]
    assert [make.wait(PATIENCE) for make in running] == [0, 0]
    assert [fresh.read(goal) for goal in goals] == [ready.read(goal) for goal in goals]


def test_a_second_make_has_nothing_to_do(fresh: Tree):
    goals = [f"bin/{nic}.rom" for nic in NICS]
    fresh.make(*goals)
    before = state(fresh)
    fresh.make(*goals)
    assert state(fresh) == before


def test_a_bin_is_compiled_quickly(tmp_path: Path):
    """In the processor time of 600 empty files; it was that of 110 to 360."""
    tree = Tree(tmp_path / "minipxe", cached=False)
    (tmp_path / "empty.c").touch()

    def make() -> None:
        tree.make("veryclean")
        tree.make("bin-x86_64-efi/8086100e.efirom", jobs=1)

    def compile_20() -> None:
        for _ in range(20):
            subprocess.run(["gcc", "-c", "empty.c"], cwd=tmp_path, check=True)

    assert ratio(make, compile_20, enough=600 / 20) <= 600 / 20


def test_sources_are_ours_and_few():
    files = [TOP / name for name in source_files(str(SOURCE.relative_to(TOP)))]
    assert len(files) > 50
    assert [
        path
        for path in files
        if "SPDX-License-Identifier: GPL-2.0-or-later" not in "".join(path.open().readlines()[:2])
    ] == []
    assert sum(len(path.read_text().splitlines()) for path in files) < 5100


# Boots


@pytest.mark.qemu
@pytest.mark.parametrize("nic", NICS)
def test_seabios_runs_the_legacy_rom(ready: Tree, tmp_path: Path, nic: str):
    driver, device = NICS[nic]
    text, status = bios(tmp_path, device, ready.src / f"bin/{nic}.rom")
    assert status == 33, text  # the ROM's boot code wrote 0x10 to port 0xf4
    build = f"{ready.build_id(f'bin/{nic}.rom'):08x}"
    for output in (text, (tmp_path / "debug").read_text()):
        for stage in ("init", "boot"):
            assert re.findall(MARK.format(driver, nic[:4], nic[4:], stage), output)[0] == build
        assert re.search(rf"minipxe {driver} found, .*: 52:54:00:12:34:56", output)


@pytest.mark.qemu
def test_a_damaged_image_says_so(ready: Tree, tmp_path: Path):
    data = bytearray(ready.read("bin/8086100e.rom"))
    place = data.index(b"no such command")
    data[place : place + 2] = data[place + 1], data[place]  # the same sum
    (tmp_path / "damaged.rom").write_bytes(data)
    machine = [
        "qemu-system-x86_64",
        "-M",
        "pc,graphics=off",
        "-m",
        "64",
        *COMMON,
        *PC,
        *card("e1000", tmp_path / "damaged.rom"),
    ]
    text, _ = boot(tmp_path, machine, lambda text: "damaged" in text)
    assert "minipxe: the image is damaged" in text


@pytest.mark.qemu
def test_an_embedded_exit_port_can_be_left_out(fresh: Tree, tmp_path: Path):
    (fresh.src / "config/local/general.h").write_text("#undef EXIT_PORT\n")
    fresh.make("bin/8086100e.rom")
    machine = [
        "qemu-system-x86_64",
        "-M",
        "pc,graphics=off",
        "-m",
        "64",
        *COMMON,
        *PC,
        *card("e1000", fresh.src / "bin/8086100e.rom"),
    ]
    text, status = boot(tmp_path, machine, lambda text: "No bootable device" in text)
    assert (status, "found, Intel 82540EM" in text) == (None, True)


@pytest.fixture(params=["e1000", "stripped", "modern virtio"])
def combined(request: pytest.FixtureRequest, fresh: Tree) -> tuple[str, Path]:
    """A card, and a ROM of two images for it."""
    nic = "1af41041" if request.param == "modern virtio" else "8086100e"
    if request.param == "stripped":
        fresh.remove(f"bin-x86_64-efi/{nic}.efirom")
        fresh.make(f"bin-x86_64-efi/{nic}.efirom", TGT_LD_FLAGS=STRIPPED)
    legacy = option_rom.rewrite(option_rom.parse_image(fresh.read(f"bin/{nic}.rom")), last=False)
    rom = fresh.top / "combined.rom"
    rom.write_bytes(legacy.data + fresh.read(f"bin-x86_64-efi/{nic}.efirom"))
    assert rom_check.find_faults(rom.read_bytes()) == []
    return nic, rom


@pytest.mark.qemu
def test_ovmf_runs_the_driver_of_a_combined_rom(combined: tuple[str, Path], tmp_path: Path):
    nic, rom = combined
    driver, device = NICS[nic]
    text = ovmf(tmp_path, device, rom, "52:54:00:12:34:56")
    assert re.search(MARK.format(driver, nic[:4], nic[4:], "efi"), text), text
    assert re.search(rf"minipxe {driver} started, .*: 52:54:00:12:34:56", text)


@pytest.mark.qemu
def test_32_bit_firmware_runs_the_driver(ready: Tree, tmp_path: Path):
    machine = ["qemu-system-x86_64", "-M", "q35,graphics=off,smm=on", "-m", "256", *COMMON, *PC]
    machine += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    firmware = uefi(
        tmp_path, "/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF32_VARS_4M.fd"
    )
    nic = card("e1000", ready.src / "bin-i386-efi/8086100e.efirom")
    text, _ = boot(tmp_path, machine + firmware + nic, lambda text: "started" in text)
    assert re.search(MARK.format("e1000", "8086", "100e", "efi"), text), text


@pytest.mark.qemu
def test_arm64_firmware_runs_the_driver(ready: Tree, tmp_path: Path):
    text = aavmf(
        tmp_path,
        "e1000",
        ready.src / "bin-arm64-efi/8086100e.efirom",
        "started, Intel 82540EM: 52:54:00:12:34:56",
    )
    assert re.search(MARK.format("e1000", "8086", "100e", "efi"), text), text
    assert "started, Intel 82540EM: 52:54:00:12:34:56" in text


@pytest.mark.qemu
def test_u_boot_runs_the_riscv64_application(fresh: Tree, tmp_path: Path):
    # Bookworm has no EDK II for riscv64, so no option ROM runs. The application has the same code.
    fresh.make("bin-riscv64-efi/8086100e.efi")
    application = fresh.src / "bin-riscv64-efi/8086100e.efi"
    machine = ["qemu-system-riscv64", "-M", "virt", "-m", "256", *COMMON]
    machine += ["-bios", "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.elf"]
    machine += ["-kernel", "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"]
    machine += ["-device", f"loader,file={application},addr=0x84000000,force-raw=on"]
    keys = f"\nbootefi 0x84000000:{application.stat().st_size:x}\n"
    text, _ = boot(tmp_path, machine, lambda text: "a miniature of" in text, keys=keys)
    assert re.search(MARK.format("e1000", "8086", "100e", "efi"), text), text


def loaded(data: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """A PE file as it lies in memory, and its base relocations: place and width of each."""
    coff = int.from_bytes(data[0x3C:0x40], "little") + 4
    optional = coff + 20
    image = bytearray(pe.parse_pe(data).image_size)
    for index in range(int.from_bytes(data[coff + 2 : coff + 4], "little")):
        header = optional + int.from_bytes(data[coff + 16 : coff + 18], "little") + 40 * index
        size, place, stored, offset = struct.unpack_from("<4I", data, header + 8)
        assert place % 4096 == 0
        image[place : place + min(size, stored)] = data[offset : offset + min(size, stored)]
    directory = optional + (112 if data[optional : optional + 2] == b"\x0b\x02" else 96) + 8 * 5
    return bytes(image), list(
        _relocations(bytes(image), *struct.unpack_from("<2I", data, directory))
    )


def _relocations(image: bytes, place: int, size: int) -> Iterator[tuple[int, int]]:
    end = place + size
    while place < end:
        page, length = struct.unpack_from("<2I", image, place)
        assert length >= 8
        assert length % 4 == page % 4096 == 0
        for (entry,) in struct.iter_unpack("<H", image[place + 8 : place + length]):
            if entry >> 12:
                yield page + entry % 4096, {3: 4, 10: 8}[entry >> 12]
        place += length
