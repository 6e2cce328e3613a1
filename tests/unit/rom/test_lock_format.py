# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of romspec.lock: what is written is read back, and damage is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.base.errors import RomforgeError
from romforge.plan import planner
from romforge.rom import lock_format
from romforge.spec import loader
from tests.support.project import spec_text


@pytest.mark.parametrize(
    "text",
    [
        "lock = 1\n[rom.x]\n",
        "lock =",
        "",
        "lock = 2",
        'lock = 1\nrom = "x"',
        "\0",
        "lock = 1\n[rom.x]\nimages = 1\nbucket = 2",
    ],
)
def test_a_damaged_lock_is_reported(tmp_path: Path, text: str):
    (tmp_path / "romspec.lock").write_text(text)
    with pytest.raises(
        RomforgeError, match=r"romspec.lock: (is not a valid lock|version 2 is not)"
    ):
        lock_format.read_lock(tmp_path / "romspec.lock")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("bucket = inf", 'rom."x".bucket is not a number'),
        ("bucket = 1000", 'rom."x".bucket is not a power of two'),
        ("bucket = 0x" + "f" * 5000, 'rom."x".bucket is not a size from 1 to 16,777,216 bytes'),
        ("bucket = true", 'rom."x".bucket is not a number'),
        ("bucket = 512\nsha256 = 1", 'rom."x".sha256 is not a text'),
        ("bucket = 512\ndropped = [1]", 'rom."x".dropped is not a list of texts'),
        ("", 'rom."x".bucket is missing'),
        ("bucket = 512\n[sources]\nipxe = 1", 'sources."ipxe" is not a text'),
        ("bucket = 512\n[tools.gcc]", 'tools."gcc" is not a text'),
    ],
)
def test_what_is_wrong_in_a_lock_has_its_place(tmp_path: Path, line: str, told: str):
    (tmp_path / "x.lock").write_text(f"lock = 1\n[rom.x]\nimages = []\n{line}\n")
    with pytest.raises(RomforgeError) as caught:
        lock_format.read_lock(tmp_path / "x.lock")
    assert f"({told})" in str(caught.value)


def test_what_is_written_is_read_back(tmp_path: Path):
    """Also what needs quotes in TOML."""
    image = lock_format.LockedImage("legacy", 512, "8086:100e")
    entry = lock_format.Entry(4096, (image,), "0" * 64, 'a "reason"\n\\ \x7f ü')
    lock = lock_format.Lock({'odd "name".rom': entry}, {"a.b": "x"}, {"gcc": "12"})
    (tmp_path / "l").write_bytes(lock_format.emit_lock(lock))
    assert lock_format.read_lock(tmp_path / "l") == lock


def test_a_rom_of_a_tree_without_a_record_is_not_called_reproducible(tmp_path: Path):
    """The record may be gone, since the state directory may be removed."""
    spec = tmp_path / "romspec.toml"
    spec.write_text(spec_text("roms").replace('roms = "roms"', 'tree = "ipxe"'))
    plan = planner.make_plan(loader.load_spec(spec))
    for rom in plan.roms():
        makes = lock_format._reproducible_makes(plan, tmp_path / "out", [rom])
        assert not lock_format._is_reproducible(rom, tmp_path / "out", makes)
