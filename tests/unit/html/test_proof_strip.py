# SPDX-License-Identifier: GPL-2.0-or-later
"""The strip of a ROM's proofs: each proof has its place, and each grade its shape."""

from __future__ import annotations

import re

from romforge.html import proof_strip


def test_each_proof_has_its_place_and_each_grade_its_shape():
    grades = ["good", "bad", "good", "unknown", "noted"]
    paths = dict(proof_strip.paths(grades))
    places = {}
    for grade, path in paths.items():
        for x in re.findall(r"M(\d+) ", path):
            places[int(x)] = grade
    assert [places[x] for x in sorted(places)] == grades
    assert max(places) < proof_strip.width(len(grades))
    assert len({re.sub(r"M\d+ 0", "", path.split("zM")[0]) for path in paths.values()}) == 4
    assert not list(proof_strip.paths([]))
