# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's network devices on the PCI bus: what -device calls them, their IDs and default ROMs."""

from __future__ import annotations

from typing import NamedTuple

from romforge.base.pci_id import PciId


class NicModel(NamedTuple):
    """A network device of QEMU.

    ``device`` is the argument of -device. ``nic`` is the name that suits a [nic.NAME] of a spec:
    the one in the file name of the default ROM, where no other model with that ROM has it.
    ``default_rom`` is the file that QEMU loads without romfile=, and None where it loads none.
    """

    device: str
    ids: PciId
    nic: str
    default_rom: str | None

    @property
    def name(self) -> str:
        """QEMU's name of the device, without properties."""
        return self.device.partition(",")[0]


def _model(
    device: str, vendor: int, device_id: int, default_rom: str | None = None, nic: str = ""
) -> NicModel:
    return NicModel(device, PciId(vendor, device_id), nic or device, default_rom)


_E1000, _EEPRO100, _VIRTIO = "efi-e1000.rom", "pxe-eepro100.rom", "efi-virtio.rom"
# Of models with the same IDs, proofs use the first.
NIC_MODELS = (
    _model("e1000", 0x8086, 0x100E, _E1000),
    _model("e1000-82544gc", 0x8086, 0x100C, _E1000),
    _model("e1000-82545em", 0x8086, 0x100F, _E1000),
    _model("e1000e", 0x8086, 0x10D3, "efi-e1000e.rom"),
    _model("igb", 0x8086, 0x10C9),
    _model("i82559c", 0x8086, 0x1229, _EEPRO100, "eepro100"),
    _model("i82557a", 0x8086, 0x1229, _EEPRO100),
    _model("i82557b", 0x8086, 0x1229, _EEPRO100),
    _model("i82557c", 0x8086, 0x1229, _EEPRO100),
    _model("i82558a", 0x8086, 0x1229, _EEPRO100),
    _model("i82558b", 0x8086, 0x1229, _EEPRO100),
    _model("i82559a", 0x8086, 0x1229, _EEPRO100),
    _model("i82559b", 0x8086, 0x1229, _EEPRO100),
    _model("i82559er", 0x8086, 0x1209, _EEPRO100),
    _model("i82550", 0x8086, 0x1209, _EEPRO100),
    _model("i82551", 0x8086, 0x1209, _EEPRO100),
    _model("i82562", 0x8086, 0x1209, _EEPRO100),
    _model("i82801", 0x8086, 0x2449, _EEPRO100),
    _model("ne2k_pci", 0x10EC, 0x8029, "efi-ne2k_pci.rom"),
    _model("pcnet", 0x1022, 0x2000, "efi-pcnet.rom"),
    _model("rocker", 0x1B36, 0x0006),
    _model("rtl8139", 0x10EC, 0x8139, "efi-rtl8139.rom"),
    _model("sungem", 0x106B, 0x0021),
    _model("sunhme", 0x108E, 0x1001),
    _model("tulip", 0x1011, 0x0019),
    _model("virtio-net-pci", 0x1AF4, 0x1000, _VIRTIO, "virtio"),
    _model("virtio-net-pci-transitional", 0x1AF4, 0x1000, _VIRTIO),
    _model(
        "virtio-net-pci,disable-legacy=on,disable-modern=off",
        0x1AF4,
        0x1041,
        _VIRTIO,
        "virtio-modern",
    ),
    _model("virtio-net-pci-non-transitional", 0x1AF4, 0x1041, _VIRTIO),
    _model("vmxnet3", 0x15AD, 0x07B0, "efi-vmxnet3.rom"),
)
_FIRST_BY_IDS = {model.ids: model for model in reversed(NIC_MODELS)}


def device_of(nic: str, ids: PciId) -> str:
    """QEMU's device for a NIC that the spec gives no ``device``: one with its IDs, or its name.

    >>> device_of("eepro100", PciId(0x8086, 0x1229)), device_of("new", PciId(0x8086, 0x1))
    ('i82559c', 'new')
    """
    model = _FIRST_BY_IDS.get(ids)
    return model.device if model else nic
