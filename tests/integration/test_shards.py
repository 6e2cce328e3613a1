# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets that are built and proved in parts, and put together again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import document
from tests.support.project import Run, spec_text

NICS = 'e1000 = "8086:100e"\npcnet = "1022:2000"\nvmxnet3 = "15ad:07b0"'
VERIFY = '[verify]\nboot = ["bios"]\nroms = ["romfile"]\n'
PARTS = 2


@pytest.fixture
def project(tmp_path: Path, releases: dict[str, Path]) -> Path:
    """Three NICs times two targets, of existing ROMs."""
    (tmp_path / "romspec.toml").write_text(spec_text(releases["bookworm"], nics=NICS, extra=VERIFY))
    return tmp_path


def build_parts(romforge: Run) -> list[str]:
    parts = []
    for number in range(1, PARTS + 1):
        out = f"part-{number}"
        done = romforge("build", "--shard", f"{number}/{PARTS}", "--out", out)
        assert done.returncode == 0, done.stderr
        assert "3 built, 0 up to date" in done.stdout
        parts.append(out)
    return parts


def roms(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.rom")}


def manifests(out: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in out.glob("*.manifest.json")}


def test_the_parts_together_are_what_one_machine_builds(project: Path, romforge: Run):
    """Its files, its manifests, and what the commands say that look at a set."""
    assert romforge("build", "--out", "whole").returncode == 0
    done = romforge("join", *build_parts(romforge), "--json")
    assert done.returncode == 0, done.stderr
    found = document(done.stdout, "join")
    assert (len(found["roms"]), found["missing"]) == (6, [])
    assert roms(project / "out") == roms(project / "whole")
    assert manifests(project / "out") == manifests(project / "whole")
    assert romforge("lock").returncode == 0
    assert romforge("lock", "--check").returncode == 0
    status = romforge("status")
    assert status.returncode == 0, status.stdout
    assert "6 ROMs, all built and without fault" in status.stdout
    assert "6 up to date" not in romforge("build").stdout  # the work is not of this machine


def test_a_part_that_is_missing_is_named(project: Path, romforge: Run):
    first, _ = build_parts(romforge)
    done = romforge("join", first)
    assert done.returncode == 1
    assert done.stderr.count("no part has ") == 3
    assert done.stdout == "out: 3 ROMs of 1 part\n"
    assert romforge("status").returncode == 1


@pytest.mark.slow
@pytest.mark.qemu
def test_proofs_of_the_parts_are_those_of_the_whole(project: Path, romforge: Run):
    """Those that hold and those that failed, though the QEMU here may be another one."""
    parts = build_parts(romforge)
    for number, out in enumerate(parts, 1):
        done = romforge("verify", "--shard", f"{number}/{PARTS}", "--out", out)
        assert done.returncode == 0, done.stdout + done.stderr
    state = project / parts[0] / ".romforge/state.json"
    assert "qemu-system" in state.read_text()
    assert romforge("join", *parts).returncode == 0
    text = (project / "out/.romforge/state.json").read_text()
    assert "verify:" in text
    assert "/usr/" not in text
    done = romforge("status", "--json")
    proofs = [row["proofs"] for row in document(done.stdout, "status")["roms"]]
    assert all(found["proven"] == sum(found.values()) > 0 for found in proofs), proofs
    # A ROM of another part, which a part built too, is that of the part that proved it.
    shutil.copytree(project / parts[0] / "usr", project / parts[1] / "usr", dirs_exist_ok=True)
    assert romforge("join", *reversed(parts), "--out", "again").returncode == 0
    assert roms(project / "again") == roms(project / "out")


def test_a_part_that_failed_says_so_in_the_whole(project: Path, romforge: Run):
    spec = project / "romspec.toml"
    spec.write_text(spec.read_text().replace('"256KiB"', '"64KiB"'))
    for number in (1, 2):
        romforge("build", "--shard", f"{number}/2", "--out", f"part-{number}")
    done = romforge("join", "part-1", "part-2")
    assert done.returncode == 0, done.stderr
    done = romforge("status")
    assert done.returncode == 1
    assert "3 ROMs not built as the spec says" in done.stdout
    assert romforge("report", "-o", "page.html").returncode == 1
    page = (project / "page.html").read_text()
    assert page.count("its last build failed: ") >= 3
    assert page.count(" over its bucket of 64 KiB") >= 3


def test_what_is_no_part_is_refused(project: Path, romforge: Run):
    parts = build_parts(romforge)
    (project / "empty").mkdir()
    done = romforge("join", "empty")
    assert done.returncode == 1
    assert "empty: has no manifest of a target of the spec" in done.stderr
    done = romforge("join", parts[0], "--out", parts[0])
    assert done.returncode == 2
    assert "is the output root to write to" in done.stderr
    rom = next((project / parts[0]).rglob("*.rom"))
    rom.write_bytes(rom.read_bytes()[:-1])
    done = romforge("join", *parts)
    assert done.returncode == 1
    assert "is not the file that its manifest describes" in done.stderr
    rom.unlink()
    assert "cannot be read: No such file" in romforge("join", *parts).stderr
    done = romforge("build", "--shard", "3/2")
    assert done.returncode == 2
    assert "'3/2' is not I/N, with I from 1 to N" in done.stderr


def test_a_part_without_a_rom_is_no_error(project: Path, romforge: Run):
    for command in ("build", "verify"):
        done = romforge(command, "--shard", "1/9")
        assert done.returncode == 0
        assert "the shard 1/9 has no ROM" in done.stderr
