# SPDX-License-Identifier: GPL-2.0-or-later
"""Treemaps: rectangles by size."""

from __future__ import annotations

import itertools
import random

import pytest

from romforge.html import treemap
from romforge.html.treemap import Box


def test_a_treemap_fills_its_box():
    """Areas are as the sizes, nothing overlaps or leaves the box, and no rectangle is a needle where it need not be."""
    dice = random.Random(5)
    for _ in range(50):
        sizes = sorted((dice.paretovariate(1) for _ in range(dice.randrange(1, 200))), reverse=True)
        box = Box(0, 0, dice.uniform(10, 1000), dice.uniform(10, 1000))
        found = treemap.squarify(sizes, box)
        assert len(found) == len(sizes)
        scale = box.width * box.height / sum(sizes)
        for size, one in zip(sizes, found):
            assert one.width * one.height == pytest.approx(size * scale)
            assert one.x >= -1e-6
            assert one.y >= -1e-6
            assert one.x + one.width <= box.width + 1e-6
            assert one.y + one.height <= box.height + 1e-6
        for first, second in itertools.pairwise(found):
            across = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
            down = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
            assert min(across, down) <= 1e-6
    even = treemap.squarify([1.0] * 16, Box(0, 0, 100, 100))
    assert max(max(one.width / one.height, one.height / one.width) for one in even) < 1.01
    assert treemap.squarify([], Box(0, 0, 1, 1)) == []
