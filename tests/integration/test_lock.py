# SPDX-License-Identifier: GPL-2.0-or-later
"""romspec.lock: what it holds, and that each change of a bucket, image, ID or file is reported."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tomllib

from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.rom import assembly, lock_format
from tests.support import builders
from tests.support.project import Run, run, spec_text, users

QEMU = Path("out/usr/share/qemu")
IDS = {"e1000": PciId(0x8086, 0x100E), "pcnet": PciId(0x1022, 0x2000)}
NICS = 'e1000 = "8086:100e"\npcnet = "1022:2000"'


class Project:
    """Two NICs' ROMs, padded efi-* of 256 KiB and pxe-* that are not padded, built and locked."""

    def __init__(self, top: Path, doit: Run, romforge: Run) -> None:
        self.top, self.doit, self.romforge = top, doit, romforge
        (top / "roms").mkdir()
        for nic, ids in IDS.items():
            self.put(nic, ids)
        self.write(spec_text("roms", nics=NICS))
        self.build()
        assert romforge("lock").stdout == "romspec.lock: 4 ROMs\n"

    def put(self, nic: str, ids: PciId, blocks: int = 160) -> None:
        """A ROM that both targets are built from; blocks of 512 bytes of its legacy image."""
        efi = builders.efi(ids=ids)
        (self.top / f"roms/efi-{nic}.rom").write_bytes(
            builders.legacy(ids, last=False, blocks=blocks) + efi
        )

    def write(self, text: str) -> None:
        (self.top / "romspec.toml").write_text(text)

    def edit(self, old: str, new: str) -> None:
        text = (self.top / "romspec.toml").read_text()
        assert old in text
        self.write(text.replace(old, new))

    def build(self) -> str:
        done = self.doit()
        assert done.returncode == 0, done.stderr
        return done.stdout

    def check(self, *words: str) -> tuple[int, str]:
        """Exit status and words of `lock --check`."""
        done = self.romforge("lock", "--check", *words)
        return done.returncode, done.stdout + done.stderr

    def lock(self) -> dict[str, object]:
        return tomllib.loads((self.top / "romspec.lock").read_text())


@pytest.fixture
def project(tmp_path: Path, doit: Run, romforge: Run) -> Project:
    """The pxe-* ROMs' bucket of 128 KiB has room for 256 blocks."""
    return Project(tmp_path, doit, romforge)


def test_the_lock_says_what_was_built(project: Project):
    """Sorted: bucket, used bytes, images with IDs, the sha256 without what depends on the day."""
    locked = project.lock()
    roms = locked["rom"]
    assert isinstance(roms, dict)
    assert list(roms) == sorted(
        f"usr/share/qemu/{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in IDS
    )
    for path, entry in roms.items():
        data = (project.top / "out" / path).read_bytes()
        images = option_rom.parse_rom(data).images
        assert entry["bucket"] == assembly.bucket_of(len(data))
        assert entry["used"] == sum(len(image.data) for image in images)
        assert entry["images"] == [
            {
                "kind": image.kind,
                "size": len(image.data),
                "ids": f"{image.ids[0]:04x}:{image.ids[1]:04x}",
            }
            for image in images
        ]
        assert entry["sha256"] == lock_format.digest_of(project.top / "out" / path)


def test_a_rebuild_without_change_is_silent(project: Project):
    before = (project.top / "romspec.lock").read_bytes()
    shutil.rmtree(project.top / "out")
    project.build()
    assert project.check() == (0, "")
    assert project.romforge("lock").returncode == 0
    assert (project.top / "romspec.lock").read_bytes() == before


def bucket_up(project: Project) -> None:
    project.edit('size = "256KiB"', 'size = "512KiB"')


def bucket_down(project: Project) -> None:
    project.edit('size = "128KiB"\npad = false', 'size = "64KiB"\npad = false')
    project.put("e1000", IDS["e1000"], blocks=100)
    project.put("pcnet", IDS["pcnet"], blocks=100)


def shrunk(project: Project) -> None:
    """Without a bucket in the spec nothing else tells."""
    project.edit('images = ["pcbios"]\nbucket = "pxe"', 'images = ["pcbios"]')
    project.put("e1000", IDS["e1000"], blocks=100)


def ids(project: Project) -> None:
    project.edit('id = "8086:100e"', 'id = "8086:100f"')
    project.put("e1000", PciId(0x8086, 0x100F))


def image_lost(project: Project) -> None:
    project.edit(
        'file = "efi-{nic}.rom"\nimages = ["pcbios", "x86_64-efi"]',
        'file = "efi-{nic}.rom"\nimages = ["pcbios"]',
    )


def image_more(project: Project) -> None:
    """The lock is of a set without EFI images in efi-*."""
    image_lost(project)
    project.build()
    assert project.romforge("lock").returncode == 0
    project.edit(
        'file = "efi-{nic}.rom"\nimages = ["pcbios"]',
        'file = "efi-{nic}.rom"\nimages = ["pcbios", "x86_64-efi"]',
    )


def file_lost(project: Project) -> None:
    project.edit('file = "efi-{nic}.rom"\n', 'file = "efi-{nic}.rom"\nnics = ["e1000"]\n')


def file_more(project: Project) -> None:
    project.write(spec_text("roms", nics=NICS + '\nrtl8139 = "10ec:8139"'))
    project.put("rtl8139", PciId(0x10EC, 0x8139))


def grown(project: Project) -> None:
    project.edit(
        'images = ["pcbios", "x86_64-efi"]\n', 'images = ["pcbios", "x86_64-efi"]\ngrowth = 1024\n'
    )
    project.put("e1000", IDS["e1000"], blocks=163)


SEEDED: dict[str, tuple[Callable[[Project], None], str]] = {
    "bucket up": (
        bucket_up,
        "efi-e1000.rom: its bucket was 256 KiB, is now 512 KiB; "
        "guests with the old bucket can no longer migrate",
    ),
    "bucket down": (bucket_down, "pxe-e1000.rom: its bucket was 128 KiB, is now 64 KiB"),
    "shrunk under it": (shrunk, "pxe-e1000.rom: its bucket was 128 KiB, is now 64 KiB"),
    "IDs": (ids, "efi-e1000.rom: the IDs of its x86_64 image were 8086:100e, are now 8086:100f"),
    "lost image": (image_lost, "efi-e1000.rom: lost x86_64"),
    "image more": (image_more, "efi-e1000.rom: gained x86_64"),
    "lost file": (file_lost, "efi-pcnet.rom: is in the lock, but no longer in the spec"),
    "extra file": (file_more, "efi-rtl8139.rom: "),  # doit says so before it builds
    "growth over the limit": (
        grown,
        "efi-e1000.rom: grew by 1,536 bytes (0x600) to 84,992, more than the 1,024 bytes (0x400)",
    ),
}


@pytest.mark.parametrize("fault", list(SEEDED))
def test_every_seeded_fault_is_caught(project: Project, fault: str):
    """By the command, and by doit's task, each with status 1 and words."""
    seed, words = SEEDED[fault]
    seed(project)
    project.build()
    status, output = project.check()
    assert (status, words in output) == (1, True), output
    done = project.doit("lock_check")
    assert (done.returncode, words in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (file_more, "efi-rtl8139.rom: is in the spec, but not in the lock"),
        (file_lost, "efi-pcnet.rom: is in the lock, but no longer in the spec"),
    ],
)
def test_a_lock_of_other_roms_is_found_before_anything_is_built(
    project: Project, seed: Callable[[Project], None], words: str
):
    """By doit's task, and by `check --lock`; a plain check says nothing of it."""
    seed(project)
    shutil.rmtree(project.top / "out")
    done = project.doit("lock_check")
    assert done.returncode == 1
    assert words in done.stderr
    assert "nothing was built; build these ROMs and run `romforge lock`" in done.stderr
    assert not list((project.top / "out").rglob("*.rom"))
    done = project.romforge("check", "--lock")
    assert done.returncode == 1
    assert words.replace(": is", " is") in done.stderr
    assert project.romforge("check").returncode == 0


def test_the_failed_task_names_the_command_that_writes_the_lock(project: Project):
    """As it can be typed where no romforge is installed, as in a source package."""
    image_lost(project)
    project.build()
    done = project.doit("lock_check", PATH="/usr/bin:/bin")
    assert done.returncode == 1
    (command,) = re.findall(r"write romspec.lock again: `(.*)`", done.stderr)
    assert command.startswith("PYTHONPATH=")
    assert " python3 -m romforge lock --spec romspec.toml --out out" in command
    command = command.replace("python3", sys.executable)
    subprocess.run(["sh", "-c", command], cwd=project.top, check=True, capture_output=True)
    assert project.doit("lock_check").returncode == 0


def test_what_is_not_there_is_caught(project: Project):
    """A locked file that somebody removed, or trimmed, behind the build's back."""
    (project.top / QEMU / "efi-e1000.rom").unlink()
    path = project.top / QEMU / "pxe-pcnet.rom"
    path.write_bytes(path.read_bytes() + bytes(131072))
    status, output = project.check()
    assert status == 1
    assert "efi-e1000.rom: is in the lock, but was not built" in output
    assert "pxe-pcnet.rom: its bucket was 128 KiB, is now 256 KiB" in output
    assert "pxe-pcnet.rom: was changed since it was built" in output


def test_growth_within_the_limit_is_told_and_no_fault(project: Project):
    project.edit(
        'images = ["pcbios", "x86_64-efi"]\n',
        'images = ["pcbios", "x86_64-efi"]\ngrowth = "1KiB"\n',
    )
    project.put("e1000", IDS["e1000"], blocks=162)
    project.build()
    status, output = project.check()
    assert (status, "efi-e1000.rom: grew by 1,024 bytes (0x400)" in output) == (0, True), output


def test_a_bucket_changes_only_where_the_spec_says_why(project: Project):
    """`lock` refuses, takes the reason, and does not take the same reason for the next change."""
    bucket_up(project)
    project.build()
    before = (project.top / "romspec.lock").read_bytes()
    done = project.romforge("lock")
    assert (done.returncode, "the lock was not changed" in done.stderr) == (1, True)
    assert (project.top / "romspec.lock").read_bytes() == before
    reason = 'bucket_changed_in = "2.0: all architectures"\n'
    project.edit(
        'images = ["pcbios", "x86_64-efi"]\n', f'images = ["pcbios", "x86_64-efi"]\n{reason}'
    )
    status, output = project.check()
    assert (status, "is now 512 KiB: 2.0: all architectures" in output) == (0, True), output
    (project.top / "old.lock").write_bytes(before)
    assert project.romforge("lock").returncode == 0
    project.edit("spec = 1\n", 'spec = 1\n[qemu.x86_64]\nfirmware_path = ["usr/share/qemu"]\n')
    words = (
        "Size mismatch: 0000:00:02.0/e1000.rom: 0x40000 != 0x80000: Invalid argument; "
        "guests started with romsize=524288 migrate"
    )
    for new in ("romspec.lock", "romspec.toml"):
        assert (
            f"{words}; the spec says: 2.0: all architectures"
            in project.romforge("compat", "old.lock", new).stdout
        )
    page = project.top / "page.html"
    assert project.romforge("report", "-o", "page.html", "--against", "old.lock").returncode == 0
    text = page.read_text()
    assert "Invalid argument</code>" in text
    assert "<br>the spec says: 2.0: all architectures" in text
    assert project.check() == (0, "")
    project.edit('size = "512KiB"', 'size = "1MiB"')
    project.build()
    status, output = project.check()
    assert (status, "its bucket was 512 KiB, is now 1024 KiB; guests" in output) == (1, True), (
        output
    )


def test_a_part_is_locked_and_checked_alone(project: Project):
    """The rest of the lock stays."""
    before = lock_format.read_lock(project.top / "romspec.lock")
    project.put("e1000", IDS["e1000"], blocks=170)
    project.put("pcnet", IDS["pcnet"], blocks=170)
    project.build()
    assert project.romforge("lock", "nic:e1000").returncode == 0
    after = lock_format.read_lock(project.top / "romspec.lock")
    path = "usr/share/qemu/efi-{}.rom"
    assert (
        after.roms[path.format("e1000")].used == before.roms[path.format("e1000")].used + 10 * 512
    )
    assert after.roms[path.format("pcnet")] == before.roms[path.format("pcnet")]
    assert project.check("nic:e1000") == (0, "")
    assert "efi-pcnet.rom: grew by 5,120" in project.check("nic:pcnet")[1]


def test_a_build_shows_what_changed_since_the_lock(project: Project):
    """In bytes, the ROM nearest to its limit first; a build that does nothing does not look."""
    project.put("e1000", IDS["e1000"], blocks=162)
    lines = project.build().splitlines()
    assert lines[0].split()[-2:] == ["since", "lock"]
    row = next(line for line in lines if "efi-e1000" in line)
    assert "+1,024" in row
    order = [line.split()[0].rpartition("/")[2] for line in lines[2:6]]
    assert [name[:3] for name in order] == ["pxe", "pxe", "efi", "efi"]
    assert order[2] == "efi-e1000.rom"
    assert "since lock" not in project.build()


def test_without_a_lock_a_check_says_how_to_get_one(project: Project):
    (project.top / "romspec.lock").unlink()
    status, output = project.check()
    assert (status, "there is no lock; create it with `romforge lock`" in output) == (1, True)


def test_compat_takes_a_lock_for_a_set(project: Project):
    """The same words as for the files it tells of."""
    bucket_up(project)
    project.build()
    done = project.romforge("compat", "romspec.lock", "out")
    assert done.returncode == 1
    assert "Size mismatch: 0000:00:02.0/e1000.rom: 0x40000 != 0x80000" in done.stdout


def test_nothing_half_is_written(project: Project, tmp_path: Path):
    """A lock that cannot be replaced stays."""
    before = (project.top / "romspec.lock").read_bytes()
    (project.top / QEMU / "efi-e1000.rom").write_bytes(b"no ROM")
    done = run(["python", "-m", "romforge", "lock"], tmp_path, **users({}))
    assert done.returncode == 1
    assert "efi-e1000.rom: was changed since it was built" in done.stderr
    assert (project.top / "romspec.lock").read_bytes() == before


KEPT = 'bucket = "pxe"\ndefault = false\nmachines = ["pc-i440fx-?.*", "pc-q35-7.2"]\n'


@pytest.fixture
def kept(project: Project) -> Project:
    """The set of today, and an older one that is kept for old machine types; both locked.

    The older one is not built by default.
    """
    project.edit('bucket = "pxe"\n', KEPT)
    assert project.doit("all").returncode == 0
    assert project.romforge("lock").stdout == "romspec.lock: 4 ROMs\n"
    return project


TODAY = "efi-e1000.rom: its bucket was 256 KiB, is now 512 KiB"
OLDER = "pxe-e1000.rom: its bucket was 128 KiB, is now 64 KiB"


@pytest.mark.parametrize(
    ("seed", "told", "silent"),
    [(bucket_up, TODAY, "pxe-"), (bucket_down, OLDER, "bucket was 256 KiB")],
    ids=["today", "older"],
)
def test_both_sets_of_two_buckets_are_guarded(
    kept: Project, seed: Callable[[Project], None], told: str, silent: str
):
    """A changed bucket of either is a fault, also of the target that is not a default one."""
    assert kept.check() == (0, "")
    seed(kept)
    assert kept.doit("all").returncode == 0
    status, output = kept.check()
    assert (status, told in output, silent in output) == (1, True, False), output
    done = kept.romforge("lock")
    assert (done.returncode, "the lock was not changed" in done.stderr) == (1, True)


def test_both_commands_give_one_verdict_of_a_build_that_makes_less(project: Project):
    """A target that is not built by default is noted, and one kept for guests is missed."""
    spec = project.top / "romspec.toml"
    text = spec.read_text()
    spec.write_text(text + "default = false\n")  # of the last target
    assert project.doit("all").returncode == 0
    assert project.romforge("lock").returncode == 0
    shutil.rmtree(project.top / "out")
    project.build()
    status, output = project.check()
    assert status == 0
    assert "change usr/share/qemu/pxe-e1000.rom: is in the lock, but" in output
    assert project.doit("lock_check").returncode == 0
    spec.write_text(text + 'default = false\nmachines = ["pc-i440fx-7.2"]\n')
    assert project.check()[0] == 1
    assert project.doit("lock_check").returncode == 1


def test_a_kept_set_that_is_gone_is_a_fault(kept: Project):
    """By default no build makes it, but the lock has it."""
    shutil.rmtree(kept.top / "out")
    kept.build()
    status, output = kept.check()
    assert (status, "pxe-e1000.rom: is in the lock, but was not built" in output) == (1, True)
    page = kept.top / "page.html"
    done = kept.romforge("report", "-o", page)
    assert (done.returncode, "2 ROMs not as locked" in done.stderr) == (1, True)
    fault = "usr/share/qemu/pxe-e1000.rom: is in the lock, but"
    assert f'<span class="bad">{fault}' in page.read_text()


def test_the_page_shows_which_guests_use_which_set(kept: Project):
    """The machine types, files, bucket and verdict of each target, if any names machine types."""
    page = kept.top / "page.html"
    assert kept.romforge("report", "-o", page).returncode == 0
    table = page.read_text().split(">Machine types</h2>")[1].split("</table>")[0]
    today, older = table.split("<tr>")[2:]
    for row, machines, kind, bucket in (
        (today, "all others", "efi", "256 KiB"),
        (older, "pc-i440fx-?.*, pc-q35-7.2", "pxe", "128 KiB"),
    ):
        files = ", ".join(f"usr/share/qemu/{kind}-{nic}.rom" for nic in IDS)
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        texts = [re.sub(r"<[^>]*>", "", cell).strip() for cell in cells]
        assert texts == [machines, files, bucket, "as locked"]
    bucket_down(kept)
    assert kept.doit("all").returncode == 0
    assert kept.romforge("report", "-o", page).returncode == 1
    assert f'<span class="bad">usr/share/qemu/{OLDER}; guests with' in page.read_text()
    kept.edit(KEPT, 'bucket = "pxe"\n')
    assert kept.romforge("report", "-o", page).returncode == 1  # of the bucket
    assert "Machine types" not in page.read_text()
