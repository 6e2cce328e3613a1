# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes of each object of each image, kept beside the lock, so as to say later what grew.

The file romspec.sizes has a line for each image. Images of a platform mostly have the same objects,
so a line only has what differs from the platform's common ones.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from romforge.analysis import image_sizes
from romforge.base.errors import RomforgeError
from romforge.plan.steps import Plan, Rom
from romforge.rom.lock_format import Change

VERSION = 1  # of the file's format
_COMMON = "common"
_SHOWN = 3  # objects that are named for an image
_PADDING = "(padding)"


class LinkedSizes(NamedTuple):
    """An image: its bytes in the ROM, and those of its objects in the linked file.

    ``asked_for_by`` names what refers to an object, for an image that is built now.
    """

    in_rom: int
    objects: Mapping[str, int]
    asked_for_by: Mapping[str, str]


def sizes_path(spec: Path) -> Path:
    """The path of the file of a spec."""
    return spec.with_suffix(".sizes")


def current_sizes(
    plan: Plan, out: Path, wanted: Collection[str] | None = None
) -> dict[str, LinkedSizes]:
    """The images that trees built, by name; of those in ``wanted`` alone if it is not None."""
    sizes: dict[str, LinkedSizes] = {}
    for link in image_sizes.built_links(plan, out, wanted):
        name = image_sizes.image_name(link.make.task, link.goal)
        objects = {part: link.image.object_size(part) for part in link.image.graph.objects}
        objects[_PADDING] = link.image.padding()
        in_rom = image_sizes.size_in_rom(plan, link.make, link.goal, out)
        sizes[name] = LinkedSizes(in_rom, objects, _referrers(link.image))
    return sizes


def _referrers(image: image_sizes.LinkedImage) -> dict[str, str]:
    """What refers to each object: another object, or the root that is a symbol of it."""
    referrers = {}
    for name, chain in image.graph.chains().items():
        if len(chain) > 1:
            referrers[name] = chain[-2].object
        elif chain:
            referrers[name] = chain[0].symbol
    return referrers


def emit_sizes(sizes: Mapping[str, LinkedSizes]) -> bytes:
    """The content of the file: a line for each image, and one for what a platform has in common."""
    platforms: dict[str, dict[str, LinkedSizes]] = {}
    for name in sorted(sizes):
        platform, _, goal = name.rpartition("/")
        platforms.setdefault(platform, {})[goal] = sizes[name]
    entries = []
    for platform, images in platforms.items():
        common = _common_objects(images)
        lines = [f"  {_line(_COMMON, common)}"]
        for goal, image in images.items():
            value = {"in_rom": image.in_rom, "objects": _difference(image.objects, common)}
            lines.append(f"  {_line(goal, value)}")
        joined = ",\n".join(lines)
        entries.append(f"{json.dumps(platform)}: {{\n{joined}\n }}")
    body = ",\n ".join(entries)
    return f'{{"sizes": {VERSION}, "platforms": {{\n {body}\n}}}}\n'.encode()


def _line(name: str, value: object) -> str:
    return f"{json.dumps(name)}: {json.dumps(value, sort_keys=True)}"


def _common_objects(images: Mapping[str, LinkedSizes]) -> dict[str, int]:
    """The objects that more than half of the images have with the same size."""
    counts: Counter[tuple[str, int]] = Counter()
    for image in images.values():
        counts.update(image.objects.items())
    return {name: size for (name, size), count in counts.items() if 2 * count > len(images)}


def _difference(objects: Mapping[str, int], common: Mapping[str, int]) -> dict[str, int | None]:
    """The objects with other sizes than the common ones; None for one that the image lacks."""
    different: dict[str, int | None] = dict.fromkeys(name for name in common if name not in objects)
    for name, size in objects.items():
        if common.get(name) != size:
            different[name] = size
    return different


def read_sizes(path: Path) -> dict[str, LinkedSizes]:
    """Reads the file; empty if there is none. Raises RomforgeError if it is not such a file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return dict(_parse(json.loads(data)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        remedy = "run `romforge lock` to write it again"
        raise RomforgeError(f"{path}: is no file of sizes of this version; {remedy}") from None


def _parse(document: dict[str, Any]) -> Iterator[tuple[str, LinkedSizes]]:
    if document["sizes"] != VERSION:
        raise ValueError
    for platform, images in document["platforms"].items():
        common = images[_COMMON]
        for goal, image in images.items():
            if goal == _COMMON:
                continue
            objects = {}
            for name, size in {**common, **image["objects"]}.items():
                if size is not None:
                    objects[name] = int(size)
            yield f"{platform}/{goal}", LinkedSizes(int(image["in_rom"]), objects, {})


def growth_in_rom(
    link: image_sizes.LinkedImage, size: int, locked: LinkedSizes | None
) -> dict[str, int]:
    """Estimates by how many bytes of the ROM each object of an image grew since the lock.

    The image has ``size`` bytes in the ROM. Empty where nothing is known of it as it was locked.
    """
    linked = link.size()
    if locked is None or not linked:
        return {}
    growth = {}
    for name in link.graph.objects:
        difference = link.object_size(name) - locked.objects.get(name, 0)
        growth[name] = round(difference * size / linked)
    return growth


def explain_changes(changes: Sequence[Change], plan: Plan, out: Path, spec: Path) -> list[Change]:
    """The changes; for those of ROMs that grew, with the objects to which that is due.

    Raises RomforgeError if the file of sizes is damaged.
    """
    grown = {change.path for change in changes if change.growth > 0}
    if not grown:
        return list(changes)
    before = read_sizes(sizes_path(spec))
    roms = {rom.path: rom for rom in plan.roms() if rom.path in grown}
    wanted: set[str] = set()
    for rom in roms.values():
        wanted.update(_images_of(rom))
    after = current_sizes(plan, out, wanted & before.keys())
    explained = []
    for change in changes:
        reasons = ""
        if change.growth > 0 and change.path in roms:
            reasons = _explain_growth(roms[change.path], before, after)
        explained.append(replace(change, text=f"{change.text}: {reasons}") if reasons else change)
    return explained


def _images_of(rom: Rom) -> dict[str, str]:
    """The names of a ROM's images that trees build, with their platforms."""
    images = {}
    for request in rom.requests:
        if request.make:
            images[image_sizes.image_name(request.make, rom.goal)] = request.platform
    return images


def _explain_growth(
    rom: Rom, before: Mapping[str, LinkedSizes], after: Mapping[str, LinkedSizes]
) -> str:
    """The objects by which a ROM's images changed most, with estimates of their bytes in the ROM.

    Empty if nothing is known of its images. Example::

        pcbios: virtio-net.o +3,022, dhcp.o +727 (asked for by config.o)
    """
    texts = []
    for name, platform in _images_of(rom).items():
        if name not in before or name not in after:
            continue
        objects = _explain_image(before[name], after[name])
        if objects:
            texts.append(f"{platform}: {objects}")
    return "; ".join(texts)


def _explain_image(before: LinkedSizes, after: LinkedSizes) -> str:
    linked = sum(after.objects.values())
    if not linked:
        return ""
    changes = {}
    for name in sorted({**before.objects, **after.objects}.keys() - {_PADDING}):
        difference = after.objects.get(name, 0) - before.objects.get(name, 0)
        in_rom = round(difference * after.in_rom / linked)
        if in_rom:
            changes[name] = in_rom
    largest = sorted(changes, key=lambda name: (-abs(changes[name]), name))
    texts = []
    for name in largest[:_SHOWN]:
        text = f"{name} {changes[name]:+,}"
        if name not in before.objects and name in after.asked_for_by:
            text += f" (asked for by {after.asked_for_by[name]})"
        texts.append(text)
    if len(largest) > _SHOWN:
        rest = sum(changes[name] for name in largest[_SHOWN:])
        texts.append(f"{len(largest) - _SHOWN} more {rest:+,}")
    return ", ".join(texts)
