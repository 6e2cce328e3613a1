# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge why`: finds the images that are asked about, and shows what ``image_sizes`` knows of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from romforge.analysis import image_sizes, suggestions
from romforge.analysis.image_sizes import ImageContents, ObjectContents
from romforge.analysis.suggestions import Candidate, Suggestions
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.table import BOLD, Column, paint, render_table, wants_colours
from romforge.base.text import did_you_mean, join_words
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.plan import planner
from romforge.plan.planner import Plan, Rom, TreeBuild
from romforge.sources.ipxe import rebuild_reasons, source_tree, tree_record
from romforge.sources.ipxe.tree_record import TreeRecord
from romforge.spec import loader

_SHOWN = 6  # names in a row
_SYMBOLS = 3  # symbols of an object that asks for another
_POSSIBLE, _OTHERS = 10, 5  # candidates that are shown


class Explained(NamedTuple):
    """An image, and what could be left out of it."""

    image: ImageContents
    platform: str
    suggestions: Suggestions

    def as_json(self) -> dict[str, Any]:
        candidates = [
            {**asdict(candidate), "possible": candidate.possible}
            for candidate in self.suggestions.candidates
        ]
        leave_out = {"reason": self.suggestions.reason, "candidates": candidates}
        return {**asdict(self.image), "leave_out": leave_out}


def why_command(arguments: Any, tree: str | None) -> int:
    """The command: a ROM or an image is shown; or an object or a root, in an image."""
    plan = planner.make_plan(loader.load_spec(arguments.spec, arguments.out), tree)
    goals = _asked(plan, arguments.image or arguments.what, arguments.out)
    _require_built(goals, arguments.out)
    explained = [_explain(plan, make, goal, arguments.out) for make, goal in goals]
    images = [item.image for item in explained]
    result: Any
    if arguments.against:
        result = _compared(images, _older(arguments.against, plan, goals))
        lines = list(_differences(result))
    elif arguments.image:
        result, lines = _object_or_root(images, arguments.what)
    else:
        result = [item.as_json() for item in explained]
        lines = []
        for item in explained:
            lines += [*_image_lines(item.image), *_suggestion_lines(item)]
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        print("\n".join(lines))
    return 0


def _asked(plan: Plan, what: str, out: Path) -> list[tuple[TreeBuild, str]]:
    """The images of trees that a ROM is made of, or the one of this name; raises RomforgeError.

    Where several ROMs have a name, it stands for the one that is built.
    """
    images: dict[str, tuple[TreeBuild, str]] = {}
    for make in plan.makes:
        for goal in make.goals:
            for name in (f"{make.platform}/{goal}", f"{make.bin}/{goal}.{make.media}"):
                images.setdefault(name, (make, goal))
    if what in images:
        return [images[what]]
    rom = _rom(plan, what, out, list(images))
    makes = {make.task: make for make in plan.makes}
    made = [(makes[pick.make], rom.goal) for pick in rom.picks if pick.make]
    if not made:
        raise RomforgeError(
            f"{rom.path} is made of existing ROMs, which say nothing of their objects"
        )
    return made


def _rom(plan: Plan, what: str, out: Path, images: list[str]) -> Rom:
    roms = {rom.path: rom for rom in plan.roms()}
    named = []
    for path in roms:
        if what in (path, f"rom:{path}", Path(path).name) or path.endswith(f"/{what}"):
            named.append(path)
    if len(named) > 1 and what not in named:
        named = [path for path in named if (out / path).is_file()] or named
    if len(named) > 1 and what not in named:
        raise UsageError(f"there are several {what}: {join_words(named)}")
    if not named:
        example = next(iter(images), "pcbios/8086100e")
        raise UsageError(
            f'there is no ROM or image "{what}"{did_you_mean(what, [*roms, *images])}; images are PLATFORM/GOAL, such as {example}'
        )
    return roms[what if what in named else named[0]]


def _require_built(goals: list[tuple[TreeBuild, str]], out: Path) -> None:
    """Raises RomforgeError where what an image was linked of is not there any more.

    Says where it would be built anew now.
    """
    trees = source_tree.Trees(out)
    for make, goal in goals:
        entry = (tree_record.load_record(make, out) or TreeRecord()).goals.get(goal)
        stale = rebuild_reasons.stale_goals(make, out, [goal], trees).get(goal)
        image = f"{make.task}: {goal}.{make.media}"
        if entry is None or entry.why:
            raise RomforgeError(f"{image} must be built first: {stale}")
        if stale:
            note = f"{image} is shown as it was built: since then {stale}"
            print(f"romforge: {note}", file=sys.stderr)


def _explain(plan: Plan, make: TreeBuild, goal: str, out: Path) -> Explained:
    link_plan = source_tree.recorded_link_plan(make, out)
    link = image_sizes.read_image_link(make, out, goal, link_plan)
    size = image_sizes.size_in_rom(plan, make, goal, out)
    nics = image_sizes.nics_of(plan, make, goal)
    image = image_sizes.analyse_image(make, out, goal, nics, size, link)
    found = suggestions.suggest(make, link_plan, link, size)
    return Explained(image, make.platform, found)


def _older(
    place: Path, plan: Plan, goals: list[tuple[TreeBuild, str]]
) -> dict[str, dict[str, Any]]:
    """What another build says of the images, by name.

    It is an output root, or what `why --json` printed of one.
    """
    if place.is_dir():
        images = [_explain(plan, make, goal, place).image for make, goal in goals]
        return {image.name: asdict(image) for image in images}
    try:
        printed = json.loads(place.read_bytes())
        by_name = {image["name"]: image for image in printed}
        parts = [part for image in printed for part in image["parts"]]
        if all(isinstance(part["size"], int) and part["name"] for part in parts):
            return by_name
    except OSError as error:
        raise RomforgeError(f"{place}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        pass
    raise RomforgeError(
        f"{place}: is no output root, and nothing that `romforge why ROM --json` printed"
    )


def _compared(
    images: list[ImageContents], older: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """For each image what is new, gone, grown and shrunk, the largest change first."""
    found = []
    for image in images:
        if image.name not in older:
            raise RomforgeError(f"the other build has no {image.name}")
        before = {part["name"]: part for part in older[image.name]["parts"]}
        now = {part.name: part for part in image.parts}
        rows = []
        for name in {**before, **now}:
            old, new = before.get(name), now.get(name)
            row = {
                "object": name,
                "was": old["size"] if old else None,
                "is": new.size if new else None,
                "memory_was": old.get("memory", 0) if old else None,
                "memory_is": new.memory if new else None,
                "chain": _chain(new) if new else "",
            }
            if row["was"] != row["is"] or row["memory_was"] != row["memory_is"]:
                rows.append(row)
        rows.sort(
            key=lambda row: (-abs(_change(row)), -abs(_change(row, "memory_")), row["object"])
        )
        was = sum(older[image.name]["sections"].values())
        is_now = sum(image.sections.values())
        found.append({"name": image.name, "was": was, "is": is_now, "objects": rows})
    return found


def _change(row: dict[str, Any], of: str = "") -> int:
    """By how many bytes an object grew: of the file, or of memory."""
    return int(row[f"{of}is"] or 0) - int(row[f"{of}was"] or 0)


def _differences(compared: list[dict[str, Any]]) -> Iterator[str]:
    for image in compared:
        size, growth = image["is"], image["is"] - image["was"]
        yield paint(image["name"], BOLD, wants_colours()) + f": {size:,} bytes linked, {growth:+,}"
        rows = []
        for row in image["objects"]:
            memory = _change(row, "memory_")
            cells = [row["object"], _state(row), f"{_change(row):+,}"]
            rows.append([*cells, f"{memory:+,}" if memory else "", row["chain"]])
        if not rows:
            yield "  the same objects, of the same sizes"
            continue
        columns = [Column("object"), Column(""), Column("bytes", right=True)]
        columns += [Column("memory", right=True), Column("pulled in by")]
        yield from (f"  {line}" for line in render_table(columns, rows))


def _state(row: dict[str, Any]) -> str:
    if row["was"] is None:
        return "new"
    if row["is"] is None:
        return "gone"
    return "grown" if (_change(row) or _change(row, "memory_")) > 0 else "shrunk"


def _image_lines(image: ImageContents) -> Iterator[str]:
    """An image by directories, the largest first, and the roots of its link."""
    linked = sum(image.sections.values())
    nics = f" ({', '.join(image.nics)})" if image.nics else ""
    yield (
        paint(f"{image.name}{nics}", BOLD, wants_colours())
        + f": {image.size:,} bytes in the ROM, {linked:,} linked, and {image.memory:,} of memory"
    )
    yield "  " + ", ".join(f"{name} {size:,}" for name, size in image.sections.items())
    directories: dict[str, list[ObjectContents]] = {}
    for part in image.parts:
        directories.setdefault(part.directory or "(no source)", []).append(part)
    largest_first = sorted(
        directories.items(), key=lambda both: -sum(part.size for part in both[1])
    )
    rows = []
    for name, parts in largest_first:
        size = sum(part.size for part in parts)
        memory = sum(part.memory for part in parts)
        compressed = sum(part.compressed for part in parts)
        rows.append([f"{name}/", *_size_cells(size, compressed, memory), "", ""])
        for part in parts:
            cells = _size_cells(part.size, part.compressed, part.memory)
            rows.append([f"  {part.name}", *cells, f"{part.leaves:,}", _chain(part)])
    padding = _size_cells(image.padding, image.padding_compressed, 0)
    rows.append(["(padding)", *padding, "", ""])
    columns = [Column("object")]
    titles = "bytes", "in the ROM", "", "memory", "leaves without"
    columns += [Column(title, right=True) for title in titles]
    yield from _indented(render_table([*columns, Column("pulled in by")], rows))
    yield ""
    root_rows = []
    for root in sorted(image.roots, key=lambda root: -root.leaves):
        memory_leaves = f"{root.leaves_memory:,}" if root.leaves_memory else ""
        names = _names(root.with_it)
        root_rows.append([root.symbol, f"{root.leaves:,}", memory_leaves, names])
    columns = [Column("root"), Column("leaves without", right=True), Column("memory", right=True)]
    yield from _indented(render_table([*columns, Column("objects")], root_rows))


def _size_cells(size: int, compressed: int, memory: int) -> list[str]:
    ratio = f"{100 * compressed / size:.0f} %" if size and compressed else ""
    return [f"{size:,}", f"{compressed:,}", ratio, f"{memory:,}" if memory else ""]


def _indented(lines: list[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _suggestion_lines(explained: Explained) -> Iterator[str]:
    """What could be left out of the image besides."""
    reason, candidates = explained.suggestions.reason, explained.suggestions.candidates
    if reason:
        yield ""
        yield f"  {reason}"
    possible = [candidate for candidate in candidates if candidate.possible]
    others = [candidate for candidate in candidates if not candidate.possible]
    if possible:
        yield ""
        yield (
            f"  What could be left out, by a line in [platform.{explained.platform}]. Savings are estimates; check with `romforge verify`."
        )
        for candidate in possible[:_POSSIBLE]:
            yield from _candidate_lines(candidate)
            yield f"      {candidate.line}"
    if others:
        yield ""
        yield "  What could be left out with stubs that romforge does not have:"
        for candidate in others[:_OTHERS]:
            yield from _candidate_lines(candidate)


def _candidate_lines(candidate: Candidate) -> Iterator[str]:
    with_it = f", with {_names(candidate.with_it)}" if candidate.with_it else ""
    names = paint(", ".join(candidate.objects), BOLD, wants_colours())
    yield f"    {names}: about {candidate.saves:,} bytes of the ROM{with_it}"
    askers = list(candidate.asked_by.items())
    shown = [f"{name} ({_names(tuple(symbols), _SYMBOLS)})" for name, symbols in askers[:_SHOWN]]
    more = f" and {len(askers) - _SHOWN} more" if len(askers) > _SHOWN else ""
    yield f"      asked for by {', '.join(shown)}{more}"
    yield f"      needs {_needs(candidate)}"
    if candidate.tables:
        yield f"      is called by way of the linker's {_tables(candidate.tables)}"


def _tables(tables: tuple[str, ...]) -> str:
    return f"table{'' if len(tables) == 1 else 's'} {join_words(tables)}"


def _needs(candidate: Candidate) -> str:
    """What must stand in for the objects, and whether romforge has that."""
    needs = []
    if candidate.stubs:
        needs.append(f"a stub for {_names(candidate.stubs)}")
    if candidate.storage:
        needs.append(f"storage for {_names(candidate.storage)}")
    if not needs:
        return "nothing (it is only required)"
    if not candidate.missing:
        return f"{' and '.join(needs)}, which romforge has"
    if len(candidate.missing) == len(candidate.stubs) + len(candidate.storage):
        return f"{' and '.join(needs)}, which romforge does not have"
    return f"{' and '.join(needs)}; romforge does not have {_names(candidate.missing)}"


def _object_or_root(images: list[ImageContents], what: str) -> tuple[dict[str, Any], list[str]]:
    """An object or a root, of the first image that has it; raises RomforgeError where none does."""
    for image in images:
        for root in image.roots:
            if root.symbol == what:
                leaves = _leaves(root.leaves, root.leaves_memory)
                objects = _names(root.with_it) or "no object"
                line = f"{root.symbol} is a root of {image.name}; without it {leaves}: {objects}"
                return asdict(root), [line]
        for part in image.parts:
            if part.name == what:
                return asdict(part), _part_lines(image, part)
    known = []
    for image in images:
        known += [part.name for part in image.parts]
        known += [root.symbol for root in image.roots]
    where = join_words(image.name for image in images)
    raise RomforgeError(f"{where}: there is no object or root {what}{did_you_mean(what, known)}")


def _leaves(size: int, memory: int) -> str:
    return f"{size:,} bytes{f' and {memory:,} of memory' if memory else ''} leave"


def _part_lines(image: ImageContents, part: ObjectContents) -> list[str]:
    memory = f"; {part.memory:,} of memory" if part.memory else ""
    lines = [
        f"{paint(part.name, BOLD, wants_colours())} ({part.directory or 'no source'}) in {image.name}: "
        f"{part.size:,} bytes, about {part.compressed:,} in the ROM{memory}"
    ]
    for name, size in sorted(part.sections.items(), key=lambda both: -both[1]):
        lines.append(f"  {name} {size:,}")
    lines.append("pulled in by")
    asker = ""
    for step in part.chain:
        if asker:
            lines.append(f"  {asker} asks for {step.symbol}, which is in {step.object}")
        else:
            lines.append(f"  the root {step.symbol}, which is in {step.object}")
        asker = step.object
    if not part.chain:
        lines.append("  the command line, which names the object")
    lines.append("asked for by")
    for name, symbols in part.asked_by.items():
        lines.append(f"  {name}: {', '.join(symbols)}")
    if not part.asked_by:
        lines.append("  no other object")
    with_it = f", with {_names(part.with_it)}" if part.with_it else ""
    lines.append(f"without it {_leaves(part.leaves, part.leaves_memory)}{with_it}")
    return lines


def _chain(part: ObjectContents) -> str:
    """``obj_config → config → shell``: the root, and the objects on the way to this one."""
    if not part.chain:
        return "the command line"
    way = [part.chain[0].symbol, *(step.object for step in part.chain[:-1])]
    return " ← ".join(reversed(way))


def _names(names: tuple[str, ...], shown: int = _SHOWN) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def add_why_command(commands: common.Commands) -> None:
    """Adds `why` to the command line."""
    parser = common.add_command(
        commands,
        "why",
        lambda arguments: why_command(arguments, source_tree_override()),
        "shows the objects in an image of an iPXE tree: their sizes, and why each was linked",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser)
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="a ROM, or an image as PLATFORM/GOAL; with --in, an object or a root of the link",
    )
    parser.add_argument(
        "--in",
        dest="image",
        metavar="IMAGE",
        help="the image, as PLATFORM/GOAL, or the ROM that has the object or root",
    )
    parser.add_argument(
        "--against",
        metavar="BUILD",
        type=Path,
        help="show the changes since another build: its output root, or a file that --json printed",
    )
