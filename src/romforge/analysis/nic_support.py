# SPDX-License-Identifier: GPL-2.0-or-later
"""Which network devices an iPXE tree drives: those of QEMU, or all that its drivers name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.arch import Arch
from romforge.base.nic_models import NIC_MODELS, NicModel, device_of
from romforge.base.pci_id import PciId
from romforge.sources.ipxe import pci_drivers

# Classes of drivers that are not of networks.
_OTHER_CLASSES = ("drivers/usb/", "drivers/block/", "drivers/bus/")


class TreeDevice(NamedTuple):
    """A network device that a tree drives.

    ``name`` and ``description`` are iPXE's. ``sources`` are the drivers, below ``src``, and
    ``needs_port_io`` tells whether none of them can do without port I/O.
    """

    ids: PciId
    name: str
    description: str
    sources: tuple[str, ...]
    needs_port_io: bool


class NicSupport(NamedTuple):
    """Whether and how a tree drives a network device.

    ``devices`` are QEMU's names for devices with these IDs, with the one first that proofs use.
    ``entry`` is what to paste into a spec, and None where the tree has no driver.
    """

    devices: tuple[str, ...]
    ids: PciId
    name: str
    description: str
    drivers: tuple[str, ...]
    architectures: tuple[str, ...]
    needs_port_io: bool
    default_roms: tuple[str, ...]
    entry: str | None


def devices_of_tree(src: Path) -> dict[PciId, TreeDevice]:
    """The network devices on the PCI bus that a tree drives, by their IDs."""
    devices: dict[PciId, TreeDevice] = {}
    for source, content in sorted(pci_drivers.driver_sources(src)):
        if source.startswith(_OTHER_CLASSES):
            continue
        needs_port_io = pci_drivers.count_port_io(content) > 0
        for device in pci_drivers.devices_of(content):
            found = TreeDevice(*device, (source,), needs_port_io)
            other = devices.get(device.ids)
            if other and source not in other.sources:
                found = other._replace(
                    sources=(*other.sources, source),
                    needs_port_io=other.needs_port_io and needs_port_io,
                )
            devices[device.ids] = found
    return devices


def architectures_of(src: Path) -> tuple[Arch, ...]:
    """The architectures that a tree has code for."""
    found = {path.name for path in (src / "arch").iterdir()} if (src / "arch").is_dir() else set()
    if "x86" in found:
        found |= {Arch.I386.ipxe_name, Arch.X86_64.ipxe_name}
    return tuple(arch for arch in Arch if arch.ipxe_name in found)


def support_of_models(
    devices: Mapping[PciId, TreeDevice],
    architectures: Sequence[Arch],
    more: Iterable[NicModel] = (),
) -> list[NicSupport]:
    """How a tree drives QEMU's network devices, those with the same IDs together.

    ``more`` are devices of a QEMU that romforge does not know by name.
    """
    models: dict[PciId, list[NicModel]] = {}
    for model in (*NIC_MODELS, *more):
        models.setdefault(model.ids, []).append(model)
    found = []
    for ids, same in models.items():
        found.append(_support(ids, same, devices.get(ids), same[0].nic, architectures))
    return found


def support_of_all(
    devices: Mapping[PciId, TreeDevice],
    architectures: Sequence[Arch],
    more: Iterable[NicModel] = (),
) -> list[NicSupport]:
    """All devices that a tree drives, in the order of drivers and IDs."""
    models: dict[PciId, list[NicModel]] = {}
    for model in (*NIC_MODELS, *more):
        models.setdefault(model.ids, []).append(model)
    names = Counter(device.name for device in devices.values())
    found = []
    for device in sorted(devices.values(), key=lambda one: (one.sources, one.ids)):
        same = models.get(device.ids, [])
        nic = device.name if names[device.name] == 1 else device.ids.goal
        if same:
            nic = same[0].nic
        found.append(_support(device.ids, same, device, nic, architectures))
    return found


def _support(
    ids: PciId,
    models: Sequence[NicModel],
    device: TreeDevice | None,
    nic: str,
    architectures: Sequence[Arch],
) -> NicSupport:
    names = tuple(model.device for model in models)
    roms = tuple(dict.fromkeys(model.default_rom for model in models if model.default_rom))
    if device is None:
        return NicSupport(names, ids, "", "", (), (), False, roms, None)
    works_on = [arch for arch in architectures if arch.has_port_io or not device.needs_port_io]
    return NicSupport(
        devices=names,
        ids=ids,
        name=device.name,
        description=device.description,
        drivers=device.sources,
        architectures=tuple(arch.ipxe_name for arch in works_on),
        needs_port_io=device.needs_port_io,
        default_roms=roms,
        entry=spec_entry(nic, ids, names[0] if names else None),
    )


def spec_entry(nic: str, ids: PciId, device: str | None) -> str:
    """The table of a NIC for a spec, with ``device`` where it does not follow from the rest.

    >>> print(spec_entry("eepro100", PciId(0x8086, 0x1229), "i82559c"))
    [nic.eepro100]
    id = "8086:1229"
    """
    name = re.sub(r"[^A-Za-z0-9_-]", "-", nic).lstrip("-_")
    lines = [f"[nic.{name}]", f'id = "{ids}"']
    if device is not None and device_of(name, ids) != device:
        lines.append(f'device = "{device}"')
    return "\n".join(lines)
