# SPDX-License-Identifier: GPL-2.0-or-later
"""What the ROMs of each NIC are made of, and how that differs from the ROMs of the other NICs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from romforge.analysis.summary import ImageObjects, ObjectSize

_Object = tuple[str, str]  # a platform, and the name of an object there


class NamedBytes(NamedTuple):
    """An object, and its estimated bytes in all images of a NIC together."""

    name: str
    size: int


@dataclass(frozen=True)
class NicContents:
    """The images of NICs that have the same objects. Sizes are bytes.

    ``own`` are the objects that at most half of all NICs have, ``lacking`` those that these NICs
    lack and more than half of all have, with the bytes that they have in most others; the largest
    first.
    """

    nics: tuple[str, ...]
    images: tuple[ImageObjects, ...]
    own: tuple[NamedBytes, ...]
    lacking: tuple[NamedBytes, ...]

    @property
    def size(self) -> int:
        """The bytes of all images in ROMs."""
        return sum(image.size for image in self.images)

    @property
    def is_compared(self) -> bool:
        """Whether it is known by how much its objects grew since the lock."""
        return any(item.growth is not None for image in self.images for item in image.objects)


def contents_by_nic(images: Sequence[ImageObjects]) -> tuple[NicContents, ...]:
    """The contents of NICs, the largest first. NICs whose objects are equal are one entry."""
    by_nic: dict[str, list[ImageObjects]] = {}
    for image in images:
        for nic in image.nics:
            by_nic.setdefault(nic, []).append(image)
    groups: dict[object, list[str]] = {}
    for nic, of_nic in by_nic.items():
        groups.setdefault(_identity(of_nic), []).append(nic)
    common = _common_objects(by_nic)
    contents = []
    for nics in groups.values():
        of_first = by_nic[nics[0]]
        sizes = _sizes(of_first)
        own = [(name, size) for name, size in sizes.items() if name not in common]
        platforms = {image.platform for image in of_first}
        lacking = []
        for name, size in common.items():
            if name[0] in platforms and name not in sizes:
                lacking.append((name, size))
        contents.append(NicContents(tuple(nics), tuple(of_first), _summed(own), _summed(lacking)))
    contents.sort(key=lambda one: (-one.size, one.nics))
    return tuple(contents)


def _identity(images: Iterable[ImageObjects]) -> object:
    """What is equal for NICs with equal objects, whose streams may differ by a few bytes."""
    identity = []
    for image in images:
        objects = [
            (item.directory, _plain_name(image, item), item.linked) for item in image.objects
        ]
        identity.append((image.platform, bool(image.size), tuple(sorted(objects))))
    return tuple(identity)


def _sizes(images: Iterable[ImageObjects]) -> dict[_Object, int]:
    """The objects of a NIC's images with their bytes in the ROM, without padding."""
    sizes = {}
    for image in images:
        for item in image.objects:
            if item.directory and item.in_rom > 0:
                sizes[image.platform, _plain_name(image, item)] = item.in_rom
    return sizes


def _plain_name(image: ImageObjects, item: ObjectSize) -> str:
    """The name of an object without that of the image, which is in the name of its version."""
    return item.name.replace(f".{image.goal}.", ".")


def _common_objects(by_nic: Mapping[str, Iterable[ImageObjects]]) -> dict[_Object, int]:
    """The objects that more than half of the NICs with such an image have, with a usual size."""
    having: Counter[_Object] = Counter()
    platforms: Counter[str] = Counter()
    usual: dict[_Object, int] = {}
    for images in by_nic.values():
        sizes = _sizes(images)
        having.update(sizes.keys())
        platforms.update({platform for platform, _ in sizes})
        for name, size in sizes.items():
            usual.setdefault(name, size)
    return {name: usual[name] for name in having if 2 * having[name] > platforms[name[0]]}


def _summed(objects: Iterable[tuple[_Object, int]]) -> tuple[NamedBytes, ...]:
    """The sizes of objects over all platforms, the largest first."""
    sums: Counter[str] = Counter()
    for (_, name), size in objects:
        sums[name] += size
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return tuple(NamedBytes(name, size) for name, size in ordered)
