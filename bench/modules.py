# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of all modules in docs/developers/modules.md, made of their docstrings.

    python bench/modules.py

A test compares the page with what this makes.
"""

from __future__ import annotations

import ast
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PACKAGE = TOP / "src" / "romforge"
PAGE = TOP / "docs" / "developers" / "modules.md"
ROOMS = ["base", "formats", "spec", "plan", "sources", "rom", "verify", "analysis"]
ROOMS += ["engine", "html", "cli"]
HEAD = """\
<!-- Made by `python bench/modules.py`: a change made here is lost. -->
# Modules

Each module by its room, with the first sentence of its docstring. A room imports only from itself
and from rooms above it; see [Architecture](architecture.md#rooms).
"""


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for room in ROOMS:
        parts.append(f"\n## {room}\n\n| module | what it is |\n|---|---|\n")
        for path in sorted((PACKAGE / room).rglob("*.py")):
            if path.stem != "__init__":
                name = path.relative_to(PACKAGE / room).with_suffix("")
                parts.append(f"| `{name}` | {first_sentence(path)} |\n")
    return "".join(parts)


def first_sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, up to its first full stop."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    sentence, _, _ = paragraph.partition(". ")
    return sentence.replace("``", "`").rstrip(".").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE)
