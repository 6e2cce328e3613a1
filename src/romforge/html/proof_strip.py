# SPDX-License-Identifier: GPL-2.0-or-later
"""The proofs of a ROM as a strip of marks, which differ by their shape as well as by their colour.

A proof that holds is a bar, one that is out of date half a bar, one that was not done a dot, and
one that failed a cross.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

HEIGHT = 12  # of a strip, in the units of its SVG
_STEP = 5  # from a mark to the next
_SHAPES = {  # as the commands of an SVG path, from the upper left corner of a mark
    "good": "v12h3v-12z",
    "noted": "m0 6v6h3v-6z",
    "unknown": "m0 9v3h3v-3z",
    "bad": "l1.5 4.5-1.5 4.5v3l2-3.5 2 3.5v-3l-1.5-4.5 1.5-4.5v-3l-2 3.5-2-3.5z",
}


def width(count: int) -> int:
    """The width of a strip of so many marks."""
    return count * _STEP


def paths(grades: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The grades that occur, each with a path of all its marks."""
    for grade, shape in _SHAPES.items():
        marks = []
        for index, one in enumerate(grades):
            if one == grade:
                marks.append(f"M{index * _STEP} 0{shape}")
        if marks:
            yield grade, "".join(marks)
