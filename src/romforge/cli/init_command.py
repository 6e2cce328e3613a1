# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge init`, which writes a spec and a dodo.py to begin with; and `romforge schema`."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from romforge.base import output_files, shipped_files
from romforge.base.errors import UsageError
from romforge.base.text import did_you_mean, join_words, plural
from romforge.cli import common, environment
from romforge.plan import planner
from romforge.sources.ipxe import source_tree
from romforge.spec import loader

DODO = "dodo.py"
_DODO_TEXT = '''\
"""The tasks of romspec.toml, for doit."""

from romforge.cli.command_line import dodo

globals().update(dodo())
'''
_TREES = ".", "vendor/ipxe", "ipxe", "../ipxe"  # where to look for an iPXE tree
# Where distributions have ROMs, for a machine without apt.
_ROM_DIRECTORIES = "/usr/share/qemu", "/usr/lib/ipxe/qemu", "/usr/share/ipxe/qemu"
_ROM = "efi-e1000.rom"


class Starter(NamedTuple):
    """A spec to begin with: its file among the examples, and what it makes."""

    example: str
    purpose: str


STARTERS = {
    "qemu": Starter("qemu", "the set of QEMU's own pc-bios directory"),
    "debian": Starter("debian", "the set of Debian's package ipxe-qemu"),
    "every-arch": Starter("every-arch", "one ROM of six architectures for each NIC"),
    "opt2": Starter("opt2", "a directory of ROMs for each architecture"),
    "roms": Starter("debian-roms", "a set of existing ROMs, without an iPXE tree"),
}


def add_init_command(commands: common.Commands) -> None:
    """Adds `init` and `schema`."""
    init = common.add_command(
        commands, "init", _run_init, "writes a spec and a dodo.py to begin with"
    )
    init.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        default=Path(),
        help="where to write them; default: the current directory",
    )
    purposes = "; ".join(f"{name}: {starter.purpose}" for name, starter in STARTERS.items())
    init.add_argument(
        "--from",
        dest="starter",
        choices=tuple(STARTERS),
        default="qemu",
        help=f"what the spec makes; default: qemu. {purposes}",
    )
    schema = common.add_command(
        commands, "schema", _run_schema, "prints the JSON Schema of the spec, or of a --json"
    )
    schema.add_argument(
        "of",
        metavar=common.COMMAND,
        nargs="?",
        help="the command whose --json to describe; default: the spec",
    )


def _run_init(args: Namespace) -> int:
    directory: Path = args.directory
    path = directory / environment.SPEC_NAME
    if path.exists():
        raise UsageError(f"{path}: is there already; name another directory: romforge init DIR")
    starter = STARTERS[args.starter]
    text = shipped_files.find_file(f"examples/{starter.example}.toml").read_text(encoding="utf-8")
    tree = _find_tree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    output_files.replace_file(path, _adapt(text, tree).encode())
    written = [str(path)]
    dodo = directory / DODO
    if not dodo.exists():
        output_files.replace_file(dodo, _DODO_TEXT.encode())
        written.append(str(dodo))
    spec = loader.load_spec(path)
    roms = list(planner.make_plan(spec).roms())
    print(f"wrote {' and '.join(written)}: {starter.purpose}, {plural(len(roms), 'ROM')}")
    for line in _next_steps(directory, tree, any(one.is_tree for one in spec.source.values())):
        print(line)
    return 0


def _find_tree(directory: Path) -> str | None:
    """An iPXE tree in or beside a directory, as the spec names it."""
    for place in _TREES:
        if source_tree.find_tree([os.path.abspath(directory / place)]):
            return place
    return None


def _adapt(example: str, tree: str | None) -> str:
    """An example as a spec of its own: with the tree that is there, or else the pinned one alone.

    The line for editors is left out, since the schema lies in the checkout.
    """
    text = re.sub(r"^#:schema .*\n", "", example, count=1, flags=re.M)
    if tree is None:
        text = re.sub(r"^tree = .*\n", "", text, flags=re.M)
    else:
        text = re.sub(r"^(?:git|rev) = .*\n", "", text, flags=re.M)
        text = re.sub(r"^tree = .*$", f'tree = "{tree}"', text, flags=re.M)
    text = re.sub(r'^fallback = "[^"]*"', 'fallback = "romforge:minipxe"', text, flags=re.M)
    directory = _existing_roms()
    if directory and not shutil.which("apt-get"):
        text = re.sub(r'^package = ".*"$', f'roms = "{directory}"', text, flags=re.M)
    return text


def _existing_roms() -> str | None:
    """The directory of the distribution's ROMs."""
    for directory in _ROM_DIRECTORIES:
        if Path(directory, _ROM).is_file():
            return directory
    return None


def _next_steps(directory: Path, tree: str | None, needs_tree: bool) -> list[str]:
    """What to say after the files are written: which tree is built, and the commands to go on."""
    lines = []
    get = ""
    change = f"cd {shlex.quote(str(directory))} && " if directory != Path() else ""
    if needs_tree and tree:
        lines.append(f"it builds the iPXE tree in {directory / tree}")
    elif needs_tree:
        lines.append(
            f"it pins a commit of iPXE; until `{source_tree.GET}`, a miniature is built that boots"
            " nothing"
        )
        get = f"{source_tree.GET} && "
    lines.append(f"next: {change}{get}romforge build && romforge verify")
    return lines


def _run_schema(args: Namespace) -> int:
    from romforge.cli import command_line, json_schemas
    from romforge.spec import json_schema

    if args.of is None:
        print(json_schemas.schema_text(json_schema.make_schema()), end="")
        return 0
    schemas = json_schemas.make_schemas(command_line.make_parser())
    if args.of not in schemas:
        near = did_you_mean(args.of, schemas)
        raise UsageError(
            f'"{args.of}" is no command with --json{near}; there are {join_words(list(schemas))}'
        )
    print(json_schemas.schema_text(schemas[args.of]), end="")
    return 0
