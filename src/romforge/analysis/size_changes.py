# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the objects of an image with those of another build. Sizes are bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from romforge.analysis.image_sizes import ImageContents, ObjectContents
from romforge.base.errors import RomforgeError
from romforge.formats.ld_map import Size


class BuildSizes(NamedTuple):
    """The sizes of an image in a build: of its linked file, and of each object."""

    linked: int
    objects: Mapping[str, Size]


# Not written as classes, since "is" is a keyword.
ObjectChangeRow = TypedDict(
    "ObjectChangeRow",
    {
        "object": str,
        "was": int | None,
        "is": int | None,
        "memory_was": int | None,
        "memory_is": int | None,
        "chain": str,
    },
)
ImageChangeRow = TypedDict(
    "ImageChangeRow", {"name": str, "was": int, "is": int, "objects": list[ObjectChangeRow]}
)


class ObjectChange(NamedTuple):
    """An object that is new, gone, grown or shrunk.

    ``before`` is None for a new object, and ``after`` for one that is gone. ``chain`` shows how
    the object is pulled in, and is empty for one that is gone.
    """

    object: str
    before: Size | None
    after: Size | None
    chain: str

    @property
    def growth(self) -> Size:
        """The bytes by which the object grew, in the linked file and in memory."""
        before = self.before or Size()
        after = self.after or Size()
        return Size(after.file - before.file, after.memory - before.memory)

    @property
    def kind(self) -> str:
        """Returns "new", "gone", "grown" or "shrunk"; the linked file decides before memory."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        growth = self.growth
        if (growth.file or growth.memory) > 0:
            return "grown"
        return "shrunk"

    def as_json(self) -> ObjectChangeRow:
        """An object of ``romforge why --against --json``."""
        row: ObjectChangeRow = {
            "object": self.object,
            "was": None,
            "is": None,
            "memory_was": None,
            "memory_is": None,
            "chain": self.chain,
        }
        if self.before is not None:
            row["was"] = self.before.file
            row["memory_was"] = self.before.memory
        if self.after is not None:
            row["is"] = self.after.file
            row["memory_is"] = self.after.memory
        return row


class ImageChange(NamedTuple):
    """The bytes of an image's linked file before and after, and the objects that changed."""

    name: str
    before: int
    after: int
    objects: tuple[ObjectChange, ...]

    def as_json(self) -> ImageChangeRow:
        """An image of ``romforge why --against --json``."""
        return {
            "name": self.name,
            "was": self.before,
            "is": self.after,
            "objects": [change.as_json() for change in self.objects],
        }


def build_sizes(image: ImageContents) -> BuildSizes:
    """The sizes of an analysed image."""
    objects = {part.name: Size(part.size, part.memory) for part in image.parts}
    return BuildSizes(sum(image.sections.values()), objects)


def read_build_sizes(path: Path) -> dict[str, BuildSizes]:
    """Reads what ``romforge why ROM --json`` printed, by the names of images.

    Raises RomforgeError if the file cannot be read, or has other content.
    """
    try:
        images = json.loads(path.read_bytes())["images"]
        return {image["name"]: _parse_sizes(image) for image in images}
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RomforgeError(
            f"{path}: is neither an output root nor the output of `romforge why ROM --json`"
        ) from None


def _parse_sizes(image: dict[str, Any]) -> BuildSizes:
    objects = {}
    for part in image["parts"]:
        size = Size(part["size"], part.get("memory", 0))
        if not part["name"] or not isinstance(size.file, int) or not isinstance(size.memory, int):
            raise ValueError
        objects[part["name"]] = size
    return BuildSizes(sum(image["sections"].values()), objects)


def compare_image(image: ImageContents, older: BuildSizes) -> ImageChange:
    """The changes of an image since another build; the largest change comes first."""
    current = build_sizes(image)
    parts = {part.name: part for part in image.parts}
    changes = []
    for name in {**older.objects, **parts}:
        before = older.objects.get(name)
        after = current.objects.get(name)
        if before == after:
            continue
        chain = chain_text(parts[name]) if name in parts else ""
        changes.append(ObjectChange(name, before, after, chain))
    changes.sort(key=_largest_first)
    return ImageChange(image.name, older.linked, current.linked, tuple(changes))


def _largest_first(change: ObjectChange) -> tuple[int, int, str]:
    growth = change.growth
    return -abs(growth.file), -abs(growth.memory), change.object


def chain_text(part: ObjectContents) -> str:
    """How an object is pulled in: the objects that refer to it, up to the root.

    ``config ← obj_config`` for an object to which config refers, which has the root obj_config.
    """
    if not part.chain:
        return "the command line"
    names = [part.chain[0].symbol]
    names += [step.object for step in part.chain[:-1]]
    names.reverse()
    return " ← ".join(names)
