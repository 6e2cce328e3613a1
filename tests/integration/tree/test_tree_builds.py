# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds from a source tree, as a user sees them: real runs on copies of vendor/minipxe.

A wrapper that comes first in PATH notes what make was asked for. What a link used is read from its
map and from the dependency files that make itself wrote.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from romforge.base.pci_id import PciId
from romforge.formats import option_rom, rom_check
from tests.support.forge import (
    BINS,
    EFI,
    LEGACY,
    MARK,
    MARKED,
    TWO,
    Forge,
    asks,
    both,
    committed,
    git,
    stamp,
)

pytestmark = pytest.mark.slow


def linked_with(forge: Forge, name: str) -> set[str]:
    """The images with an object whose dependencies, as make wrote them, have the file."""
    roms = set()
    for platform in BINS:
        for nic in TWO:
            objects = forge.objects(platform, nic) | {"version"}
            paths = (forge.stage(platform, nic).parent / "deps").rglob("*.d")
            texts = [path.read_text() for path in paths if path.name.split(".")[0] in objects]
            assert len(texts) > 9
            used = {word for text in texts for word in text.split()}
            roms |= {f"{platform}/{nic}.rom"} if name in used else set()
    return roms


# What is built, and what is not


def test_a_fresh_build_gives_faultless_roms_under_the_specs_names(forge: Forge):
    """Four architectures, and a chain of two images, without fault: names, IDs and machines."""
    machines = {LEGACY: 0, EFI: 0x8664, "arm64-efi": 0xAA64, "riscv64-efi": 0x5064}
    chain = (
        '[target.q]\ndir = "a/b"\nfile = "{vendor}-{device}.{target}.rom"\n'
        'images = ["pcbios", "x86_64-efi"]'
    )
    forge.spec(dict.fromkeys(machines, ""), ("e1000",), extra=chain)
    forge.build()
    roms = forge.roms()
    wanted = {f"{name}/e1000.rom": [machine] for name, machine in machines.items()} | {
        "a/b/8086-100e.q.rom": [0, 0x8664]
    }
    assert {
        name: [image.machine for image in option_rom.parse_rom(data).images]
        for name, data in roms.items()
    } == wanted
    for data in roms.values():
        assert rom_check.find_faults(data) == []
        assert {image.ids for image in option_rom.parse_rom(data).images} == {PciId(0x8086, 0x100E)}


def test_a_legacy_image_is_that_of_the_trees_own_make(ready: Forge, own: Forge):
    """Byte for byte, though it was built elsewhere, with other images, in another environment."""
    assert ready.stage(LEGACY, "e1000").read_bytes() == (own.src / "bin/8086100e.rom").read_bytes()


def test_where_nothing_changed_no_make_is_started(built: Forge):
    """Also where all sources were touched; and that is looked at once, and then remembered."""
    assert built.rewritten(built.build) == set()
    for path in built.src.rglob("*"):
        os.utime(path)
    assert built.why() == {}
    assert built.rewritten(built.build) == set()
    record = built.work(LEGACY) / "record.json"
    before = stamp(record)
    assert built.rewritten(built.build) == set()
    assert stamp(record) == before
    assert built.asked() == []


def test_a_nic_alone_asks_make_for_its_images_alone(forge: Forge):
    """And a further build for the rest alone, by one make for each platform."""
    forge.build("nic:e1000")
    assert forge.asked() == asks("e1000")
    assert forge.rewritten(forge.build) == both("pcnet")
    assert forge.asked() == asks("pcnet")


def test_a_driver_redoes_its_roms_alone(built: Forge):
    """The reason is shown before; other ROMs keep bytes and times; then all is up to date."""
    built.edit("drivers/net/intel.c", "Intel 82540EM", "Intel 82540EX")
    why = built.why()
    assert set(why) == {
        "make:ipxe/pcbios",
        "make:ipxe/x86_64-efi",
        *(f"rom:{name}" for name in both("e1000")),
    }
    assert all(
        "drivers/net/intel.c changed (used by intel)" in why.pop(f"make:ipxe/{platform}")
        for platform in BINS
    )
    assert all("drivers/net/intel.c changed" in reason for reason in why.values())
    assert "8086100e.efidrv: drivers/net/intel.c changed" in built.romforge("plan", "--why").stdout
    assert built.rewritten(built.build) == both("e1000")
    assert built.asked() == asks("e1000")
    assert all(b"Intel 82540EX" in built.code(name) for name in both("e1000"))
    assert built.romforge("plan", "--why").stdout == "all is up to date\n"


def test_a_header_redoes_the_links_that_used_it(forge: Forge):
    """Each header of the tree, compared with the .d files of the compiler.

    A single driver uses one of them.
    """
    forge.edit(
        "drivers/net/pcnet.c", "#include <pci.h>", "#include <pci.h>\n#include <only_here.h>"
    )
    (forge.src / "include/only_here.h").write_text("#define NAME_OF_IT 1\n")
    forge.build()
    redone, wanted = {}, {}
    for header in sorted((forge.src / "include").glob("*.h")):
        name, text = f"include/{header.name}", header.read_text()
        header.write_text(text + "/* more */\n")
        redone[name] = {
            task.removeprefix("rom:") for task in forge.why() if task.startswith("rom:")
        }
        wanted[name] = linked_with(forge, name)
        header.write_text(text)
    assert wanted["include/only_here.h"] == both("pcnet")
    assert redone == wanted


def test_what_no_image_uses_redoes_none(built: Forge):
    """New sources, headers and notes, and an edit of a driver that no NIC has; it is told, too."""
    (built.src / "core/newcomer.c").write_text("int newcomer;\n")
    (built.src / "drivers/net/newcomer2.c").write_text(
        '/* PCI_ROM ( 0x1234, 0x5678, "new", "New", 0 ) */\n'
    )
    (built.src / "include/newcomer.h").write_text("\n")
    for name in ("README", "NOTES.txt", "config/qemu/README"):
        (built.src / name).write_text("Nothing.\n")
    built.edit("drivers/net/vmxnet3.c", "VMware vmxnet3", "VMware VMXNET3")
    assert built.romforge("plan", "--why").stdout == "all is up to date\n"
    assert built.rewritten(built.build) == set()
    assert built.asked() == []


def test_a_header_of_few_redoes_their_images_alone(built: Forge):
    """It has two users, of which one is in an image."""
    include = "#include <pci.h>\n#include <few.h>\n"
    for driver in ("pcnet", "vmxnet3"):
        built.edit(f"drivers/net/{driver}.c", "#include <pci.h>\n", include)
    built.edit("drivers/net/pcnet.c", "#define APROM 0x00", "#define APROM FEW")
    (built.src / "include/few.h").write_text("#define FEW 0\n")
    assert built.rewritten(built.build) == both("pcnet")
    built.asked()
    (built.src / "include/few.h").write_text("#define FEW 4\n")
    assert linked_with(built, "include/few.h") == both("pcnet")
    reason = built.why()["make:ipxe/pcbios"]
    assert reason == "10222000.rom: include/few.h changed (used by pcnet)"
    assert built.rewritten(built.build) == both("pcnet")
    assert built.asked() == asks("pcnet")


def test_an_edit_of_an_unused_source_is_not_lost(built: Forge):
    """Another source beside it was touched, and so the record of the tree is written again."""
    built.edit("drivers/net/vmxnet3.c", "VMware vmxnet3", "VMware VMXNET3")
    os.utime(built.src / "core/mark.c")
    for _ in range(2):
        assert built.rewritten(built.build) == set()
    built.spec(extra='[nic.vmxnet3]\nid = "15ad:07b0"')
    assert built.rewritten(built.build) == both("vmxnet3")
    for name in both("vmxnet3"):
        assert b"VMware VMXNET3" in built.code(name)


# What came, went and changed in the tree


def test_a_driver_may_come_and_go(built: Forge):
    """A new source is built, and when it is gone its ROM fails alone, for a cause that is told."""
    new = (built.src / "drivers/net/pcnet.c").read_text().replace("pcnet", "new")
    (built.src / "drivers/net/new.c").write_text(new.replace("0x1022, 0x2000", "0x1234, 0x5678"))
    assert built.why() == {}
    built.spec({LEGACY: ""}, extra='[nic.new]\nid = "1234:5678"')
    assert set(built.why()) == {"make:ipxe/pcbios", "rom:pcbios/new.rom"}
    assert built.rewritten(built.build) == {"pcbios/new.rom"}
    assert option_rom.parse_rom(built.roms()["pcbios/new.rom"]).images[0].ids == PciId(
        0x1234, 0x5678
    )
    (built.src / "drivers/net/new.c").unlink()
    assert "drivers/net/new.c was removed" in built.why()["make:ipxe/pcbios"]
    for _ in range(2):  # the second time it is the only image to build
        done = built.doit()
        assert (done.returncode, "1 failed" in done.stdout) == (1, True), done.stdout
        assert "12345678" in done.stderr


@pytest.mark.parametrize(
    "how", ["mtime set backwards", "mtime and size kept", "replaced by an older file"]
)
def test_a_change_is_seen_whatever_its_time(built: Forge, how: str):
    """The new text is in the image."""
    built.spec({LEGACY: ""}, ("e1000",))
    path = built.src / "core/mark.c"
    before = path.stat().st_mtime_ns
    if how.startswith("replaced"):
        (built.top / "other").write_text(path.read_text().replace(MARK, MARKED))
        os.utime(built.top / "other", ns=(0, before - 10**12))
        (built.top / "other").rename(path)
    else:
        built.edit("core/mark.c")
        os.utime(path, ns=(0, before if how == "mtime and size kept" else before - 10**12))
    built.build()
    assert MARKED.encode() in built.code("pcbios/e1000.rom")


def test_the_mode_of_a_script_is_that_of_the_tree(built: Forge):
    """In the copy as in the tree, where the mode alone changed."""
    for mode in (0o755, 0o644):
        (built.src / "util/parserom.pl").chmod(mode)
        built.build("target:pcbios")
        assert stat.S_IMODE((built.work(LEGACY) / "src/util/parserom.pl").stat().st_mode) == mode


def test_a_header_that_is_gone_is_missed_until_it_is_back(built: Forge):
    """The compiler's error names it; when it is back, with its old time, all is built as it was."""
    built.spec({EFI: ""}, ("e1000",))
    before = built.roms()[f"{EFI}/e1000.rom"]
    (built.src / "include/pci.h").rename(built.top / "pci.h")
    assert re.search(r"[\w/-]+\.c:\d+:\d+: fatal error: pci\.h: No such file", built.failed())
    (built.top / "pci.h").rename(built.src / "include/pci.h")
    built.build()
    assert built.roms()[f"{EFI}/e1000.rom"] == before


def test_a_directory_that_is_gone_is_gone_from_the_copy(built: Forge):
    """Not only its files: makefiles look for directories, too."""
    shutil.rmtree(built.src / "config/qemu")
    assert "config/qemu/console.h was removed" in built.why()["make:ipxe/pcbios"]
    built.build()
    assert not (built.work(LEGACY) / "src/config/qemu").exists()


def test_a_file_may_become_a_directory_and_a_directory_a_file(built: Forge):
    """In one step, and both at once."""
    built.spec({EFI: ""}, ("e1000",))
    (built.src / "include/one").write_text("a file\n")
    (built.src / "include/two").mkdir()
    (built.src / "include/two/file.h").write_text("\n")
    built.build()
    (built.src / "include/one").unlink()
    (built.src / "include/two").rename(built.src / "include/one")
    (built.src / "include/two").write_text("a file\n")
    built.build()


def test_a_symbolic_link_stands_for_its_file(built: Forge):
    """A change of the file that it leads to is seen; a link to a directory is refused in words."""
    built.spec({LEGACY: ""}, ("e1000",))
    path = built.src / "core/mark.c"
    path.rename(built.top / "mark.c")
    path.symlink_to(built.top / "mark.c")
    assert built.why() == {}
    (built.top / "mark.c").write_text((built.top / "mark.c").read_text().replace(MARK, MARKED))
    built.build()
    assert MARKED.encode() in built.code("pcbios/e1000.rom")
    (built.src / "more").symlink_to(built.src / "core")
    assert "tree/src/more: cannot be read: a symbolic link to a directory" in built.failed()


def test_a_make_in_the_tree_itself_redoes_nothing(own: Forge, tmp_path: Path):
    """It leaves BINs, host tools, checks and empty local headers, and touches others."""
    assert (own.src / "config/local/general.h").exists()
    assert own.why() == {}
    assert own.rewritten(own.build) == set()
    cleaned = own.copy(tmp_path)
    cleaned.make(cleaned.src, "veryclean")
    assert not (cleaned.src / "bin").exists()
    assert cleaned.why() == {}


def test_what_a_make_left_in_the_tree_is_not_built_upon(forge: Forge):
    """Nothing in BIN directories, and no host tool; but a local header that has content counts."""
    left = ["util/zbin", "util/own", "bin/8086100e.rom", "bin/left.o"]
    for name in left:
        (forge.src / name).parent.mkdir(exist_ok=True)
        shutil.copy("/bin/false", forge.src / name)
        os.utime(forge.src / name, ns=(2**62, 2**62))
    (forge.src / ".toolcheck").touch()
    (forge.src / "config/local").mkdir()
    (forge.src / "config/local/general.h").write_text("#undef CRC_CMD\n")
    forge.spec({LEGACY: ""}, ("e1000",))
    forge.build()
    assert rom_check.find_faults(forge.roms()["pcbios/e1000.rom"]) == []
    assert forge.objects(LEGACY, "e1000") & {"crc_cmd", "shell"} == {"shell"}
    assert not [
        name
        for name in left
        if (path := forge.work(LEGACY) / "src" / name).exists()
        and path.read_bytes() == Path("/bin/false").read_bytes()
    ]


# The version that git gives


def listing(top: Path) -> dict[str, tuple[int, ...] | str]:
    """All that can be seen of the files and directories below."""
    states: dict[str, tuple[int, ...] | str] = {}
    for path in sorted(top.rglob("*")):
        now = path.lstat()
        states[str(path)] = now.st_mode, now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino
        states[f"{path} holds"] = (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        )
    return states


def version(data: bytes) -> bytes:
    (found,) = set(re.findall(rb"1\.0\.0[^\0]*", data))
    return bytes(found)


def version_of_make(forge: Forge, tree: Path, top: Path) -> bytes:
    """The version that the tree's own make gives in a copy of ``top``, which has the repository."""
    copy = forge.top / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(top, copy, symlinks=True)
    src = copy / tree.relative_to(top) / "src"
    forge.prepare(src, "bin")
    forge.make(src, "NEED_DEPS=", "bin/version.e1000.rom.o")  # it depends on no other object
    return version((src / "bin/version.e1000.rom.o").read_bytes())


def with_seven_digits(found: bytes, tree: Path) -> bytes:
    """The version with seven digits of its commit, instead of as many as make's git needs."""
    commit = git(tree, "rev-parse", "HEAD")
    short = re.search(rb"\(g([0-9a-f]+)\)$", found)
    assert short
    assert commit.encode().startswith(short[1])
    return found.replace(short[1], commit[:7].encode())


def test_the_version_is_the_checkouts_which_is_only_read(built: Forge):
    """As make in the checkout gives it, but for the number of digits.

    A commit that changes no file shows. The checkout stays the same.
    """
    committed(built.tree)
    before = listing(built.tree)
    status = git(built.tree, "status", "--porcelain")
    built.spec({LEGACY: ""}, ("e1000",))
    built.build(GIT_DIR="/nowhere")
    assert listing(built.tree).keys() == before.keys()
    first = version(built.code("pcbios/e1000.rom"))
    assert first == with_seven_digits(version_of_make(built, built.tree, built.tree), built.tree)
    assert git(built.tree, "rev-parse", "HEAD")[:7].encode() in first
    git(built.tree, "commit", "-q", "--allow-empty", "-m", "three")
    before = listing(built.tree)
    assert "the revision" in built.why()["make:ipxe/pcbios"]
    built.build()
    assert listing(built.tree) == before
    second = version(built.code("pcbios/e1000.rom"))
    assert second == with_seven_digits(version_of_make(built, built.tree, built.tree), built.tree)
    assert second != first
    assert git(built.tree, "status", "--porcelain") == status == ""
    assert built.why() == {}


@pytest.mark.parametrize("kind", ["submodule", "worktree"])
def test_a_checkout_whose_repository_is_elsewhere_has_its_version_too(built: Forge, kind: str):
    """A submodule and a further worktree have a file .git that says where."""
    committed(built.tree)
    top = built.top / "elsewhere"
    if kind == "submodule":
        top.mkdir()
        git(top, "init", "-q")
        git(top, "submodule", "add", "-q", str(built.tree), "ipxe")
        tree = top / "ipxe"
    else:
        tree = top
        git(built.tree, "worktree", "add", "-q", "-b", "other", str(tree))
    git(tree, "commit", "-q", "--allow-empty", "-m", "three")
    assert (tree / ".git").is_file()
    built.spec({LEGACY: ""}, ("e1000",))
    before = listing(tree)
    built.build(IPXE_SRC=str(tree))
    assert listing(tree) == before
    found = version(built.code("pcbios/e1000.rom"))
    assert git(tree, "rev-parse", "HEAD")[:7].encode() in found
    assert found == with_seven_digits(version_of_make(built, tree, top), tree)


def test_a_tag_that_changes_what_git_describes_is_seen(built: Forge):
    """git describe, as the tree's makefiles call it, reads only annotated tags.

    A lightweight tag must not hide them.
    """
    committed(built.tree)
    git(built.tree, "commit", "-q", "--allow-empty", "-m", "three")
    git(built.tree, "tag", "light")
    built.spec({LEGACY: ""}, ("e1000",))
    built.build()
    before = git(built.tree, "describe")
    git(built.tree, "tag", "-am", "nine", "v9", "HEAD~1")
    assert git(built.tree, "describe") != before
    assert "make:ipxe/pcbios" in built.why()


def test_a_read_only_tree_is_built_and_stays_as_it_is(forge: Forge):
    """Tests may run as root, who can write everything. So all that the tree shows is compared."""
    subprocess.run(["chmod", "-R", "a-w", forge.tree], check=True)
    before = listing(forge.tree)
    forge.spec({LEGACY: ""}, ("e1000",))
    forge.build()
    assert listing(forge.tree) == before
    (forge.src / "core/mark.c").chmod(0o644)
    forge.edit("core/mark.c")
    forge.build()
    assert MARKED.encode() in forge.code("pcbios/e1000.rom")
    subprocess.run(["chmod", "-R", "u+w", forge.top], check=True)


# Configuration

GENERAL = (
    '[config.c.general]\nundef = ["CRC_CMD"]\ndefine = ["DOWNLOAD_PROTO_HTTP"]\n'
    'set = { BANNER = "\\"a banner of ours\\"" }'
)
CONFIGURED: Any = {"platforms": {LEGACY: 'config = "c"', EFI: ""}, "nics": ("e1000",)}


@pytest.fixture(scope="module")
def with_config(ready: Forge, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """The legacy platform is built with a configuration; its tree has HTTP switched off."""
    made = ready.copy(tmp_path_factory.mktemp("configured"))
    made.edit("config/general.h", "#define DOWNLOAD_PROTO_HTTP\n", "")
    made.spec(**CONFIGURED, extra=GENERAL)
    made.build()
    made.asked()
    return made


@pytest.fixture
def configured(with_config: Forge, tmp_path: Path) -> Forge:
    return with_config.copy(tmp_path)


def test_a_configuration_defines_undefines_and_sets(with_config: Forge):
    """What the link and the image have, of the platform with it and of the platform without it."""
    assert with_config.objects(LEGACY, "e1000", "with-c") & {"http", "tftp", "crc_cmd"} == {
        "http",
        "tftp",
    }
    assert b"a banner of ours" in with_config.code("pcbios/e1000.rom")
    assert b"a banner of ours" not in with_config.code(f"{EFI}/e1000.rom")


def test_a_change_of_a_header_redoes_the_platforms_that_have_it(configured: Forge):
    """And no other; a header of the same text is not written, though its platform is built."""
    header = configured.work(LEGACY, "with-c") / "src/config/local/c/general.h"
    before = stamp(header)
    configured.spec(
        **CONFIGURED, extra=GENERAL.replace("[config.c.general]", "# a comment\n[config.c.general]")
    )
    assert configured.why() == {}
    configured.edit("core/mark.c")
    configured.build()
    assert (configured.asked(), stamp(header)) == (asks("e1000"), before)
    configured.spec(**CONFIGURED, extra=GENERAL.replace("of ours", "of theirs"))
    assert "config/local/c/general.h changed" in configured.why()["make:ipxe/pcbios"]
    assert configured.rewritten(configured.build) == {"pcbios/e1000.rom"}
    assert configured.asked() == asks("e1000", platforms=(LEGACY,))
    assert b"a banner of theirs" in configured.code("pcbios/e1000.rom")


def test_a_further_header_of_a_configuration_is_built_and_one_less_too(configured: Forge):
    """COMCONSOLE is in the console's code: the images differ, and are as before without it."""
    before = configured.code("pcbios/e1000.rom")
    configured.spec(
        **CONFIGURED, extra=f"{GENERAL}\n[config.c.console]\nset = {{ COMCONSOLE = 0x2f8 }}"
    )
    configured.build()
    assert configured.code("pcbios/e1000.rom") != before
    configured.spec(**CONFIGURED, extra=GENERAL)
    configured.build()
    assert configured.code("pcbios/e1000.rom") == before


def test_a_make_in_the_tree_with_the_same_configuration_changes_nothing(configured: Forge):
    """It creates the local headers there, empty, which must not take the place of the spec's."""
    before = configured.code("pcbios/e1000.rom")
    configured.prepare(configured.src, "bin", config="c")
    configured.make(configured.src, "CONFIG=c", "bin/version.e1000.rom.o")
    assert (configured.src / "config/local/c/general.h").read_text() == ""
    for action in ("made", "cleaned"):
        configured.build()
        assert configured.code("pcbios/e1000.rom") == before, action
        shutil.rmtree(configured.src / "config/local", ignore_errors=True)


def test_a_header_may_move_from_the_spec_to_the_tree(configured: Forge):
    """Then the tree's is taken; as long as both have it, that is an error in words."""
    header = configured.src / "config/local/c/general.h"
    header.parent.mkdir(parents=True)
    header.write_text('#undef BANNER\n#define BANNER "from the tree"\n')
    words = "config.c.general: " + f"{header} sets the same header; remove one of them"
    assert words in configured.failed()
    assert words in configured.romforge("check").stderr
    configured.spec(**CONFIGURED, extra="[config.c.console]")
    configured.build()
    assert b"from the tree" in configured.code("pcbios/e1000.rom")


UNKNOWN = 'the tree has no configuration "c"; it has qemu, and the spec no [config.c.HEADER]'


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (
            "[config.c.generel]",
            'config.c.generel: the tree has no header config/generel.h (did you mean "general"?)\n',
        ),
        ("[config.c]", UNKNOWN),
        ("[config.d.general]", UNKNOWN),
    ],
    ids=["header", "configuration of the tree", "configuration of the spec"],
)
def test_an_unknown_configuration_or_header_is_an_error_in_words(
    forge: Forge, extra: str, words: str
):
    """No make is started for it, and `check` finds it, too."""
    forge.spec({LEGACY: 'config = "c"'}, extra=extra)
    checked = forge.romforge("check")
    assert checked.returncode == 1
    assert words in checked.stderr
    done = forge.doit()
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert forge.asked() == []


def test_a_build_warns_once_of_macros_without_effect(forge: Forge):
    """Not once a platform, and not where all is up to date. Nor does it fail for them."""
    forge.spec(
        {LEGACY: 'config = "c"', EFI: 'config = "c"'},
        nics=("e1000",),
        extra='[config.c.console]\ndefine = ["PCI_CMD"]\n[config.d.general]\n',
    )
    errors = forge.build().stderr
    assert errors.count(": warning: PCI_CMD belongs to config/general.h") == 1
    assert errors.count("config.d: warning: no source and no platform") == 1
    assert forge.build().stderr == ""


def test_embedded_files_are_in_the_image_as_they_are_now(built: Forge):
    """Other content redoes that platform alone, and so do two files of one name that swap it."""
    one, two = built.top / "one/script", built.top / "two/script"
    for path in (one, two):
        path.parent.mkdir()
        path.write_text(f"echo {path.parent.name}\n")
    built.spec({LEGACY: 'embed = ["one/script", "two/script"]', EFI: ""})

    def embedded() -> list[bytes]:
        assert built.rewritten(built.build) == {"pcbios/e1000.rom", "pcbios/pcnet.rom"}
        assert built.asked() == asks(*TWO, platforms=(LEGACY,))
        return re.findall(rb"echo ([a-z]+)\n", built.code("pcbios/e1000.rom"))

    assert embedded() == [b"one", b"two"]
    one.write_text("echo three\n")
    assert f"{one} changed" in built.why()["make:ipxe/pcbios"]
    assert embedded() == [b"three", b"two"]
    one.rename(built.top / "aside")
    two.rename(one)
    (built.top / "aside").rename(two)
    assert embedded() == [b"two", b"three"]
    built.spec({LEGACY: 'embed = ["two/script"]', EFI: ""})
    assert embedded() == [b"three"]


def test_an_embedded_file_that_is_not_there_is_told_and_costs_no_more(built: Forge):
    """When it is back nothing is built again, for nothing has changed."""
    built.spec({LEGACY: 'embed = ["script"]'}, ("e1000",))
    (built.top / "script").write_text("echo it\n")
    built.build()
    (built.top / "script").rename(built.top / "aside")
    assert f"{built.top / 'script'}: cannot be read: No such file or directory" in built.failed()
    (built.top / "aside").rename(built.top / "script")
    built.asked()
    built.build()
    assert built.asked() == []


def test_certificates_are_in_the_image_and_debugging_too(built: Forge):
    """A certificate as it is, the digest of a trusted one, and the messages of a debugged driver.

    Changes of them are built, too.
    """
    for name in ("trusted", "added"):
        (built.top / name).write_text(f"certificate {name}\n")
    built.spec(
        {
            LEGACY: 'trust = ["trusted"]\ncert = ["added"]\ndebug = ["intel"]\nrequire = ["intel"]',
            EFI: "",
        },
        ("e1000",),
    )
    built.build()
    assert built.asked() == asks("e1000", platforms=(LEGACY,))
    for change in ("", "changed "):
        if change:
            (built.top / "trusted").write_text(change)
            (built.top / "added").write_text(change * 2)
            built.build()
        data = built.code("pcbios/e1000.rom")
        assert hashlib.sha256((built.top / "trusted").read_bytes()).digest() in data
        assert (built.top / "added").read_bytes() in data
        assert b"RAH" in data
    built.spec({LEGACY: "", EFI: ""}, ("e1000",))
    built.build()
    assert b"RAH" not in built.code("pcbios/e1000.rom")


def test_a_header_of_a_debugged_object_alone_counts_as_used(built: Forge):
    """The driver is linked as intel.dbg1, but make names its list of dependencies for intel."""
    built.edit(
        "drivers/net/intel.c", "#include <pci.h>", "#include <pci.h>\n#include <only_here.h>\n"
    )
    (built.src / "include/only_here.h").write_text("\n")
    built.spec({EFI: 'debug = ["intel"]'}, ("e1000",))
    shutil.rmtree(built.work(EFI))
    built.build()
    (built.src / "include/only_here.h").write_text("/* more */\n")
    assert f"rom:{EFI}/e1000.rom" in built.why()


def test_a_variable_of_make_redoes_its_platform(built: Forge):
    """iPXE's makefiles do not track EXTRA_CFLAGS.

    The result is that of a tree that is built with it from the start.
    """
    before = built.roms()
    built.spec({LEGACY: "", EFI: 'make = { EXTRA_CFLAGS = "-O1" }'}, ("e1000",))
    assert "make's variables changed" in built.why()["make:ipxe/x86_64-efi"]
    assert built.rewritten(built.build) == {f"{EFI}/e1000.rom"}
    assert built.asked() == asks("e1000", platforms=(EFI,))
    built.spec({LEGACY: "", EFI: ""}, ("e1000",))
    built.build()
    assert built.roms() == before


def test_another_epoch_links_anew(built: Forge):
    """And compiles nothing but the objects of the version."""
    objects = {path: stamp(path) for path in built.stage(LEGACY, "e1000").parent.glob("[!v]*.o")}
    assert built.rewritten(lambda: built.build(SOURCE_DATE_EPOCH="1800000000")) == both(
        "e1000"
    ) | both("pcnet")
    assert {path: stamp(path) for path in objects} == objects
    assert (1800000000).to_bytes(4, "little") in built.code("pcbios/e1000.rom")
