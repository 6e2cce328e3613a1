# SPDX-License-Identifier: GPL-2.0-or-later
"""Which network devices a small tree drives, and on which architectures."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.analysis import nic_support
from romforge.analysis.nic_support import NicSupport
from romforge.base.nic_models import NicModel
from romforge.base.pci_id import PciId

DRIVERS = {
    "net/intel.c": 'PCI_ROM ( 0x8086, 0x100E, "82540em", "82540EM", 0 ),\nreadl ( regs );\n',
    "net/old.c": """PCI_ROM(0x8086,0x1229,"old", "An old card", 0),
PCI_ROM ( 0x8086,
	0x1209, "older", "An older card", 0 ), // readl (
PCI_ROM ( 0x1234, 0x0001, "two", "", 0 ), PCI_ROM ( 0x1234, 0x0002, "two", "", 0 ),
outb ( 1, ioaddr );
""",
    "net/new.c": 'PCI_ROM ( 0x1234, 0x0003, "a.b+c", "", 0 ),\n'
    'PCI_ROM ( 0x1234, 0x0001, "two", "", 0 ),\nwritel ( 1, regs );\n',
    "usb/xhci.c": 'PCI_ROM ( 0x1234, 0x0004, "xhci", "", 0 ),\n',
    "net/other.h": 'PCI_ROM ( 0x1234, 0x0005, "header", "", 0 ),\n',
}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    for name, text in DRIVERS.items():
        path = tmp_path / "drivers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("x86", "arm64", "arm", "s390x"):
        (tmp_path / "arch" / name).mkdir(parents=True)
    return tmp_path


def of_models(src: Path, *more: NicModel) -> dict[str, NicSupport]:
    """How the tree drives QEMU's devices, by the first name of each."""
    devices = nic_support.devices_of_tree(src)
    architectures = nic_support.architectures_of(src)
    found = nic_support.support_of_models(devices, architectures, more)
    return {nic.devices[0]: nic for nic in found}


def of_all(src: Path) -> dict[str, NicSupport]:
    """All that the tree drives, by IDs."""
    devices = nic_support.devices_of_tree(src)
    found = nic_support.support_of_all(devices, nic_support.architectures_of(src))
    return {str(nic.ids): nic for nic in found}


def test_a_driver_with_memory_mapped_registers_works_on_each_architecture(src: Path):
    """The architectures are those of the tree that romforge knows."""
    nic = of_models(src)["e1000"]
    assert nic.drivers == ("drivers/net/intel.c",)
    assert nic.architectures == ("i386", "x86_64", "arm64")
    assert (nic.name, nic.description) == ("82540em", "82540EM")
    assert nic.default_roms == ("efi-e1000.rom",)
    assert nic.entry == '[nic.e1000]\nid = "8086:100e"'


def test_a_driver_with_port_io_works_on_x86_alone(src: Path):
    nic = of_models(src)["i82559c"]
    assert nic.needs_port_io
    assert nic.architectures == ("i386", "x86_64")


def test_models_with_the_same_ids_are_one_row(src: Path):
    """Named after the default ROM; the device that proofs use comes first."""
    nic = of_models(src)["i82559c"]
    assert {"i82557a", "i82559b"} < set(nic.devices)
    assert nic.entry == '[nic.eepro100]\nid = "8086:1229"'


def test_a_device_without_a_driver_has_no_entry(src: Path):
    nic = of_models(src)["vmxnet3"]
    assert (nic.drivers, nic.architectures, nic.entry) == ((), (), None)


def test_a_device_that_only_this_qemu_knows_is_added(src: Path):
    """With ``device`` where its IDs are those of a device that comes before it."""
    new = NicModel("new", PciId(0x1234, 3), "new", None)
    twin = NicModel("e1000-new", PciId(0x8086, 0x100E), "e1000-new", None)
    found = of_models(src, new, twin)
    assert found["new"].entry == '[nic.new]\nid = "1234:0003"'
    assert found["e1000"].devices == ("e1000", "e1000-new")


def test_all_devices_of_the_tree_but_not_those_of_other_classes(src: Path):
    found = of_all(src)
    assert found.keys() == {
        "8086:100e",
        "8086:1229",
        "8086:1209",
        "1234:0001",
        "1234:0002",
        "1234:0003",
    }


def test_entries_of_all_devices_have_names_of_their_own(src: Path):
    """QEMU's, or iPXE's where it is the only one, in characters that TOML wants no quotes for."""
    found = of_all(src)
    assert found["8086:1229"].entry == '[nic.eepro100]\nid = "8086:1229"'
    assert found["1234:0002"].entry == '[nic.12340002]\nid = "1234:0002"'
    assert found["1234:0003"].entry == '[nic.a-b-c]\nid = "1234:0003"'


def test_a_device_with_two_drivers_works_where_one_does(src: Path):
    nic = of_all(src)["1234:0001"]
    assert nic.drivers == ("drivers/net/new.c", "drivers/net/old.c")
    assert "arm64" in nic.architectures


def test_an_entry_names_the_device_where_it_does_not_follow():
    ids = PciId(0x8086, 0x1229)
    expected = '[nic.i82550]\nid = "8086:1229"\ndevice = "i82557a"'
    assert nic_support.spec_entry("i82550", ids, "i82557a") == expected
    assert nic_support.spec_entry("mine", ids, "i82559c") == '[nic.mine]\nid = "8086:1229"'
