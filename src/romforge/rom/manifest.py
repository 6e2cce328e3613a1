# SPDX-License-Identifier: GPL-2.0-or-later
"""What the manifest of a target says of an earlier build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from romforge.spec.model import manifest_name


def holds_manifest(out: Path, target: str, data: bytes) -> bool:
    """Whether the manifest of a target is this one already."""
    try:
        return (out / manifest_name(target)).read_bytes() == data
    except OSError:
        return False


def read_manifest(out: Path, target: str) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """The spec that a manifest was made for, and its entries by the path of the ROM; nothing where none can be read."""
    try:
        found = json.loads((out / manifest_name(target)).read_bytes())
        return found.get("spec"), {str(entry["file"]): dict(entry) for entry in found["roms"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, {}


def read_sources(out: Path, target: str) -> dict[str, dict[str, str]]:
    """What the manifest of a target says of each source; nothing where none can be read."""
    try:
        return dict(json.loads((out / manifest_name(target)).read_bytes())["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
