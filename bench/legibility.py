# SPDX-License-Identifier: GPL-2.0-or-later
"""How legible the code is, in figures, beside those of two public projects of the same field.

    python bench/legibility.py [--json] [--docs]

Counts are for each 1,000 lines that are not blank, of all modules of the package. ``--docs`` writes
the table into docs/developers/legibility.md, between its two marks.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PACKAGE = TOP / "src" / "romforge"
PAGE = TOP / "docs" / "developers" / "legibility.md"
BEGIN, END = "<!-- bench/legibility.py -->\n", "<!-- end -->\n"
LONGEST = 99  # columns
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Figures:
    """Counts for each 1,000 lines that are not blank, unless a name says otherwise."""

    long_lines_percent: float
    conditional_expressions: float
    comprehensions: float
    nested_comprehensions: float
    documented_functions_percent: float | None = None
    colliding_names: int | None = None  # public names that several modules define


# As a review counted them in 2026-11, with the same rules.
OTHERS = {
    "mkosi": Figures(3.4, 14.4, 12.5, 0.6),
    "osbuild": Figures(1.7, 3.6, 8.6, 0.4),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--docs", action="store_true", help="write the table into the page")
    args = parser.parse_args()
    figures = measure(PACKAGE)
    if args.json:
        print(json.dumps(asdict(figures), indent=1))
        return 0
    lines = table(figures)
    if args.docs:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after)
    print("\n".join(lines))
    return 0


def measure(package: Path) -> Figures:
    """The figures of all modules below a directory."""
    counts: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for path in sorted(package.rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        for line in text.splitlines():
            counts["lines"] += bool(line.strip())
            counts["long"] += len(line) > LONGEST
        for node in ast.walk(tree):
            counts["conditional"] += isinstance(node, ast.IfExp)
            if isinstance(node, COMPREHENSIONS):
                counts["comprehension"] += 1
                counts["nested"] += holds_another(node)
            if isinstance(node, FUNCTIONS):
                counts["function"] += 1
                counts["documented"] += ast.get_docstring(node) is not None
        names.update(set(public_names(tree)))
    thousands = counts["lines"] / 1000
    return Figures(
        long_lines_percent=100 * counts["long"] / counts["lines"],
        conditional_expressions=counts["conditional"] / thousands,
        comprehensions=counts["comprehension"] / thousands,
        nested_comprehensions=counts["nested"] / thousands,
        documented_functions_percent=100 * counts["documented"] / counts["function"],
        colliding_names=sum(count > 1 for count in names.values()),
    )


def holds_another(comprehension: ast.AST) -> bool:
    """Whether a comprehension has another one inside."""
    inner = (node for node in ast.walk(comprehension) if node is not comprehension)
    return any(isinstance(node, COMPREHENSIONS) for node in inner)


def public_names(tree: ast.Module) -> Iterator[str]:
    """The functions, classes and constants that a module defines for others."""
    for node in tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        yield from (name for name in names if not name.startswith("_"))


def table(ours: Figures) -> list[str]:
    """The figures of all projects as a table in Markdown."""
    projects = {"romforge": ours, **OTHERS}
    rows = {
        "lines of more than 99 columns": "long_lines_percent",
        "conditional expressions": "conditional_expressions",
        "comprehensions": "comprehensions",
        "comprehensions within others": "nested_comprehensions",
        "functions with a docstring": "documented_functions_percent",
        "public names that several modules define": "colliding_names",
    }
    lines = [f"| | {' | '.join(projects)} |", f"|---|{'---:|' * len(projects)}"]
    for title, attribute in rows.items():
        cells = [cell(getattr(figures, attribute), attribute) for figures in projects.values()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def cell(value: float | None, attribute: str) -> str:
    if value is None:
        return "–"
    if attribute.endswith("_percent"):
        return f"{value:.1f} %"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
