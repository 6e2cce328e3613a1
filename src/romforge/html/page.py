# SPDX-License-Identifier: GPL-2.0-or-later
"""Renders a report as a single page of HTML.

The page has no script and loads nothing. Charts are inline SVG. Their figures are also text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from romforge import __version__
from romforge.analysis.compat import Verdict
from romforge.analysis.summary import BuildSummary, GuestSet, ImageObjects, ObjectSize, Proven, Row
from romforge.base.text import format_size, join_words, plural
from romforge.html.treemap import Box, squarify

_MAP_WIDTH, _MAP_HEIGHT = 960, 320  # of a treemap, in the units of its SVG
_CHARACTER_WIDTH = 7  # of a label in a treemap, in the same units
_BAR_WIDTH = 1000  # of a ROM's bar, in the units of its SVG
_COLOURED_KINDS = "legacy", "x86_64", "arm64", "riscv64", "loong64"  # by the number of the colour
_OBJECTS_LISTED = 40  # in a table; the others are added up


def render_page(report: BuildSummary) -> str:
    """Returns the whole page."""
    style = (Path(__file__).resolve().parent / "page.css").read_text()
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(report.spec)}: ROMs</title>\n<style>\n{style}</style>\n</head>",
        "<body>\n<main>",
    ]
    lines += _render_head(report)
    lines += _render_sizes(report.rows)
    lines += _render_missing_images(report.rows)
    lines += _render_changes(report)
    lines += _render_faults(report.rows)
    lines += _render_guests(report)
    lines += _render_migration(report.sets)
    lines += _render_proofs(report.proofs)
    lines += _render_objects(report.images)
    lines.append("</main>\n</body>\n</html>\n")
    return "\n".join(lines)


def _text(value: object) -> str:
    """Escapes text for HTML, with a space for each character that is not printable."""
    text = str(value)
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return escape(text)


def _span(style: str, value: object) -> str:
    return f'<span class="{style}">{_text(value)}</span>'


def _render_head(report: BuildSummary) -> Iterator[str]:
    built = [row for row in report.rows if row.images]
    used = sum(row.used for row in built)
    yield f"<h1>{_text(report.spec)}</h1>"
    version = _text(__version__)
    yield f'<p class="dim">{len(built)} ROMs, {used:,} bytes in use; by romforge {version}</p>'
    problems = report.problems()
    if problems:
        yield f'<p class="bad">{_text("; ".join(problems))}</p>'
    else:
        yield f'<p class="good">{_text(_good_news(report))}</p>'


def _good_news(report: BuildSummary) -> str:
    """What is known to be well. What was not compared or proven is not said to be."""
    parts = ["every ROM is built and without fault"]
    if report.changes is not None:
        parts.append("as locked")
    if report.sets:
        verdicts = [verdict for of_set in report.sets.values() for verdict in of_set]
        stuck = len({verdict.new_path for verdict in verdicts if not verdict.migrates})
        but = f", but not to {plural(stuck, 'ROM')}, as the spec says" if stuck else ""
        parts.append(f"guests migrate from {join_words(report.sets)}{but}")
    proven = sum(proof.state == "proven" for proof in report.proofs)
    if proven:
        parts.append(f"{proven} of {plural(len(report.proofs), 'proof')} hold")
    return "; ".join(parts)


def _render_sizes(rows: Sequence[Row]) -> Iterator[str]:
    """The legend of colours, then a bar for each ROM, the fullest first."""
    yield "<h2>Sizes</h2>"
    kinds: dict[str, None] = {}  # as an ordered set
    for row in rows:
        kinds |= dict.fromkeys(image.kind for image in row.images)
    legend = []
    for kind in kinds:
        square = f'<rect class="{_colour(kind)}" width="8" height="8"/>'
        picture = f'<svg viewBox="0 0 8 8" aria-hidden="true">{square}</svg>'
        legend.append(f"<li>{picture} {_text(kind)}</li>")
    legend.append('<li class="dim">the rest of a bar is free</li>')
    yield f'<ul class="legend">{"".join(legend)}</ul>'
    for row in sorted(rows, key=_emptiness):
        yield from _render_bar(row)


def _emptiness(row: Row) -> float:
    """A key to sort ROMs by: the fullest first, those that are not built last."""
    if not row.bucket:
        return 1
    return -row.used / row.bucket


def _render_bar(row: Row) -> Iterator[str]:
    """A bar for the bucket of a ROM, with a segment for each image."""
    path = _span("path", row.path)
    if not row.images:
        yield f'<div class="rom">{path} {_span("bad", row.wrong[0])}</div>'
        return
    images = ", ".join(f"{image.name} {image.size:,}" for image in row.images)
    free = row.bucket - row.used
    sizes = f"{images}: {row.used:,} bytes of {format_size(row.bucket)}, {free:,} free"
    left = 0.0
    segments = [f'<rect class="empty" width="{_BAR_WIDTH}" height="16"/>']
    for image in row.images:
        width = _BAR_WIDTH * image.size / row.bucket
        place = f'x="{left:.1f}" width="{max(width, 1):.1f}" height="16"'
        segments.append(f'<rect class="{_colour(image.kind)}" {place}/>')
        left += width
    yield f'<div class="rom">{path} {_span("dim", sizes)}'
    box = f'viewBox="0 0 {_BAR_WIDTH} 16" preserveAspectRatio="none"'
    label = _text(f"{row.path}: {sizes}")
    yield f'<svg {box} role="img" aria-label="{label}">{"".join(segments)}</svg></div>'


def _colour(kind: str) -> str:
    """The class of page.css for a kind of image."""
    number = len(_COLOURED_KINDS)
    if kind in _COLOURED_KINDS:
        number = _COLOURED_KINDS.index(kind)
    return f"k{number}"


def _render_list(items: Iterable[str]) -> str:
    lines = [f"<li>{item}</li>" for item in items]
    return f"<ul>{''.join(lines)}</ul>"


def _render_changes(report: BuildSummary) -> Iterator[str]:
    yield "<h2>Since the lock</h2>"
    if report.changes is None:
        yield "<p>There is no lock; <code>romforge lock</code> writes one.</p>"
        return
    if not report.changes:
        yield '<p class="good">Nothing changed.</p>'
        return
    items = []
    for change in report.changes:
        style = "bad" if change.fault else ""
        items.append(f"{_span('path', change.path)}: {_span(style, change.text)}")
    yield _render_list(items)


def _render_faults(rows: Sequence[Row]) -> Iterator[str]:
    yield "<h2>Faults</h2>"
    items = []
    for row in rows:
        items += [f"{_span('path', row.path)}: {_text(fault)}" for fault in row.wrong]
    if items:
        yield _render_list(items)
    else:
        yield '<p class="good">None.</p>'


def _render_missing_images(rows: Sequence[Row]) -> Iterator[str]:
    """The images of the spec that ROMs lack, and why; nothing where they have all."""
    items = []
    for row in rows:
        items += [f"{_span('path', row.path)}: {_text(reason)}" for reason in row.missing]
    if items:
        yield "<h2>Images left out</h2>"
        yield _render_list(items)


def _render_guests(report: BuildSummary) -> Iterator[str]:
    """A table with a row for each target: its machine types, files, buckets and verdict."""
    if not report.guests:
        return
    yield "<h2>Machine types</h2>"
    yield "<p>Which guests use which set of ROMs, and whether their set is as it was.</p>"
    sets = {guests.target: guests for guests in report.guests}

    def cells(target: str) -> list[str]:
        guests = sets[target]
        machines = ", ".join(guests.machines) or "all others"
        buckets = ", ".join(map(format_size, guests.buckets))
        files = ", ".join(guests.files)
        verdict = _guests_cell(guests, has_lock=report.changes is not None)
        return [_cell("", machines), _cell("path", files), _cell("", buckets), verdict]

    columns = ["machine types", "files", "bucket", "verdict"]
    yield from _render_table(sets, columns, cells, first="target")


def _guests_cell(guests: GuestSet, has_lock: bool) -> str:
    if guests.faults:
        return _cell("bad", "; ".join(guests.faults))
    if not guests.buckets:
        return _cell("dim", "not built")
    if not has_lock:
        return _cell("dim", "no fault, but there is no lock to compare with")
    return _cell("good", "as locked")


def _render_migration(sets: Mapping[str, Sequence[Verdict]]) -> Iterator[str]:
    """A table with a row for each file, and a column for each older set."""
    yield "<h2>Migration</h2>"
    if not sets:
        yield (
            "<p>There are no older sets to compare with. Name one with "
            "<code>romforge report --against NAME=SET</code>, or with migrate_from in the spec.</p>"
        )
        return
    verdicts = {}
    files: set[str] = set()
    for name, of_set in sets.items():
        verdicts[name] = _by_new_path(of_set)
        files |= verdicts[name].keys()
    yield (
        "<p>Whether a guest that runs with the older ROM would migrate to this one, and could boot "
        "from it when QEMU is started again.</p>"
    )

    def cells(file: str) -> list[str]:
        return [_migration_cell(by_file.get(file, [])) for by_file in verdicts.values()]

    yield from _render_table(sorted(files), [f"from {name}" for name in verdicts], cells)


def _by_new_path(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """The verdicts on each ROM; several where it is not clear which older ROM a guest has."""
    by_path: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_path.setdefault(verdict.new_path or verdict.file, []).append(verdict)
    return by_path


def _migration_cell(verdicts: Sequence[Verdict]) -> str:
    """The worst of the verdicts on a ROM."""
    if not any(verdict.old for verdict in verdicts):
        return _cell("dim", "not there")
    for verdict in verdicts:
        if not verdict.migrates:
            return _cell("bad", f"fails: {_why(verdict)}")
    for verdict in verdicts:
        if not verdict.boots:
            return _cell("bad", f"migrates, but can boot no more: {_why(verdict)}")
    return _cell("good", "migrates")


def _why(verdict: Verdict) -> str:
    return "; ".join(
        filter(None, [verdict.reason, verdict.said, verdict.images, verdict.ambiguity])
    )


def _render_proofs(proofs: Sequence[Proven]) -> Iterator[str]:
    """A table with a row for each ROM, and a column for each proof."""
    yield "<h2>Proof</h2>"
    if not proofs:
        yield "<p>Nothing is proven yet; run <code>romforge verify</code>.</p>"
        return
    columns = list(dict.fromkeys(proof.column for proof in proofs))
    by_rom: dict[str, dict[str, Proven]] = {}
    for proof in proofs:
        by_rom.setdefault(proof.rom, {})[proof.column] = proof

    def cells(rom: str) -> list[str]:
        return [_proof_cell(by_rom[rom].get(column)) for column in columns]

    yield from _render_table(by_rom, columns, cells)


def _proof_cell(proof: Proven | None) -> str:
    if proof is None:
        return _cell("dim", "–")
    style = {"proven": "good", "failed": "bad"}.get(proof.state, "dim")
    details = f": {proof.text}" if proof.text else ""
    return _cell(style, f"{proof.state}{details}")


def _cell(style: str, value: object) -> str:
    return f'<td class="{style}">{_text(value)}</td>'


def _render_table(
    files: Iterable[str],
    columns: Iterable[str],
    cells: Callable[[str], Iterable[str]],
    first: str = "file",
) -> Iterator[str]:
    """A table with a row for each file. ``cells`` returns the cells of a row as HTML."""
    headings = [f'<th scope="col">{_text(column)}</th>' for column in (first, *columns)]
    yield '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>'
    yield f"<thead><tr>{''.join(headings)}</tr></thead><tbody>"
    for file in files:
        yield f'<tr><th scope="row" class="path">{_text(file)}</th>{"".join(cells(file))}</tr>'
    yield "</tbody></table></div>"


def _render_objects(images: Sequence[ImageObjects]) -> Iterator[str]:
    """A treemap and a table for each image that a tree built. Those of the largest are open."""
    yield "<h2>Objects</h2>"
    if not images:
        yield "<p>The images come from existing ROMs, whose objects are not known.</p>"
        return
    yield (
        "<p>What each image in a ROM is made of, by directory and object. The bytes that an object "
        "has in the ROM are an estimate, since images are compressed as a whole.</p>"
    )
    largest = max(images, key=lambda image: (image.size, image.linked))
    for image in images:
        attribute = " open" if image is largest else ""
        title = _image_title(image)
        yield f"<details{attribute}><summary>{_text(title)}</summary>"
        yield _render_treemap(title, image)
        yield from _render_object_table(image)
        yield "</details>"


def _image_title(image: ImageObjects) -> str:
    """Such as ``e1000, x86_64-efi: 30,720 bytes in the ROM; 65 objects, 54,765 bytes linked``."""
    name = ", ".join(image.nics) or image.goal
    size = f"{image.size:,} bytes in the ROM" if image.size else "in no ROM"
    count = sum(bool(item.directory) for item in image.objects)  # padding is without
    return f"{name}, {image.platform}: {size}; {count} objects, {image.linked:,} bytes linked"


def _object_area(image: ImageObjects, item: ObjectSize) -> int:
    """The bytes that the area of an object in a treemap stands for."""
    return item.in_rom if image.size else item.linked


def _group_by_directory(image: ImageObjects) -> dict[str, list[ObjectSize]]:
    """The objects to draw, the largest first, by directory. Padding has the directory ""."""
    directories: dict[str, list[ObjectSize]] = {}
    for item in sorted(image.objects, key=lambda item: (-_object_area(image, item), item.name)):
        if _object_area(image, item) > 0:
            directories.setdefault(item.directory, []).append(item)
    return directories


def _render_treemap(title: str, image: ImageObjects) -> str:
    """A treemap of the directories, with a treemap of the objects in each."""
    directories = _group_by_directory(image)
    totals = {}
    for name, items in directories.items():
        totals[name] = sum(_object_area(image, item) for item in items)
    names = sorted(totals, key=lambda name: -totals[name])
    places = squarify([totals[name] for name in names], Box(0, 0, _MAP_WIDTH, _MAP_HEIGHT))
    parts = []
    for name, place in zip(names, places):
        items = directories[name]
        parts.append("<g>")
        boxes = squarify([_object_area(image, item) for item in items], place)
        for item, box in zip(items, boxes):
            parts.append(_render_object(item.name, _object_title(item, image), box))
        parts.append(f'<rect class="directory" {_rectangle(place)}/></g>')
    largest = ", ".join(f"{name or 'padding'} {totals[name]:,}" for name in names[:5])
    label = _text(f"{title}; the largest directories are {largest}")
    box_of_all = f'viewBox="0 0 {_MAP_WIDTH} {_MAP_HEIGHT}"'
    return f'<svg class="map" {box_of_all} role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _object_path(item: ObjectSize) -> str:
    return f"{item.directory}/{item.name}" if item.directory else item.name


def _object_title(item: ObjectSize, image: ImageObjects) -> str:
    """The sizes of an object. Bytes in memory are not contained in those that are linked."""
    sizes = []
    if image.size:
        sizes.append(f"about {item.in_rom:,} bytes in the ROM")
    sizes.append(f"{item.linked:,} linked")
    if item.memory:
        sizes.append(f"{item.memory:,} of memory")
    return f"{_object_path(item)}: {', '.join(sizes)}"


def _render_object(name: str, title: str, box: Box) -> str:
    """A rectangle, with a label if that fits."""
    rectangle = f"<rect {_rectangle(box)}><title>{_text(title)}</title></rect>"
    if box.height <= 16 or box.width <= len(name) * _CHARACTER_WIDTH:
        return rectangle
    label = f'<text x="{box.x + 4:.1f}" y="{box.y + 13:.1f}">{_text(name)}</text>'
    return f"{rectangle}{label}"


def _rectangle(box: Box) -> str:
    """The attributes of an SVG rectangle."""
    return f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'


def _render_object_table(image: ImageObjects) -> Iterator[str]:
    yield "<details><summary>as a table</summary>"
    yield '<div class="scroll" tabindex="0" role="region" aria-label="objects"><table>'
    headings = ['<th scope="col">object</th>']
    for title in ("bytes in the ROM, about", "linked", "memory besides"):
        headings.append(f'<th scope="col" class="number">{title}</th>')
    yield f"<thead><tr>{''.join(headings)}</tr></thead><tbody>"
    items = sorted(
        image.objects, key=lambda item: (-_object_area(image, item), -item.memory, item.name)
    )
    for item in items[:_OBJECTS_LISTED]:
        yield _object_row(_object_path(item), item.in_rom, item.linked, item.memory)
    others = items[_OBJECTS_LISTED:]
    if others:
        in_rom = sum(item.in_rom for item in others)
        linked = sum(item.linked for item in others)
        memory = sum(item.memory for item in others)
        yield _object_row(f"{len(others)} more", in_rom, linked, memory)
    yield _object_row("all", image.size, image.linked, image.memory)
    yield "</tbody></table></div></details>"


def _object_row(name: str, *sizes: int) -> str:
    cells = [f'<td class="number">{size:,}</td>' for size in sizes]
    return f'<tr><th scope="row">{_text(name)}</th>{"".join(cells)}</tr>'
