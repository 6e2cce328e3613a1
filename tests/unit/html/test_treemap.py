# SPDX-License-Identifier: GPL-2.0-or-later
"""Treemaps: the areas, places and shapes of the rectangles."""

from __future__ import annotations

import itertools
import random

import pytest

from romforge.html import treemap
from romforge.html.treemap import Box


def test_a_treemap_fills_its_box():
    """Areas are proportional to the sizes. No rectangle overlaps the next, or leaves the box."""
    generator = random.Random(5)
    for _ in range(50):
        count = generator.randrange(1, 200)
        sizes = sorted((generator.paretovariate(1) for _ in range(count)), reverse=True)
        box = Box(0, 0, generator.uniform(10, 1000), generator.uniform(10, 1000))
        rectangles = treemap.squarify(sizes, box)
        assert len(rectangles) == len(sizes)
        scale = box.width * box.height / sum(sizes)
        for size, rectangle in zip(sizes, rectangles):
            assert rectangle.width * rectangle.height == pytest.approx(size * scale)
            assert rectangle.x >= -1e-6
            assert rectangle.y >= -1e-6
            assert rectangle.x + rectangle.width <= box.width + 1e-6
            assert rectangle.y + rectangle.height <= box.height + 1e-6
        for first, second in itertools.pairwise(rectangles):
            across = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
            down = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
            assert min(across, down) <= 1e-6


def test_equal_sizes_give_squares():
    for square in treemap.squarify([1.0] * 16, Box(0, 0, 100, 100)):
        assert square.width / square.height == pytest.approx(1)


def test_no_sizes_give_no_rectangles():
    assert treemap.squarify([], Box(0, 0, 1, 1)) == []
