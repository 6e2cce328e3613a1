# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of sizes at the end of a build: how full buckets are, what changed since the lock.

Sizes are bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from romforge.base.errors import RomforgeError
from romforge.base.table import (
    BOLD,
    DIM,
    RED,
    YELLOW,
    Column,
    paint,
    render_bar,
    render_table,
    terminal_width,
)
from romforge.base.text import format_size, join_words
from romforge.plan.steps import Plan
from romforge.rom.manifest import RomEntry

_ROWS = 60  # of the table; the manifests have all ROMs
_FULL = 0.95  # of a bucket, from which a ROM is marked


def size_table_lines(
    entries: Mapping[str, str], failed: Collection[str], changes: Mapping[str, str], colour: bool
) -> list[str]:
    """The table: ROMs that failed first, then those nearest to their limit.

    ``entries`` are those of the manifests, as JSON, by the path of the ROM. ``failed`` are paths,
    ``changes`` what ``since_lock`` says.
    """
    hidden = max(len(entries) - _ROWS, 0)
    shown = list(entries)
    if hidden:  # to decode thousands would take long
        shown = sorted(entries, key=lambda path: path not in failed)[:_ROWS]
    roms: list[RomEntry] = sorted((json.loads(entries[path]) for path in shown), key=_nearness)
    lines = _table(roms, changes, colour) if roms else []
    if hidden:
        lines.append(f"… and {hidden:,} more, in the manifests")
    return lines


def _table(roms: list[RomEntry], changes: Mapping[str, str], colour: bool) -> list[str]:
    columns = [Column("file", is_path=True), Column("images")]
    has_limit = any("limit" in entry for entry in roms)
    titles = ["used", "bucket", "limit", "free"] if has_limit else ["used", "bucket", "free"]
    if changes:
        titles.append("since lock")
    columns += [Column(title, right=True) for title in titles]
    columns.append(Column("", is_optional=not any("error" in entry for entry in roms)))
    rows = [_row(entry, changes, has_limit) for entry in roms]
    title, rule, *lines = render_table(columns, rows, terminal_width())
    painted = [paint(title, BOLD, colour), paint(rule, DIM, colour)]
    for entry, line in zip(roms, lines):
        tint = _colour_of(entry)
        painted.append(paint(line, tint, colour) if tint else line)
    return painted


def _colour_of(entry: RomEntry) -> str | None:
    if "error" in entry:
        return RED
    capacity = _capacity(entry)
    if "dropped" in entry or (capacity and entry["used"] > _FULL * capacity):
        return YELLOW
    return None


def since_lock(plan: Plan, entries: Mapping[str, str]) -> dict[str, str]:
    """For each ROM what changed since the lock, in a word or two, by its path.

    It is empty where there is no lock, or none that can be read.
    """
    place = Path(plan.spec).with_suffix(".lock")
    if not place.is_file():
        return {}
    from romforge.rom import lock_format

    try:
        locked = lock_format.read_lock(place).roms
    except RomforgeError:
        return {}  # `lock --check` says why
    changes = {}
    for path, text in entries.items():
        entry: RomEntry = json.loads(text)
        if "error" not in entry:
            changes[path] = _change(locked[path], entry) if path in locked else "new"
    return changes


def _change(locked: Any, entry: RomEntry) -> str:
    if locked.bucket != entry["bucket"]:
        return f"was {format_size(locked.bucket)}"
    difference = entry["used"] - locked.used
    return f"{difference:+,}" if difference else "0"


def _nearness(entry: RomEntry) -> tuple[bool, float]:
    """The order of rows: ROMs that failed, then those with the least room left."""
    capacity = _capacity(entry)
    return "error" not in entry, -entry["used"] / capacity if capacity else 0


def _capacity(entry: RomEntry) -> int | None:
    """The most bytes that the images of a ROM may have: a limit is never above its bucket."""
    return entry.get("limit") or entry["bucket"]


def _row(entry: RomEntry, changes: Mapping[str, str], has_limit: bool) -> list[str]:
    """The cells of a ROM. One that failed has cells left empty, and the last says so."""
    images = entry["images"]
    used, bucket, capacity = entry["used"], entry["bucket"], _capacity(entry)
    row = [
        entry["file"],
        _images_cell(entry),
        f"{used:,}" if images else "",
        format_size(bucket) if bucket else "",
    ]
    if has_limit:
        row.append(format_size(entry["limit"]) if "limit" in entry else "")
    row.append(f"{capacity - used:,}" if images and capacity else "")
    if changes:
        row.append(changes.get(entry["file"], ""))
    failed = "error" in entry or bucket is None
    row.append("FAILED" if failed else render_bar(used, capacity or 0))
    return row


def _images_cell(entry: RomEntry) -> str:
    """The images of a ROM with their sizes, and the names of those that did not fit."""
    images = " + ".join(f"{image['name']} {image['size']:,}" for image in entry["images"])
    if "dropped" in entry:
        names = join_words(image["name"] for image in entry["dropped"])
        images += f"; no {names}: does not fit"
    return images or "-"
