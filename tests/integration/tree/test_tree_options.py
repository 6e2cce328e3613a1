# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a build from a tree: what a link holds, tools, failures, places of trees, jobs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from romforge.base.pci_id import PciId
from romforge.formats import option_rom, rom_check
from tests.support.compilers import CACHED_GCC, EXEC_CACHED_GCC
from tests.support.forge import BINS, EFI, GOALS, LEGACY, MARK, MARKED, TWO, Forge, asks, both
from tests.support.project import PATIENCE, run

pytestmark = pytest.mark.slow

# Counts the compilers that run at once; the first wait until there are as many as there are to be.
COUNTED = """#!/bin/sh
count() { exec 9>> "$HOME/lock"; flock 9; n=$(($(cat "$HOME/running" 2>/dev/null || echo 0) + $1))
echo $n > "$HOME/running"; echo $n >> "$HOME/counts"; exec 9>&-; \
[ $n -lt $(cat "$HOME/jobs") ] || touch "$HOME/met"; }
case "$*" in *" -c "*) ;; *) EXEC "$@";; esac
count 1; [ -e "$HOME/met" ] || \
timeout PATIENCE sh -c 'until [ -e "$HOME/met" ]; do sleep 0.02; done'
CACHED "$@"; status=$?; sleep 0.03; count -1; exit $status
""".replace("PATIENCE", str(PATIENCE))
COUNTED = COUNTED.replace("EXEC", EXEC_CACHED_GCC).replace("CACHED", CACHED_GCC)
TOOLS = """sh make perl gcc ld ar nm objcopy size as sed tr sort cut cksum cat touch mkdir rm date \
echo printf env git sha256sum grep
setpriv tail"""
QEMU = 'config = "qemu"'  # defines EFI_DOWNGRADE_UX
BAD = '[nic.bad]\nid = "1234:5678"'


# What a link holds


@pytest.fixture
def qemu(with_qemu: Forge, tmp_path: Path) -> Forge:
    """A forge where EFI drivers were built with the tree's configuration for QEMU."""
    return with_qemu.copy(tmp_path)


@pytest.fixture(scope="module")
def own_driver(empty: Forge, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The driver of e1000 that the tree's own make gives with its configuration for QEMU."""
    made = empty.copy(tmp_path_factory.mktemp("own_driver"))
    goal = BINS[EFI].format(GOALS["e1000"])
    made.prepare(made.src, goal.split("/")[0], config="qemu")
    made.make(made.src, "CONFIG=qemu", goal)
    return (made.src / goal).read_bytes()


def test_drivers_of_a_downgraded_configuration_are_linked_without_it(
    qemu: Forge, own_driver: bytes
):
    """Its objects are not in the map, and the image is smaller than that of the tree's own make.

    Legacy images keep it.
    """
    qemu.spec({LEGACY: QEMU, EFI: QEMU}, ("e1000",))
    qemu.build()
    linked = qemu.objects(EFI, "e1000", "with-qemu")
    assert {"intel", "efi_snp"} <= linked
    assert not linked & {"config", "config_efi", "shell", "http", "crc32"}
    assert qemu.stage(EFI, "e1000", "", "with-qemu").stat().st_size < len(own_driver) - 8000
    assert qemu.objects(LEGACY, "e1000", "with-qemu") >= {"config", "config_pcbios", "shell"}


def test_what_is_kept_is_in_the_image_again(qemu: Forge, own_driver: bytes):
    """One root, then both. With all of it the image is that of the tree's own make, to the byte."""
    for kept in (["obj_config"], ["obj_config", "obj_config_efi"]):
        qemu.spec({EFI: f"{QEMU}\nstrip = {{ keep = {json.dumps(kept)} }}"}, ("e1000",))
        assert "strip or leave_out changed" in qemu.why()["make:ipxe/x86_64-efi"]
        qemu.build()
        held = qemu.objects(EFI, "e1000", "with-qemu") & {"config", "config_efi", "shell"}
        assert held == {"shell", *(root.removeprefix("obj_") for root in kept)}
    qemu.spec({EFI: f'{QEMU}\nstrip = "none"'}, ("e1000",))
    qemu.build()
    assert qemu.stage(EFI, "e1000", "", "with-qemu").read_bytes() == own_driver


def test_what_is_to_be_dropped_is_whatever_the_configuration(built: Forge):
    """Also where nothing is left out by itself, since there is no EFI_DOWNGRADE_UX."""
    assert built.objects(EFI, "e1000") & {"config", "config_efi"} == {"config", "config_efi"}
    built.spec({EFI: 'strip = { drop = ["obj_config_efi"] }'}, ("e1000",))
    built.build()
    assert built.objects(EFI, "e1000") & {"config", "config_efi"} == {"config"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            'strip = { drop = ["obj_intel"] }',
            "the driver's own object intel is not in the image; take obj_intel out of drop",
        ),
        (
            'strip = { drop = ["obj_confi"] }',
            'names obj_confi, which is not a root of this link (did you mean "obj_config"?)',
        ),
        (
            'require = ["efi_snp", "nosuch"]',
            "[platform.x86_64-efi] requires the object nosuch, which is not in the image",
        ),
        ('strip = { keep = ["obj_nosuch"] }', "obj_nosuch"),
    ],
    ids=["driver dropped", "no such root dropped", "object required", "no such root kept"],
)
def test_an_image_that_is_not_what_the_spec_says_is_an_error(built: Forge, keys: str, words: str):
    """In words; the ROM that was there before stays, and a spec that is right again builds it."""
    before = built.roms()
    built.spec({EFI: keys}, ("e1000",))
    assert words in built.failed()
    assert built.roms() == before
    built.spec({EFI: 'require = ["efi_snp", "intel"]'}, ("e1000",))
    built.build()


def test_a_driver_is_missed_though_another_image_does_not_link(built: Forge):
    """make is run a second time without the other one, and then does not link this one again."""
    built.spec({EFI: 'strip = { drop = ["obj_intel"] }'}, ("e1000",), extra=BAD)
    assert "the driver's own object intel is not in the image" in built.failed("-n", "1")


def test_an_image_that_lacks_what_it_must_hold_fails_alone(built: Forge):
    """In the first build, and in a second, where it is the only one left to build."""
    built.spec({EFI: 'require = ["pcnet"]'})
    done = built.doit()
    assert "1 failed, " in done.stdout
    assert "8086100e.efidrv: [platform.x86_64-efi] requires the object pcnet" in done.stderr
    done = built.doit()
    assert "1 failed, 0 built, 1 up to date" in done.stdout


# Tools


def only(forge: Forge, *missing: str) -> str:
    """A PATH that has just what a native build needs, less some programs."""
    directory = forge.top / "only"
    directory.mkdir()
    for name in set(TOOLS.split()) - set(missing):
        found = shutil.which(name, path=forge.real_path)
        assert found
        (directory / name).symlink_to(found)
    return str(directory)


def test_a_platform_without_its_compiler_fails_alone(built: Forge):
    """Before the first make the error names the package to install; the other one is built."""
    built.spec({EFI: "", "arm64-efi": ""}, ("e1000",))
    built.edit("core/mark.c")
    errors = built.failed(PATH=only(built))
    message = (
        "make:ipxe/arm64-efi: aarch64-linux-gnu-gcc: not found; "
        "install the Debian package gcc-aarch64-linux-gnu\n"
    )
    assert message in errors
    assert errors.index("gcc-aarch64-linux-gnu") < errors.index("builds 1 image")
    assert errors.count("gcc-aarch64-linux-gnu") == 1
    assert built.asked() == asks("e1000", platforms=(EFI,))
    assert MARKED.encode() in built.code(f"{EFI}/e1000.rom")


def test_without_make_and_perl_nothing_is_begun(forge: Forge):
    """Both are named, with their packages, for both platforms at once."""
    errors = forge.failed(PATH=only(forge, "make", "perl"))
    for name in ("make", "perl"):
        assert errors.count(f"{name}: not found; install the Debian package {name}\n") == 1
    assert not (forge.top / "out/.romforge/tree").exists()


def test_a_compiler_for_another_architecture_is_refused(forge: Forge):
    """It would fail in the midst of a build; what to write instead is said."""
    forge.spec({"arm64-efi": 'cross = "riscv64-linux-gnu-"'}, ("e1000",))
    errors = forge.failed()
    assert "riscv64-linux-gnu-gcc makes code for riscv64-linux-gnu, not for arm64" in errors
    assert 'set cross = "aarch64-linux-gnu-" in [platform.arm64-efi]' in errors
    assert forge.asked() == []


def test_a_header_that_host_tools_need_is_missed_before_the_build(forge: Forge):
    """One that only CPATH leads to does not count, since make's environment has no CPATH."""
    (forge.top / "include").mkdir()
    (forge.top / "include/lzma.h").write_text("\n")
    path = forge.wrap(
        "gcc",
        '#!/bin/sh\nfor word; do [ "$word" = lzma.h ] && [ -z "$CPATH" ] && exit 1; done\n'
        'exec /usr/bin/gcc "$@"\n',
    )
    forge.spec({LEGACY: ""}, ("e1000",))
    assert "lzma.h: not found by gcc; install the Debian package liblzma-dev" in forge.failed(
        PATH=path, CPATH=f"{forge.top}/include"
    )
    assert forge.asked() == []


def test_another_linker_than_gnu_ld_is_refused(forge: Forge):
    """As by iPXE's makefiles, but before anything is built."""
    path = forge.wrap("ld", '#!/bin/sh\necho "GNU gold (GNU Binutils 2.40) 1.16"\n')
    assert "only GNU ld can link an iPXE tree" in forge.failed(PATH=path)
    assert forge.asked() == []


def test_the_environment_changes_no_byte(forge: Forge, ready: Forge):
    """Neither dpkg-buildflags' variables, nor those of an outer make, of git, or of gcc.

    The compilers themselves read the variables, and not the cache of all tests.
    """
    forge.spec(nics=("e1000",))
    odd = {
        "CFLAGS": "-O0 -g",
        "CPPFLAGS": "-DDEBUG",
        "LDFLAGS": "-z now",
        "CC": "false",
        "CROSS_COMPILE": "none-",
        "EXTRA_CFLAGS": "-O3",
    }
    odd |= {
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de",
        "MAKEFLAGS": "n CONFIG=qemu",
        "MAKELEVEL": "3",
        "GIT_DIR": "/none",
        "V": "1",
    }
    odd |= {
        "CONFIG": "qemu",
        "DEBUG": "e1000",
        "CPATH": "/none",
        "C_INCLUDE_PATH": "/none",
        "GCC_EXEC_PREFIX": "/none",
        "BIN": "none",
    }
    forge.build(**odd, PATH=forge.real_path)
    assert forge.roms() == {name: ready.roms()[name] for name in both("e1000")}


def test_another_compiler_builds_anew(forge: Forge):
    """It is known by the file that PATH leads to; what runs behind that is its own affair."""
    forge.spec({EFI: ""}, ("e1000",))
    path = forge.wrap("gcc", f'#!/bin/sh\n{EXEC_CACHED_GCC} "$@"\n')
    forge.build(PATH=path)
    before = forge.roms()
    forge.asked()
    forge.build(PATH=path)
    assert forge.asked() == []
    forge.wrap("gcc", f'#!/bin/sh\n{EXEC_CACHED_GCC} "$@" -O1\n')
    assert "the compiler or binutils changed" in forge.why(PATH=path)["make:ipxe/x86_64-efi"]
    forge.build(PATH=path)
    assert forge.roms() != before


# Failures


def test_a_compile_error_is_told_so_that_it_can_be_seen_again(built: Forge):
    """File, line, a command that gives the same error, and the log.

    The other platform is built. After the repair all is built.
    """
    built.edit("core/mark.c")
    right = (built.src / "interface/efi/efi_snp.c").read_text()
    (built.src / "interface/efi/efi_snp.c").write_text(
        right + "\nint broken ( void ) { return nosuch; }\n"
    )
    line = right.count("\n") + 2
    errors = built.failed()
    error = re.search(rf"interface/efi/efi_snp\.c:{line}:\d+: error: .*nosuch.*", errors)
    assert error, errors
    assert all(MARKED.encode() in built.code(f"{LEGACY}/{nic}.rom") for nic in TWO)
    log = re.search(r"the whole log: (.*)", errors)
    assert log
    assert error[0] in (built.top / log[1]).read_text()
    paste = re.search(r"to see it again: (.*)", errors)
    assert paste
    again = subprocess.run(
        ["bash", "-c", paste[1]], cwd=built.top, capture_output=True, text=True, check=False
    )
    assert again.returncode
    assert error[0] in again.stderr
    (built.src / "interface/efi/efi_snp.c").write_text(right)
    built.build()
    assert all(MARKED.encode() in built.code(f"{EFI}/{nic}.rom") for nic in TWO)


# Where trees are


def test_a_fallback_is_named_with_the_ways_to_the_real_tree(built: Forge):
    """In one line, where something is built; the table's last line always names it."""
    built.spec(source='tree = "vendor/ipxe"\nfallback = "tree"')
    done = built.build()  # it is the same tree as before, so nothing is redone
    assert done.stderr == ""
    assert done.stdout.endswith(", ipxe is tree, the fallback\n")
    assert built.asked() == []
    source = built.src / "drivers/net/pcnet.c"
    source.write_text(source.read_text() + "/* edited */\n")
    lines = [line for line in built.build().stderr.splitlines() if " is built" in line]
    assert len(lines) == 1
    for words in (
        "vendor/ipxe is not there, so tree is built",
        "git submodule add",
        "apt-get source ipxe",
        "sha256",
    ):
        assert words in lines[0]


def test_another_tree_may_be_named_by_the_environment(built: Forge):
    """The directory of the tree, or its src; the checkout's own is not looked at."""
    shutil.copytree(built.tree, built.top / "other")
    text = (built.top / "other/src/core/mark.c").read_text()
    (built.top / "other/src/core/mark.c").write_text(text.replace(MARK, MARKED))
    shutil.rmtree(built.tree)
    built.build(IPXE_SRC="other")
    assert all(MARKED.encode() in built.code(name) for name in both("e1000"))
    built.asked()
    built.build(IPXE_SRC=str(built.top / "other/src"))
    assert built.asked() == []


def test_where_there_is_no_tree_the_words_say_how_to_get_one(forge: Forge):
    """An empty directory, as of a submodule that was not fetched, is none."""
    shutil.rmtree(forge.tree)
    forge.tree.mkdir()
    errors = forge.failed()
    message = (
        "make:ipxe/pcbios and make:ipxe/x86_64-efi: "
        f"there is no iPXE source tree (with src/Makefile) at {forge.tree}"
    )
    assert message in errors
    assert "apt-get source ipxe" in errors
    assert f"no iPXE source tree (with src/Makefile) at {forge.top}/none" in forge.failed(
        IPXE_SRC="none"
    )


def test_a_tree_that_was_moved_redoes_nothing(built: Forge):
    """Its content is what counts; and the manifest says where it is now."""
    built.tree.rename(built.top / "moved")
    built.spec(source='tree = "moved"')
    assert built.rewritten(built.build) == set()
    assert built.asked() == []
    assert json.loads((built.top / "out/pcbios.manifest.json").read_text())["sources"]["ipxe"][
        "tree"
    ] == str(built.top / "moved")


# Images


def test_one_image_may_be_for_several_nics(built: Forge):
    """Both drivers are in it; its IDs are those of the first."""
    built.spec(
        nics=(), extra=f'[nic.both]\nid = "8086:100e"\ngoal = "{GOALS["e1000"]}--{GOALS["pcnet"]}"'
    )
    built.build()
    for name in both("both"):
        assert rom_check.find_faults(built.roms()[name]) == []
        assert b"e1000--pcnet" in built.code(name)
        assert option_rom.parse_rom(built.roms()[name]).images[0].ids == PciId(0x8086, 0x100E)


def test_other_media_give_sound_roms_too(built: Forge):
    """An .mrom, and an .efirom whose driver is that of the .efidrv."""
    driver = built.stage(EFI, "e1000").read_bytes()
    built.spec({LEGACY: 'media = "mrom"', EFI: 'media = "efirom"'}, ("e1000",))
    built.build()
    assert b"8086100e.mrom\0" in built.code("pcbios/e1000.rom")
    images = option_rom.parse_rom(built.roms()["pcbios/e1000.rom"]).images
    assert [image.kind for image in images] == ["legacy", "payload"]
    assert built.code(f"{EFI}/e1000.rom").startswith(driver)
    for data in built.roms().values():
        assert rom_check.find_faults(data) == []


def test_targets_that_share_a_platform_are_built_by_one_make(built: Forge):
    """Of all images that any of them wants; a ROM that both have is of the same image."""
    other = (
        '[target.other]\ndir = "other"\nfile = "{nic}.rom"\n'
        'images = ["pcbios"]\nnics = ["e1000", "rtl8139"]'
    )
    built.spec({LEGACY: ""}, nics=(*TWO, "rtl8139"), extra=other)
    text = (built.top / "romspec.toml").read_text()
    (built.top / "romspec.toml").write_text(
        text.replace('images = ["pcbios"]', 'images = ["pcbios"]\nnics = ["e1000", "pcnet"]', 1)
    )
    built.edit("core/mark.c")
    built.build()
    assert built.asked() == asks(*TWO, "rtl8139", platforms=(LEGACY,))
    roms = built.roms()
    assert roms["other/e1000.rom"] == roms["pcbios/e1000.rom"]
    assert set(roms) - both("e1000") - both("pcnet") == {"other/e1000.rom", "other/rtl8139.rom"}


def test_a_platform_may_be_built_in_two_configurations(built: Forge):
    """Each in a working tree of its own; the second does not touch the first."""
    chatty = (
        '[platform.chatty]\nbin = "bin"\nconfig = "c"\n'
        '[config.c.general]\nset = { BANNER = "\\"chatty\\"" }\n'
    )
    target = '[target.chatty]\ndir = "chatty"\nfile = "{nic}.rom"\nimages = ["chatty"]'
    built.spec({LEGACY: ""}, ("e1000",), extra=chatty + target)
    assert built.rewritten(built.build) == {"chatty/e1000.rom"}
    assert b"chatty" in built.code("chatty/e1000.rom")
    assert built.asked() == asks("e1000", platforms=(LEGACY,))


# Runs and jobs


@pytest.mark.parametrize(
    "words", ["-n 1", "-n 4", "-n 2 -P process", "-r console", "-r console -n 2"]
)
def test_all_ways_to_run_doit_build_the_same(built: Forge, words: str):
    """And each finds nothing to do after."""
    built.edit("core/mark.c")
    for _ in range(2):
        built.build(*words.split())
    assert [goals for _, goals in built.asked()] == [{GOALS[nic] for nic in TWO}] * 2
    assert all(MARKED.encode() in built.code(name) for name in both("e1000"))


def test_a_platform_may_be_built_cleaned_and_forgotten_alone(built: Forge):
    """Cleaning removes its working tree, forgetting costs no make, and neither writes a ROM."""
    built.edit("core/mark.c")
    assert built.rewritten(lambda: built.build("make:ipxe/pcbios")) == set()
    assert built.asked() == asks(*TWO, platforms=(LEGACY,))
    built.build()
    assert built.asked() == asks(*TWO, platforms=(EFI,))
    for command in (["forget", "make:ipxe/pcbios"], ["forget"]):
        built.build(*command)
        assert built.rewritten(built.build) == set()
        assert built.asked() == []
    built.build("clean", "make:ipxe/pcbios")
    assert not built.work(LEGACY).exists()
    assert built.rewritten(built.build) == set()
    assert built.asked() == asks(*TWO, platforms=(LEGACY,))


@pytest.mark.parametrize(
    ("words", "environment", "jobs"),
    [
        ("doit -n 1", {}, 1),
        ("doit -n 3", {}, 3),
        ("romforge build --jobs 3 nic:e1000", {}, 3),
        ("doit", {"DEB_BUILD_OPTIONS": "nocheck parallel=1"}, 1),
        ("doit", {"DEB_BUILD_OPTIONS": "parallel=3"}, 3),
    ],
)
def test_so_many_compilers_run_at_once_as_there_may(
    forge: Forge, words: str, environment: dict[str, str], jobs: int
):
    """No more than that over both makes, and as many when only one of them is left to run."""
    path = forge.wrap("gcc", COUNTED)
    (forge.top / "jobs").write_text(str(jobs))
    forge.spec(None if "-n 1" in words or "--jobs" in words else {EFI: ""}, ("e1000",))
    done = run(
        [sys.executable, "-m", *words.split()],
        forge.top,
        **(forge.environment | environment | {"PATH": path}),
    )
    assert done.returncode == 0, done.stderr
    assert max(map(int, (forge.top / "counts").read_text().split())) == jobs


def test_a_make_above_shares_its_jobs(forge: Forge):
    """Under make -j3 with another recipe at work two compilers run at once.

    A pool of our own would have as many as -n says.
    """
    path = forge.wrap("gcc", COUNTED)
    (forge.top / "jobs").write_text("2")
    (forge.top / "busy").write_text(f"sleep {2 * PATIENCE} & echo $! > busy.pid; wait\n")
    build = (
        f"+{shlex.quote(sys.executable)} -m doit; status=$$?; kill $$(cat busy.pid); exit $$status"
    )
    (forge.top / "Makefile").write_text(
        f"all: busy doit\nbusy:\n\t-sh busy\ndoit:\n\t{build}\n.PHONY: all busy doit\n"
    )
    forge.spec(nics=("e1000",))
    environment = forge.environment | {"PATH": path, "DEB_BUILD_OPTIONS": "parallel=8"}
    done = run(["/usr/bin/make", "-j3"], forge.top, **environment)
    assert done.returncode == 0, done.stderr
    assert max(map(int, (forge.top / "counts").read_text().split())) == 2
