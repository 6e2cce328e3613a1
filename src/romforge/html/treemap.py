# SPDX-License-Identifier: GPL-2.0-or-later
"""Squarified treemaps: rectangles with given areas that fill a box, and are nearly square.

Source: Bruls, Huizing, van Wijk, "Squarified Treemaps", 2000.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle, with its upper left corner."""

    x: float
    y: float
    width: float
    height: float


def squarify(sizes: Sequence[float], box: Box) -> list[Box]:
    """Divides ``box`` into a rectangle for each size. Sizes must be positive, the largest first.

    >>> squarify([2, 2], Box(0, 0, 4, 1))
    [Box(x=0, y=0, width=2.0, height=1.0), Box(x=2.0, y=0, width=2.0, height=1.0)]
    """
    if not sizes:
        return []
    scale = box.width * box.height / sum(sizes)
    rectangles: list[Box] = []
    row: list[float] = []  # areas of the rectangles along the shorter side of the box
    for size in sizes:
        area = size * scale
        side = min(box.width, box.height)
        if row and _worst_ratio([*row, area], side) > _worst_ratio(row, side):
            rectangles += _place_row(row, box)
            box = _remaining_box(row, box)
            row = []
        row.append(area)
    rectangles += _place_row(row, box)
    return rectangles


def _worst_ratio(row: Sequence[float], side: float) -> float:
    """The highest aspect ratio of a row's rectangles, if the row is along ``side``."""
    total = sum(row)
    of_largest = side * side * max(row) / (total * total)
    of_smallest = total * total / (side * side * min(row))
    return max(of_largest, of_smallest)


def _place_row(row: Sequence[float], box: Box) -> Iterator[Box]:
    """The rectangles of a row along the shorter side of the box."""
    total = sum(row)
    x, y = box.x, box.y
    for area in row:
        if box.width >= box.height:
            height = area * box.height / total
            yield Box(x, y, total / box.height, height)
            y += height
        else:
            width = area * box.width / total
            yield Box(x, y, width, total / box.width)
            x += width


def _remaining_box(row: Sequence[float], box: Box) -> Box:
    """The box without a row."""
    total = sum(row)
    if box.width >= box.height:
        thickness = total / box.height
        return Box(box.x + thickness, box.y, box.width - thickness, box.height)
    thickness = total / box.width
    return Box(box.x, box.y + thickness, box.width, box.height - thickness)
