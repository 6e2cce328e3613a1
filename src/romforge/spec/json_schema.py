# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schema of romspec.toml, for editors, from the declarations that the loader reads by.

``python -m romforge.spec.json_schema`` prints it; romspec.schema.json is that. What no schema can tell (names that nothing bears,
paths that clash) is left to ``romforge check``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from romforge.spec.fields import ValueType
from romforge.spec.loader import NAME
from romforge.spec.model import ORIGINS, SECTIONS, Header, Source, Spec, Toolchain, Verify

Schema = dict[str, Any]


def make_schema() -> Schema:
    """The schema of a whole spec."""
    sections = {name: _named(_table(cls), inspect.getdoc(cls)) for name, cls in SECTIONS.items()}
    sections["config"] = _named(
        _named(_table(Header), "The headers of a configuration."), inspect.getdoc(Header)
    )
    sections["verify"] = {"description": inspect.getdoc(Verify)} | _table(Verify)
    sections["toolchain"] = {"description": inspect.getdoc(Toolchain)} | _table(Toolchain)
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "romspec.toml",
        "description": "The ROM files that romforge builds.",
    }
    version = {"type": "integer", "const": 1, "description": "the version of this format"}
    ordered = {one.name: sections[one.name] for one in fields(Spec) if one.name in sections}
    return about | _object({"spec": version} | ordered, ["spec"])


def _object(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


def _named(schema: Schema, doc: str | None) -> Schema:
    """A table of tables under names of one's own."""
    return {
        "type": "object",
        "description": doc or "",
        "patternProperties": {f"^{NAME}$": schema},
        "additionalProperties": False,
    }


def _table(cls: type) -> Schema:
    keys = fields(cls)
    schema = _object(
        {one.name: _key(one) for one in keys}, [one.name for one in keys if one.default is MISSING]
    )
    return schema | {"oneOf": [_origin(one) for one in ORIGINS]} if cls is Source else schema


def _origin(name: str) -> Schema:
    """That a source has this origin, and no key that goes without it."""
    return {"required": [name], "properties": dict.fromkeys(ORIGINS[name], False)}


def _key(one: Field[Any]) -> Schema:
    kind: ValueType = one.metadata["kind"]
    schema = dict(kind.schema)
    if kind.table:
        schema = {"anyOf": [schema, _table(kind.table)]} if schema else _table(kind.table)
    default = written(one.default, schema)
    return (
        {"description": one.metadata["doc"]}
        | schema
        | ({} if default is None else {"default": default})
    )


def written(default: object, schema: Schema) -> object:
    """A default as the spec would write it; None where nothing written means the same."""
    if default == ():
        return {} if schema.get("type") == "object" else []
    if default is None:  # which is all where a key takes "*"
        return next(
            (choice["const"] for choice in schema.get("anyOf", ()) if "const" in choice), None
        )
    if isinstance(default, tuple):
        return list(default)
    return None if default is MISSING else default


if __name__ == "__main__":
    print(json.dumps(make_schema(), indent=2, ensure_ascii=False))
