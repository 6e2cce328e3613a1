# SPDX-License-Identifier: GPL-2.0-or-later
"""Renders a report as a single page of HTML, by the templates beside this module.

The page loads nothing from anywhere, and says so to the browser. It is complete without its script,
which only sorts and filters. What it shows is computed in ``page_view``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.analysis.summary import BuildSummary
from romforge.base.errors import RomforgeError
from romforge.html import byte_map, proof_strip
from romforge.html.page_view import make_page_view
from romforge.html.views import MapView
from romforge.rom.lock_format import Entry

if TYPE_CHECKING:
    from jinja2 import Environment

_LARGEST = 990_000  # bytes of a page with more than one picture; it shall have at most 1 MB


def render_page(report: BuildSummary, locked: Mapping[str, Entry]) -> str:
    """Returns the whole page; ``locked`` are the entries of the lock by path, none without one.

    Raises RomforgeError if Jinja is not installed.
    """
    directory = Path(__file__).resolve().parent
    script = (directory / "page.js").read_text()
    environment = _environment(directory)
    page = make_page_view(report, locked)
    values = {
        "page": page,
        "style": (directory / "page.css").read_text(),
        "script": script,
        "script_digest": _digest(f"\n{script}"),
        "strip_height": proof_strip.HEIGHT,
    }
    template = environment.get_template("page.html.jinja")
    without_maps = template.render(values, maps=(), left_out=[one.nics for one in page.bytes.maps])
    maps = _maps_that_fit(environment, page.bytes.maps, _LARGEST - len(without_maps.encode()))
    left_out = [one.nics for one in page.bytes.maps[len(maps) :]]
    return template.render(values, maps=maps, left_out=left_out)


def _maps_that_fit(environment: Environment, maps: Sequence[MapView], room: int) -> list[str]:
    """The first pictures that have ``room`` bytes together, and at least one, as HTML."""
    template = environment.get_template("map.html.jinja")
    rendered: list[str] = []
    for one in maps:
        is_first = not rendered
        text = template.render(map=one, is_first=is_first, map_height=byte_map.HEIGHT)
        room -= len(text.encode())
        if room < 0 and rendered:
            break
        rendered.append(text)
    return rendered


def _environment(directory: Path) -> Environment:
    """Jinja, which escapes all text that a template shows."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise RomforgeError(
            "the Python module jinja2: not found; install the Debian package python3-jinja2"
        ) from None
    return Environment(
        loader=FileSystemLoader(directory),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
        keep_trailing_newline=True,
    )


def _printable(value: object) -> object:
    """A text with a space for each character that is not printable, but for ends of lines."""
    if type(value) is not str or value.isprintable():
        return value
    return "".join(one if one.isprintable() or one == "\n" else " " for one in value)


def _digest(script: str) -> str:
    """What the page's policy names its script by, so that a browser runs no other."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
