# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schemas of what commands print with `--json`, made from the declarations of the data.

``python -m romforge.cli.json_schemas`` writes docs/schemas/COMMAND.schema.json for each command.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import types
import typing
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from romforge.cli import common

Schema = dict[str, Any]
DIRECTORY = Path("docs/schemas")  # in a checkout
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_LISTS = (list, tuple, Sequence)  # a tuple is one of any length
_OBJECTS = (dict, Mapping)


def make_schemas(parser: ArgumentParser) -> dict[str, Schema]:
    """The schema of each command of a parser that has `--json`, by its name."""
    schemas = {}
    for name, command in common.subparsers(parser).items():
        if common.has_json(command):
            schemas[name] = _command_schema(name, command.get_default("documents"))
    return schemas


def _command_schema(name: str, documents: Sequence[str]) -> Schema:
    """The schema of a command's documents, and of the error that it may print instead."""
    choices = []
    for place in (*documents, "base.json_document:ErrorDocument"):
        module, _, attribute = place.partition(":")
        declared = getattr(importlib.import_module(f"romforge.{module}"), attribute)
        choices.append(schema_of(declared))
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:romforge:schema:{name}",
        "title": f"romforge {name} --json",
    }
    return {**head, "anyOf": choices}


def schema_of(declared: Any) -> Schema:
    """The schema of a type: a simple one, a list, a choice, or a class with annotated fields.

    >>> schema_of(list[int] | None)
    {'anyOf': [{'type': 'array', 'items': {'type': 'integer'}}, {'type': 'null'}]}
    """
    arguments = typing.get_args(declared)
    if declared in _SIMPLE:
        return {"type": _SIMPLE[declared]}
    if arguments:
        return _schema_of_generic(typing.get_origin(declared), arguments)
    if issubclass(declared, str):
        return {"type": "string"}
    return _object(declared)


def _schema_of_generic(origin: Any, arguments: tuple[Any, ...]) -> Schema:
    """The schema of a type with arguments: a choice, a list, or an object with any keys."""
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(choice) for choice in arguments]}
    if origin in _OBJECTS:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if origin not in _LISTS:
        raise TypeError(f"there is no schema for {origin}")
    return {"type": "array", "items": schema_of(arguments[0])}


def _object(declared: Any) -> Schema:
    """The schema of a TypedDict, a named tuple or a dataclass; all but TypedDicts are complete."""
    hints = typing.get_type_hints(declared)
    if typing.is_typeddict(declared):
        required = [name for name in hints if name in declared.__required_keys__]
    elif hasattr(declared, "_fields"):
        required = list(declared._fields)
    else:
        required = [field.name for field in dataclasses.fields(declared)]
        hints = {name: hints[name] for name in required}
    return {
        "type": "object",
        "description": " ".join(inspect.cleandoc(declared.__doc__ or "").split()),
        "properties": {name: schema_of(hint) for name, hint in hints.items()},
        "required": required,
        "additionalProperties": False,
    }


def schema_text(schema: Schema) -> str:
    """The content of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from romforge.cli.command_line import make_parser

    DIRECTORY.mkdir(exist_ok=True)
    for command, schema in make_schemas(make_parser()).items():
        (DIRECTORY / f"{command}.schema.json").write_text(schema_text(schema))
