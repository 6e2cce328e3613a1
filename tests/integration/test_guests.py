# SPDX-License-Identifier: GPL-2.0-or-later
"""A sample of the boots and migrations that ``python -m tests.support.matrix`` runs in full."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support import debian, matrix
from tests.support.machines import COUNTING_MACHINES
from tests.support.project import PATIENCE, Run

pytestmark = [pytest.mark.slow, pytest.mark.qemu, pytest.mark.network]

BOOTS, MIGRATIONS = 12, 12  # at least
# Two of the newest release, one of which does not boot by romfile= with the IDs that Debian gives
# it; and one of each older release.
SAMPLE = {"sid": ("virtio", "ne2k_pci"), "trixie": ("eepro100",), "bookworm": ("rtl8139",)}
WAYS = {"sid": ["default", "romfile"], "trixie": ["romfile"], "bookworm": ["romfile"]}
MODERN = """spec = 1
[source.roms]
roms = "{}"
files = ["efi-virtio.rom"]
[platform.pcbios]
[platform.x86_64-efi]
[nic.modern]
id = "1af4:1041"
[target.qemu]
source = "roms"
dir = "qemu"
file = "{{nic}}.rom"
images = ["pcbios", "x86_64-efi"]
fix_ids = true
[verify]
roms = ["romfile"]
"""


@pytest.mark.parametrize("suite", list(SAMPLE))
def test_a_release_recombined_and_recompressed_boots_and_migrates(
    tmp_path: Path, releases: dict[str, Path], romforge: Run, suite: str
):
    """Each NIC under SeaBIOS and OVMF; guests migrate from both other releases, on pc and q35.

    The ROMs of the newest release boot as default ROMs and by romfile=, of others by romfile=.
    """
    others = {name: path for name, path in releases.items() if name != suite}
    sources = "".join(f'[source.{name}]\nroms = "{path}"\n' for name, path in others.items())
    verify = f"[verify]\ntimeout = {PATIENCE}\nmigrate_from = {json.dumps(list(others))}\n"
    verify += f"roms = {json.dumps(WAYS[suite])}\n"
    (tmp_path / "romspec.toml").write_text(
        matrix.spec(releases[suite], SAMPLE[suite]) + sources + verify
    )
    done = romforge("verify", "--json")
    rows = json.loads(done.stdout)["proofs"]
    assert [row for row in rows if row["state"] != "passed" or row["before"]] == [], done.stderr
    assert done.returncode == 0
    kinds = Counter(row["kind"] for row in rows)
    nics = len(SAMPLE[suite])
    ways = len(WAYS[suite])
    assert (kinds["bios"], kinds["uefi"], kinds["migrate"], kinds["structure"]) == (
        ways * nics,
        ways * nics,
        4 * nics,
        nics,
    )
    assert all(
        row["seconds"] > 0.1 and row["text"].startswith("booted by ")
        for row in rows
        if row["kind"] in ("bios", "uefi")
    )
    assert all(row["text"].startswith("counted to ") for row in rows if row["kind"] == "migrate")


def test_the_sample_is_large_enough():
    """Each way to load a NIC's ROM is two boots, and each NIC has four migrations."""
    boots = sum(2 * len(WAYS[suite]) * len(nics) for suite, nics in SAMPLE.items())
    assert boots >= BOOTS
    assert 4 * sum(map(len, SAMPLE.values())) >= MIGRATIONS


def test_virtio_boots_in_its_modern_form(tmp_path: Path, releases: dict[str, Path], romforge: Run):
    """By romfile= under SeaBIOS and OVMF, with the IDs of the device without legacy interface.

    SeaBIOS checks the IDs.
    """
    (tmp_path / "romspec.toml").write_text(MODERN.format(releases["sid"]))
    done = romforge("verify", "--json")
    assert done.returncode == 0, done.stderr
    states = {row["column"]: row["state"] for row in json.loads(done.stdout)["proofs"]}
    assert states == {"structure": "passed", "bios-romfile": "passed", "x86_64-romfile": "passed"}


# Migrations: QEMU's outcome, compared with the verdict of `compat`


MOVES = (  # which the machines take in turn
    ("bookworm", "sid", "efi-e1000e.rom"),
    ("sid", "bookworm", "pxe-vmxnet3.rom"),
    ("trixie", "trixie, 512 KiB", "efi-virtio.rom"),
    ("trixie, 512 KiB", "trixie", "pxe-pcnet.rom"),
    ("sid", "sid, trimmed", "efi-eepro100.rom"),
    ("bookworm, trimmed", "bookworm", "efi-ne2k_pci.rom"),
    ("bookworm, trimmed", "bookworm", "pxe-ne2k_pci.rom"),
)


@pytest.fixture(scope="module")
def sets(releases: dict[str, Path]) -> dict[str, dict[str, bytes]]:
    return matrix.sets(releases)


@pytest.mark.parametrize(("old", "new", "file"), MOVES)
def test_compat_predicts_the_outcome_of_a_migration(
    tmp_path: Path, sets: dict[str, dict[str, bytes]], old: str, new: str, file: str
):
    move = matrix.Move(old, new, file, sets[old][file], sets[new][file])
    machine = COUNTING_MACHINES[MOVES.index((old, new, file)) % len(COUNTING_MACHINES)]
    assert matrix.moved(move, tmp_path, machine) == matrix.expected(move)
    assert matrix.expected(move).moves == ("," not in old + new or file == "pxe-ne2k_pci.rom")


def test_the_matrix_has_all_pairs(sets: dict[str, dict[str, bytes]]):
    """The pairs of three releases, and the pairs of each release's three sets."""
    moves = list(matrix.moves(sets))
    assert len(moves) == (3 * 2 + 3 * 3 * 2) * len(debian.ROMS)
    assert len({move.name for move in moves}) == len(moves)
