# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws what the images of a NIC are made of: a treemap by image, directory and object.

Widths are in tenths of a per cent of the picture, so that it fills any page; heights are in pixels,
since text keeps its size. A label is for any page that shows pictures, or for wide ones alone where
it would not fit on others. A narrow page shows lists instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from romforge.analysis.summary import ImageObjects, ObjectSize
from romforge.base.text import plural
from romforge.html.image_colours import colour_of
from romforge.html.treemap import Box, squarify

WIDTH, HEIGHT = 1000, 440  # of a picture; its rectangles are nearly square if it is as wide
_NARROW, _WIDE = 0.74, 1.1  # the least widths of a picture, and of one on a wide page, of WIDTH
_CHARACTER = 6.4  # pixels of width of a character of a label
_LINE = 14  # pixels of height of a label
_SMALLEST = 50  # pixels of area of an object that has a rectangle of its own
_MUCH = 0.1  # of an object: a growth that is worth a stronger colour
_PADDING_TITLE = "padding"


@dataclass(frozen=True)
class Shape:
    """A rectangle, the colour of its image's kind, and how it changed since the lock.

    ``change`` is empty, or "grew" or "shrank", with "much" behind it if that is much.
    """

    box: Box
    colour: str
    change: str
    title: str


@dataclass(frozen=True)
class MapLabel:
    """A text in the upper left corner of a box. ``level`` is "image", "directory" or "object".

    One that is ``wide`` fits on a wide page alone.
    """

    box: Box
    text: str
    level: str
    wide: bool


@dataclass(frozen=True)
class Ground:
    """What is below the directories of an image, in the colour of the image's kind."""

    box: Box
    colour: str


@dataclass
class ByteMap:
    """A picture: grounds, shapes above them, frames around directories, and labels on top."""

    grounds: list[Ground] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    frames: list[Box] = field(default_factory=list)
    labels: list[MapLabel] = field(default_factory=list)


def object_area(image: ImageObjects, item: ObjectSize) -> int:
    """The bytes that the area of an object stands for: those in the ROM, if a ROM has the image."""
    return item.in_rom if image.size else item.linked


def by_directory(image: ImageObjects) -> dict[str, list[ObjectSize]]:
    """The objects that have an area, the largest first, by directory; that of the largest first."""
    directories: dict[str, list[ObjectSize]] = {}
    for item in sorted(image.objects, key=lambda item: (-object_area(image, item), item.name)):
        if object_area(image, item) > 0:
            directories.setdefault(item.directory or _PADDING_TITLE, []).append(item)
    names = sorted(directories, key=lambda name: (-_total(image, directories[name]), name))
    return {name: directories[name] for name in names}


def draw_map(images: Sequence[ImageObjects]) -> ByteMap:
    """The picture of the images of a NIC; the largest image comes first."""
    picture = ByteMap()
    areas = {}
    for image in images:
        area = _total(image, image.objects)
        if area > 0:
            areas[image.platform] = (area, image)
    ordered = sorted(areas.values(), key=lambda pair: (-pair[0], pair[1].platform))
    places = squarify([area for area, _ in ordered], Box(0, 0, WIDTH, HEIGHT))
    for (area, image), place in zip(ordered, places):
        picture.grounds.append(Ground(_snapped(place), colour_of(image.kind)))
        inner = _with_heading(picture, place, f"{image.platform} {area:,}", "image")
        _draw_image(picture, image, inner)
    return picture


def describe(image: ImageObjects, item: ObjectSize) -> str:
    """The sizes of an object. Bytes in memory are not contained in those that are linked."""
    sizes = []
    if image.size:
        sizes.append(f"about {item.in_rom:,} in the ROM")
    sizes.append(f"{item.linked:,} linked")
    if item.memory:
        sizes.append(f"{item.memory:,} of memory")
    if item.growth:
        sizes.append(f"{item.growth:+,} since the lock")
    path = f"{item.directory}/{item.name}" if item.directory else item.name
    return f"{path}: {', '.join(sizes)}"


def _total(image: ImageObjects, items: Sequence[ObjectSize]) -> int:
    return sum(max(object_area(image, item), 0) for item in items)


def _with_heading(picture: ByteMap, place: Box, text: str, level: str) -> Box:
    """Puts a label on top of a box, and returns what is below; the box itself if it does not fit.

    A label that is too long for its box is cut at its last word, if that is enough.
    """
    fitting = text if _fits(text, place) else text.rpartition(" ")[0] or text
    if place.height < 2 * _LINE or not _add_label(picture, place, fitting, level):
        return place
    return Box(place.x, place.y + _LINE, place.width, place.height - _LINE)


def _add_label(picture: ByteMap, place: Box, text: str, level: str) -> bool:
    """Adds a label if it fits on any page, and returns whether it does."""
    if place.height < _LINE or not _fits(text, place, _WIDE):
        return False
    picture.labels.append(MapLabel(_snapped(place), text, level, wide=not _fits(text, place)))
    return True


def _fits(text: str, place: Box, scale: float = _NARROW) -> bool:
    return len(text) * _CHARACTER + 6 <= place.width * scale


def _snapped(box: Box) -> Box:
    """A box with edges at whole numbers, so that neighbours meet."""
    x, y = round(box.x), round(box.y)
    return Box(x, y, round(box.x + box.width) - x, round(box.y + box.height) - y)


def _draw_image(picture: ByteMap, image: ImageObjects, place: Box) -> None:
    directories = by_directory(image)
    totals = [_total(image, items) for items in directories.values()]
    for (name, items), box in zip(directories.items(), squarify(totals, place)):
        inner = _with_heading(picture, box, name, "directory")
        _draw_directory(picture, image, items, inner)
        picture.frames.append(_snapped(box))


def _draw_directory(
    picture: ByteMap, image: ImageObjects, items: Sequence[ObjectSize], place: Box
) -> None:
    """Draws the objects of a directory; those that are too small to be seen as one."""
    scale = place.width * place.height / _total(image, items)
    shown = [item for item in items if object_area(image, item) * scale >= _SMALLEST]
    small = items[len(shown) :]
    sizes = [object_area(image, item) for item in shown]
    if small:
        sizes.append(_total(image, small))
    boxes = squarify(sorted(sizes, reverse=True), place)
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index])
    for index, box in zip(order, boxes):
        if index < len(shown):
            item = shown[index]
            title = describe(image, item)
            shape = Shape(_snapped(box), colour_of(image.kind), _change(item), title)
            picture.shapes.append(shape)
            _label_object(picture, item, box)
        else:
            title = f"{plural(len(small), 'smaller object')}: {sizes[index]:,} bytes"
            picture.shapes.append(Shape(_snapped(box), colour_of(image.kind), "", title))


def _change(item: ObjectSize) -> str:
    if not item.growth:
        return ""
    word = "grew" if item.growth > 0 else "shrank"
    return f"{word} much" if abs(item.growth) >= item.in_rom * _MUCH else word


def _label_object(picture: ByteMap, item: ObjectSize, box: Box) -> None:
    text = f"{item.name} {item.growth:+,}" if item.growth else item.name
    if not _fits(text, box):
        text = item.name
    _add_label(picture, box, text, "object")


def list_directories(image: ImageObjects) -> Iterator[tuple[str, int, str]]:
    """The same as text: each directory with its bytes, and its objects with theirs."""
    for name, items in by_directory(image).items():
        parts = []
        for item in items:
            text = f"{item.name} {object_area(image, item):,}"
            if item.growth:
                text += f" ({item.growth:+,})"
            parts.append(text)
        yield name, _total(image, items), ", ".join(parts)
