# SPDX-License-Identifier: GPL-2.0-or-later
"""The form of romspec.lock: what is written is read back, and damage is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.base.errors import RomforgeError
from romforge.rom import lock_format


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
def test_a_damaged_lock_is_told(tmp_path: Path, text: str):
    (tmp_path / "romspec.lock").write_text(text)
    with pytest.raises(RomforgeError, match=r"romspec.lock: is (no lock|of version 2)"):
        lock_format.read_lock(tmp_path / "romspec.lock")


def test_what_is_written_is_read_back(tmp_path: Path):
    """Also what needs quotes in TOML."""
    one = lock_format.Entry(
        4096, (("legacy", 512, "8086:100e"),), "0" * 64, 'a "reason"\n\\ \x7f ü'
    )
    lock = lock_format.Lock({'odd "name".rom': one}, {"a.b": "x"}, {"gcc": "12"})
    (tmp_path / "l").write_bytes(lock_format.emit_lock(lock))
    assert lock_format.read_lock(tmp_path / "l") == lock
