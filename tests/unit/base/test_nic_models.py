# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of QEMU's network devices."""

from __future__ import annotations

from romforge.base.nic_models import NIC_MODELS, device_of
from romforge.base.pci_id import PciId


def test_devices_and_names_for_specs_are_distinct():
    for names in ([one.device for one in NIC_MODELS], [one.nic for one in NIC_MODELS]):
        assert len(set(names)) == len(names)


def test_the_device_of_a_nic_has_its_ids():
    """Else the NIC's own name is taken, for what the table lacks."""
    ids = {model.device: model.ids for model in NIC_MODELS}
    for model in NIC_MODELS:
        assert ids[device_of("anything", model.ids)] == model.ids
    assert device_of("virtio", PciId(0x1AF4, 0x1041)).startswith("virtio-net-pci,disable-legacy=on")
    assert device_of("new", PciId(0x1234, 1)) == "new"
