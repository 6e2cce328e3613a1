# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge lookup`, which shows the ROM file that each QEMU opens for each NIC."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.base.errors import RomforgeError, UsageError
from romforge.base.json_document import FORMAT
from romforge.base.programs import MissingTool
from romforge.base.table import (
    BOLD,
    RED,
    Column,
    paint,
    render_table,
    terminal_width,
    wants_colours,
)
from romforge.base.text import format_size, join_words
from romforge.cli import common
from romforge.plan import planner
from romforge.spec import loader

if TYPE_CHECKING:
    from romforge.analysis.rom_lookup import Lookup, NicLookup
    from romforge.spec.model import Spec
    from romforge.verify.rom_search import QemuView

_COLUMNS = [
    Column("NIC"),
    Column("asks for"),
    Column("opens"),
    Column("bucket", right=True),
    Column("images"),
    Column("its own"),
    Column("instead of"),
]


def add_lookup_command(commands: common.Commands) -> None:
    """Adds `lookup`."""
    parser = common.add_command(
        commands,
        "lookup",
        _run_lookup,
        "shows which ROM file each QEMU opens for each NIC, and which it would not find",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser, "analysis.rom_lookup:LookupDocument")
    parser.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="as for build: of which cards; default: all",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        help="what will be /; default: the output root",
    )
    parser.add_argument(
        "-L",
        dest="first",
        metavar="DIR",
        action="append",
        default=[],
        help="search it first, as QEMU's -L does; may be repeated",
    )
    parser.add_argument(
        "--qemu",
        metavar="QEMU",
        action="append",
        default=[],
        help="an architecture, or the path of a QEMU; may be repeated; default: all there are",
    )
    parser.add_argument(
        "--machine",
        metavar="TYPE",
        action="append",
        default=[],
        help="a machine type of guests; may be repeated; default: virt, or QEMU's own",
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="ask no QEMU: search the firmware_path of each [qemu.ARCH]",
    )


def _run_lookup(args: Namespace) -> int:
    from romforge.analysis import rom_lookup

    if args.offline and args.machine:
        raise UsageError("--machine needs a QEMU to ask; leave out --offline")
    spec = loader.load_spec(args.spec, args.out)
    plan = planner.make_plan(spec)
    root = args.root or args.out
    if not root.is_dir():
        raise RomforgeError(f"{root}: there is no such directory; run doit, or name another --root")
    tasks = common.selected_tasks(plan, args.out, args.selection, roms_only=True)
    selected = plan.selected(tasks) if tasks else None
    found = [rom_lookup.look_up(spec, plan, view, root, selected) for view in _views(args, spec)]
    if args.json:
        qemus = [rom_lookup.lookup_as_json(one) for one in found]
        common.print_json({"format": FORMAT, "qemus": qemus})
    else:
        for one in found:
            _show(one)
    return int(any(one.faults for one in found))


def _views(args: Namespace, spec: Spec) -> list[QemuView]:
    """What each QEMU does that is named; by default, those that are installed or in the spec."""
    from romforge.verify.qemu import MACHINES

    names = list(dict.fromkeys([*(arch.ipxe_name for arch in MACHINES), *spec.qemu]))
    views: list[QemuView] = []
    for name in args.qemu or names:
        views += _views_of(args, spec, name)
    if not views and args.machine:
        types = join_words(args.machine)
        raise RomforgeError(f"no QEMU that is installed has the machine type {types}")
    if not views:
        raise RomforgeError(
            "there is no QEMU to ask: install the Debian package qemu-system-x86 or another,"
            " or write where QEMU looks for ROMs as firmware_path in a [qemu.ARCH] of the spec"
        )
    return views


def _views_of(args: Namespace, spec: Spec, name: str) -> Iterator[QemuView]:
    """The views of one QEMU: one for each machine type.

    Raises RomforgeError for a QEMU that the user names, if it can neither be asked nor be assumed.
    """
    from romforge.analysis import rom_lookup
    from romforge.verify import rom_search

    devices = rom_lookup.spec_devices(spec).values()
    first = [os.path.abspath(directory) for directory in args.first]
    try:
        if args.offline:
            raise MissingTool(f"the spec has no [qemu.ARCH] for {name}")
        emulator = rom_search.find_emulator(name)
    except MissingTool:
        arch = rom_search.arch_of(name)
        table = spec.qemu.get(arch.ipxe_name) if arch else None
        if arch and table and not args.machine:
            yield rom_search.assume_view(arch, table.firmware_path, first, devices)
        elif args.qemu:
            raise
        return
    for machine in args.machine or [None]:
        # Without --qemu, those are asked that have the machine type.
        if args.qemu or machine is None or machine in rom_search.machine_types(emulator):
            yield rom_search.ask_view(emulator, machine, first, devices)


def _show(found: Lookup) -> None:
    """Prints the search path of a QEMU, a table of its NICs, and what is wrong."""
    view = found.view
    title = view.name
    if view.machine:
        title += f", machine {view.machine}"
    print(paint(title, BOLD, wants_colours()))
    for note in found.notes:
        print(f"  note: {note}")
    print(f"  searches {join_words(found.directories)}")
    rows = [_row(found, nic) for nic in found.nics]
    heading, rule, *lines = render_table(_COLUMNS, rows, terminal_width())
    for line in (heading, rule, *lines):
        print(f"  {line}")
    for fault in found.faults:
        print(f"  {paint('FAULT', RED, wants_colours())} {fault}")


def _row(found: Lookup, nic: NicLookup) -> list[str]:
    """The cells of a NIC."""
    file = nic.file or "no file"
    if nic.unknown:
        file = "has no such device"
    opened = nic.opened
    if opened is None:
        return [nic.nic, file, "NOTHING" if nic.file else "", "", "", "", ""]
    others = ", ".join(other.path for other in nic.instead_of)
    kinds = ", ".join(opened.images)
    has_image = "yes" if nic.has_image else "no"
    if found.view.arch is None:
        has_image = "?"
    return [nic.nic, file, opened.path, format_size(opened.bucket), kinds, has_image, others]
