# SPDX-License-Identifier: GPL-2.0-or-later
"""NICs with equal objects are one entry, and others are told by what differs."""

from __future__ import annotations

from romforge.analysis.nic_contents import NamedBytes, contents_by_nic
from romforge.analysis.summary import ImageObjects, ObjectSize

COMMON = {"tcp": 500, "udp": 300}


def image(nic: str, goal: str, platform: str = "pcbios", **sizes: int) -> ImageObjects:
    objects = [ObjectSize("net", name, size, size, 0) for name, size in (COMMON | sizes).items()]
    objects.append(ObjectSize("core", f"version.{goal}.rom", 9, 9, 0))
    size = sum(item.in_rom for item in objects)
    shown = tuple(item for item in objects if item.in_rom)
    return ImageObjects((nic,), platform, "legacy", goal, size, shown)


def test_nics_with_equal_objects_are_one_entry():
    """The version of an image has the image's name in its own, and is the same object."""
    contents = contents_by_nic([image("a", "1", intel=80), image("b", "2", intel=80)])
    assert [one.nics for one in contents] == [("a", "b")]
    assert (contents[0].own, contents[0].lacking) == ((), ())
    assert contents[0].size == 889


def test_what_differs_is_told_in_bytes():
    images = [
        image("a", "1", intel=80, mii=20),
        image("b", "2", realtek=95, mii=20),
        image("c", "3", virtio=70, udp=0),
        image("a", "1", "x86_64-efi", intel=60),
        image("b", "2", "x86_64-efi", realtek=50),
    ]
    contents = {one.nics[0]: one for one in contents_by_nic(images)}
    assert list(contents) == ["b", "a", "c"]
    assert contents["a"].own == (NamedBytes("intel", 140),)
    assert contents["b"].own == (NamedBytes("realtek", 145),)
    assert contents["c"].own == (NamedBytes("virtio", 70),)
    assert contents["c"].lacking == (NamedBytes("udp", 300), NamedBytes("mii", 20))
    assert contents["a"].lacking == ()


def test_it_is_known_whether_growth_is():
    plain = image("a", "1")
    grown = ImageObjects(
        ("a",), "pcbios", "legacy", "1", 5, (ObjectSize("net", "tcp", 5, 5, 0, 0),)
    )
    assert [contents_by_nic([one])[0].is_compared for one in (plain, grown)] == [False, True]
