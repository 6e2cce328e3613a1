# SPDX-License-Identifier: GPL-2.0-or-later
"""What `romforge why --against` compares: the sizes of two builds of an image."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from romforge.analysis import size_changes
from romforge.analysis.image_sizes import ImageContents, ObjectContents
from romforge.analysis.reference_graph import ReferenceStep
from romforge.base.errors import RomforgeError
from romforge.formats.ld_map import Size

NAME = "pcbios/8086100e"


def part(name: str, size: int, memory: int = 0) -> ObjectContents:
    chain = (ReferenceStep("obj_config", "config"), ReferenceStep(name, name))
    return ObjectContents(name, "core", size, memory, size, {}, chain, {}, size, memory, ())


def image(*parts: ObjectContents) -> ImageContents:
    size = sum(item.size for item in parts)
    return ImageContents(NAME, ("e1000",), size, {".text": size}, 0, 0, 0, parts, ())


def changes(before: ImageContents, after: ImageContents) -> list[tuple[str, str]]:
    change = size_changes.compare_image(after, size_changes.build_sizes(before))
    return [(item.object, item.kind) for item in change.objects]


def test_the_largest_change_comes_first():
    before = image(part("gone", 40), part("same", 8), part("shrunk", 30), part("grown", 10))
    after = image(part("new", 5), part("same", 8), part("shrunk", 10), part("grown", 11))
    assert changes(before, after) == [
        ("gone", "gone"),
        ("shrunk", "shrunk"),
        ("new", "new"),
        ("grown", "grown"),
    ]
    assert changes(before, before) == []


def test_memory_decides_where_the_linked_file_does_not():
    before = image(part("a", 8, 100), part("b", 8, 100), part("c", 8, 100))
    after = image(part("a", 8, 104), part("b", 8, 90), part("c", 9, 0))
    assert changes(before, after) == [("c", "grown"), ("b", "shrunk"), ("a", "grown")]


def test_the_json_of_a_change():
    older = size_changes.BuildSizes(12, {"old": Size(4, 2)})
    change = size_changes.compare_image(image(part("new", 5, 1)), older)
    rows = [
        {
            "object": "new",
            "was": None,
            "is": 5,
            "memory_was": None,
            "memory_is": 1,
            "chain": "config ← obj_config",
        },
        {
            "object": "old",
            "was": 4,
            "is": None,
            "memory_was": 2,
            "memory_is": None,
            "chain": "",
        },
    ]
    assert change.as_json() == {"name": NAME, "was": 12, "is": 5, "objects": rows}


def test_the_chain_of_an_object_of_the_command_line():
    version = ObjectContents("version", "core", 8, 0, 8, {}, (), {}, 8, 0, ())
    assert size_changes.chain_text(version) == "the command line"


def test_sizes_are_read_back_from_json(tmp_path: Path):
    contents = image(part("a", 8, 100), part("b", 9))
    path = tmp_path / "before.json"
    path.write_text(json.dumps({"format": 1, "images": [asdict(contents)]}))
    assert size_changes.read_build_sizes(path) == {NAME: size_changes.build_sizes(contents)}


@pytest.mark.parametrize(
    "content",
    [
        "spec = 1",
        [{"name": NAME}],
        [{"name": NAME, "parts": []}],
        [{"name": NAME, "parts": [], "sections": {".text": "8"}}],
        [{"name": NAME, "parts": [{"name": "a", "size": "8"}], "sections": {}}],
        [{"name": NAME, "parts": [{"name": "", "size": 8}], "sections": {}}],
        [{"name": NAME, "parts": [8], "sections": {}}],
        ["name"],
        8,
    ],
    ids=str,
)
def test_other_content_is_refused(tmp_path: Path, content: Any):
    path = tmp_path / "before.json"
    if not isinstance(content, str):
        content = json.dumps({"format": 1, "images": content})
    path.write_text(content)
    with pytest.raises(RomforgeError, match="is neither an output root nor the output of"):
        size_changes.read_build_sizes(path)


def test_a_missing_file_is_reported(tmp_path: Path):
    with pytest.raises(RomforgeError, match="cannot be read: No such file or directory"):
        size_changes.read_build_sizes(tmp_path / "missing.json")
