# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver of a NIC is found in a tree, and whether it can work without port I/O."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from romforge.plan.image_requests import StubRequest
from romforge.plan.steps import Plan, Rom
from romforge.sources.ipxe import nic_drivers
from romforge.spec import loader

SPEC = """spec = 1
[source.ipxe]
tree = "tree"
[platform.pcbios]
[platform.i386-efi]
[platform.arm64-efi]
[nic.card]
id = "1022:2000"
[target.all]
dir = "all"
file = "{nic}.rom"
images = ["pcbios", "i386-efi", "arm64-efi"]
[target.arm]
dir = "arm"
file = "{nic}.rom"
images = ["arm64-efi"]
"""
DEVICE = 'PCI_ROM ( 0x1022, 0x2000, "lance", "A card", 0 ),\n'
PORT_IO = "static int probe ( void ) { outb ( 1, ioaddr ); return inw ( ioaddr + 2 ); }\n"


class Tree:
    """A spec with a NIC, and a tree with one driver."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.driver = top / "tree/src/drivers/net/card.c"
        self.driver.parent.mkdir(parents=True)
        (top / "tree/src/Makefile").write_text("")
        (top / "romspec.toml").write_text(SPEC)
        (top / "out/.romforge").mkdir(parents=True)

    def write(self, text: str) -> None:
        self.driver.write_text(text)

    def plan(self) -> Plan:
        spec = loader.load_spec(self.top / "romspec.toml")
        return nic_drivers.make_buildable_plan(spec, None, self.top / "out")

    def rom(self, target: str = "all") -> Rom:
        return self.plan().targets[target][0]

    def platforms(self) -> list[str]:
        return [request.platform for request in self.rom().requests]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_driver_that_needs_port_io_has_images_for_x86_alone(tree: Tree):
    """The reason names the source; the makes of other platforms do not build the image."""
    tree.write(DEVICE + PORT_IO)
    rom = tree.rom()
    assert [request.platform for request in rom.requests] == ["pcbios", "i386-efi"]
    (missing,) = rom.impossible
    assert (missing.platform, missing.kind) == ("arm64-efi", "arm64")
    assert missing.reason == (
        "drivers/net/card.c needs port I/O (2 uses), which iPXE has on x86 alone"
    )
    assert [make.platform for make in tree.plan().makes] == ["pcbios", "i386-efi"]


def test_a_rom_without_a_possible_image_gets_a_stub(tree: Tree):
    """QEMU requires the file."""
    tree.write(DEVICE + PORT_IO)
    assert [type(request) for request in tree.rom("arm").requests] == [StubRequest]


@pytest.mark.parametrize(
    "text",
    [
        DEVICE + PORT_IO + "regs = pci_ioremap ( pci, pci->membase, 256 );\n",
        DEVICE + PORT_IO + "value = readl ( regs );\n",
        DEVICE + "/* outb ( 1, ioaddr ); */ // inb ( ioaddr )\n",
        DEVICE + 'DBGC ( "outb ( 1 )" );\n',
        DEVICE + "my_outb ( 1 ); outb = 2;\n",
        DEVICE,
        PORT_IO,
    ],
    ids=[
        "memory mapping",
        "memory access",
        "comments",
        "string",
        "other names",
        "neither",
        "another NIC",
    ],
)
def test_all_other_drivers_have_all_images(tree: Tree, text: str):
    tree.write(text)
    assert tree.platforms() == ["pcbios", "i386-efi", "arm64-efi"]
    assert tree.rom().impossible == ()


@pytest.mark.parametrize("goal", ["lance", "card", "10222000--10ec8029", "10222000"])
def test_a_driver_is_found_by_each_of_its_names(tree: Tree, goal: str):
    """The ROM's name, the source's name, and IDs; of several devices, by all that are there."""
    spec = SPEC.replace('id = "1022:2000"', f'id = "1022:2000"\ngoal = "{goal}"')
    (tree.top / "romspec.toml").write_text(spec)
    tree.write(DEVICE + PORT_IO)
    assert tree.platforms() == ["pcbios", "i386-efi"]


def test_an_image_with_two_drivers_works_where_one_does(tree: Tree):
    spec = SPEC.replace('id = "1022:2000"', 'id = "1022:2000"\ngoal = "10222000--8086100e"')
    (tree.top / "romspec.toml").write_text(spec)
    tree.write(DEVICE + PORT_IO)
    other = tree.driver.with_name("other.c")
    other.write_text('PCI_ROM ( 0x8086, 0x100E, "other", "", 0 ),\nreadl ( regs );\n')
    assert tree.platforms() == ["pcbios", "i386-efi", "arm64-efi"]


def test_an_edited_driver_is_examined_again(tree: Tree):
    """Also where an earlier run kept what it found."""
    tree.write(DEVICE + PORT_IO)
    assert tree.platforms() == ["pcbios", "i386-efi"]
    assert (tree.top / "out/.romforge/drivers.json").is_file()
    tree.write(DEVICE + PORT_IO + "value = readl ( regs );\n")
    assert tree.platforms() == ["pcbios", "i386-efi", "arm64-efi"]
    tree.write(DEVICE + PORT_IO)
    assert tree.platforms() == ["pcbios", "i386-efi"]


def test_what_was_found_is_not_searched_again(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    tree.write(DEVICE + PORT_IO)
    tree.plan()

    def fail(*_: object) -> None:
        raise AssertionError("the tree was searched again")

    monkeypatch.setattr(nic_drivers, "_scan_tree", fail)
    assert tree.platforms() == ["pcbios", "i386-efi"]


def test_what_was_found_in_each_of_two_trees_is_kept(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    other = tree.top / "other"
    shutil.copytree(tree.top / "tree", other)
    spec = SPEC.replace("[platform.pcbios]", '[source.other]\ntree = "other"\n[platform.pcbios]')
    spec = spec.replace('dir = "all"', 'dir = "all"\nsource = "ipxe"')
    spec = spec.replace('dir = "arm"', 'dir = "arm"\nsource = "other"')
    (tree.top / "romspec.toml").write_text(spec)
    for top in (tree.top / "tree", other):
        (top / "src/drivers/net/card.c").write_text(DEVICE + PORT_IO)
    tree.plan()

    def fail(*_: object) -> None:
        raise AssertionError("a tree was searched again")

    monkeypatch.setattr(nic_drivers, "_scan_tree", fail)
    assert tree.platforms() == ["pcbios", "i386-efi"]
    assert [type(request) for request in tree.rom("arm").requests] == [StubRequest]


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"version": 1, "trees": [1]}'])
def test_a_damaged_cache_costs_time_alone(tree: Tree, content: str):
    (tree.top / "out/.romforge/drivers.json").write_text(content)
    tree.write(DEVICE + PORT_IO)
    assert tree.platforms() == ["pcbios", "i386-efi"]


def test_without_a_build_nothing_is_written(tree: Tree):
    (tree.top / "out/.romforge").rmdir()
    tree.write(DEVICE + PORT_IO)
    assert tree.platforms() == ["pcbios", "i386-efi"]
    assert list((tree.top / "out").iterdir()) == []


def test_without_a_tree_the_plan_has_all_images(tree: Tree):
    """The build reports that the tree is missing."""
    (tree.top / "tree/src/Makefile").unlink()
    assert tree.platforms() == ["pcbios", "i386-efi", "arm64-efi"]
