# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents that `--json` prints, and their schemas."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from romforge.cli import json_schemas
from tests.support.project import TOP

SCHEMAS = TOP / json_schemas.DIRECTORY


def document(text: str, command: str) -> dict[str, Any]:
    """A document, which the schema of its command must allow, with the format as its first key."""
    found: dict[str, Any] = json.loads(text)
    schema = json.loads((SCHEMAS / f"{command}.schema.json").read_text())
    Draft202012Validator(schema).validate(found)
    assert next(iter(found.items())) == ("format", 1)
    return found
