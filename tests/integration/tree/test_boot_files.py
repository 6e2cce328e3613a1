# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of a tree that are no ROMs: built as its own make builds them, installed, locked."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from romforge.formats import pe
from tests.support.documents import document
from tests.support.forge import EFI, LEGACY, Forge

pytestmark = pytest.mark.slow

SPEC = f"""spec = 1
[source.ipxe]
tree = "tree"
[platform.{LEGACY}]
[platform.{EFI}]
[image.bios]
platform = "{LEGACY}"
goal = "8086100e.rom"
dir = "usr/lib/ipxe"
[image.app]
platform = "{EFI}"
goal = "10ec8139.efi"
dir = "boot"
file = "net.efi"
[image.wrapped]
platform = "{EFI}"
goal = "10222000.efirom"
dir = "usr/lib/ipxe"
"""
BIOS, APP, WRAPPED = "usr/lib/ipxe/8086100e.rom", "boot/net.efi", "usr/lib/ipxe/10222000.efirom"
GOALS = {
    BIOS: "bin/8086100e.rom",
    APP: "bin-x86_64-efi/10ec8139.efi",
    WRAPPED: "bin-x86_64-efi/10222000.efirom",
}


def write(forge: Forge, text: str = SPEC) -> None:
    (forge.top / "romspec.toml").write_text(text)


@pytest.fixture(scope="module")
def ready_files(empty: Forge, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """A forge with the three files, for tests that copy it."""
    made = empty.copy(tmp_path_factory.mktemp("files"))
    write(made)
    assert "3 built, 0 up to date" in made.build().stdout
    return made


@pytest.fixture
def files(ready_files: Forge, tmp_path: Path) -> Forge:
    made = ready_files.copy(tmp_path)
    made.build()  # of a spec in another place; what is there is its own from now on
    return made


def contents(forge: Forge, out: str = "out") -> dict[str, bytes]:
    return {path: (forge.top / out / path).read_bytes() for path in GOALS}


MEDIA = {
    "ipxe.lkrn": LEGACY,
    "undionly.kpxe": LEGACY,
    "ipxe.efi": EFI,
    "snponly.efi": EFI,
    "ipxe.iso": LEGACY,
    "snponly.iso": EFI,
}


def check(forge: Forge) -> CompletedProcess[str]:
    return forge.romforge("lock", "--check")


def test_they_are_what_the_trees_own_make_builds(files: Forge):
    """To the byte, in a spec without a NIC and a target; the manifest and the JSON have them."""
    files.prepare(files.src, *sorted({goal.split("/")[0] for goal in GOALS.values()}))
    for path, goal in GOALS.items():
        files.make(files.src, goal)
        assert (files.src / goal).read_bytes() == contents(files)[path], path
    entries = json.loads((files.top / "out/images.json").read_text())["files"]
    assert {entry["file"]: entry["size"] for entry in entries} == {
        path: len(data) for path, data in contents(files).items()
    }
    found = document(files.romforge("build", "--json").stdout, "build")
    assert (found["files"], found["roms"]) == (entries, [])
    assert "0 built, 3 up to date" in files.build().stdout
    assert files.why() == {}


def test_one_edit_redoes_what_has_it(files: Forge):
    """A file that is made of a linked one depends on all that the tree has."""
    driver = files.src / "drivers/net/realtek.c"
    driver.write_text(driver.read_text() + "/* edited */\n")
    reasons = files.why()
    assert {task for task in reasons if task.startswith("make:")} == {f"make:ipxe/{EFI}/files"}
    assert "10ec8139.efi: drivers/net/realtek.c changed" in reasons[f"make:ipxe/{EFI}/files"]
    assert "8086100e.rom" not in str(reasons)
    files.build()
    assert files.why() == {}


def test_what_is_removed_or_altered_is_installed_again(files: Forge):
    before = contents(files)
    (files.top / "out" / APP).unlink()
    (files.top / "out" / BIOS).write_bytes(b"mine")
    assert files.why().keys() == {"image:app", "image:bios"}
    assert "2 built, 1 up to date" in files.build().stdout
    assert contents(files) == before


def test_a_goal_that_make_does_not_know_fails_alone(forge: Forge):
    write(forge, SPEC.replace("10ec8139.efi", "10ec8139.efx"))
    done = forge.doit()
    assert done.returncode == 1
    assert "10ec8139.efx" in done.stderr
    assert re.search(r"^1 failed, 2 built, 0 up to date", done.stdout, re.M), done.stdout
    assert not (forge.top / "out" / APP).exists()
    assert (forge.top / "out" / WRAPPED).exists()


def test_what_the_spec_no_longer_asks_for_goes(files: Forge):
    """But not what somebody has put into its place; and the last one goes, too."""
    (files.top / "out" / WRAPPED).write_bytes(b"mine")
    head, *images = SPEC.split("[image")
    write(files, f"{head}[image{images[1]}")
    assert f"removed {BIOS}, which the spec no longer asks for" in files.build().stdout
    assert (files.top / "out" / WRAPPED).read_bytes() == b"mine"
    rom = '[nic.e1000]\nid = "8086:100e"\n[target.t]\ndir = "t"\nfile = "{nic}.rom"\n'
    write(files, f'{head}{rom}images = ["{LEGACY}"]\n')
    assert f"removed {APP}" in files.build().stdout


def test_the_files_of_another_spec_stay(files: Forge):
    """One in the same output root, without files and with others."""
    before = contents(files)
    rom = '[nic.e1000]\nid = "8086:100e"\n[target.t]\ndir = "t"\nfile = "{nic}.rom"\n'
    head, *images = SPEC.split("[image")
    other = files.top / "other.toml"
    for text in (f'{head}{rom}images = ["{LEGACY}"]\n', f"{head}[image{images[1]}"):
        other.write_text(text)
        done = files.romforge("build", "--spec", "other.toml")
        assert done.returncode == 0, done.stderr
        assert contents(files) == before


def test_they_can_be_selected_left_out_and_cleaned(forge: Forge):
    write(forge, SPEC.replace('file = "net.efi"\n', 'file = "net.efi"\ndefault = false\n'))
    done = forge.build("image:bios")
    assert "1 built, 0 up to date" in done.stdout
    assert "1 built, 1 up to date" in forge.build("image:wrapped", "image:bios").stdout
    forge.build()
    assert not (forge.top / "out" / APP).exists()
    forge.build("all")
    assert (forge.top / "out" / APP).exists()
    assert forge.doit("clean", "image:app").returncode == 0
    assert not (forge.top / "out" / APP).exists()
    wrong = forge.romforge("build", "image:ap")
    assert '"image:ap" (did you mean "image:app"?)' in wrong.stderr


def test_the_lock_has_their_bytes(files: Forge):
    """Another size is shown, the same size with other bytes is a fault, as with ROMs."""
    assert files.romforge("lock").returncode == 0
    text = (files.top / "romspec.lock").read_text()
    assert f'[file."{APP}"]\nsize = {len(contents(files)[APP])}\nsha256 = "' in text
    assert (check(files).returncode, check(files).stdout) == (0, "")
    driver = files.src / "drivers/net/realtek.c"
    original = driver.read_text()
    driver.write_text(
        original + "const char more[2000] __attribute__ (( used )) = { 1, 2, 3, 4 };\n"
    )
    files.build()
    done = check(files)
    assert re.search(f"^(change|FAULT) {APP}: (grew by|its bytes differ)", done.stdout, re.M)
    driver.write_text(original)
    files.build()
    assert check(files).stdout == ""
    (files.top / "out" / APP).write_bytes(b"altered")
    done = check(files)
    assert done.returncode == 1
    assert f"FAULT {APP}: was changed since it was built" in done.stdout
    (files.top / "out" / APP).unlink()
    assert f"FAULT {APP}: is in the lock, but was not built" in check(files).stdout
    files.build()
    write(files, SPEC.replace("net.efi", "new.efi"))
    for words in (
        f"{APP}: is in the lock, but no longer in the spec",
        "boot/new.efi: is in the spec, but not in the lock",
    ):
        assert words in files.doit("lock_check").stderr


def test_the_lock_needs_no_compiler_of_what_was_not_built(files: Forge):
    """Such as of a build profile without cross compilers."""
    absent = '[platform.absent]\nbin = "bin-arm64-efi"\ncross = "absent-"\n[image.absent]\n'
    absent += 'platform = "absent"\ngoal = "ipxe.efi"\ndir = "absent"\ndefault = false\n'
    write(files, SPEC + absent)
    done = files.romforge("lock")
    assert done.returncode == 0, done.stderr
    done = check(files)
    assert (done.returncode, done.stderr) == (0, "")
    assert "absent-gcc" not in (files.top / "romspec.lock").read_text()


def test_their_bytes_are_the_same_in_another_place(files: Forge, tmp_path: Path):
    other = files.copy(tmp_path / "elsewhere/deeper")
    other.build(ROMFORGE_OUT="out2")
    assert contents(other, "out2") == contents(files)


def test_media_like_those_of_debian_are_the_same_in_another_place(empty: Forge, tmp_path: Path):
    """A kernel, a PXE program, EFI applications, and two CDs, which are made of them.

    A CD has times of the time zone, and the permissions of the user's mask.
    """
    tables = [SPEC.partition("[image")[0]]
    for goal, platform in MEDIA.items():
        keys = f'platform = "{platform}"\ngoal = "{goal}"\ndir = "ipxe"\n'
        tables.append(f'[image."{goal}"]\n{keys}')
    found: list[dict[str, bytes]] = []
    before = os.umask(0o022)
    for place, mask, zone in (("here", 0o022, "UTC"), ("there/deeper", 0o077, "Asia/Tokyo")):
        forge = empty.copy(tmp_path / place)
        write(forge, "".join(tables))
        os.umask(mask)
        try:
            assert "6 built, 0 up to date" in forge.build(TZ=zone).stdout
            assert "0 built, 6 up to date" in forge.build().stdout
        finally:
            os.umask(before)
        found.append({goal: (forge.top / "out/ipxe" / goal).read_bytes() for goal in MEDIA})
    assert found[0] == found[1]
    assert found[0]["ipxe.lkrn"] in found[0]["ipxe.iso"]
    assert found[0]["ipxe.lkrn"][0x202:0x206] == b"HdrS"
    assert b"minipxe undionly" in found[0]["undionly.kpxe"]
    machines = {pe.parse_pe(found[0][goal]).machine for goal in ("ipxe.efi", "snponly.efi")}
    assert machines == {0x8664}


def test_they_are_divided_among_machines_and_put_together(files: Forge):
    """Those of one make are built by one machine."""
    for number in (1, 2):
        done = files.romforge("build", "--shard", f"{number}/2", "--out", f"part-{number}")
        assert done.returncode == 0, done.stderr
        assert f"{number} built, 0 up to date" in done.stdout
    done = files.romforge("join", "part-1", "part-2", "--out", "whole")
    assert (done.returncode, done.stdout) == (0, "whole: 0 ROMs and 3 other files of 2 parts\n")
    assert contents(files, "whole") == contents(files)
    done = files.romforge("join", "part-1", "--out", "half")
    assert done.returncode == 1
    assert done.stderr.count("no part has ") == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f'"{EFI}"', '"x86_64-eif"', '(did you mean "x86_64-efi"?)'),
        ('dir = "boot"', 'dir = "/boot"', "image.app.dir: "),
        ('dir = "boot"', 'dir = "../boot"', "image.app.dir: "),
        ('"10ec8139.efi"', '"bin/x.efi"', 'image.app.goal: "bin/x.efi" is not the name of a file'),
        ('file = "net.efi"', 'file = "../usr/lib/ipxe/8086100e.rom"', "image.app.file: "),
        (
            'dir = "boot"\nfile = "net.efi"',
            'dir = "usr/lib/ipxe"\nfile = "8086100e.rom"',
            "image.app: usr/lib/ipxe/8086100e.rom is also written by the image bios",
        ),
        ('tree = "tree"', 'roms = "tree"', 'the platform "pcbios" has no source tree'),
    ],
)
def test_a_wrong_table_is_an_error_with_its_line(forge: Forge, old: str, new: str, message: str):
    write(forge, SPEC.replace(old, new, 1) if old != f'"{EFI}"' else SPEC.replace(old, new))
    done = forge.romforge("check")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
