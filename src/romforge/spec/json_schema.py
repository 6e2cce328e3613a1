# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schema of romspec.toml, for editors.

It is made from the declarations by which the loader reads a spec. romspec.schema.json is the output
of ``python -m romforge.spec.json_schema``. A schema cannot express everything: only `romforge
check` finds names that are not declared, and paths that clash.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from romforge.spec.fields import ValueType
from romforge.spec.loader import NAME
from romforge.spec.model import (
    HEADERS,
    ORIGINS,
    PINS,
    SECTIONS,
    Header,
    Source,
    Spec,
    Toolchain,
    Verify,
)

Schema = dict[str, Any]


def make_schema() -> Schema:
    """The schema of a whole spec, its sections in the order of ``Spec``."""
    sections = {}
    for name, cls in SECTIONS.items():
        sections[name] = _tables_by_name(_table(cls), inspect.getdoc(cls))
    headers = _tables_by_name(_table(Header), "The headers of a configuration.")
    headers["patternProperties"] = {f"^(?!{HEADERS}$){NAME}$": _table(Header)}
    headers["properties"] = {
        HEADERS: {
            "description": "a directory of headers HEADER.h",
            "type": "string",
            "minLength": 1,
        }
    }
    sections["config"] = _tables_by_name(headers, inspect.getdoc(Header))
    sections["verify"] = {"description": inspect.getdoc(Verify)} | _table(Verify)
    sections["toolchain"] = {"description": inspect.getdoc(Toolchain)} | _table(Toolchain)
    properties: dict[str, Schema] = {
        "spec": {"type": "integer", "const": 1, "description": "the version of this format"}
    }
    for section in fields(Spec):
        if section.name in sections:
            properties[section.name] = sections[section.name]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:romforge:schema:romspec",
        "title": "romspec.toml",
        "description": "The ROM files that romforge builds.",
    }
    return head | _object(properties, ["spec"])


def _object(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


def _tables_by_name(schema: Schema, doc: str | None) -> Schema:
    """A table whose keys are names that the user chooses."""
    return {
        "type": "object",
        "description": doc or "",
        "patternProperties": {f"^{NAME}$": schema},
        "additionalProperties": False,
    }


def _table(cls: type) -> Schema:
    properties = {}
    required = []
    for field in fields(cls):
        properties[field.name] = _key(field)
        if field.default is MISSING:
            required.append(field.name)
    schema = _object(properties, required)
    if cls is Source:
        schema["oneOf"] = [_origin(name) for name in ORIGINS]
    return schema


def _origin(name: str) -> Schema:
    """Requires an origin of a source, and forbids the keys that this origin excludes."""
    required = [name, PINS[name]] if name in PINS else [name]
    return {"required": required, "properties": dict.fromkeys(ORIGINS[name], False)}


def _key(field: Field[Any]) -> Schema:
    value_type: ValueType = field.metadata["kind"]
    schema = dict(value_type.schema)
    if value_type.table:
        table = _table(value_type.table)
        schema = {"anyOf": [schema, table]} if schema else table
    described = {"description": field.metadata["doc"]} | schema
    default = written(field.default, schema)
    if default is not None:
        described["default"] = default
    return described


def written(default: object, schema: Schema) -> object:
    """A default as it would be written in a spec; None if the key must be left out instead.

    >>> written((), {"type": "array"}), written(None, {"anyOf": [{"const": "*"}]})
    ([], '*')
    """
    if default is MISSING:
        return None
    if default is None:  # for some keys that means "*"
        constants = [choice["const"] for choice in schema.get("anyOf", ()) if "const" in choice]
        return constants[0] if constants else None
    if default == () and schema.get("type") == "object":
        return {}
    if isinstance(default, tuple):
        return list(default)
    return default


if __name__ == "__main__":
    print(json.dumps(make_schema(), indent=2, ensure_ascii=False))
