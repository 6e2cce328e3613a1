# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of a NIC's bytes: all objects are in it, where there is room with their names."""

from __future__ import annotations

from romforge.analysis.summary import ImageObjects, ObjectSize
from romforge.html import byte_map


def image(platform: str, kind: str, *objects: ObjectSize) -> ImageObjects:
    size = sum(item.in_rom for item in objects)
    return ImageObjects(("e1000",), platform, kind, "8086100e", size, objects)


LEGACY = image(
    "pcbios",
    "legacy",
    ObjectSize("net", "tcp", 4000, 5000, 0, 30),
    ObjectSize("net", "udp", 3000, 3500, 40, -400),
    ObjectSize("drivers/net", "intel", 2990, 4000, 8, 0),
    ObjectSize("drivers/net", "mii", 1, 3, 0, 0),
    ObjectSize("drivers/net", "bits", 1, 2, 0),
    ObjectSize("core", "heap", 0, 0, 4096),
    ObjectSize("", "(padding)", 7, 9, 0),
)
EFI = image("x86_64-efi", "x86_64", ObjectSize("interface/efi", "efi_snp", 5000, 9000, 0))


def test_areas_are_bytes_and_shapes_cover_the_picture():
    """An object without bytes has none, and those too small to be seen are one shape."""
    picture = byte_map.draw_map([LEGACY, EFI])
    titles = [shape.title for shape in picture.shapes]
    assert titles[:2] == [
        "net/tcp: about 4,000 in the ROM, 5,000 linked, +30 since the lock",
        "net/udp: about 3,000 in the ROM, 3,500 linked, 40 of memory, -400 since the lock",
    ]
    assert "2 smaller objects: 2 bytes" in titles
    assert not any("heap" in title for title in titles)
    areas = {
        shape.title.split(":")[0]: shape.box.width * shape.box.height for shape in picture.shapes
    }
    assert 1.2 < areas["net/tcp"] / areas["net/udp"] < 1.5
    covered = sum(shape.box.width * shape.box.height for shape in picture.shapes)
    assert 0.85 < covered / (byte_map.WIDTH * byte_map.HEIGHT) <= 1  # the rest are headings


def test_colours_are_of_the_kind_and_of_the_growth():
    picture = byte_map.draw_map([LEGACY, EFI])
    changes = {shape.title.split(":")[0]: shape.change for shape in picture.shapes}
    assert changes["net/tcp"] == "grew"
    assert changes["net/udp"] == "shrank much"
    assert changes["drivers/net/intel"] == ""
    colours = {shape.title.split(":")[0]: shape.colour for shape in picture.shapes}
    assert colours["net/tcp"] == colours["drivers/net/intel"] != colours["interface/efi/efi_snp"]


def test_labels_are_those_that_fit():
    picture = byte_map.draw_map([LEGACY, EFI])
    texts = [label.text for label in picture.labels]
    assert {"pcbios 9,999", "x86_64-efi 5,000", "net", "tcp +30", "efi_snp"} <= set(texts)
    assert "mii" not in texts
    for label in picture.labels:
        assert len(label.text) * 5 < label.box.width * 1.2, label


def test_lists_say_the_same():
    assert list(byte_map.list_directories(LEGACY)) == [
        ("net", 7000, "tcp 4,000 (+30), udp 3,000 (-400)"),
        ("drivers/net", 2992, "intel 2,990, bits 1, mii 1"),
        ("padding", 7, "(padding) 7"),
    ]


def test_an_image_in_no_rom_is_drawn_by_its_linked_bytes():
    unused = ImageObjects((), "pcbios", "legacy", "1", 0, (ObjectSize("net", "tcp", 0, 50, 0),))
    assert [shape.title for shape in byte_map.draw_map([unused]).shapes] == ["net/tcp: 50 linked"]
    assert byte_map.draw_map([]).shapes == []
