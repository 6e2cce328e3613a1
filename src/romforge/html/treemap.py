# SPDX-License-Identifier: GPL-2.0-or-later
"""A squarified treemap: rectangles whose areas are as sizes are, and as square as can be had simply.

Source: Bruls, Huizing, van Wijk, "Squarified Treemaps", 2000.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def squarify(sizes: Sequence[float], box: Box) -> list[Box]:
    """A rectangle in ``box`` for each size, which must be positive and fall; the areas fill the box."""
    scale = box.width * box.height / sum(sizes) if sizes else 0
    found: list[Box] = []
    row: list[float] = []
    for area in (size * scale for size in sizes):
        side = min(box.width, box.height)
        if row and _worst([*row, area], side) > _worst(row, side):
            found += _laid(row, box)
            box = _rest(row, box)
            row = []
        row.append(area)
    return found + list(_laid(row, box))


def _worst(row: Sequence[float], side: float) -> float:
    """The aspect ratio of the least square rectangle of a row along ``side``."""
    total = sum(row)
    return max(side * side * max(row) / (total * total), total * total / (side * side * min(row)))


def _laid(row: Sequence[float], box: Box) -> Iterator[Box]:
    """The rectangles of a row, along the shorter side of the box."""
    total, x, y = sum(row), box.x, box.y
    for area in row:
        if box.width >= box.height:
            yield Box(x, y, total / box.height, area * box.height / total)
            y += area * box.height / total
        else:
            yield Box(x, y, area * box.width / total, total / box.width)
            x += area * box.width / total


def _rest(row: Sequence[float], box: Box) -> Box:
    """What a row leaves of the box."""
    total = sum(row)
    if box.width >= box.height:
        return Box(box.x + total / box.height, box.y, box.width - total / box.height, box.height)
    return Box(box.x, box.y + total / box.width, box.width, box.height - total / box.width)
