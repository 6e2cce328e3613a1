# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdict on a set as a small picture, for a README: SVG without a font of its own."""

from __future__ import annotations

import html

from romforge.analysis.summary import BuildSummary

_LABEL = "romforge"
_GREEN, _RED, _GREY = "#2a7d3f", "#b3261e", "#4a4a4a"  # each has a contrast of 4.5 to white
_HEIGHT = 20  # pixels
_CHARACTER = 7  # pixels of width, about
_MARGIN = 6  # pixels beside a text


def render_badge(built: BuildSummary) -> str:
    """The numbers of ROMs and files in green, or the worst that is wrong in red."""
    problems = built.problems()
    text = problems[0] if problems else f"{built.parts()} built"
    if not problems and built.proofs:
        proven = sum(proof.state == "proven" for proof in built.proofs)
        text += f", {proven:,} proven"
    colour = _RED if problems else _GREEN
    left, right = _width(_LABEL), _width(text)
    title = html.escape(f"{_LABEL}: {text}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}"'
        f' role="img" aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left}" height="{_HEIGHT}" fill="{_GREY}"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{_text(_LABEL, 0, left)}{_text(text, left, right)}</g></svg>\n"
    )


def _width(text: str) -> int:
    return len(text) * _CHARACTER + 2 * _MARGIN


def _text(text: str, x: int, width: int) -> str:
    length = width - 2 * _MARGIN
    return f'<text x="{x + _MARGIN}" y="14" textLength="{length}">{html.escape(text)}</text>'
