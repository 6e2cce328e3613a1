# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as one page of HTML: no script, no network; charts are inline SVG, and each is told in text as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from romforge import __version__
from romforge.errors import human
from romforge.report import Proven, Report, Row
from romforge.treemap import Box, squarify

Groups = Mapping[str, Mapping[str, int]]  # bytes by directory and object
_WIDE, _HIGH = 960, 320  # of a treemap, in units of its picture
_KINDS = "legacy", "x86_64", "arm64", "riscv64", "loong64"  # with colours of their own
_LISTED = 40  # objects in a table; the rest is summed up
_LABEL = 7  # units of width for each character of a label


def render(report: Report) -> str:
    """The whole page."""
    style = (Path(__file__).resolve().parent / "page.css").read_text()
    parts = [*_head(report), *_sizes(report.rows), *_changes(report), *_faults(report.rows)]
    parts += [*_migrations(report), *_proofs(report.proofs), *_objects(report.objects)]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(report.spec)}: ROMs</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            *parts,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _text(value: object) -> str:
    """Text for HTML, with nothing in it that is no character of a page."""
    return escape("".join(one if one.isprintable() else " " for one in str(value)))


def _head(report: Report) -> Iterator[str]:
    built = [row for row in report.rows if row.images]
    wrong = sum(bool(row.wrong) for row in report.rows)
    yield f"<h1>{_text(report.spec)}</h1>"
    yield f'<p class="dim">{len(built)} ROMs, {sum(row.used for row in built):,} bytes in use; by romforge {_text(__version__)}</p>'
    told = f"{wrong} of {len(report.rows)} ROMs have faults or are not built" if wrong else "every ROM is built and without fault"
    yield f'<p class="{"bad" if wrong else "good"}">{told}</p>'


def _sizes(rows: Sequence[Row]) -> Iterator[str]:
    yield "<h2>Sizes</h2>"
    kinds = list(dict.fromkeys(image.kind for row in rows for image in row.images))
    marks = (
        f'<li><svg viewBox="0 0 8 8" aria-hidden="true"><rect class="{_colour(one)}" width="8" height="8"/></svg> {_text(one)}</li>'
        for one in kinds
    )
    yield f'<ul class="legend">{"".join(marks)}<li class="dim">the rest of a bar is free</li></ul>'
    for row in sorted(rows, key=lambda row: -row.used / row.bucket if row.bucket else 1):
        yield from _bar(row)


def _bar(row: Row) -> Iterator[str]:
    """A ROM against its bucket, its images as segments."""
    if not row.images:
        yield f'<div class="rom"><span class="path">{_text(row.path)}</span> <span class="bad">{_text(row.wrong[0])}</span></div>'
        return
    told = ", ".join(f"{image.name} {image.size:,}" for image in row.images)
    words = f"{told}: {row.used:,} bytes of {human(row.bucket)}, {row.bucket - row.used:,} free"
    begin, parts = 0.0, ['<rect class="empty" width="1000" height="16"/>']
    for image in row.images:
        width = 1000 * image.size / row.bucket
        parts.append(f'<rect class="{_colour(image.kind)}" x="{begin:.1f}" width="{max(width, 1):.1f}" height="16"/>')
        begin += width
    yield f'<div class="rom"><span class="path">{_text(row.path)}</span> <span class="dim">{_text(words)}</span>'
    label = _text(f"{row.path}: {words}")
    yield f'<svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label="{label}">{"".join(parts)}</svg></div>'


def _colour(kind: str) -> str:
    return f"k{_KINDS.index(kind)}" if kind in _KINDS else "k5"


def _changes(report: Report) -> Iterator[str]:
    yield "<h2>Since the lock</h2>"
    if report.changes is None:
        yield "<p>There is no lock; <code>romforge lock</code> writes one.</p>"
    elif not report.changes:
        yield '<p class="good">Nothing changed.</p>'
    else:
        items = (
            f'<li><span class="path">{_text(one.path)}</span>: <span class="{"bad" if one.fault else ""}">{_text(one.text)}</span></li>'
            for one in report.changes
        )
        yield f"<ul>{''.join(items)}</ul>"


def _faults(rows: Sequence[Row]) -> Iterator[str]:
    yield "<h2>Faults</h2>"
    found = [(row.path, wrong) for row in rows for wrong in row.wrong]
    items = (f'<li><span class="path">{_text(path)}</span>: {_text(wrong)}</li>' for path, wrong in found)
    yield f"<ul>{''.join(items)}</ul>" if found else '<p class="good">None.</p>'


def _migrations(report: Report) -> Iterator[str]:
    """A row for each file, a column for each older set."""
    yield "<h2>Migration</h2>"
    if not report.sets:
        yield "<p>No older sets were named: <code>romforge report --against NAME=SET</code> does, and so does migrate_from in the spec.</p>"
        return
    verdicts = {name: {one.file: one for one in found} for name, found in report.sets.items()}
    files = sorted({file for found in verdicts.values() for file in found})
    yield "<p>Would a guest that runs with the older ROM migrate to this one?</p>"

    def cell(file: str, name: str) -> str:
        one = verdicts[name].get(file)
        if one is None or one.old is None:
            return '<td class="dim">not there</td>'
        told = "migrates" if one.compatible else "fails: " + "; ".join(filter(None, [one.reason, one.said]))
        return f'<td class="{"good" if one.compatible else "bad"}">{_text(told)}</td>'

    yield from _matrix("file", files, [f"from {name}" for name in verdicts], lambda file: (cell(file, name) for name in verdicts))


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
        return (
            f'<td class="{"good" if one.state == "proven" else "dim"}">{_text(one.state)}{": " + _text(one.text) if one.text else ""}</td>'
        )

    yield from _matrix("file", list(by_rom), columns, lambda rom: (cell(by_rom[rom].get(column)) for column in columns))


def _matrix(corner: str, names: Iterable[str], columns: Iterable[str], cells: Callable[[str], Iterable[str]]) -> Iterator[str]:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in (corner, *columns))
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead><tr>{head}</tr></thead><tbody>'
    for name in names:
        yield f'<tr><th scope="row" class="path">{_text(name)}</th>{"".join(cells(name))}</tr>'
    yield "</tbody></table></div>"


def _objects(images: Mapping[str, Groups]) -> Iterator[str]:
    """A treemap for each image that a tree built, the largest open."""
    yield "<h2>Objects</h2>"
    if not images:
        yield "<p>The images are of existing ROMs, which say nothing of their objects.</p>"
        return
    yield "<p>What the linker put into each image, by directory and object; bytes before compression.</p>"
    largest = max(images, key=lambda name: _bytes(images[name]))
    for name, groups in images.items():
        told = f"{name}: {sum(map(len, groups.values()))} objects, {_bytes(groups):,} bytes"
        yield f"<details{' open' if name == largest else ''}><summary>{_text(told)}</summary>"
        yield _treemap(told, groups)
        yield from _table(groups)
        yield "</details>"


def _bytes(groups: Groups) -> int:
    return sum(sum(sizes.values()) for sizes in groups.values())


def _treemap(told: str, groups: Groups) -> str:
    """Directories within the map, and objects within directories."""
    totals = {name: sum(sizes.values()) for name, sizes in groups.items()}
    parts = []
    for (directory, sizes), place in zip(groups.items(), squarify(list(totals.values()), Box(0, 0, _WIDE, _HIGH))):
        boxes = (
            _object(name, f"{directory}/{name}: {size:,} bytes", box)
            for (name, size), box in zip(sizes.items(), squarify(list(sizes.values()), place))
        )
        parts.append(f'<g>{"".join(boxes)}<rect class="directory" {_at(place)}/></g>')
    most = ", ".join(f"{name} {size:,}" for name, size in list(totals.items())[:5])
    label = _text(f"{told}; the largest directories are {most}")
    return f'<svg class="map" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _object(name: str, title: str, box: Box) -> str:
    fits = box.height > 16 and len(name) * _LABEL < box.width
    label = f'<text x="{box.x + 4:.1f}" y="{box.y + 13:.1f}">{_text(name)}</text>' if fits else ""
    return f"<rect {_at(box)}><title>{_text(title)}</title></rect>{label}"


def _at(box: Box) -> str:
    return f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'


def _table(groups: Groups) -> Iterator[str]:
    rows = [(f"{directory}/{name}", size) for directory, sizes in groups.items() for name, size in sizes.items()]
    rows.sort(key=lambda row: -row[1])
    rest = rows[_LISTED:]
    rows = rows[:_LISTED] + ([(f"{len(rest)} more", sum(size for _, size in rest))] if rest else [])
    yield '<details><summary>as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="objects"><table>'
    yield '<thead><tr><th scope="col">object</th><th scope="col" class="number">bytes</th></tr></thead><tbody>'
    for name, size in rows:
        yield f'<tr><th scope="row">{_text(name)}</th><td class="number">{size:,}</td></tr>'
    yield "</tbody></table></div></details>"
