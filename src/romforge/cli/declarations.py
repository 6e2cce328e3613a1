# SPDX-License-Identifier: GPL-2.0-or-later
"""What the manual pages and the references show: the commands, and the tables and keys of a spec.

Both come from the same declarations, which are the parser and the dataclasses of the spec. The
texts that the parser does not have are here.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple

from romforge.base.errors import EXIT_STATUSES
from romforge.base.text import join_words
from romforge.spec import json_schema, value_types
from romforge.spec.fields import ValueType
from romforge.spec.model import ORIGINS, SECTIONS, Header, Source, Spec, Toolchain, Verify

SELECTIONS = {
    "all": "the ROMs of all targets",
    "target:NAME": "the ROMs of a target",
    "nic:NAME": "the ROMs of a network card, in the default targets",
    "rom:PATH": "one ROM, by its path below the output root",
    "NAME": "short for nic:NAME, target:NAME or rom:PATH, if it can be only one of them",
    "PATH": "a ROM, by a path that leads into the output root, or by the end of its path",
    "make:SOURCE/PLATFORM": "all images of a platform of a source tree (`build`, `plan`, `why`"
    " and `stripped`)",
    "image:NAME": "a file of iPXE that is no ROM (`build` and `plan`)",
    "source:NAME": "the ROM files of a package (`build` and `plan`)",
    "verify:PATH:PROOF": "one proof of a ROM (`verify`)",
}
ENVIRONMENT = {
    "ROMSPEC": "the spec, if there is no --spec",
    "ROMFORGE_OUT": "the output root, if there is no --out",
    "IPXE_SRC": "the iPXE tree to build, instead of the first one in the spec",
    "SOURCE_DATE_EPOCH": "the time to write into images, in seconds since 1970",
    "DEB_BUILD_OPTIONS": "parallel=N sets the number of jobs, if there is no --jobs",
    "MAKEFLAGS": "the jobserver of a make that runs romforge, which then limits the jobs",
    "NO_COLOR": "disables colours, if it is set",
}
FILES = {
    "romspec.toml": "the spec",
    "romspec.lock": "the lock file, beside the spec; `romforge lock` writes it",
    "out/TARGET.manifest.json": "the size, images and origins of each ROM of a target",
    "out/images.json": "the size and digest of each file of iPXE that is no ROM",
    "out/.romforge": "state that is kept between runs; you may remove it",
}
SPEC_EXAMPLE = """\
spec = 1

[source.ipxe]
tree = "vendor/ipxe"

[platform.pcbios]
[platform.x86_64-efi]

[nic.e1000]
id = "8086:100e"
[nic.virtio]
id = "1af4:1000"

[bucket.efi]
size = "256KiB"

[target.qemu]
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "efi"
"""
_TYPES = {"string": "text", "integer": "number", "boolean": "true or false"}


class Argument(NamedTuple):
    """An option or a positional argument of a command."""

    names: tuple[str, ...]  # of an option, with its dashes; none for a positional argument
    metavar: str | None  # None where it takes no value, or one of ``choices``
    choices: tuple[str, ...]
    repeated: bool
    required: bool
    help: str

    @property
    def is_option(self) -> bool:
        return bool(self.names)

    @property
    def is_help(self) -> bool:
        return "--help" in self.names


class Command(NamedTuple):
    """A command. ``usage`` has options first, and those that exclude each other together."""

    name: str
    description: str
    arguments: list[Argument]
    usage: list[list[Argument]]

    def synopsis(self, show: Callable[[Argument], str]) -> list[str]:
        """The arguments as they are written, in brackets where they may be left out.

        ``show`` makes a text of one, so a page may set it as it likes:
        ``["-o OUT", "[--level fast|best | --stored]", "IMAGE..."]``
        """
        texts = []
        for alternatives in self.usage:
            text = " | ".join(map(show, alternatives))
            texts.append(text if alternatives[0].required else f"[{text}]")
        return texts


class SpecKey(NamedTuple):
    """A key of a table of the spec."""

    name: str  # with the keys above it in the table, such as "strip.drop"
    value: str  # what it takes, in a few words
    required: bool
    default: str | None  # as the spec would write it
    meaning: list[str]  # sentences


class SpecTable(NamedTuple):
    """A table of the spec, by what stands in its brackets."""

    name: str
    paragraphs: list[str]
    keys: list[SpecKey]


def list_commands(parser: argparse.ArgumentParser) -> list[Command]:
    """The commands of the command line's parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [_describe_command(name, command) for name, command in action.choices.items()]
    return []


def list_options(parser: argparse.ArgumentParser) -> list[Argument]:
    """The options of a parser."""
    arguments = map(_describe_argument, parser._actions)
    return [argument for argument in arguments if argument.is_option]


def _describe_command(name: str, parser: argparse.ArgumentParser) -> Command:
    arguments = list(map(_describe_argument, parser._actions))
    return Command(name, parser.description or "", arguments, list(_usage(parser)))


def _usage(parser: argparse.ArgumentParser) -> Iterator[list[Argument]]:
    shown: list[argparse.Action] = []
    for action in sorted(parser._actions, key=_is_positional):
        if action in shown or action.dest == "help":
            continue
        alternatives = _alternatives(parser, action)
        shown += alternatives
        yield list(map(_describe_argument, alternatives))


def _is_positional(action: argparse.Action) -> bool:
    return not action.option_strings


def _alternatives(
    parser: argparse.ArgumentParser, action: argparse.Action
) -> list[argparse.Action]:
    """The arguments of which one at most may be given, or this one alone."""
    for group in parser._mutually_exclusive_groups:
        if action in group._group_actions:
            return group._group_actions
    return [action]


def _describe_argument(action: argparse.Action) -> Argument:
    metavar: str | None = str(action.metavar or action.dest.upper())
    choices: tuple[str, ...] = ()
    if action.choices and not action.metavar:
        choices = tuple(map(str, action.choices))
    if action.nargs == 0 or choices:
        metavar = None
    elif action.option_strings and action.nargs == "?":
        metavar = f"[{metavar}]"
    return Argument(
        names=tuple(action.option_strings),
        metavar=metavar,
        choices=choices,
        repeated=action.nargs in ("*", "+"),
        required=action.required and action.nargs != "*",
        help=action.help or "",
    )


def exit_statuses() -> dict[str, str]:
    return {str(status): meaning for status, meaning in EXIT_STATUSES.items()}


def list_tables() -> list[SpecTable]:
    """The tables of a spec, in the order of the spec."""
    classes: dict[str, type] = {}
    for section, table in SECTIONS.items():
        classes[f"{section}.ARCH" if section == "qemu" else f"{section}.NAME"] = table
    classes |= {"config.NAME.HEADER": Header, "verify": Verify, "toolchain": Toolchain}
    sections = [field.name for field in fields(Spec)]

    def position(name: str) -> int:
        section, _, _ = name.partition(".")
        return sections.index(section)

    return [_describe_table(name, classes[name]) for name in sorted(classes, key=position)]


def _describe_table(name: str, table: type) -> SpecTable:
    paragraphs = [inspect.getdoc(table) or ""]
    if table is Source:
        paragraphs.append(_describe_origins())
    return SpecTable(name, paragraphs, list(_describe_keys(table)))


def _describe_origins() -> str:
    """Where the images of a source may come from, and which keys do not go with each."""
    origins = []
    for name, excluded in ORIGINS.items():
        origins.append(f"{name}, without {join_words(excluded)}")
    return f"A source has exactly one of {'; '.join(origins)}."


def _describe_keys(table: type, above: str = "") -> Iterator[SpecKey]:
    """The keys of a table, each followed by those of a table in it."""
    for field in fields(table):
        value_type: ValueType = field.metadata["kind"]
        value = _describe_type(value_type.schema)
        meaning = [as_sentence(field.metadata["doc"])]
        if _hint_adds_to(value, value_type):
            meaning.append(as_sentence(value_type.hint))
        yield SpecKey(
            name=above + field.name,
            value=value,
            required=field.default is MISSING,
            default=_written_default(field, value_type),
            meaning=meaning,
        )
        if value_type.table:
            yield from _describe_keys(value_type.table, f"{above}{field.name}.")


def _hint_adds_to(value: str, value_type: ValueType) -> bool:
    """Whether the hint of a type says more than what the key takes."""
    if not value_type.hint or value_type in (value_types.TEXT, value_types.FLAG):
        return False
    return '"' not in value


def _describe_type(schema: Mapping[str, Any]) -> str:
    """What a JSON Schema takes, such as ``text or number`` or ``list of texts``."""
    if "anyOf" in schema:
        types = [_describe_type(choice) for choice in schema["anyOf"]]
        return " or ".join(dict.fromkeys(types))
    if "const" in schema:
        return _describe_values([schema["const"]])
    if "enum" in schema:
        return _describe_values(schema["enum"])
    if schema.get("type") == "array":
        items = _describe_type(schema["items"])
        return f"list of {items}s" if items.isalpha() else f"list of {items}"
    return _TYPES.get(schema.get("type", ""), "table")


def _describe_values(values: list[object]) -> str:
    if isinstance(values[0], int):
        return "number"
    return join_words(map(json.dumps, values)).replace(" and ", " or ")


def _written_default(field: Field[Any], value_type: ValueType) -> str | None:
    """A default as the spec would write it; None for a table, and where there is none to write."""
    if field.default is MISSING or value_type.table:
        return None
    default = json_schema.written(field.default, dict(value_type.schema))
    return None if default is None else json.dumps(default)


def as_sentence(phrase: str) -> str:
    """A phrase as a sentence. A capital does not replace what is typed as it is.

    ``the spec`` becomes ``The spec.``, and ``parallel=N: jobs`` becomes ``parallel=N: jobs.``
    """
    first = phrase[0]
    if not re.match(r"[\w.]*[A-Z:=]", phrase):
        first = first.upper()
    return first + phrase[1:].rstrip(".") + "."
