# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments of `romforge why`. Its analysis needs pyelftools, and is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from romforge.cli import common
from romforge.cli.environment import source_tree_override


def _run_why(arguments: Any) -> int:
    from romforge.cli.why_command import why_command

    return why_command(arguments, source_tree_override())


def add_why_command(commands: common.Commands) -> None:
    """Adds `why` to the command line."""
    parser = common.add_command(
        commands,
        "why",
        _run_why,
        "shows the objects in an image of an iPXE tree: their sizes, and why each was linked",
    )
    common.add_spec_options(parser)
    documents = ("Images", "Changes", "Object", "Root")
    common.add_json_option(parser, *(f"cli.why_command:{name}Document" for name in documents))
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="as for build, or an image as PLATFORM/GOAL; with --in, an object or a root of a link",
    )
    parser.add_argument(
        "--in",
        dest="image",
        metavar="IMAGE",
        help="the image that has the object or root, as PLATFORM/GOAL, or what is built of it",
    )
    parser.add_argument(
        "--against",
        metavar="BUILD",
        type=Path,
        help="show the changes since another build: its output root, or a file that --json printed",
    )
