# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge nics`, which lists the network devices that an iPXE tree drives."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from romforge.analysis import nic_support
from romforge.analysis.nic_support import NicSupport
from romforge.base.errors import RomforgeError
from romforge.base.json_document import FORMAT, Document
from romforge.base.nic_models import NIC_MODELS, NicModel
from romforge.base.programs import MissingTool
from romforge.base.table import Column, render_table, terminal_width
from romforge.base.text import join_words, plural
from romforge.cli import common, environment
from romforge.plan import planner
from romforge.sources.ipxe import source_tree
from romforge.spec import loader
from romforge.verify import qemu

_USUAL_TREES = ("vendor/ipxe", "vendor/minipxe")
_VIRTIO_NOTE = (
    "virtio-net-pci has the IDs 1af4:1000 on a PCI bus, where it is transitional. Behind a PCIe"
    " port, as libvirt places it on q35, and with disable-legacy=on, it is modern only and has"
    " 1af4:1041. QEMU writes the IDs of the device into its default ROM, but not into one that"
    ' romfile= names. One ROM is enough: goal = "1af41000--1af41041" makes an image for both'
)
_PORT_IO_NOTE = (
    "x86 alone: the driver needs port I/O, which iPXE has on no other architecture; a build leaves"
    " its images out there"
)


class NicRow(NamedTuple):
    """Whether and how a tree drives a network device, as ``NicSupport`` says."""

    devices: tuple[str, ...]
    ids: str
    name: str
    description: str
    drivers: tuple[str, ...]
    architectures: tuple[str, ...]
    needs_port_io: bool
    default_roms: tuple[str, ...]
    entry: str | None


class NicsDocument(Document):
    """What `nics --json` prints: the tree, its devices, and notes on them."""

    tree: str
    nics: list[NicRow]
    notes: list[str]


def add_nics_command(commands: common.Commands) -> None:
    """Adds `nics`."""
    parser = common.add_command(
        commands, "nics", _run_nics, "lists the network devices that an iPXE tree drives"
    )
    common.add_spec_option(parser)
    common.add_json_option(parser, "cli.nics_command:NicsDocument")
    parser.add_argument(
        "--all",
        action="store_true",
        help="list all network devices of the tree, instead of those that QEMU has",
    )
    parser.add_argument(
        "tree",
        nargs="?",
        metavar="DIR",
        help="the iPXE tree; default: $IPXE_SRC, the tree of the spec, or vendor/ipxe",
    )


def _run_nics(args: Namespace) -> int:
    src = _find_tree(args.tree, args.spec)
    more, notes = _ask_qemu()
    devices = nic_support.devices_of_tree(src)
    architectures = nic_support.architectures_of(src)
    if args.all:
        nics = nic_support.support_of_all(devices, architectures, more)
    else:
        nics = nic_support.support_of_models(devices, architectures, more)
    notes = [*_notes_on(nics), *notes]
    if args.json:
        rows = [NicRow(**nic._asdict() | {"ids": str(nic.ids)}) for nic in nics]
        common.print_json(NicsDocument(format=FORMAT, tree=str(src), nics=rows, notes=notes))
        return 0
    for line in _text(src, nics, notes, args.all):
        print(line)
    return 0


def _find_tree(argument: str | None, spec_path: Path) -> Path:
    """The src directory of the tree to look at. Raises RomforgeError."""
    override = environment.source_tree_override()
    if argument is not None:
        places = [argument]
    elif override is not None:
        places = [override]
    else:
        places = _trees_of_spec(spec_path) or list(_USUAL_TREES)
    src = source_tree.find_tree([os.path.abspath(place) for place in places])
    if src is None:
        raise RomforgeError(
            f"there is no iPXE source tree (with src/Makefile) at {' or '.join(places)};"
            f" get one by {source_tree.HOW_TO_GET}, or name one: romforge nics DIR"
        )
    return src


def _trees_of_spec(path: Path) -> list[str]:
    """The places of the first tree of a spec, which may lack NICs and targets as yet."""
    if not path.exists() and path == Path(environment.SPEC_NAME):
        return []
    spec = loader.load_spec(path, complete=False)
    for name, source in spec.source.items():
        if source.is_tree:
            out = environment.output_root()
            return [str(out / place.path) for place in planner.tree_places(spec, name)]
    return []


def _ask_qemu() -> tuple[list[NicModel], list[str]]:
    """The network devices of an installed QEMU that are not known by name, and notes on it."""
    known = {model.name for model in NIC_MODELS}
    for machine in qemu.MACHINES.values():
        try:
            names = qemu.network_devices(machine)
        except MissingTool:
            continue
        except RomforgeError as error:
            return [], [f"QEMU was not asked for more devices: {error}"]
        models = []
        silent = []
        for name in names:
            if name in known:
                continue
            ids = qemu.ids_of_device(machine, name)
            if ids:
                models.append(NicModel(name, ids, name, None))
            else:
                silent.append(name)
        return models, list(_notes_on_qemu(machine.binary, names, silent))
    return [], ["no QEMU is installed, so these are the devices of QEMU 10"]


def _notes_on_qemu(binary: str, names: tuple[str, ...], silent: list[str]) -> Iterator[str]:
    absent = dict.fromkeys(model.name for model in NIC_MODELS if model.name not in names)
    if absent:
        yield f"{binary} of this machine has no {join_words(absent)}"
    if silent:
        yield f"{binary} also has {join_words(silent)}, whose IDs it did not tell"


def _notes_on(nics: list[NicSupport]) -> Iterator[str]:
    if any(nic.needs_port_io for nic in nics):
        yield _PORT_IO_NOTE
    for nic in nics:
        if len(nic.devices) > 1 and not nic.devices[0].startswith("virtio"):
            others = join_words(nic.devices[1:])
            yield f"{nic.ids} are also the IDs of {others}; write device = … to prove with one"
    if any("virtio-net-pci" in nic.devices for nic in nics):
        yield _VIRTIO_NOTE


def _text(src: Path, nics: list[NicSupport], notes: list[str], every: bool) -> Iterator[str]:
    driven = [nic for nic in nics if nic.drivers]
    if every:
        yield f"{src} drives {plural(len(driven), 'network device')}"
    else:
        yield f"{src} drives {len(driven)} of QEMU's {plural(len(nics), 'network device')}"
    yield ""
    columns = [Column(title) for title in ("device", "IDs", "driver", "works on", "default ROM")]
    yield from render_table(columns, map(_row, nics), terminal_width())
    if not every:
        yield "\nTo paste into a spec:"
        for nic in driven:
            yield f"\n{nic.entry}"
    for note in notes:
        yield f"\nnote: {note}"


def _row(nic: NicSupport) -> tuple[str, ...]:
    device = nic.name
    if nic.devices:
        device = ",".join(nic.devices[0].split(",")[:2])  # with the property that matters
    works_on = "every architecture"
    if nic.needs_port_io:
        works_on = "x86 alone"
    if not nic.drivers:
        works_on = "-"
    driver = ", ".join(nic.drivers) or "none"
    return device, str(nic.ids), driver, works_on, ", ".join(nic.default_roms) or "-"
