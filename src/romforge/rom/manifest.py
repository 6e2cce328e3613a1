# SPDX-License-Identifier: GPL-2.0-or-later
"""The manifest of a target: its entries, and what that of an earlier build says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from romforge.base import fingerprint
from romforge.base.fingerprint import FAILED
from romforge.base.text import in_a_line
from romforge.spec.model import IMAGES_MANIFEST, manifest_name

ABSENT = "is not built"  # of a ROM without a file


class _ImageFacts(TypedDict):
    """What is known of each image of a ROM."""

    name: str
    kind: str
    offset: int
    size: int
    ids: str
    sha256: str
    origin: str


class ImageEntry(_ImageFacts, total=False):
    """An image of a ROM: sizes and offset are bytes.

    ``stream`` and ``driver`` those of a compressed driver; images of a BIOS lack these keys.
    """

    compressed: bool
    stream: int
    driver: int


Layout = list[ImageEntry]


class MissingImage(TypedDict):
    """An image that the spec lists and a ROM lacks: the platform, the kind, and why."""

    name: str
    kind: str
    reason: str


class Signature(TypedDict):
    """How the EFI drivers of a ROM were signed: the tool, and whether with the same bytes again."""

    tool: str
    reproducible: bool


class _RomFacts(TypedDict):
    """What is known of each ROM, also of one that failed."""

    file: str
    nic: str
    used: int
    bucket: int | None
    images: Layout


class RomEntry(_RomFacts, total=False):
    """A ROM in a manifest: sizes are bytes, ``file`` is relative to the output root.

    A ROM that failed has an ``error``, and in ``stale_sha256`` what an earlier build left in its
    place. ``limit`` is the most bytes that the file may have. ``dropped`` are images that did not
    fit, ``impossible`` those that could not work for the NIC; a ROM without such images, without
    a limit or without signatures lacks the key.
    """

    size: int
    limit: int
    sha256: str
    signed: Signature
    dropped: list[MissingImage]
    impossible: list[MissingImage]
    error: str
    stale_sha256: str


def build_fault(out: Path, path: str, entry: RomEntry | None) -> str | None:
    """Why the file of a ROM in an output root is not what was built last; None if it is.

    ``entry`` is the one in the manifest. It may lack where the file was put there by other means.
    """
    file = out / path
    error = error_in_a_line(entry)
    if error:
        left = "; the file is of an earlier build" if file.is_file() else ""
        return f"{FAILED}{error}{left}"
    if not file.is_file():
        return ABSENT
    digest = entry.get("sha256") if entry else None
    if digest and fingerprint.sha256(file.read_bytes()) != digest:
        return "was changed since it was built"
    return None


# What is known of a source. A package has ``deb``, its name and version, and ``sha256``. A tree has
# ``tree``, its directory; ``kind``, the place in the spec that it has: see TreePlace; and
# ``revision``, which is empty where it is not known.
SourceFacts = dict[str, str]


def revision_of(source: SourceFacts) -> str:
    """A package with its version, the revision of a tree, or which fallback it is; else empty.

    A fallback tree seldom has a revision, and is known by the name of its directory.
    """
    if source.get("kind") == "fallback":
        return f"{Path(source['tree']).name}, the fallback"
    return source.get("deb") or source.get("revision", "")


class BootFileEntry(TypedDict):
    """A file that is no ROM, in images.json; ``size`` is bytes, ``goal`` iPXE's name of it."""

    file: str
    name: str
    platform: str
    goal: str
    size: int
    sha256: str


def boot_files_text(
    spec: str, entries: Sequence[BootFileEntry], sources: Mapping[str, SourceFacts]
) -> bytes:
    """The text of the manifest of files that are no ROMs: JSON, one file a line."""
    head = f'"spec": {json.dumps(spec)}, "sources": {json.dumps(dict(sources))}'
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    return f'{{{head}, "files": [\n{lines}\n]}}\n'.encode()


def boot_files_spec(out: Path) -> str | None:
    """The spec that asked for the files that are no ROMs; None where it cannot be read."""
    try:
        return str(json.loads((out / IMAGES_MANIFEST).read_bytes())["spec"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_boot_file_sources(out: Path) -> dict[str, SourceFacts]:
    """What is known of the sources of files that are no ROMs; nothing where it cannot be read."""
    try:
        return dict(json.loads((out / IMAGES_MANIFEST).read_bytes())["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read_boot_files(out: Path) -> dict[str, BootFileEntry]:
    """The entries of files that are no ROMs, by path; none where they cannot be read."""
    try:
        stored = json.loads((out / IMAGES_MANIFEST).read_bytes())
        return {str(entry["file"]): entry for entry in stored["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class Manifest(NamedTuple):
    """A manifest as it was read: its spec, and its entries by the path of the ROM."""

    spec: str | None
    roms: dict[str, RomEntry]
    sources: dict[str, SourceFacts]


def entry_text(entry: RomEntry | None) -> str:
    """An entry as it stands in a manifest."""
    return json.dumps(entry)


def manifest_text(
    target: str, spec: str, sources: Mapping[str, SourceFacts], entries: Sequence[str]
) -> bytes:
    """The text of a manifest: JSON, one ROM a line. ``entries`` are JSON already."""
    head = ", ".join(
        f"{json.dumps(key)}: {json.dumps(value)}"
        for key, value in (("target", target), ("spec", spec), ("sources", dict(sources)))
    )
    lines = ",\n".join(entries)
    return f'{{{head}, "roms": [\n{lines}\n]}}\n'.encode()


def holds_manifest(out: Path, target: str, data: bytes) -> bool:
    """Whether the manifest of a target is this one already."""
    try:
        return (out / manifest_name(target)).read_bytes() == data
    except OSError:
        return False


def read_manifest(out: Path, target: str) -> Manifest:
    """The manifest of a target; an empty one where none can be read."""
    try:
        stored = json.loads((out / manifest_name(target)).read_bytes())
        roms: dict[str, RomEntry] = {str(entry["file"]): entry for entry in stored["roms"]}
        return Manifest(stored.get("spec"), roms, dict(stored["sources"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest(None, {}, {})


def read_manifests(out: Path) -> dict[str, RomEntry]:
    """The entries of all manifests in an output root, by the path of the ROM."""
    entries: dict[str, RomEntry] = {}
    for path in sorted(out.glob(manifest_name("*"))):
        target = path.name.removesuffix(manifest_name(""))
        entries |= read_manifest(out, target).roms
    return entries


def failed_roms(out: Path) -> dict[str, str]:
    """The ROMs of an output root whose last build failed: the error, cropped to a line, by path."""
    failed = {}
    for path, entry in read_manifests(out).items():
        error = error_in_a_line(entry)
        if error:
            failed[path] = error
    return failed


def error_in_a_line(entry: RomEntry | None) -> str:
    """Why the last build of a ROM failed, cropped; empty if it did not."""
    if entry is None:
        return ""
    return in_a_line(entry.get("error", ""))
