# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge licences`, which lists the licences of what was built."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from romforge.analysis import licences
from romforge.analysis.licences import NO_MARK, FileLicence
from romforge.base.control_file import ControlError
from romforge.base.errors import RomforgeError
from romforge.base.json_document import FORMAT, Document
from romforge.base.table import Column, render_table, terminal_width
from romforge.base.text import plural
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.sources.ipxe import nic_drivers
from romforge.spec import loader

_MOST_NAMED = 20  # files in a message


class LicencesDocument(Document):
    """What `licences --json` prints: each file below src that an image was built of."""

    files: list[FileLicence]


def add_licences_command(commands: common.Commands) -> None:
    """Adds `licences`."""
    parser = common.add_command(
        commands,
        "licences",
        _run_licences,
        "lists the licences of the files of a tree that was built, by the marks in them",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser, "cli.licences_command:LicencesDocument")
    parser.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="as for build; default: the default targets",
    )
    parser.add_argument(
        "--debian",
        action="store_true",
        help="print paragraphs for debian/copyright instead",
    )
    parser.add_argument(
        "--copyright",
        metavar="FILE",
        type=Path,
        help="a debian/copyright, whose paragraphs state the licences of files without a mark",
    )
    parser.add_argument(
        "--prefix",
        metavar="PATH",
        default="src/",
        help="what paths begin with in such a file; default: src/",
    )


def _run_licences(args: Namespace) -> int:
    spec = loader.load_spec(args.spec, args.out)
    plan = nic_drivers.make_buildable_plan(spec, source_tree_override(), args.out)
    selected = common.selected_tasks(plan, args.out, args.selection)
    builds = [(make, common.selected_goals(plan, make, selected)) for make in plan.all_makes()]
    if not any(goals for _, goals in builds):
        raise RomforgeError("no image comes from a source tree, so its files are not known")
    found = licences.licences_of(builds, args.out)
    for goal in licences.made_of_files(builds, args.out):
        common.warn(f"{goal}: iPXE makes it of other files, so those that it has are not known")
    if args.copyright:
        found = _complete(found, args.copyright, args.prefix)
    doubtful = [one for one in found if one.is_doubtful]
    if args.json:
        common.print_json(LicencesDocument(format=FORMAT, files=found))
    elif args.debian:
        print("\n".join(licences.debian_paragraphs(found, args.prefix)), end="")
    else:
        for line in _table(found):
            print(line)
    for one in doubtful[:_MOST_NAMED]:
        common.warn(f"src/{one.file}: {_doubt(one)}, so it is not known whether it may be shipped")
    if len(doubtful) > _MOST_NAMED:
        common.warn(f"and {plural(len(doubtful) - _MOST_NAMED, 'more file')}")
    return int(bool(doubtful))


def _complete(found: list[FileLicence], file: Path, prefix: str) -> list[FileLicence]:
    try:
        return licences.complete_by_copyright(found, file, prefix)
    except ControlError as error:
        place = f"{file}:{error.line}" if error.line else str(file)
        raise RomforgeError(f"{place}: {error.message}; {error.remedy}") from None


def _doubt(one: FileLicence) -> str:
    if one.licence == NO_MARK:
        return "has no mark FILE_LICENCE"
    return f"is marked {one.licence}, which is not known"


def _table(found: Sequence[FileLicence]) -> list[str]:
    """A line for each licence: the number of files, and how many Secure Boot forbids."""
    counts = Counter(one.licence for one in found)
    forbidden = Counter(one.licence for one in found if one.secure_boot == "forbidden")
    columns = [
        Column("licence"),
        Column("files", right=True),
        Column("not for Secure Boot", right=True),
    ]
    rows = []
    for licence, count in counts.most_common():
        rows.append(
            [licence, f"{count:,}", f"{forbidden[licence]:,}" if forbidden[licence] else ""]
        )
    rows.append(["together", f"{len(found):,}", f"{forbidden.total():,}"])
    return render_table(columns, rows, terminal_width())
