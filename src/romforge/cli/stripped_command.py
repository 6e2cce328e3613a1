# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge stripped`, which shows what was left out of the images of iPXE trees."""

from __future__ import annotations

from argparse import Namespace

from romforge.base import jobserver, output_lock
from romforge.base.json_document import FORMAT
from romforge.base.table import BOLD, paint, wants_colours
from romforge.base.text import join_words
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.sources.ipxe import nic_drivers
from romforge.spec import loader


def add_stripped_command(commands: common.Commands) -> None:
    """Adds `stripped`."""
    parser = common.add_command(
        commands,
        "stripped",
        _run_stripped,
        "shows what was left out of the images of iPXE trees, and what stayed",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser, "analysis.strip_report:StrippedDocument")
    parser.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="as for build, or make:SOURCE/PLATFORM; default: the default targets",
    )


def _run_stripped(args: Namespace) -> int:
    from romforge.analysis import strip_report
    from romforge.analysis.image_sizes import nics_of

    spec = loader.load_spec(args.spec, args.out)
    plan = nic_drivers.make_buildable_plan(spec, source_tree_override(), args.out)
    selected = common.selected_tasks(plan, args.out, args.selection)
    output_lock.hold_lock(args.out)
    jobserver.begin_pool(None)
    rows = []
    for make in plan.makes:
        goals = common.selected_goals(plan, make, selected)
        if goals:
            for stripped in strip_report.strip_report_of(make, args.out, goals):
                rows.append((make, stripped))
    if args.json:
        images = [stripped for _, stripped in rows]
        common.print_json({"format": FORMAT, "images": images})
        return 0
    if not rows:
        print("none of the images comes from a tree, so nothing was stripped")
    for make, stripped in rows:
        title = f"{make.platform} {stripped.goal}.{make.media}"
        nics = join_words(nics_of(plan, make, stripped.goal))
        print(f"{paint(title, BOLD, wants_colours())} ({nics})")
        for line in strip_report.strip_report_lines(stripped):
            print(f"  {line}")
    return 0
