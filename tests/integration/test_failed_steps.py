# SPDX-License-Identifier: GPL-2.0-or-later
"""What failed is said by every command that shows what was built: stale files count for nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from romforge import __version__
from romforge.base.pci_id import PciId
from tests.support import builders
from tests.support.project import TOP, Run, spec_text

IDS = {"e1000": PciId(0x8086, 0x100E), "pcnet": PciId(0x1022, 0x2000)}
NICS = 'e1000 = "8086:100e"\npcnet = "1022:2000"'
EFI = "usr/share/qemu/efi-e1000.rom"
WRONG = PciId(0x1234, 0x5678)


class Project:
    """Two NICs' ROMs, built and locked; a copy of the set, ``old``."""

    def __init__(self, top: Path, doit: Run, romforge: Run) -> None:
        self.top, self.doit, self.romforge = top, doit, romforge
        (top / "roms").mkdir()
        for nic, ids in IDS.items():
            self.put(nic, ids)
        (top / "romspec.toml").write_text(spec_text("roms", nics=NICS))
        assert doit().returncode == 0
        assert romforge("lock").returncode == 0
        shutil.copytree(top / "out/usr/share/qemu", top / "old")

    def put(self, nic: str, ids: PciId) -> None:
        legacy = builders.legacy(ids, last=False, blocks=160)
        (self.top / f"roms/efi-{nic}.rom").write_bytes(legacy + builders.efi(ids=ids))

    def report(self, *words: str) -> tuple[int, str, str]:
        """The exit status, what it says, and the page."""
        done = self.romforge("report", "-o", "page.html", *words)
        return done.returncode, done.stderr, (self.top / "page.html").read_text()


@pytest.fixture
def project(tmp_path: Path, doit: Run, romforge: Run) -> Project:
    return Project(tmp_path, doit, romforge)


@pytest.fixture
def failed(project: Project) -> Project:
    """The last build of e1000's ROMs failed, and the files of the build before are still there."""
    project.put("e1000", WRONG)
    assert project.doit().returncode == 1
    assert (project.top / "out" / EFI).is_file()
    return project


FAULT = f"{EFI}: its last build failed: "


def test_a_page_says_what_failed(failed: Project):
    status, said, page = failed.report()
    assert (status, "2 ROMs not built as the spec says" in said) == (1, True), said
    assert "every ROM is built" not in page
    assert "its last build failed: " in page
    assert "1234:5678" in page.split("its last build failed: ")[1][:300]


def test_a_lock_is_not_made_of_stale_files(failed: Project):
    before = (failed.top / "romspec.lock").read_bytes()
    for words in ([], [f"rom:{EFI}"]):
        done = failed.romforge("lock", *words)
        assert (done.returncode, FAULT in done.stderr) == (1, True), done.stderr
    assert (failed.top / "romspec.lock").read_bytes() == before
    assert failed.romforge("lock", "nic:pcnet").returncode == 0


def test_a_lock_is_not_compared_with_stale_files(failed: Project):
    """Their sizes and images are as locked: nothing else tells."""
    done = failed.romforge("lock", "--check")
    assert (done.returncode, f"FAULT {FAULT}" in done.stdout) == (1, True), done.stdout
    assert failed.romforge("lock", "--check", "nic:pcnet").returncode == 0


@pytest.mark.parametrize("new", ["out", "out/usr/share/qemu", "romspec.toml"])
def test_guests_do_not_migrate_to_stale_files(failed: Project, new: str):
    text = (failed.top / "romspec.toml").read_text()
    text += '[qemu.x86_64]\nfirmware_path = ["usr/share/qemu"]\n'
    (failed.top / "romspec.toml").write_text(text)
    done = failed.romforge("compat", "old", new)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("efi-e1000.rom"))
    assert (done.returncode, "its last build failed: " in line) == (1, True), line


def test_the_next_build_forgets_what_failed(failed: Project):
    failed.put("e1000", IDS["e1000"])
    assert failed.doit().returncode == 0
    assert failed.romforge("lock", "--check").returncode == 0
    assert failed.romforge("compat", "old", "out").returncode == 0
    assert failed.report()[0] == 0
    assert failed.romforge("plan", "--why").stdout == "all is up to date\n"


def test_a_file_that_was_changed_after_the_build_is_no_build(project: Project):
    path = project.top / "out" / EFI
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # padding
    path.write_bytes(data)
    for command in (["lock"], ["lock", "--check"]):
        done = project.romforge(*command)
        text = done.stdout + done.stderr
        assert (done.returncode, f"{EFI}: was changed since it was built" in text) == (1, True)
    status, _, page = project.report()
    assert (status, "was changed since it was built" in page) == (1, True)


def test_the_plan_says_that_a_step_failed(failed: Project):
    """A ROM that was built before, one that never was, and a package that cannot be had."""
    document = json.loads(failed.romforge("plan", "--why", "--json").stdout)
    reasons = {row["task"]: row["reason"] for row in document["reasons"]}
    for reason in reasons.values():
        assert "its last build failed: " in str(reason)
    shutil.rmtree(failed.top / "out")
    assert failed.doit().returncode == 1
    shown = failed.romforge("plan", "--why").stdout
    assert "it was not built yet" not in shown
    assert "its last build failed: " in shown


def test_bytes_are_compared_with_the_lock(project: Project):
    """The same sources and tools make the same bytes; another source is named as the cause."""
    lock = project.top / "romspec.lock"
    text = lock.read_text()
    digest = text.split(f'[rom."{EFI}"]')[1].split('sha256 = "')[1][:64]
    lock.write_text(text.replace(digest, "0" * 64))
    done = project.romforge("lock", "--check")
    fault = f"FAULT {EFI}: its bytes differ, with the sources and tools of the lock\n"
    assert (done.returncode, done.stdout.startswith(fault)) == (1, True), done.stdout
    assert done.stdout.count("FAULT") == 1
    version = f'"romforge" = "{__version__}"'
    assert version in text
    lock.write_text(lock.read_text().replace(version, '"romforge" = "0.0.1"'))
    done = project.romforge("lock", "--check")
    change = f"change {EFI}: its bytes differ: romforge was 0.0.1, is {__version__}\n"
    assert (done.returncode, done.stdout) == (0, change)


VERIFY = '\n[verify]\nboot = []\nroms = ["romfile"]\nmigrate_from = ["lock"]\nmigrate_on = ["pc"]\n'


@pytest.mark.qemu
def test_a_proof_that_failed_is_not_one_that_was_never_done(project: Project):
    """Until its ROM is another one, and until it holds."""
    spec = project.top / "romspec.toml"
    good = spec.read_text() + VERIFY
    spec.write_text(good)
    assert project.romforge("verify", "nic:pcnet").returncode == 0
    spec.write_text(good.replace('size = "256KiB"', 'size = "512KiB"'))
    assert project.romforge("verify", "target:efi").returncode == 1
    status, said, page = project.report()
    assert (status, "2 proofs failed" in said) == (1, True), said
    assert "2 of 6 proofs failed" in page
    assert "</b>: migration: Size mismatch: " in page
    assert project.romforge("verify", "nic:e1000", "target:efi").returncode == 1  # it tries again
    assert project.doit().returncode == 0  # which tries no proof, and forgets none
    assert "2 proofs failed" in project.report()[1]
    spec.write_text(good)
    assert project.doit().returncode == 0
    status, said, page = project.report()
    assert (status, said) == (0, ""), said
    assert "proofs failed" not in page
    assert project.romforge("verify").returncode == 0
    assert "8 of 8 proofs hold" in project.report()[2]


def test_a_rom_that_was_not_tried_says_why(romforge: Run, tmp_path: Path):
    """Its platforms could not be made at all: the fault has the error of the first."""
    text = spec_text("roms").replace('roms = "roms"', f'tree = "{TOP}/vendor/minipxe"')
    text = text.replace("[source.roms]", '[source.roms]\nmake = { EXTRA_CFLAGS = "-fno-such" }')
    (tmp_path / "romspec.toml").write_text(text)
    assert romforge("build").returncode == 1
    entry = json.loads((tmp_path / "out/efi.manifest.json").read_text())["roms"][0]
    assert re.match(
        "not tried, since make:roms/.* failed: make ended with .*-fno-such", entry["error"]
    )


def test_an_output_root_that_cannot_be_written_is_told(project: Project):
    """With the remedy, and not as if the lock of the ROMs were meant."""
    lock = project.top / "out/.romforge/lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    for command in ("build", "verify"):
        done = project.romforge(command)
        assert done.returncode == 1
        assert "the output root cannot be written: " in done.stderr
        assert "set ROMFORGE_OUT=DIR or --out DIR to use another" in done.stderr


def test_the_remedy_for_the_lock_is_one_that_helps(failed: Project):
    """`romforge lock` refuses what is not of the last build, so it is no remedy for that."""
    said = failed.romforge("lock", "--check").stdout
    assert said.endswith("2 faults; run doit, and compare again\n")
    lock = failed.top / "romspec.lock"
    lock.write_text(lock.read_text().replace("1022:2000", "1022:2001"))
    said = failed.romforge("lock", "--check").stdout
    assert "run doit first, since only what was built last can be locked; then if all" in said
    failed.put("e1000", IDS["e1000"])
    assert failed.doit().returncode == 0
    said = failed.romforge("lock", "--check").stdout
    assert "faults; if all changes are intended, run `romforge lock`" in said
