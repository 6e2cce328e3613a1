# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of docs/every-architecture.md: the bytes of each NIC's images, from a build.

    ROMSPEC=examples/every-arch.toml ROMFORGE_OUT=OUT IPXE_SRC=DIR doit
    python bench/every_arch.py OUT NAME

NAME is that of a table in the page, which is replaced: ``v2.0.0`` stands between
``<!-- table v2.0.0 -->`` and ``<!-- end -->``. A test checks that the figures of each table agree.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "every-architecture.md"
BLOCK = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def main(out: Path, name: str) -> None:
    """Replaces a table of the page by that of the manifests in an output root."""
    text = PAGE.read_text()
    if f"<!-- table {name} -->" not in text:
        names = ", ".join(match[2] for match in BLOCK.finditer(text))
        sys.exit(f"{PAGE.name} has no table {name}; it has {names}")
    made = table(read_roms(out))
    PAGE.write_text(
        BLOCK.sub(lambda match: match[1] + made + match[3] if match[2] == name else match[0], text)
    )


def read_roms(out: Path) -> list[dict[str, Any]]:
    """The ROMs of the largest bucket in an output root, by its manifests; all must be built."""
    roms: list[dict[str, Any]] = []
    for path in sorted(out.glob("*.manifest.json")):
        roms += json.loads(path.read_bytes())["roms"]
    failed = [rom["file"] for rom in roms if "error" in rom]
    if failed or not roms:
        sys.exit(f"{out}: not built: {', '.join(failed) or 'all'}")
    bucket = max(rom["bucket"] for rom in roms)
    return [rom for rom in roms if rom["bucket"] == bucket]


def table(roms: list[dict[str, Any]]) -> str:
    """A row for each NIC, with those that differ in nothing in one; the least slack comes first."""
    kinds = list(dict.fromkeys(image["kind"] for rom in roms for image in rom["images"]))
    nics_by_cells: dict[tuple[str, ...], list[str]] = {}
    for rom in sorted(roms, key=lambda rom: rom["bucket"] - rom["used"]):
        sizes = {image["kind"]: f"{image['size']:,}" for image in rom["images"]}
        cells = [sizes.get(kind, "–") for kind in kinds]
        cells += [f"{rom['used']:,}", f"{rom['bucket'] - rom['used']:,}"]
        nics_by_cells.setdefault(tuple(cells), []).append(rom["nic"])
    lines = [f"| NIC | {' | '.join(kinds)} | together | free |"]
    lines.append("|---|" + "--:|" * (len(kinds) + 2))
    for row, nics in nics_by_cells.items():
        lines.append(f"| {', '.join(nics)} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2])
