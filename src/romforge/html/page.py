# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as one page of HTML: no script, no network; charts are inline SVG, and text as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from romforge import __version__
from romforge.analysis.summary import BuildSummary, ImageObjects, ObjectSize, Proven, Row
from romforge.base.text import format_size
from romforge.html.treemap import Box, squarify

_WIDE, _HIGH = 960, 320  # of a treemap, in units of its picture
_KINDS = "legacy", "x86_64", "arm64", "riscv64", "loong64"  # with colours of their own
_LISTED = 40  # objects in a table; the rest is summed up
_LABEL = 7  # units of width for each character of a label


def render_page(report: BuildSummary) -> str:
    """The whole page."""
    style = (Path(__file__).resolve().parent / "page.css").read_text()
    parts = [*_head(report), *_sizes(report.rows), *_changes(report), *_faults(report.rows)]
    parts += [*_migrations(report), *_proofs(report.proofs), *_objects(report.images)]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(report.spec)}: ROMs</title>\n<style>\n{style}</style>\n</head>",
            "<body>\n<main>",
            *parts,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _text(value: object) -> str:
    """Text for HTML, with nothing in it that is no character of a page."""
    return escape("".join(one if one.isprintable() else " " for one in str(value)))


def _head(report: BuildSummary) -> Iterator[str]:
    built = [row for row in report.rows if row.images]
    wrong = sum(bool(row.wrong) for row in report.rows)
    yield f"<h1>{_text(report.spec)}</h1>"
    used = sum(row.used for row in built)
    by = f"by romforge {_text(__version__)}"
    yield f'<p class="dim">{len(built)} ROMs, {used:,} bytes in use; {by}</p>'
    told = (
        f"{wrong} of {len(report.rows)} ROMs have faults or are not built"
        if wrong
        else "every ROM is built and without fault"
    )
    yield f'<p class="{"bad" if wrong else "good"}">{told}</p>'


def _sizes(rows: Sequence[Row]) -> Iterator[str]:
    yield "<h2>Sizes</h2>"
    kinds = list(dict.fromkeys(image.kind for row in rows for image in row.images))
    marks = []
    for kind in kinds:
        mark = f'<rect class="{_colour(kind)}" width="8" height="8"/>'
        picture = f'<svg viewBox="0 0 8 8" aria-hidden="true">{mark}</svg>'
        marks.append(f"<li>{picture} {_text(kind)}</li>")
    yield f'<ul class="legend">{"".join(marks)}<li class="dim">the rest of a bar is free</li></ul>'
    for row in sorted(rows, key=lambda row: -row.used / row.bucket if row.bucket else 1):
        yield from _bar(row)


def _bar(row: Row) -> Iterator[str]:
    """A ROM against its bucket, its images as segments."""
    if not row.images:
        fault = f'<span class="bad">{_text(row.wrong[0])}</span>'
        yield f'<div class="rom"><span class="path">{_text(row.path)}</span> {fault}</div>'
        return
    told = ", ".join(f"{image.name} {image.size:,}" for image in row.images)
    words = (
        f"{told}: {row.used:,} bytes of {format_size(row.bucket)}, {row.bucket - row.used:,} free"
    )
    begin, parts = 0.0, ['<rect class="empty" width="1000" height="16"/>']
    for image in row.images:
        width = 1000 * image.size / row.bucket
        place = f'x="{begin:.1f}" width="{max(width, 1):.1f}" height="16"'
        parts.append(f'<rect class="{_colour(image.kind)}" {place}/>')
        begin += width
    path = f'<span class="path">{_text(row.path)}</span>'
    yield f'<div class="rom">{path} <span class="dim">{_text(words)}</span>'
    label = _text(f"{row.path}: {words}")
    head = f'<svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label="{label}">'
    yield f"{head}{''.join(parts)}</svg></div>"


def _colour(kind: str) -> str:
    return f"k{_KINDS.index(kind)}" if kind in _KINDS else "k5"


def _changes(report: BuildSummary) -> Iterator[str]:
    yield "<h2>Since the lock</h2>"
    if report.changes is None:
        yield "<p>There is no lock; <code>romforge lock</code> writes one.</p>"
    elif not report.changes:
        yield '<p class="good">Nothing changed.</p>'
    else:
        items = []
        for change in report.changes:
            colour = "bad" if change.fault else ""
            text = f'<span class="{colour}">{_text(change.text)}</span>'
            items.append(f'<li><span class="path">{_text(change.path)}</span>: {text}</li>')
        yield f"<ul>{''.join(items)}</ul>"


def _faults(rows: Sequence[Row]) -> Iterator[str]:
    yield "<h2>Faults</h2>"
    found = [(row.path, wrong) for row in rows for wrong in row.wrong]
    items = (
        f'<li><span class="path">{_text(path)}</span>: {_text(wrong)}</li>' for path, wrong in found
    )
    yield f"<ul>{''.join(items)}</ul>" if found else '<p class="good">None.</p>'


def _migrations(report: BuildSummary) -> Iterator[str]:
    """A row for each file, a column for each older set."""
    yield "<h2>Migration</h2>"
    if not report.sets:
        yield (
            "<p>No older sets were named: <code>romforge report --against NAME=SET</code> does, and so does migrate_from in the spec.</p>"
        )
        return
    verdicts = {name: {one.file: one for one in found} for name, found in report.sets.items()}
    files = sorted({file for found in verdicts.values() for file in found})
    yield "<p>Would a guest that runs with the older ROM migrate to this one?</p>"

    def cell(file: str, name: str) -> str:
        one = verdicts[name].get(file)
        if one is None or one.old is None:
            return '<td class="dim">not there</td>'
        told = (
            "migrates"
            if one.compatible
            else "fails: " + "; ".join(filter(None, [one.reason, one.said]))
        )
        return f'<td class="{"good" if one.compatible else "bad"}">{_text(told)}</td>'

    yield from _matrix(
        "file",
        files,
        [f"from {name}" for name in verdicts],
        lambda file: (cell(file, name) for name in verdicts),
    )


def _proofs(proofs: Sequence[Proven]) -> Iterator[str]:
    yield "<h2>Proof</h2>"
    if not proofs:
        yield "<p>Nothing was proven; <code>romforge verify</code> does.</p>"
        return
    columns = list(dict.fromkeys(one.column for one in proofs))
    by_rom: dict[str, dict[str, Proven]] = {}
    for one in proofs:
        by_rom.setdefault(one.rom, {})[one.column] = one

    def cell(one: Proven | None) -> str:
        if one is None:
            return '<td class="dim">–</td>'
        colour = "good" if one.state == "proven" else "dim"
        words = f"{one.state}: {one.text}" if one.text else one.state
        return f'<td class="{colour}">{_text(words)}</td>'

    yield from _matrix(
        "file",
        list(by_rom),
        columns,
        lambda rom: (cell(by_rom[rom].get(column)) for column in columns),
    )


def _matrix(
    corner: str, names: Iterable[str], columns: Iterable[str], cells: Callable[[str], Iterable[str]]
) -> Iterator[str]:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in (corner, *columns))
    yield '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>'
    yield f"<thead><tr>{head}</tr></thead><tbody>"
    for name in names:
        yield f'<tr><th scope="row" class="path">{_text(name)}</th>{"".join(cells(name))}</tr>'
    yield "</tbody></table></div>"


def _objects(images: Sequence[ImageObjects]) -> Iterator[str]:
    """A treemap for each image that a tree built, the largest open."""
    yield "<h2>Objects</h2>"
    if not images:
        yield "<p>The images are of existing ROMs, which say nothing of their objects.</p>"
        return
    yield (
        "<p>What each image in a ROM is made of, by directory and object. The bytes that an object "
        "has in the ROM are an estimate, since images are compressed as a whole.</p>"
    )
    largest = max(images, key=lambda image: (image.size, image.linked))
    for image in images:
        title = _title(image)
        yield f"<details{' open' if image is largest else ''}><summary>{_text(title)}</summary>"
        yield _treemap(title, image)
        yield from _table(image)
        yield "</details>"


def _title(image: ImageObjects) -> str:
    """Such as ``e1000, x86_64-efi: 30,720 bytes in the ROM; 65 objects, 54,765 bytes linked``."""
    name = f"{', '.join(image.nics) or image.goal}, {image.platform}"
    size = f"{image.size:,} bytes in the ROM" if image.size else "in no ROM"
    objects = sum(1 for item in image.objects if item.directory)
    return f"{name}: {size}; {objects} objects, {image.linked:,} bytes linked"


def _area(image: ImageObjects, item: ObjectSize) -> int:
    """What the area of an object in a treemap stands for."""
    return item.in_rom if image.size else item.linked


def _treemap(title: str, image: ImageObjects) -> str:
    """Directories within the map, and objects within directories."""
    groups: dict[str, list[ObjectSize]] = {}
    for item in sorted(image.objects, key=lambda item: (-_area(image, item), item.name)):
        if _area(image, item) > 0:
            groups.setdefault(item.directory, []).append(item)
    totals = {name: sum(_area(image, item) for item in items) for name, items in groups.items()}
    names = sorted(groups, key=lambda name: -totals[name])
    whole = Box(0, 0, _WIDE, _HIGH)
    parts = []
    for name, place in zip(names, squarify([totals[name] for name in names], whole)):
        items = groups[name]
        boxes = squarify([_area(image, item) for item in items], place)
        objects = [_object(item.name, _words(item, image), box) for item, box in zip(items, boxes)]
        parts.append(f'<g>{"".join(objects)}<rect class="directory" {_at(place)}/></g>')
    most = ", ".join(f"{name or 'padding'} {totals[name]:,}" for name in names[:5])
    label = _text(f"{title}; the largest directories are {most}")
    head = f'<svg class="map" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{label}">'
    return f"{head}{''.join(parts)}</svg>"


def _path(item: ObjectSize) -> str:
    return f"{item.directory}/{item.name}" if item.directory else item.name


def _words(item: ObjectSize, image: ImageObjects) -> str:
    """An object's figures; those of memory are no part of the others."""
    words = [f"about {item.in_rom:,} bytes in the ROM"] if image.size else []
    words.append(f"{item.linked:,} linked")
    if item.memory:
        words.append(f"{item.memory:,} of memory")
    return f"{_path(item)}: {', '.join(words)}"


def _object(name: str, title: str, box: Box) -> str:
    fits = box.height > 16 and len(name) * _LABEL < box.width
    label = f'<text x="{box.x + 4:.1f}" y="{box.y + 13:.1f}">{_text(name)}</text>' if fits else ""
    return f"<rect {_at(box)}><title>{_text(title)}</title></rect>{label}"


def _at(box: Box) -> str:
    return f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'


def _table(image: ImageObjects) -> Iterator[str]:
    items = sorted(image.objects, key=lambda item: (-_area(image, item), -item.memory, item.name))
    rows = [(_path(item), item.in_rom, item.linked, item.memory) for item in items[:_LISTED]]
    if rest := items[_LISTED:]:
        in_rom = sum(item.in_rom for item in rest)
        linked = sum(item.linked for item in rest)
        rows.append((f"{len(rest)} more", in_rom, linked, sum(item.memory for item in rest)))
    rows.append(("all", image.size, image.linked, image.memory))
    yield "<details><summary>as a table</summary>"
    yield '<div class="scroll" tabindex="0" role="region" aria-label="objects"><table>'
    titles = "bytes in the ROM, about", "linked", "memory besides"
    head = "".join(f'<th scope="col" class="number">{title}</th>' for title in titles)
    yield f'<thead><tr><th scope="col">object</th>{head}</tr></thead><tbody>'
    for name, *sizes in rows:
        cells = "".join(f'<td class="number">{size:,}</td>' for size in sizes)
        yield f'<tr><th scope="row">{_text(name)}</th>{cells}</tr>'
    yield "</tbody></table></div></details>"
