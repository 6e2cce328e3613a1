# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `romforge why`: finds the requested images, and prints their analysis."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from romforge.analysis import image_sizes, size_changes, suggestions
from romforge.analysis.image_sizes import ImageContents, ObjectContents, Root
from romforge.analysis.size_changes import ImageChange, ImageChangeRow
from romforge.analysis.suggestions import Candidate, Suggestions
from romforge.base.errors import RomforgeError
from romforge.base.json_document import FORMAT, Document
from romforge.base.table import BOLD, Column, paint, render_table, terminal_width, wants_colours
from romforge.base.text import did_you_mean, join_words
from romforge.cli.common import print_json
from romforge.plan.names import HINT, Names
from romforge.plan.steps import Plan, TreeBuild
from romforge.sources.ipxe import nic_drivers, rebuild_reasons, source_tree, tree_record
from romforge.sources.ipxe.tree_record import TreeRecord
from romforge.spec import loader

# How many items are shown before "and N more".
_SHOWN_NAMES = 6
_SHOWN_SYMBOLS = 3
_SHOWN_POSSIBLE = 10
_SHOWN_OTHERS = 5
_INDENT = "  "


class _ImageGoal(NamedTuple):
    """An image that a tree builds: the platform's build, and the name of the image in it."""

    build: TreeBuild
    goal: str


class CandidateRow(TypedDict):
    """Objects that could be left out together, as ``Candidate`` says."""

    objects: tuple[str, ...]
    saves: int
    leaves: int
    leaves_memory: int
    with_it: tuple[str, ...]
    asked_by: dict[str, list[str]]
    stubs: tuple[str, ...]
    storage: tuple[str, ...]
    missing: tuple[str, ...]
    tables: tuple[str, ...]
    line: str
    possible: bool


class LeaveOut(TypedDict):
    """What could be left out of an image, or the reason why nothing can be."""

    reason: str | None
    candidates: list[CandidateRow]


class ImageRow(TypedDict):
    """An image, its sections and its objects, as ``ImageContents`` says. Sizes are bytes."""

    name: str
    nics: tuple[str, ...]
    size: int
    sections: dict[str, int]
    memory: int
    padding: int
    padding_compressed: int
    parts: tuple[ObjectContents, ...]
    roots: tuple[Root, ...]
    leave_out: LeaveOut


class ImagesDocument(Document):
    """What `why --json` prints of images."""

    images: list[ImageRow]


class ChangesDocument(Document):
    """What `why --against --json` prints: the images, with the objects that changed."""

    changes: list[ImageChangeRow]


class ObjectDocument(Document):
    """What `why --in --json` prints of an object."""

    object: ObjectContents


class RootDocument(Document):
    """What `why --in --json` prints of a root."""

    root: Root


class ImageReport(NamedTuple):
    """The analysis of an image, and what could be left out of it."""

    image: ImageContents
    platform: str
    suggestions: Suggestions

    def as_json(self) -> dict[str, Any]:
        """An image of ``romforge why --json``."""
        candidates = []
        for candidate in self.suggestions.candidates:
            candidates.append({**asdict(candidate), "possible": candidate.possible})
        leave_out = {"reason": self.suggestions.reason, "candidates": candidates}
        return {**asdict(self.image), "leave_out": leave_out}


class _Answer(NamedTuple):
    """What the command prints: a value with ``--json``, or else lines."""

    value: dict[str, Any]  # the document without its format
    lines: list[str]


def why_command(arguments: Any, tree: str | None) -> int:
    """Runs the command: shows a ROM or an image, or else an object or a root of an image."""
    spec = loader.load_spec(arguments.spec, arguments.out)
    plan = nic_drivers.make_buildable_plan(spec, tree, arguments.out)
    goals = _find_goals(plan, arguments.image or arguments.what, arguments.out)
    _require_built(goals, arguments.out)
    reports = [_analyse(plan, goal, arguments.out) for goal in goals]
    if arguments.against:
        answer = _compare(reports, _older_sizes(arguments.against, plan, goals))
    elif arguments.image:
        answer = _describe_object_or_root([report.image for report in reports], arguments.what)
    else:
        answer = _describe_images(reports)
    if arguments.json:
        print_json({"format": FORMAT, **answer.value})
    else:
        print("\n".join(answer.lines))
    return 0


def _find_goals(plan: Plan, name: str, out: Path) -> list[_ImageGoal]:
    """The image of this name, or the images of what it selects that trees build.

    Raises UsageError if there is neither, and RomforgeError if no tree builds an image of it.
    """
    images: dict[str, _ImageGoal] = {}
    for build in plan.makes:
        for goal in build.goals:
            image = _ImageGoal(build, goal)
            images.setdefault(f"{build.platform}/{goal}", image)
            images.setdefault(f"{build.bin}/{goal}.{build.media}", image)
    example = next(iter(images), "pcbios/8086100e")
    hint = f"{HINT}; the name of an image is PLATFORM/GOAL, such as {example}"
    task = Names(plan, out, more=images, hint=hint).task_of(name)
    if task in images:
        return [images[task]]
    goals = [image for image in images.values() if image.build.task == task]
    builds = {build.task: build for build in plan.makes}
    for rom in plan.selected([task]):
        for request in rom.requests:
            if request.make:
                goals.append(_ImageGoal(builds[request.make], rom.goal))
    if not goals:
        subject = task.removeprefix("rom:")
        raise RomforgeError(
            f"{subject} is made of images from existing ROMs, whose objects are not known"
        )
    return list(dict.fromkeys(goals))


def _require_built(goals: Iterable[_ImageGoal], out: Path) -> None:
    """Raises RomforgeError if the files that an image was linked from are gone or have changed.

    Prints a note if a build would make the image again, but these files are still there.
    """
    trees = source_tree.Trees(out)
    for build, goal in goals:
        record = tree_record.load_record(build, out) or TreeRecord()
        entry = record.goals.get(goal)
        reason = rebuild_reasons.stale_goals(build, out, [goal], trees).get(goal)
        image = f"{build.task}: {goal}.{build.media}"
        if entry is None or entry.why:
            raise RomforgeError(f"{image} must be built first: {reason}")
        if reason:
            message = f"{image} is shown as it was built: since then {reason}"
            print(f"romforge: {message}", file=sys.stderr)


def _analyse(plan: Plan, image: _ImageGoal, out: Path) -> ImageReport:
    """Analyses an image that is built below ``out``. Raises RomforgeError if it is not built."""
    build, goal = image
    link_plan = source_tree.recorded_link_plan(build, out)
    link = image_sizes.read_image_link(build, out, goal, link_plan)
    size = image_sizes.size_in_rom(plan, build, goal, out)
    nics = image_sizes.nics_of(plan, build, goal)
    contents = image_sizes.analyse_image(build, out, goal, nics, size, link)
    return ImageReport(contents, build.platform, suggestions.suggest(build, link_plan, link, size))


def _older_sizes(
    path: Path, plan: Plan, goals: Iterable[_ImageGoal]
) -> dict[str, size_changes.BuildSizes]:
    """The sizes in another build, by image. ``path`` is its output root, or a file of JSON."""
    if not path.is_dir():
        return size_changes.read_build_sizes(path)
    sizes = {}
    for goal in goals:
        image = _analyse(plan, goal, path).image
        sizes[image.name] = size_changes.build_sizes(image)
    return sizes


def _compare(reports: Iterable[ImageReport], older: dict[str, size_changes.BuildSizes]) -> _Answer:
    """The changes of each image. Raises RomforgeError if the other build does not have it."""
    value = []
    lines: list[str] = []
    for report in reports:
        name = report.image.name
        if name not in older:
            raise RomforgeError(f"the build to compare with has no image {name}")
        change = size_changes.compare_image(report.image, older[name])
        value.append(change.as_json())
        lines += _change_lines(change)
    return _Answer({"changes": value}, lines)


def _change_lines(image: ImageChange) -> Iterator[str]:
    growth = image.after - image.before
    yield f"{_bold(image.name)}: {image.after:,} bytes linked, {growth:+,}"
    if not image.objects:
        yield "  no object changed in size"
        return
    columns = [
        Column("object"),
        Column(""),
        Column("bytes", right=True),
        Column("memory", right=True),
        Column("pulled in by"),
    ]
    rows = []
    for change in image.objects:
        size = change.growth
        memory = f"{size.memory:+,}" if size.memory else ""
        rows.append([change.object, change.kind, f"{size.file:+,}", memory, change.chain])
    yield from _indent(render_table(columns, rows, terminal_width(indentation=len(_INDENT))))


def _describe_images(reports: Iterable[ImageReport]) -> _Answer:
    value = []
    lines: list[str] = []
    for report in reports:
        value.append(report.as_json())
        lines += _image_lines(report.image)
        lines += _suggestion_lines(report)
    return _Answer({"images": value}, lines)


def _image_lines(image: ImageContents) -> Iterator[str]:
    """The sizes of an image, its objects by directory, and the roots of its link."""
    title = image.name
    if image.nics:
        title += f" ({', '.join(image.nics)})"
    linked = sum(image.sections.values())
    yield (
        f"{_bold(title)}: {image.size:,} bytes in the ROM, "
        f"{linked:,} bytes linked, {image.memory:,} bytes of memory"
    )
    yield "  " + ", ".join(f"{name} {size:,}" for name, size in image.sections.items())
    yield from _indent(_object_table(image))
    yield ""
    yield from _indent(_root_table(image.roots))


def _object_table(image: ImageContents) -> list[str]:
    """The objects of an image by directory; the largest directory and object come first."""
    columns = [
        Column("object"),
        Column("bytes", right=True),
        Column("in the ROM", right=True),
        Column("", right=True),
        Column("memory", right=True),
        Column("leaves without", right=True),
        Column("pulled in by"),
    ]
    rows = []
    for name, parts in _parts_by_directory(image):
        size = 0
        compressed = 0
        memory = 0
        for part in parts:
            size += part.size
            compressed += part.compressed
            memory += part.memory
        rows.append([f"{name}/", *_size_cells(size, compressed, memory), "", ""])
        for part in parts:
            cells = _size_cells(part.size, part.compressed, part.memory)
            chain = size_changes.chain_text(part)
            rows.append([f"  {part.name}", *cells, f"{part.leaves:,}", chain])
    cells = _size_cells(image.padding, image.padding_compressed, 0)
    rows.append(["(padding)", *cells, "", ""])
    return render_table(columns, rows, terminal_width())


def _parts_by_directory(image: ImageContents) -> list[tuple[str, list[ObjectContents]]]:
    """The directories of an image with their objects, the largest directory first."""
    directories: dict[str, list[ObjectContents]] = {}
    for part in image.parts:
        directories.setdefault(part.directory or "(no source)", []).append(part)
    return sorted(directories.items(), key=_directory_size, reverse=True)


def _directory_size(item: tuple[str, list[ObjectContents]]) -> int:
    _, parts = item
    return sum(part.size for part in parts)


def _size_cells(size: int, compressed: int, memory: int) -> list[str]:
    """The cells for bytes, bytes in the ROM, their ratio, and bytes of memory."""
    ratio = ""
    if size and compressed:
        ratio = f"{100 * compressed / size:.0f} %"
    return [f"{size:,}", f"{compressed:,}", ratio, _number_unless_zero(memory)]


def _root_table(roots: Iterable[Root]) -> list[str]:
    columns = [
        Column("root"),
        Column("leaves without", right=True),
        Column("memory", right=True),
        Column("objects"),
    ]
    rows = []
    for root in sorted(roots, key=lambda root: -root.leaves):
        memory = _number_unless_zero(root.leaves_memory)
        rows.append([root.symbol, f"{root.leaves:,}", memory, _list_names(root.with_it)])
    return render_table(columns, rows, terminal_width())


def _suggestion_lines(report: ImageReport) -> Iterator[str]:
    """What could be left out of an image, or why nothing can be."""
    reason = report.suggestions.reason
    possible = []
    others = []
    for candidate in report.suggestions.candidates:
        if candidate.possible:
            possible.append(candidate)
        else:
            others.append(candidate)
    if reason:
        yield ""
        yield f"  {reason}"
    if possible:
        yield ""
        yield f"  You can leave out these objects with a line in [platform.{report.platform}]."
        yield "  The savings are estimates. Check the driver with `romforge verify`."
        for candidate in possible[:_SHOWN_POSSIBLE]:
            yield from _candidate_lines(candidate)
            yield f"      {candidate.line}"
    if others:
        yield ""
        yield "  To leave out these objects, you need stubs that romforge does not have:"
        for candidate in others[:_SHOWN_OTHERS]:
            yield from _candidate_lines(candidate)


def _candidate_lines(candidate: Candidate) -> Iterator[str]:
    """The saving of a candidate, the objects that refer to it, and what must replace it."""
    names = _bold(", ".join(candidate.objects))
    line = f"    {names}: saves about {candidate.saves:,} bytes in the ROM"
    if candidate.with_it:
        line += f", together with {_list_names(candidate.with_it)}"
    yield line
    referrers = []
    for name, symbols in candidate.asked_by.items():
        referrers.append(f"{name} ({_list_names(symbols, _SHOWN_SYMBOLS)})")
    yield f"      referred to by {_list_names(referrers)}"
    yield f"      needs {_needs(candidate)}"
    if candidate.tables:
        noun = "table" if len(candidate.tables) == 1 else "tables"
        yield f"      is also used through the linker {noun} {join_words(candidate.tables)}"


def _needs(candidate: Candidate) -> str:
    """What must replace the objects, and whether romforge has it."""
    replacements = []
    if candidate.stubs:
        replacements.append(f"a stub for {_list_names(candidate.stubs)}")
    if candidate.storage:
        replacements.append(f"storage for {_list_names(candidate.storage)}")
    if not replacements:
        return "no replacement, since it is only required (REQUIRE_OBJECT)"
    needs = " and ".join(replacements)
    if not candidate.missing:
        return f"{needs}, which romforge has"
    if len(candidate.missing) == len(candidate.stubs) + len(candidate.storage):
        return f"{needs}, which romforge does not have"
    return f"{needs}; romforge does not have {_list_names(candidate.missing)}"


def _describe_object_or_root(images: Collection[ImageContents], name: str) -> _Answer:
    """Describes an object or a root of the first image that has it.

    Raises RomforgeError if no image has it.
    """
    known = []
    for image in images:
        for root in image.roots:
            if root.symbol == name:
                return _Answer({"root": asdict(root)}, [_root_line(image, root)])
            known.append(root.symbol)
        for part in image.parts:
            if part.name == name:
                return _Answer({"object": asdict(part)}, list(_part_lines(image, part)))
            known.append(part.name)
    searched = join_words(image.name for image in images)
    hint = did_you_mean(name, known)
    raise RomforgeError(f"{searched}: there is no object or root {name}{hint}")


def _root_line(image: ImageContents, root: Root) -> str:
    line = f"{root.symbol} is a root of {image.name}; "
    line += _leaves(root.leaves, root.leaves_memory)
    if root.with_it:
        return f"{line}, with the objects {_list_names(root.with_it)}"
    return f"{line}, but no object"


def _part_lines(image: ImageContents, part: ObjectContents) -> Iterator[str]:
    """The sizes of an object, its sections, its chain, and the objects that refer to it."""
    directory = part.directory or "no source"
    line = f"{_bold(part.name)} ({directory}) in {image.name}: "
    line += f"{part.size:,} bytes, about {part.compressed:,} in the ROM"
    if part.memory:
        line += f", {part.memory:,} bytes of memory"
    yield line
    for name in sorted(part.sections, key=part.sections.__getitem__, reverse=True):
        yield f"  {name} {part.sections[name]:,}"
    yield "pulled in by"
    yield from _indent(_chain_lines(part))
    yield "referred to by"
    for name, symbols in part.asked_by.items():
        yield f"  {name}: {', '.join(symbols)}"
    if not part.asked_by:
        yield "  no other object"
    line = _leaves(part.leaves, part.leaves_memory)
    if part.with_it:
        line += f", together with {_list_names(part.with_it)}"
    yield line


def _chain_lines(part: ObjectContents) -> Iterator[str]:
    """The chain of references to an object, from the root on."""
    if not part.chain:
        yield "the command line, which names the object"
        return
    root, *steps = part.chain
    yield f"the root {root.symbol}, which is in {root.object}"
    referrer = root.object
    for step in steps:
        yield f"{referrer} refers to {step.symbol}, which is in {step.object}"
        referrer = step.object


def _leaves(size: int, memory: int) -> str:
    """What leaves without an object or a root: ``without it, 8 bytes leave the image``."""
    if memory:
        return f"without it, {size:,} bytes and {memory:,} bytes of memory leave the image"
    return f"without it, {size:,} bytes leave the image"


def _list_names(names: Collection[str], limit: int = _SHOWN_NAMES) -> str:
    """At most ``limit`` names, and how many more there are: ``dhcp, dns and 11 more``."""
    shown = ", ".join(list(names)[:limit])
    if len(names) > limit:
        return f"{shown} and {len(names) - limit} more"
    return shown


def _number_unless_zero(number: int) -> str:
    return f"{number:,}" if number else ""


def _indent(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield _INDENT + line


def _bold(text: str) -> str:
    return paint(text, BOLD, wants_colours())
