# SPDX-License-Identifier: GPL-2.0-or-later
"""The values that the templates of the page show: texts, anchors and widths, nothing to compute.

A grade is the value of an ``overview.Grade``: the class of a colour, and the name of a mark.
"""

from __future__ import annotations

from dataclasses import dataclass

from romforge.html.byte_map import ByteMap


@dataclass(frozen=True)
class CheckView:
    """A card of the verdict strip, and the section that it links to."""

    subject: str
    grade: str
    text: str
    more: str
    section: str


@dataclass(frozen=True)
class FactView:
    """A fact of the provenance: its name, and its values; ``is_code`` for digests and the like."""

    name: str
    values: tuple[str, ...]
    is_code: bool = False


@dataclass(frozen=True)
class SegmentView:
    """An image in the bar of a ROM. ``width`` is a percentage of the bucket."""

    name: str
    colour: str
    width: str
    size: str


@dataclass(frozen=True)
class NoteView:
    """A fault or a change: the anchors of its place in the page's list, and of what it is about."""

    anchor: str
    about: str
    path: str
    grade: str
    text: str


@dataclass(frozen=True)
class MoveView:
    """A migration from an older set: what QEMU says, and what there is to do or to know."""

    name: str
    grade: str
    text: str
    sentences: tuple[str, ...]
    remedies: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ProofView:
    """Proofs of a ROM with the same outcome: their columns, each with its time, and what was seen.

    ``console`` is the end of that of a proof that failed.
    """

    columns: tuple[tuple[str, str], ...]
    text: str
    console: str


@dataclass(frozen=True)
class ProofGroupView:
    """The proofs of a ROM with the same state, and how many they are."""

    state: str
    grade: str
    count: int
    proofs: tuple[ProofView, ...]


@dataclass(frozen=True)
class StripView:
    """The proofs of a ROM as marks: a path of an SVG for each grade that occurs, and its width."""

    paths: tuple[tuple[str, str], ...]
    width: int


@dataclass(frozen=True)
class RomView:
    """A row of the table, and what is behind it. Keys are what the columns are sorted by."""

    anchor: str
    migration_anchor: str
    proof_anchor: str
    nic: str
    target: str
    path: str
    file: str
    grade: str
    state: str
    segments: tuple[SegmentView, ...]
    sizes: str
    full: str
    full_key: float
    free: str
    free_key: int
    change: str
    change_key: int
    change_grade: str
    moves: tuple[MoveView, ...]
    move_text: str
    move_key: int
    strip: StripView
    proof_text: str
    proof_grade: str
    proof_key: int
    faults: tuple[NoteView, ...]
    changes: tuple[NoteView, ...]
    missing: tuple[str, ...]
    proof_groups: tuple[ProofGroupView, ...]


@dataclass(frozen=True)
class FileView:
    """A row of the table of files that are no ROMs; ``fault`` is empty if nothing is wrong."""

    anchor: str
    path: str
    platform: str
    goal: str
    grade: str
    size: str
    change: str
    change_grade: str
    changes: tuple[NoteView, ...]
    fault: str


@dataclass(frozen=True)
class LinkView:
    """A link to a part of the page."""

    anchor: str
    text: str


@dataclass(frozen=True)
class SetView:
    """How the guests of an older set fare: how many ROMs they can move to, and the others."""

    name: str
    grade: str
    text: str
    broken: tuple[LinkView, ...]
    noted: tuple[LinkView, ...]


@dataclass(frozen=True)
class FailedProofView:
    """A proof that failed, with a link to it."""

    link: LinkView
    column: str
    text: str


@dataclass(frozen=True)
class ProofsView:
    """All proofs: how many have each state, with its grade, and those that failed."""

    states: tuple[tuple[str, str], ...]
    failed: tuple[FailedProofView, ...]


@dataclass(frozen=True)
class LeftOutView:
    """Images that ROMs lack for the same reason."""

    reason: str
    roms: tuple[LinkView, ...]


@dataclass(frozen=True)
class GuestView:
    """A target, and the guests that use it."""

    target: str
    machines: str
    files: tuple[str, ...]
    buckets: str
    grade: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class ImageListView:
    """The objects of an image as text: by directory, each with its bytes and its objects."""

    title: str
    directories: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class MapView:
    """The picture of a NIC's ROMs, and the same as lists."""

    anchor: str
    nics: str
    title: str
    label: str
    picture: ByteMap
    images: tuple[ImageListView, ...]


@dataclass(frozen=True)
class DifferenceView:
    """By which objects NICs differ from most others."""

    nics: str
    size: str
    own: str
    lacking: str


@dataclass(frozen=True)
class BytesView:
    """What ROMs are made of: the pictures, those of the largest first, and how NICs differ."""

    maps: tuple[MapView, ...]
    differences: tuple[DifferenceView, ...]
    is_compared: bool


@dataclass(frozen=True)
class PageView:
    """The whole page. ``changes`` is None without a lock.

    ``has_roms`` is false for a set of files alone, of which the sections of ROMs say nothing.
    ``contents`` are the kinds of what the table at the top is about, and ``first`` is its anchor.
    """

    spec: str
    summary: str
    checks: tuple[CheckView, ...]
    facts: tuple[FactView, ...]
    kinds: tuple[tuple[str, str], ...]
    sets: tuple[str, ...]
    has_roms: bool
    contents: str
    first: str
    roms: tuple[RomView, ...]
    files: tuple[FileView, ...]
    faults: tuple[NoteView, ...]
    changes: tuple[NoteView, ...] | None
    set_views: tuple[SetView, ...]
    proofs: ProofsView | None
    left_out: tuple[LeftOutView, ...]
    guests: tuple[GuestView, ...]
    bytes: BytesView
    romforge: str
