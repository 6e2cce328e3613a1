# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge join`, which puts the output roots of several machines together."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from romforge.base.errors import UsageError
from romforge.base.json_document import FORMAT, Document
from romforge.base.text import plural
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.sources.ipxe import nic_drivers
from romforge.spec import loader


class JoinDocument(Document):
    """What `join --json` prints: the paths of ROMs and other files, and of what no part has."""

    roms: list[str]
    files: list[str]
    missing: list[str]


def add_join_command(commands: common.Commands) -> None:
    """Adds `join`."""
    parser = common.add_command(
        commands,
        "join",
        _run_join,
        "puts together what build --shard and verify --shard left on several machines",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser, "cli.join_command:JoinDocument")
    parser.add_argument(
        "roots", nargs="+", metavar="DIR", type=Path, help="an output root of one of the machines"
    )


def _run_join(args: Namespace) -> int:
    from romforge.engine import shard_results

    spec = loader.load_spec(args.spec, args.out)
    plan = nic_drivers.make_buildable_plan(spec, source_tree_override(), args.out)
    for root in args.roots:
        if root.resolve() == args.out.resolve():
            raise UsageError(f"{root}: is the output root to write to; name another by --out")
    joined = shard_results.join_roots(plan, args.out, args.roots)
    if args.json:
        document = JoinDocument(
            format=FORMAT, roms=joined.roms, files=joined.files, missing=joined.missing
        )
        common.print_json(document)
        return int(bool(joined.missing))
    what = plural(len(joined.roms), "ROM")
    if joined.files:
        what += f" and {plural(len(joined.files), 'other file')}"
    print(f"{args.out}: {what} of {plural(len(args.roots), 'part')}")
    for path in joined.missing:
        common.warn(f"no part has {path}")
    return int(bool(joined.missing))
