# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a tree and an output root lie has no part in the ROMs, and both may be copied and moved."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.forge import EFI, LEGACY, MARKED, TWO, Forge, asks, both, committed, git

pytestmark = pytest.mark.slow

QEMU = {LEGACY: 'config = "qemu"', EFI: 'config = "qemu"'}
CCACHE = '[toolchain]\nlauncher = "ccache"'


# The same bytes everywhere


def clone(tree: Path, to: Path, *options: str) -> Path:
    to.parent.mkdir(parents=True)
    git(to.parent, "clone", "-q", *options, f"file://{tree}", str(to))
    return to


def test_output_roots_and_checkouts_have_no_part_in_the_bytes(forge: Forge):
    """Clones in other directories, one without history and tags, each with its own output root.

    Some of their names have spaces and apostrophes.

    They build through ccache, too. Objects hold debugging information and so directories, and the
    build ID sums up the objects. The version holds as many digits of the commit as a repository
    needs.
    """
    committed(forge.tree)
    git(forge.tree, "tag", "-d", "v1.0.0")  # a shallow clone could not describe its commit by it
    forge.spec(QEMU)
    forge.build()
    right = forge.roms()
    assert len(right) == 4
    trees = {
        "full": clone(forge.tree, forge.top / "a/long/way/down/clone"),
        "shallow": clone(forge.tree, forge.top / "with spaces/clöne", "--depth=1"),
    }
    for number in range(300):  # so that its commits need more digits to be told apart
        (forge.top / "blob").write_text(str(number))
        git(trees["full"], "hash-object", "-w", str(forge.top / "blob"))
    environment = {"CCACHE_DIR": str(forge.top / "ccache"), "PATH": forge.real_path}
    # the last one out of the cache, with what was compiled in the other tree
    for kind, extra in (("full", ""), ("shallow", CCACHE), ("full", CCACHE)):
        forge.spec(QEMU, extra=extra)
        out = forge.top / "out"
        shutil.rmtree(out)
        place = forge.top / f"öut of {kind}'s clone/below"
        forge.build(IPXE_SRC=str(trees[kind]), ROMFORGE_OUT=str(place), **environment)
        place.rename(out)
        assert forge.roms() == right, (kind, extra)


def test_a_working_tree_knows_its_commit_without_the_repository(built: Forge):
    """iPXE 2.0 reads .git/HEAD for its version: it is the commit itself, not a branch's name."""
    committed(built.tree)
    built.spec({LEGACY: ""}, ("e1000",))
    built.build()
    head = built.work(LEGACY) / "src/../.git/HEAD"
    assert head.read_text() == git(built.tree, "rev-parse", "HEAD") + "\n"
    assert [path.name for path in head.parent.iterdir()] == ["HEAD"]


# Copies of an output root


def place_of(forge: Forge, name: str) -> dict[str, str]:
    return {"ROMFORGE_OUT": str(forge.top / name)}


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_an_output_root_elsewhere_is_up_to_date_and_built_on(built: Forge, how: str):
    """An edit redoes its images there; nothing needs the old root, whether it is there or not."""
    here, there = built.top / "out", built.top / "elsewhere/out"
    there.parent.mkdir()
    if how == "copied":
        subprocess.run(["cp", "-a", str(here), str(there)], check=True)
    else:
        here.rename(there)
    where = place_of(built, "elsewhere/out")
    assert built.why(**where) == {}
    built.build(**where)
    assert built.asked() == []
    built.edit("drivers/net/pcnet.c", "AMD PCnet", "AMD PCNET")
    assert "drivers/net/pcnet.c changed (used by pcnet)" in built.why(**where)["make:ipxe/pcbios"]
    assert built.rewritten(lambda: built.build(**where)) == set()  # of those in the old root
    assert built.asked() == asks("pcnet")
    if how == "copied":
        assert all(b"AMD PCNET" not in built.code(name) for name in both("pcnet"))
        shutil.rmtree(here)
    there.rename(here)
    assert all(b"AMD PCNET" in built.code(name) for name in both("pcnet"))
    assert all(b"AMD PCNET" not in built.code(name) for name in both("e1000"))


def test_the_copy_of_an_output_root_never_takes_files_from_the_old_one(built: Forge):
    """Neither the tree's files, which differ there by then, nor objects, .d files and images."""
    old, copy = built.top / "out", built.top / "copy"
    subprocess.run(["cp", "-a", str(old), str(copy)], check=True)
    for path in old.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(b"not to be read\n")
    built.edit("core/mark.c")
    reasons = built.why(**place_of(built, "copy"))
    assert set(reasons) == {f"make:ipxe/{platform}" for platform in (LEGACY, EFI)} | {
        f"rom:{name}" for nic in TWO for name in both(nic)
    }
    built.build(**place_of(built, "copy"))
    shutil.rmtree(old)
    copy.rename(old)
    assert all(MARKED.encode() in built.code(name) for nic in TWO for name in both(nic))
    assert str(copy) not in (built.work(LEGACY) / "record.json").read_text()


def test_old_and_new_root_go_on_side_by_side(built: Forge):
    """After a copy each is built by its own, of the same tree, edited in between."""
    subprocess.run(["cp", "-a", str(built.top / "out"), str(built.top / "copy")], check=True)
    built.edit("core/mark.c")
    built.build(**place_of(built, "copy"))
    assert built.asked() == asks(*TWO)
    assert all(MARKED.encode() not in built.code(name) for name in both("e1000"))
    built.edit("core/mark.c", MARKED, "minipxe Version %s")
    built.build()
    assert built.asked() == asks(*TWO)
    assert all(b"minipxe Version" in built.code(name) for name in both("e1000"))
    built.build(**place_of(built, "copy"))
    shutil.rmtree(built.top / "out")
    (built.top / "copy").rename(built.top / "out")
    assert all(b"minipxe Version" in built.code(name) for name in both("e1000"))
