# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of sizes at the end of a build: how full each bucket is, and what changed since the lock. Sizes are bytes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from romforge.base.errors import RomforgeError
from romforge.base.table import BOLD, DIM, RED, YELLOW, Column, paint, render_bar, render_table
from romforge.base.text import format_size
from romforge.plan.steps import Plan

_ROWS = 60  # of the table; the manifests have them all
_FULL = 0.95  # of a bucket, from which a ROM is marked


def size_table_lines(
    entries: Mapping[str, str], bad: Collection[str], changes: Mapping[str, str], colour: bool
) -> list[str]:
    """The table, those that failed first and then those nearest to their limit; entries are the manifests', as JSON."""
    if len(entries) > _ROWS:  # to decode thousands takes its time
        shown = sorted(entries, key=lambda path: path not in bad)[:_ROWS]
        entries, more = {path: entries[path] for path in shown}, len(entries) - _ROWS
    else:
        more = 0
    rows = sorted((json.loads(entry) for entry in entries.values()), key=_nearness)
    titles = [
        Column("file"),
        Column("images"),
        *(Column(title, right=True) for title in ("used", "bucket", "free")),
    ]
    titles += [Column("since lock", right=True)] if changes else []
    found = (
        render_table([*titles, Column("")], [_row(entry, changes) for entry in rows])
        if rows
        else []
    )
    for index, entry in enumerate(rows, start=2):
        tint = (
            RED if "error" in entry else YELLOW if entry["used"] > _FULL * entry["bucket"] else ""
        )
        found[index] = paint(found[index], tint, colour and bool(tint))
    found[:2] = [paint(found[0], BOLD, colour), paint(found[1], DIM, colour)] if found else []
    return found + [f"… and {more:,} more, in the manifests"] * bool(more)


def since_lock(plan: Plan, entries: Mapping[str, str]) -> dict[str, str]:
    """For each ROM what changed since the lock, in a word or two; nothing where there is no lock, or none that can be read."""
    place = Path(plan.spec).with_suffix(".lock")
    if not place.is_file():
        return {}
    from romforge.rom import lock_format

    try:
        locked = lock_format.read_lock(place).roms
    except RomforgeError:
        return {}  # `lock --check` says why
    found = {}
    for path, text in entries.items():
        now = json.loads(text)
        if "error" not in now:
            found[path] = _change(locked[path], now) if path in locked else "new"
    return found


def _change(old: Any, now: Mapping[str, Any]) -> str:
    if old.bucket != now["bucket"]:
        return f"was {format_size(old.bucket)}"
    return f"{now['used'] - old.used:+,}" if now["used"] != old.used else "0"


def _nearness(entry: dict[str, Any]) -> tuple[bool, float]:
    """Those that failed first, then those with the least of their bucket free."""
    return "error" not in entry, -entry["used"] / entry["bucket"] if entry["bucket"] else 0


def _row(entry: dict[str, Any], changes: Mapping[str, str]) -> list[str]:
    images = " + ".join(f"{image['name']} {image['size']:,}" for image in entry["images"])
    used, bucket = entry["used"], entry["bucket"]
    change = [changes.get(entry["file"], "")] if changes else []
    if "error" in entry:
        over = f"{bucket - used:,}" if images and bucket else ""
        return [
            entry["file"],
            images or "-",
            f"{used:,}" if images else "",
            format_size(bucket) if bucket else "",
            over,
            *change,
            "FAILED",
        ]
    return [
        entry["file"],
        images,
        f"{used:,}",
        format_size(bucket),
        f"{bucket - used:,}",
        *change,
        render_bar(used, bucket),
    ]
