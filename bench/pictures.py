# SPDX-License-Identifier: GPL-2.0-or-later
"""The pictures of the documentation that are made of text: the rooms of the code, and terminals.

    python bench/pictures.py rooms
    python bench/pictures.py terminal NAME COMMAND...

``rooms`` draws src/romforge. ``terminal`` runs a command in the current directory as on a terminal,
and draws what it prints as docs/pictures/NAME.svg. The pictures load nothing, fonts neither.
"""

from __future__ import annotations

import ast
import io
import os
import pty
import sys
from collections import Counter
from html import escape
from pathlib import Path

from modules import PACKAGE, ROOMS, TOP, first_sentence

PICTURES = TOP / "docs" / "pictures"
_WIDTH, _HEIGHT, _GAP = 610, 44, 14  # of a room's box, and between two
_LEFT, _RIGHT = 40, 300  # the columns beside the boxes: of the numbers, and of the arcs
_COLUMNS = 116  # of a terminal
_STYLE = """\
text { font: 14px system-ui, sans-serif; fill: #1b1f24 }
.name { font-weight: 600 } .dim { fill: #565f6b; font-size: 12px }
rect { fill: #ffffff; stroke: #2f5fa8 } path { fill: none; stroke: #2f5fa8; opacity: .45 }
.page { stroke: none }
"""
_TERMINAL = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font: 600 18px system-ui, sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


def room_imports() -> Counter[tuple[str, str]]:
    """How many modules of a room import from another room, by the two rooms."""
    found: Counter[tuple[str, str]] = Counter()
    for room in ROOMS:
        for path in (PACKAGE / room).rglob("*.py"):
            others = {other for other in _rooms_imported(path) if other != room}
            found.update((room, other) for other in others)
    return found


def _rooms_imported(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("romforge."):
            rooms.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "romforge":
            rooms.update(alias.name for alias in node.names)
    return rooms & set(ROOMS)


def rooms_picture() -> str:
    """The rooms from top to bottom, each with an arc to every room that it imports from.

    An arc is as thick as the modules are many that do so.
    """
    height = len(ROOMS) * (_HEIGHT + _GAP) + _GAP
    width = _LEFT + _WIDTH + _RIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        ' aria-label="The rooms of romforge; each imports only from rooms above it">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for index, room in enumerate(ROOMS):
        top = _GAP + index * (_HEIGHT + _GAP)
        modules = [path for path in (PACKAGE / room).rglob("*.py") if path.stem != "__init__"]
        purpose = escape(first_sentence(PACKAGE / room / "__init__.py").replace("`", ""))
        lines += [
            f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>',
            f'<text class="name" x="{_LEFT + 14}" y="{top + 18}">{room}</text>',
            f'<text class="dim" x="{_LEFT + 14}" y="{top + 35}">{purpose}</text>',
            f'<text class="dim" x="{_LEFT - 30}" y="{top + 27}">{len(modules)}</text>',
        ]
    for (room, other), count in sorted(room_imports().items()):
        lines.append(_arc(ROOMS.index(room), ROOMS.index(other), count))
    lines.append("</svg>\n")
    return "\n".join(lines)


def _arc(begin: int, end: int, count: int) -> str:
    side = _LEFT + _WIDTH
    start, stop = (_GAP + index * (_HEIGHT + _GAP) + _HEIGHT / 2 for index in (begin, end))
    reach = side + 24 * abs(begin - end)
    thickness = min(1 + count / 6, 6)
    curve = f"M {side} {start:g} C {reach} {start:g} {reach} {stop:g} {side} {stop:g}"
    return f'<path d="{curve}" stroke-width="{thickness:.1f}"/>'


def terminal_picture(command: list[str], title: str) -> str:
    """What a command prints on a terminal, as a picture."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text(f"$ {title}", style="bold"))
    console.print(Text.from_ansi(_typed(command)))
    return console.export_svg(title=title, code_format=_TERMINAL, unique_id="terminal")


def _typed(command: list[str]) -> str:
    """What a command prints on a terminal of its own."""
    os.environ |= {"COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
    output = bytearray()

    def read(terminal: int) -> bytes:
        data = os.read(terminal, 1 << 16)
        output.extend(data)
        return data

    pty.spawn(command, read)
    return output.decode(errors="replace").replace("\r\n", "\n")


def main(words: list[str]) -> None:
    PICTURES.mkdir(exist_ok=True)
    if words == ["rooms"]:
        place, text = PICTURES / "rooms.svg", rooms_picture()
    elif len(words) > 2 and words[0] == "terminal":
        place, text = PICTURES / f"{words[1]}.svg", terminal_picture(words[2:], " ".join(words[2:]))
    else:
        sys.exit(__doc__)
    place.write_text(text)
    print(place)


if __name__ == "__main__":
    main(sys.argv[1:])
