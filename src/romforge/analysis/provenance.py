# SPDX-License-Identifier: GPL-2.0-or-later
"""What a set of ROMs was made of: spec, source revisions, compilers, and the date it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from romforge import __version__
from romforge.base import fingerprint
from romforge.base.errors import RomforgeError
from romforge.plan.steps import Plan, TreeBuild, distinct_requests
from romforge.rom.manifest import SourceFacts, read_boot_file_sources, read_manifest, revision_of
from romforge.sources.ipxe import tree_record
from romforge.spec.model import Spec


class SourceOrigin(NamedTuple):
    """A source of images, and its revisions or .deb; none where the build recorded none.

    There are several revisions if targets were built of different ones.
    """

    name: str
    revisions: tuple[str, ...]


class Compiler(NamedTuple):
    """What a compiler writes into what it compiles, and the platforms that it compiled."""

    text: str
    platforms: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """Of what a set was made. ``date`` is that of SOURCE_DATE_EPOCH; None if it is not set.

    ``spec_digest`` is the SHA-256 of the spec, in hexadecimal digits. ``compilers`` are those of
    the images that trees built, as the objects of the last build name them.
    """

    spec_digest: str
    romforge: str
    sources: tuple[SourceOrigin, ...]
    compilers: tuple[Compiler, ...]
    date: datetime | None


def gather_provenance(
    spec: Spec, plan: Plan, out: Path, environment: Mapping[str, str]
) -> Provenance:
    """Of what the set in an output root was made. Raises RomforgeError for a damaged object."""
    return Provenance(
        spec_digest=fingerprint.sha256(spec.path.read_bytes()),
        romforge=__version__,
        sources=tuple(_source_origins(plan, out)),
        compilers=tuple(_compilers(plan, out)),
        date=_date_of(environment.get("SOURCE_DATE_EPOCH", "")),
    )


def _source_origins(plan: Plan, out: Path) -> Iterator[SourceOrigin]:
    """The sources of what is built, with what the manifests of targets and of files say."""
    revisions: dict[str, dict[str, None]] = {}  # by source, as ordered sets
    recorded: list[tuple[str, SourceFacts]] = []
    for target, roms in plan.targets.items():
        for requests in distinct_requests(roms):
            for request in requests:
                if request.source is not None:
                    revisions.setdefault(request.source, {})
        recorded += read_manifest(out, target).sources.items()
    for file in plan.files:
        revisions.setdefault(file.source, {})
    if plan.files:
        recorded += read_boot_file_sources(out).items()
    for name, source in recorded:
        found = revisions.setdefault(name, {})
        text = _describe(source)
        if text:
            found[text] = None
    for name, of_source in revisions.items():
        yield SourceOrigin(name, tuple(of_source))


def _describe(source: Mapping[str, str]) -> str:
    """A package, or a revision and which of the trees of the spec it is of; empty if not known."""
    text = revision_of(dict(source))
    return f"{text}, pinned" if source.get("kind") == "pinned" else text


def _compilers(plan: Plan, out: Path) -> Iterator[Compiler]:
    """The compilers of the objects that the last builds left, each with its platforms."""
    platforms: dict[str, dict[str, None]] = {}  # by compiler, as ordered sets
    for make in plan.all_makes():
        for text in _compilers_of(make, out):
            platforms.setdefault(text, {})[make.platform] = None
    for text, of_compiler in platforms.items():
        yield Compiler(text, tuple(of_compiler))


def _compilers_of(make: TreeBuild, out: Path) -> tuple[str, ...]:
    """The compilers of a platform: those of the first object that names any.

    All objects have the same, since another compiler removes them all. What was assembled names
    none.
    """
    record = tree_record.load_record(make, out)
    if record is None:
        return ()
    from romforge.formats import elf  # which needs pyelftools, and so a set of trees alone

    directory = out / make.directory / "src" / make.bin
    for image in record.goals.values():
        for stem in image.objects:
            path = directory / f"{stem}.o"
            found = elf.compilers(path) if path.is_file() else ()
            if found:
                return found
    return ()


def _date_of(epoch: str) -> datetime | None:
    """The date of SOURCE_DATE_EPOCH, in UTC. Raises RomforgeError if it is no time."""
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch), timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise RomforgeError(
            f"SOURCE_DATE_EPOCH is {epoch!r}, and not a number of seconds since 1970;"
            " unset it, or set it as by `git log -1 --format=%ct`"
        ) from None
