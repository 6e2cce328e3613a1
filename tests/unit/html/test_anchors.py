# SPDX-License-Identifier: GPL-2.0-or-later
"""Anchors: what can be put into an address as it is, and different for different parts."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from romforge.html.anchors import make_anchor


def test_the_path_of_a_rom_stays_readable():
    path = "usr/share/qemu/efi-e1000.rom"
    assert make_anchor("rom", path) == f"rom/{path}"
    assert make_anchor("fault", path, 2) == f"fault/{path}~~2"
    assert make_anchor("rom", "a b~ü.rom") == "rom/a~20b~7e~c3~bc.rom"


@given(st.lists(st.tuples(st.text(), st.integers(1, 300)), unique=True, min_size=2))
def test_anchors_differ_and_need_no_escapes(parts: list[tuple[str, int]]):
    anchors = [make_anchor("fault", path, number) for path, number in parts]
    assert len(set(anchors)) == len(parts)
    assert all(re.fullmatch(r"[A-Za-z0-9._/~-]+", anchor) for anchor in anchors)
