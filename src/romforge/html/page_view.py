# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the values that the templates of the page show, of what the set is known to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from romforge.analysis import nic_contents, overview, status
from romforge.analysis.compat import Verdict
from romforge.analysis.nic_contents import NamedBytes, NicContents
from romforge.analysis.overview import Check, Grade, Migration, Overview, RomOverview, Subject
from romforge.analysis.provenance import Provenance
from romforge.analysis.summary import BuildSummary, GuestSet, ImageObjects, Proven, Row
from romforge.base.text import format_size, join_words, plural
from romforge.html import byte_map, proof_strip
from romforge.html.anchors import make_anchor
from romforge.html.image_colours import colour_of
from romforge.html.views import (
    BytesView,
    CheckView,
    DifferenceView,
    FactView,
    FailedProofView,
    FileView,
    GuestView,
    ImageListView,
    LeftOutView,
    LinkView,
    MapView,
    MoveView,
    NoteView,
    PageView,
    ProofGroupView,
    ProofsView,
    ProofView,
    RomView,
    SegmentView,
    SetView,
    StripView,
)
from romforge.rom.lock_format import Change, Entry

_TABLE, _FILES = "roms", "files"  # the anchors of the tables
_SECTIONS = {  # to which the checks link
    Subject.BUILT: _TABLE,
    Subject.FILES: _FILES,
    Subject.FAULTS: "faults",
    Subject.LOCK: "changes",
    Subject.MIGRATION: "migration",
    Subject.PROOF: "proofs",
}
_ROM_STATES = {  # what is wrong with a ROM, and its grade
    status.NOT_BUILT: ("not built", Grade.BAD),
    status.FAULTY: ("has faults", Grade.BAD),
    status.CHANGED: ("not as locked", Grade.BAD),
    status.BREAKS: ("breaks guests", Grade.BAD),
    status.FAILED: ("a proof failed", Grade.BAD),
    status.GOOD: ("nothing wrong", Grade.GOOD),
}
_PROOF_GRADES = {  # in the order in which a ROM's proofs are listed
    "failed": Grade.BAD,
    "out of date": Grade.NOTED,
    "not proven": Grade.UNKNOWN,
    "not provable here": Grade.UNKNOWN,
    "proven": Grade.GOOD,
}
_NOT_RECORDED = "not recorded"
_MOST_NAMED = 12  # objects by which NICs differ


def make_page_view(built: BuildSummary, locked: Mapping[str, Entry]) -> PageView:
    """The values of the page; ``locked`` are the entries of the lock by path, none without one."""
    seen = overview.make_overview(built, locked)
    names = _short_names(built.rows)
    faults = _fault_views(built.rows)
    has_roms = bool(built.rows) or not built.files
    first = _TABLE if has_roms else _FILES
    changes = _change_views(built.changes or (), _row_anchors(built), first)
    return PageView(
        spec=built.spec,
        summary=_summary(built),
        checks=tuple(map(_check_view, seen.checks)),
        facts=tuple(_facts(built)),
        kinds=tuple(_kinds(built.rows)),
        sets=tuple(built.sets),
        has_roms=has_roms,
        contents="ROMs" if has_roms else "files",
        first=first,
        roms=tuple(_rom_views(seen, faults, changes, has_lock=built.changes is not None)),
        files=tuple(_file_views(built, changes)),
        faults=tuple(faults),
        changes=None if built.changes is None else tuple(changes),
        set_views=tuple(_set_views(built, seen, names)),
        proofs=_proofs_view(built.proofs, names),
        left_out=tuple(_left_out_views(built.rows, names)),
        guests=tuple(_guest_views(built)),
        bytes=_bytes_view(built.images),
        romforge=built.provenance.romforge if built.provenance else "",
    )


def _short_names(rows: Sequence[Row]) -> dict[str, str]:
    """What links call ROMs, by path: the file's name, with the target where others have it too."""
    counts = Counter(_name(row.path) for row in rows)
    names = {}
    for row in rows:
        name = _name(row.path)
        names[row.path] = name if counts[name] == 1 else f"{name} of {row.target}"
    return names


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _summary(built: BuildSummary) -> str:
    """Such as ``4 ROMs: 2 NICs in 2 targets, 286,720 bytes in use; 1 file, 300,000 bytes``."""
    parts = []
    if built.rows or not built.files:
        parts.append(_summary_of_roms(built))
    if built.files:
        size = sum(file.size or 0 for file in built.files)
        parts.append(f"{plural(len(built.files), 'file')}, {plural(size, 'byte')}")
    return "; ".join(parts)


def _summary_of_roms(built: BuildSummary) -> str:
    found = [row for row in built.rows if row.images]
    used = sum(row.used for row in found)
    nics = len({row.nic for row in built.rows})
    targets = len({row.target for row in built.rows})
    sizes = f"{used:,} bytes in use"
    return f"{plural(len(built.rows), 'ROM')}: {plural(nics, 'NIC')} in " + (
        f"{plural(targets, 'target')}, {sizes}"
    )


def _check_view(check: Check) -> CheckView:
    section = _SECTIONS[check.subject]
    subject = check.subject.value
    return CheckView(subject, check.grade.value, check.text, check.more, section)


def _facts(built: BuildSummary) -> Iterator[FactView]:
    """The provenance: revisions, compilers, the spec and its digest, the date."""
    provenance = built.provenance
    if provenance is None:
        return
    yield from _source_facts(provenance)
    compilers = []
    for compiler in provenance.compilers:
        platforms = ""
        if len(provenance.compilers) > 1:
            platforms = f" ({join_words(compiler.platforms)})"
        compilers.append(f"{compiler.text}{platforms}")
    if built.images and not compilers:
        compilers = [_NOT_RECORDED]
    if compilers:
        yield FactView("compiler", tuple(compilers))
    yield FactView("spec", (built.spec,))
    yield FactView("its SHA-256", (provenance.spec_digest,), is_code=True)
    date = "none: SOURCE_DATE_EPOCH is not set"
    if provenance.date is not None:
        date = provenance.date.strftime("%Y-%m-%d %H:%M UTC")
    yield FactView("date", (date,))


def _source_facts(provenance: Provenance) -> Iterator[FactView]:
    if not provenance.sources:
        yield FactView("source", (_NOT_RECORDED,))
    for source in provenance.sources:
        revisions = source.revisions or (f"revision {_NOT_RECORDED}",)
        yield FactView(f"source {source.name}", revisions, is_code=bool(source.revisions))


def _kinds(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """The classes and names of the kinds of images, for the legend."""
    kinds: dict[str, None] = {}  # as an ordered set
    for row in rows:
        kinds |= dict.fromkeys(image.kind for image in row.images)
    return [(colour_of(kind), kind) for kind in kinds]


def _fault_views(rows: Iterable[Row]) -> list[NoteView]:
    faults = []
    for row in rows:
        for number, text in enumerate(row.wrong, 1):
            anchor = make_anchor("fault", row.path, number)
            rom = make_anchor("rom", row.path)
            faults.append(NoteView(anchor, rom, row.path, Grade.BAD.value, text))
    return faults


def _row_anchors(built: BuildSummary) -> dict[str, str]:
    """The anchors of the rows of both tables, by path."""
    anchors = {row.path: make_anchor("rom", row.path) for row in built.rows}
    for file in built.files:
        anchors[file.path] = make_anchor("file", file.path)
    return anchors


def _change_views(changes: Sequence[Change], rows: Mapping[str, str], first: str) -> list[NoteView]:
    """The changes since the lock, faults first, then those that grew most.

    ``rows`` are the anchors of the rows of tables by path. What is locked may no longer be in the
    spec; the change then links to the ``first`` table.
    """
    numbers: dict[str, int] = {}
    views = []
    for change in sorted(changes, key=lambda change: (not change.fault, -change.growth)):
        number = numbers[change.path] = numbers.get(change.path, 0) + 1
        grade = Grade.BAD if change.fault else Grade.NOTED
        anchor = make_anchor("change", change.path, number)
        about = rows.get(change.path, first)
        views.append(NoteView(anchor, about, change.path, grade.value, change.text))
    return views


def _rom_views(
    seen: Overview, faults: Sequence[NoteView], changes: Sequence[NoteView], has_lock: bool
) -> Iterator[RomView]:
    faults_by_path = _notes_by_path(faults)
    changes_by_path = _notes_by_path(changes)
    for rom in seen.roms:
        path = rom.row.path
        rom_faults = tuple(faults_by_path.get(path, ()))
        yield _rom_view(rom, rom_faults, tuple(changes_by_path.get(path, ())), has_lock)


def _file_views(built: BuildSummary, changes: Sequence[NoteView]) -> Iterator[FileView]:
    """The files that are no ROMs, the worst first."""
    changes_by_path = _notes_by_path(changes)
    for row in status.worst_files_first(built):
        notes = tuple(changes_by_path.get(row.path, ()))
        grades = [note.grade for note in notes]
        change, change_grade = "", Grade.UNKNOWN
        if built.changes is not None:
            change_grade = Grade.BAD if Grade.BAD.value in grades else Grade.NOTED
            change_grade = change_grade if notes else Grade.GOOD
            change = _growth(row.since_lock, bool(notes), is_there=row.size is not None)
        yield FileView(
            anchor=make_anchor("file", row.path),
            path=row.path,
            platform=row.platform,
            goal=row.goal,
            grade=(Grade.BAD if row.fault else Grade.GOOD).value,
            size="" if row.size is None else f"{row.size:,}",
            change=change,
            change_grade=change_grade.value,
            changes=notes,
            fault=row.fault,
        )


def _notes_by_path(notes: Iterable[NoteView]) -> dict[str, list[NoteView]]:
    by_path: dict[str, list[NoteView]] = {}
    for note in notes:
        by_path.setdefault(note.path, []).append(note)
    return by_path


def _rom_view(
    rom: RomOverview, faults: tuple[NoteView, ...], changes: tuple[NoteView, ...], has_lock: bool
) -> RomView:
    row = rom.row
    state, grade = _ROM_STATES[rom.badness]
    is_there = bool(row.images)
    free = row.bucket - row.used
    change, change_grade = _change_cell(rom, has_lock)
    moves = tuple(_move_view(migration) for migration in rom.migrations)
    move_text, move_key = _move_cell(moves)
    proof_text, proof_grade, proof_key = _proof_cell(rom.proofs)
    ordered = sorted(rom.proofs, key=lambda proof: list(_PROOF_GRADES).index(proof.state))
    return RomView(
        anchor=make_anchor("rom", row.path),
        migration_anchor=make_anchor("migration", row.path),
        proof_anchor=make_anchor("proof", row.path),
        nic=row.nic,
        target=row.target,
        path=row.path,
        file=_name(row.path),
        grade=grade.value,
        state=state,
        segments=tuple(_segments(row)),
        sizes=f"{row.used:,} bytes of {format_size(row.bucket)}" if is_there else "",
        full=f"{_per_cent(row)} %" if is_there else "",
        full_key=round(row.used / row.bucket, 4) if is_there else -1,
        free=f"{free:,}" if is_there else "",
        free_key=free if is_there else -1,
        change=change,
        change_key=rom.since_lock or 0,
        change_grade=change_grade.value,
        moves=moves,
        move_text=move_text,
        move_key=move_key,
        strip=_strip(rom.proofs),
        proof_text=proof_text,
        proof_grade=proof_grade.value,
        proof_key=proof_key,
        faults=faults,
        changes=changes,
        missing=row.missing,
        proof_groups=tuple(_proof_groups(ordered)),
    )


def _per_cent(row: Row) -> int:
    """How full the bucket is, rounded down: 100 only if nothing is free."""
    return row.used * 100 // row.bucket


def _segments(row: Row) -> Iterator[SegmentView]:
    for image in row.images:
        width = f"{100 * image.size / row.bucket:.1f}"
        yield SegmentView(image.name, colour_of(image.kind), width, f"{image.size:,}")


def _change_cell(rom: RomOverview, has_lock: bool) -> tuple[str, Grade]:
    """By how many bytes a ROM grew since the lock, and whether that is allowed."""
    grade = Grade.GOOD
    if rom.changes:
        is_wrong = any(change.fault for change in rom.changes)
        grade = Grade.BAD if is_wrong else Grade.NOTED
    if not has_lock:
        return "", Grade.UNKNOWN
    is_there = bool(rom.row.images)
    return _growth(rom.since_lock, bool(rom.changes), is_there), grade


def _growth(since_lock: int | None, has_changes: bool, is_there: bool) -> str:
    if since_lock is None:
        return "not locked" if is_there else "not built"
    if since_lock:
        return f"{since_lock:+,}"
    return "other" if has_changes else "none"


def _move_view(migration: Migration) -> MoveView:
    sentences: dict[str, None] = {}  # as ordered sets
    remedies: dict[str, None] = {}
    notes: dict[str, None] = {}
    for verdict in migration.verdicts:
        if not verdict.migrates and verdict.reason:
            sentences[verdict.reason] = None
        if verdict.romsize:
            remedies[verdict.romsize] = None
        notes |= dict.fromkeys(filter(None, [verdict.said, verdict.images, verdict.ambiguity]))
    return MoveView(
        name=migration.name,
        grade=migration.grade.value,
        text=_move_state(migration.verdicts),
        sentences=tuple(sentences),
        remedies=tuple(remedies),
        notes=tuple(notes),
    )


def _move_state(verdicts: Sequence[Verdict]) -> str:
    """The worst of the verdicts, in a few words."""
    if not any(verdict.old for verdict in verdicts):
        return "the older set has no such file"
    if not all(verdict.migrates for verdict in verdicts):
        return "cannot migrate"
    if not all(verdict.boots for verdict in verdicts):
        return "migrates, but can boot no more"
    return "migrates, and can boot again"


def _move_cell(moves: Sequence[MoveView]) -> tuple[str, int]:
    """How many of the older sets' guests move, and a key that puts the worst first."""
    compared = [move for move in moves if move.grade != Grade.UNKNOWN.value]
    if not compared:
        return "new" if moves else "", 0
    good = sum(move.grade == Grade.GOOD.value for move in compared)
    bad = sum(move.grade == Grade.BAD.value for move in compared)
    text = f"{good} of {len(compared)}"
    return text, bad * 100 + len(compared) - good


def _proof_cell(proofs: Sequence[Proven]) -> tuple[str, Grade, int]:
    """How many proofs failed or hold, a grade, and a key that puts the worst first."""
    if not proofs:
        return "", Grade.UNKNOWN, 0
    states = [proof.state for proof in proofs]
    failed, proven = states.count("failed"), states.count("proven")
    if failed:
        return f"{failed} failed", Grade.BAD, 10_000 + failed
    grade = Grade.GOOD if proven == len(states) else Grade.NOTED
    return f"{proven} of {len(states)}", grade, len(states) - proven


def _strip(proofs: Sequence[Proven]) -> StripView:
    grades = [_PROOF_GRADES[proof.state].value for proof in proofs]
    return StripView(tuple(proof_strip.paths(grades)), proof_strip.width(len(grades)))


def _proof_groups(proofs: Sequence[Proven]) -> Iterator[ProofGroupView]:
    for state, grade in _PROOF_GRADES.items():
        columns: dict[tuple[str, str], list[tuple[str, str]]] = {}  # by what was seen
        of_state = [proof for proof in proofs if proof.state == state]
        for proof in of_state:
            seconds = f"{proof.seconds:,.1f} s" if proof.seconds else ""
            outcome = proof.text, proof.console
            columns.setdefault(outcome, []).append((proof.column, seconds))
        views = []
        for (text, console), of_outcome in columns.items():
            views.append(ProofView(tuple(of_outcome), text, console))
        if views:
            yield ProofGroupView(state, grade.value, len(of_state), tuple(views))


def _set_views(built: BuildSummary, seen: Overview, names: Mapping[str, str]) -> Iterator[SetView]:
    """How the guests of each older set fare."""
    for index, name in enumerate(built.sets):
        links: dict[Grade, list[LinkView]] = {grade: [] for grade in Grade}
        for rom in seen.roms:
            path = rom.row.path
            link = LinkView(make_anchor("migration", path), names[path])
            links[rom.migrations[index].grade].append(link)
        good, absent = len(links[Grade.GOOD]), len(links[Grade.UNKNOWN])
        compared = len(seen.roms) - absent
        text = f"guests can move to {good} of {plural(compared, 'ROM')}"
        if absent:
            text += f"; the set has no file for {absent}"
        broken, noted = tuple(links[Grade.BAD]), tuple(links[Grade.NOTED])
        grade = Grade.GOOD if good else Grade.UNKNOWN
        if broken or noted:
            grade = Grade.BAD if broken else Grade.NOTED
        yield SetView(name, grade.value, text, broken, noted)


def _proofs_view(proofs: Sequence[Proven], names: Mapping[str, str]) -> ProofsView | None:
    if not proofs:
        return None
    states = []
    for state, grade in _PROOF_GRADES.items():
        count = sum(proof.state == state for proof in proofs)
        if count:
            states.append((grade.value, f"{count:,} {state}"))
    failed = []
    for proof in proofs:
        if proof.state == "failed":
            anchor = make_anchor("proof", proof.rom) if proof.rom in names else _TABLE
            link = LinkView(anchor, names.get(proof.rom, proof.rom))
            failed.append(FailedProofView(link, proof.column, proof.text.partition("\n")[0]))
    return ProofsView(tuple(states), tuple(failed))


def _left_out_views(rows: Iterable[Row], names: Mapping[str, str]) -> Iterator[LeftOutView]:
    """The images of the spec that ROMs lack, by the reason."""
    by_reason: dict[str, list[LinkView]] = {}
    for row in rows:
        for reason in row.missing:
            link = LinkView(make_anchor("rom", row.path), names[row.path])
            by_reason.setdefault(reason, []).append(link)
    for reason, links in by_reason.items():
        yield LeftOutView(reason, tuple(links))


def _guest_views(built: BuildSummary) -> Iterator[GuestView]:
    for guests in built.guests:
        grade, verdicts = _guest_verdicts(guests, has_lock=built.changes is not None)
        yield GuestView(
            target=guests.target,
            machines=", ".join(guests.machines) or "all others",
            files=guests.files,
            buckets=", ".join(map(format_size, guests.buckets)),
            grade=grade.value,
            verdicts=verdicts,
        )


def _guest_verdicts(guests: GuestSet, has_lock: bool) -> tuple[Grade, tuple[str, ...]]:
    if guests.faults:
        return Grade.BAD, guests.faults
    if not guests.buckets:
        return Grade.UNKNOWN, ("not built",)
    if not has_lock:
        return Grade.UNKNOWN, ("no fault, but there is no lock to compare with",)
    return Grade.GOOD, ("as locked",)


def _bytes_view(images: Sequence[ImageObjects]) -> BytesView:
    contents = nic_contents.contents_by_nic(images)
    return BytesView(
        maps=tuple(map(_map_view, contents)),
        differences=tuple(map(_difference_view, contents)),
        is_compared=any(one.is_compared for one in contents),
    )


def _map_view(contents: NicContents) -> MapView:
    nics = ", ".join(contents.nics)
    images = sorted(contents.images, key=lambda image: (-image.size, image.platform))
    sizes = ", ".join(f"{image.platform} {image.size:,}" for image in images)
    return MapView(
        anchor=make_anchor("bytes", contents.nics[0]),
        nics=nics,
        title=f"{nics}: {contents.size:,} bytes",
        label=f"The bytes of {nics} by image, directory and object: {sizes}",
        picture=byte_map.draw_map(images),
        images=tuple(map(_image_list, images)),
    )


def _image_list(image: ImageObjects) -> ImageListView:
    """Such as ``x86_64-efi: 30,720 bytes in the ROM; 65 objects, 54,765 bytes linked``."""
    size = f"{image.size:,} bytes in the ROM" if image.size else "in no ROM"
    count = sum(bool(item.directory) for item in image.objects)  # padding is without
    title = f"{image.platform}: {size}; {count} objects, {image.linked:,} bytes linked"
    if image.memory:
        title += f", {image.memory:,} bytes of memory besides"
    directories = []
    for name, total, text in byte_map.list_directories(image):
        directories.append((name, f"{total:,}", text))
    return ImageListView(title, tuple(directories))


def _difference_view(contents: NicContents) -> DifferenceView:
    return DifferenceView(
        nics=", ".join(contents.nics),
        size=f"{contents.size:,}",
        own=_named_bytes(contents.own),
        lacking=_named_bytes(contents.lacking),
    )


def _named_bytes(objects: Sequence[NamedBytes]) -> str:
    texts = [f"{item.name} {item.size:,}" for item in objects[:_MOST_NAMED]]
    others = objects[_MOST_NAMED:]
    if others:
        texts.append(f"{len(others)} more {sum(item.size for item in others):,}")
    return ", ".join(texts) or "nothing"
