# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge why`: finds the images that are asked about, and tells of them what ``why`` knows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from romforge import ipxe, linking, pcirom, prebuilt, specfile
from romforge import plan as planning
from romforge.errors import RomforgeError, UsageError, listing, near
from romforge.plan import Make, Plan
from romforge.table import BOLD, Column, colours, paint, render
from romforge.why import Image, Part, explain

_SHOWN = 6  # names in a row


def why(given: Any, tree: str | None) -> int:
    """The command: what is asked about is a ROM or an image; or an object or a root, in an image."""
    found = planning.make(specfile.load(given.spec, given.out), tree)
    goals = _asked(found, given.image or given.what)
    _require_built(goals, given.out)
    images = [_explained(found, make, goal, given.out) for make, goal in goals]
    if given.against:
        told: Any = _compared(images, _older(given.against, found, goals))
        lines = list(_differences(told))
    elif given.image:
        told, lines = _one(images, given.what)
    else:
        told = [asdict(image) for image in images]
        lines = [line for image in images for line in _tree(image)]
    if given.json:
        print(json.dumps(told, indent=1))
    else:
        print("\n".join(lines))
    return 0


def _asked(found: Plan, what: str) -> list[tuple[Make, str]]:
    """The images of trees that a ROM is made of, or the one of this name; raises RomforgeError."""
    makes = {make.task: make for make in found.makes}
    images: dict[str, tuple[Make, str]] = {}
    for make in found.makes:
        for goal in make.goals:
            for name in (f"{make.platform}/{goal}", f"{make.bin}/{goal}.{make.media}"):
                images.setdefault(name, (make, goal))
    if what in images:
        return [images[what]]
    roms = {rom.path: rom for rom in found.roms()}
    named = [path for path in roms if what in (path, f"rom:{path}", Path(path).name) or path.endswith(f"/{what}")]
    if len(named) > 1 and what not in named:
        raise UsageError(f"there are several {what}: {listing(named)}")
    if not named:
        example = next(iter(images), "pcbios/8086100e")
        raise UsageError(f'there is no ROM or image "{what}"{near(what, [*roms, *images])}; images are PLATFORM/GOAL, such as {example}')
    rom = roms[what if what in named else named[0]]
    made = [(makes[pick.make], rom.goal) for pick in rom.picks if pick.make]
    if not made:
        raise RomforgeError(f"{rom.path} is made of existing ROMs, which say nothing of their objects")
    return made


def _require_built(goals: list[tuple[Make, str]], out: Path) -> None:
    """Raises RomforgeError where what an image was linked of is not there any more; says where it would be built anew now."""
    trees = ipxe.Trees(out)
    for make, goal in goals:
        entry = (ipxe.load(make, out) or ipxe.blank())["goals"].get(goal)
        stale = ipxe.stale(make, out, [goal], trees).get(goal)
        if entry is None or entry["why"]:
            raise RomforgeError(f"{make.task}: {goal}.{make.media} must be built first: {stale}")
        if stale:
            print(f"romforge: {make.task}: {goal}.{make.media} is told of as it was built: since then {stale}", file=sys.stderr)


def _explained(found: Plan, make: Make, goal: str, out: Path) -> Image:
    return explain(make, out, goal, linking.dropped(make, ipxe.locate(make)), _size(found, make, goal, out))


def _size(found: Plan, make: Make, goal: str, out: Path) -> int:
    """The bytes of an image in the first ROM that has it; 0 where none is built."""
    for rom in found.roms():
        for index, pick in enumerate(rom.picks):
            if pick.make == make.task and rom.goal == goal and (out / rom.path).is_file():
                images = pcirom.parse_chain(prebuilt.read_rom(out / rom.path)[0]).images
                return len(images[index].data) if len(images) == len(rom.picks) else 0
    return 0


def _older(place: Path, found: Plan, goals: list[tuple[Make, str]]) -> dict[str, dict[str, Any]]:
    """What another build says of the images, by name: an output root, or what `why --json` printed of one."""
    if place.is_dir():
        return {image["name"]: image for image in (asdict(_explained(found, make, goal, place)) for make, goal in goals)}
    try:
        told = json.loads(place.read_bytes())
        images = {image["name"]: image for image in told}
        if all(isinstance(part["size"], int) and part["name"] for image in told for part in image["parts"]):
            return images
    except OSError as error:
        raise RomforgeError(f"{place}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        pass
    raise RomforgeError(f"{place}: is no output root, and nothing that `romforge why ROM --json` printed")


def _compared(images: list[Image], older: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """For each image what is new, gone, grown and shrunk, the largest change first."""
    found = []
    for image in images:
        if image.name not in older:
            raise RomforgeError(f"the other build has no {image.name}")
        before = {part["name"]: part["size"] for part in older[image.name]["parts"]}
        now = {part.name: part for part in image.parts}
        rows = [
            {
                "object": name,
                "was": before.get(name),
                "is": now[name].size if name in now else None,
                "chain": _chain(now[name]) if name in now else "",
            }
            for name in {**before, **now}
            if name not in now or name not in before or before[name] != now[name].size
        ]
        rows.sort(key=lambda row: (-abs((row["is"] or 0) - (row["was"] or 0)), row["object"]))
        was = sum(older[image.name]["sections"].values())
        found.append({"name": image.name, "was": was, "is": sum(image.sections.values()), "objects": rows})
    return found


def _differences(compared: list[dict[str, Any]]) -> Iterator[str]:
    for one in compared:
        yield paint(one["name"], BOLD, colours()) + f": {one['is']:,} bytes linked, {one['is'] - one['was']:+,}"
        rows = []
        for row in one["objects"]:
            state = "new" if row["was"] is None else "gone" if row["is"] is None else "grown" if row["is"] > row["was"] else "shrunk"
            rows.append([row["object"], state, f"{(row['is'] or 0) - (row['was'] or 0):+,}", row["chain"]])
        if rows:
            columns = [Column("object"), Column(""), Column("bytes", right=True), Column("pulled in by")]
            yield from (f"  {line}" for line in render(columns, rows))
        else:
            yield "  the same objects, of the same sizes"


def _tree(image: Image) -> Iterator[str]:
    """An image by directories, the largest first, and the roots of its link."""
    linked = sum(image.sections.values())
    yield paint(image.name, BOLD, colours()) + f": {linked:,} bytes linked, {image.size:,} in the ROM"
    yield "  " + ", ".join(f"{name} {size:,}" for name, size in image.sections.items())
    directories: dict[str, list[Part]] = {}
    for part in image.parts:
        directories.setdefault(part.directory or "(no source)", []).append(part)
    rows = []
    for name, parts in sorted(directories.items(), key=lambda both: -sum(part.size for part in both[1])):
        size, packed = sum(part.size for part in parts), sum(part.compressed for part in parts)
        rows.append([f"{name}/", f"{size:,}", f"{packed:,}", _ratio(packed, size), "", ""])
        for part in parts:
            cells = [f"{part.size:,}", f"{part.compressed:,}", _ratio(part.compressed, part.size), f"{part.leaves:,}", _chain(part)]
            rows.append([f"  {part.name}", *cells])
    rows.append(["(padding)", f"{image.padding:,}", f"{image.padding_compressed:,}", "", "", ""])
    titles = "object", "bytes", "in the ROM", "", "leaves without", "pulled in by"
    yield from (f"  {line}" for line in render([Column(title, right=0 < place < 5) for place, title in enumerate(titles)], rows))
    roots = [[root.symbol, f"{root.leaves:,}", _names(root.with_it)] for root in sorted(image.roots, key=lambda root: -root.leaves)]
    yield ""
    yield from (f"  {line}" for line in render([Column("root"), Column("leaves without", right=True), Column("objects")], roots))


def _one(images: list[Image], what: str) -> tuple[dict[str, Any], list[str]]:
    """An object or a root, of the first image that has it; raises RomforgeError where none does."""
    for image in images:
        if root := next((root for root in image.roots if root.symbol == what), None):
            line = f"{root.symbol} is a root of {image.name}; without it {root.leaves:,} bytes leave: {_names(root.with_it) or 'no object'}"
            return asdict(root), [line]
        if part := next((part for part in image.parts if part.name == what), None):
            return asdict(part), _told(image, part)
    known = [name for image in images for name in [*(part.name for part in image.parts), *(root.symbol for root in image.roots)]]
    where = listing(image.name for image in images)
    raise RomforgeError(f"{where}: there is no object or root {what}{near(what, known)}")


def _told(image: Image, part: Part) -> list[str]:
    lines = [
        f"{paint(part.name, BOLD, colours())} ({part.directory or 'no source'}) in {image.name}: {part.size:,} bytes,"
        f" about {part.compressed:,} in the ROM{f'; {part.memory:,} of memory' if part.memory else ''}"
    ]
    lines += [f"  {name} {size:,}" for name, size in sorted(part.sections.items(), key=lambda both: -both[1])]
    lines.append("pulled in by")
    asker = "the root"
    for step in part.chain:
        lines.append(f"  {asker} {step.symbol if asker == 'the root' else f'asks for {step.symbol}'}, which is in {step.object}")
        asker = step.object
    if not part.chain:
        lines.append("  the command line, which names the object")
    lines.append("asked for by")
    lines += [f"  {name}: {', '.join(symbols)}" for name, symbols in part.asked_by.items()] or ["  no other object"]
    lines.append(f"without it {part.leaves:,} bytes leave" + (f", with {_names(part.with_it)}" if part.with_it else ""))
    return lines


def _chain(part: Part) -> str:
    """``obj_config → config → shell``: the root, and the objects on the way to this one."""
    if not part.chain:
        return "the command line"
    way = [part.chain[0].symbol, *(step.object for step in part.chain[:-1])]
    return " ← ".join(reversed(way))


def _ratio(packed: int, size: int) -> str:
    return f"{100 * packed / size:.0f} %" if size and packed else ""


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
