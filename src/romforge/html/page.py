# SPDX-License-Identifier: GPL-2.0-or-later
"""Renders a report as a single page of HTML, by the templates beside this module.

The page loads nothing from anywhere, and says so to the browser. It is complete without its script,
which only sorts and filters. What it shows is computed in ``page_view``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.analysis.summary import BuildSummary
from romforge.base.errors import RomforgeError
from romforge.html import byte_map, proof_strip
from romforge.html.page_view import make_page_view
from romforge.rom.lock_format import Entry

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = "page.html.jinja"


def render_page(report: BuildSummary, locked: Mapping[str, Entry]) -> str:
    """Returns the whole page; ``locked`` are the entries of the lock by path, none without one.

    Raises RomforgeError if Jinja is not installed.
    """
    directory = Path(__file__).resolve().parent
    script = (directory / "page.js").read_text()
    template = _environment(directory).get_template(_TEMPLATE)
    return template.render(
        page=make_page_view(report, locked),
        style=(directory / "page.css").read_text(),
        script=script,
        script_digest=_digest(f"\n{script}"),
        map_height=byte_map.HEIGHT,
        strip_height=proof_strip.HEIGHT,
    )


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
