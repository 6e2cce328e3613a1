# SPDX-License-Identifier: GPL-2.0-or-later
"""romspec.lock: what was built, for review: a change of it is a change of what guests can migrate to. Sizes are bytes.

A guest keeps the size of its ROM for as long as it lives, so a bucket may change only where the spec says so, and why.
The file is TOML, sorted, a line to each fact, and holds nothing that two builds of the same would not share.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from romforge import __version__
from romforge.base import fingerprint
from romforge.base.errors import FormatError, RomforgeError
from romforge.base.text import format_bytes, format_size, join_words
from romforge.formats import option_rom
from romforge.formats.rom_file import read_rom
from romforge.plan.planner import Plan, Rom
from romforge.rom.assembly import bucket_of
from romforge.rom.manifest import read_manifest
from romforge.sources.ipxe import toolchain, tree_record
from romforge.spec.model import Spec

LOCK_VERSION = 1
_HEAD = "# Written by `romforge lock`: what was built last. Review its changes; `romforge lock --check` compares.\n"
_UNACKNOWLEDGED = (
    "; guests that run with the old one could no longer migrate: if that is meant, write in the target\n"
    '    bucket_changed_in = "VERSION: REASON"'
)


@dataclass(frozen=True)
class Entry:
    """A ROM: its bucket, its images (kind, bytes and IDs of each), its sha256 where its build is reproducible."""

    bucket: int
    images: tuple[tuple[str, int, str], ...]
    sha256: str = ""
    bucket_changed_in: str = ""  # what the spec said of the bucket's last change

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind, _, _ in self.images)

    @property
    def used(self) -> int:
        return sum(size for _, size, _ in self.images)


@dataclass(frozen=True)
class Lock:
    """All ROMs by path, relative to the output root; revisions of sources and versions of tools by name."""

    roms: Mapping[str, Entry]
    sources: Mapping[str, str]
    tools: Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    """What the spec allows of a ROM: bytes that it may grow by (None: any), and what it says of its bucket's last change."""

    growth: int | None = None
    bucket_changed_in: str = ""


@dataclass(frozen=True)
class Change:
    """A difference between the lock and what is built; ``fault`` where it must not be."""

    path: str
    text: str
    fault: bool


def lock_path(spec: Path) -> Path:
    """Where the lock of a spec lies."""
    return spec.with_suffix(".lock")


def entry(data: bytes) -> Entry:
    """What a lock says of a ROM file; raises FormatError where it holds no image."""
    images = option_rom.parse_rom(data).images
    return Entry(
        bucket_of(len(data)),
        tuple((one.kind, len(one.data), str(one.ids)) for one in images),
    )


def lock_from_build(spec: Spec, plan: Plan, out: Path, roms: Sequence[Rom]) -> Lock:
    """The lock of ROMs that are built; raises RomforgeError where one is not, or is no ROM."""
    if absent := [rom.path for rom in roms if not (out / rom.path).is_file()]:
        raise RomforgeError(f"not built yet: {join_words(absent)}; run doit, or name what to lock")
    says = rules(spec, roms)
    found = {}
    for rom in roms:
        digest = digest_of(out / rom.path) if _reproducible(plan, rom, out) else ""
        found[rom.path] = replace(
            built(out, [rom.path])[rom.path],
            sha256=digest,
            bucket_changed_in=says[rom.path].bucket_changed_in,
        )
    sources: dict[str, str] = {}
    for name in dict.fromkeys(rom.target for rom in roms):
        for source, about in read_manifest(out, name).sources.items():
            sources[source] = about.get("deb") or about.get("revision") or ""
    tools = {"romforge": __version__}
    used = {pick.make for rom in roms for pick in rom.picks}
    for make in plan.makes:
        tools |= toolchain.tool_versions(make) if make.task in used else {}
    return Lock(found, {name: said for name, said in sources.items() if said}, tools)


def rules(spec: Spec, roms: Sequence[Rom]) -> dict[str, Rule]:
    """What the spec allows of each ROM, by its path."""
    targets = {
        name: Rule(one.growth, one.bucket_changed_in or "") for name, one in spec.target.items()
    }
    return {rom.path: targets[rom.target] for rom in roms}


def built(out: Path, paths: Iterable[str]) -> dict[str, Entry]:
    """The entries of those ROMs that are there; raises RomforgeError where one is no ROM."""
    found = {}
    for path in paths:
        if (out / path).is_file():
            try:
                found[path] = entry(read_rom(out / path)[0])
            except FormatError as error:
                raise RomforgeError(f"{out / path}: {error}") from None
    return found


def digest_of(path: Path) -> str:
    return fingerprint.sha256(path.read_bytes())


def _reproducible(plan: Plan, rom: Rom, out: Path) -> bool:
    """Whether a ROM is the same wherever and whenever it is built: of a tree's images, that they tell no time of their own."""
    makes = [make for make in plan.makes if any(pick.make == make.task for pick in rom.picks)]
    for make in makes:
        record = tree_record.load_record(make, out)
        if record is None or record.settings is None or not record.settings.epoch:
            return False
    return True


def emit_lock(lock: Lock) -> bytes:
    """The text of a lock."""
    parts = [_HEAD + f"lock = {LOCK_VERSION}\n"]
    for title, table in (("sources", lock.sources), ("tools", lock.tools)):
        if table:
            parts.append(
                f"[{title}]\n"
                + "".join(f"{_text(name)} = {_text(table[name])}\n" for name in sorted(table))
            )
    parts += [
        f"[rom.{_text(path)}]\n" + "".join(_lines(lock.roms[path])) for path in sorted(lock.roms)
    ]
    return "\n".join(parts).encode()


def _lines(one: Entry) -> Iterator[str]:
    yield f"bucket = {one.bucket}\n"
    if one.bucket_changed_in:
        yield f"bucket_changed_in = {_text(one.bucket_changed_in)}\n"
    yield f"used = {one.used}\n"
    yield "images = [\n"
    for kind, size, ids in one.images:
        yield f"  {{ kind = {_text(kind)}, size = {size}, ids = {_text(ids)} }},\n"
    yield "]\n"
    if one.sha256:
        yield f"sha256 = {_text(one.sha256)}\n"


def _text(text: str) -> str:
    """A TOML basic string; JSON's escapes are among its."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_lock(path: Path) -> Lock:
    """Reads a lock; raises RomforgeError, which says what to do."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        raw = tomllib.loads(path.read_text())
        if raw["lock"] != LOCK_VERSION:
            raise RomforgeError(
                f"{path}: is of version {raw['lock']}, and this romforge reads {LOCK_VERSION}; write it anew by `romforge lock`"
            )
        return Lock(
            {name: _entry(table) for name, table in raw.get("rom", {}).items()},
            raw.get("sources", {}),
            raw.get("tools", {}),
        )
    except FileNotFoundError:
        raise RomforgeError(
            f"{path}: there is no lock; write it by `romforge lock`, and keep it with the spec"
        ) from None
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RomforgeError(
            f"{path}: is no lock ({error}); take it from your version control, or write it anew by `romforge lock`"
        ) from None


def _entry(table: Any) -> Entry:
    images = tuple((str(one["kind"]), int(one["size"]), str(one["ids"])) for one in table["images"])
    return Entry(
        int(table["bucket"]),
        images,
        str(table.get("sha256", "")),
        str(table.get("bucket_changed_in", "")),
    )


def compare_locks(
    locked: Mapping[str, Entry], built: Mapping[str, Entry], rules: Mapping[str, Rule]
) -> list[Change]:
    """What differs, in order of the paths; ``rules`` are those of the spec's ROMs."""
    found: list[Change] = []
    for path in sorted(locked.keys() | built.keys()):
        if path not in built:
            what = (
                "is locked, and was not built"
                if path in rules
                else "is locked, and the spec no longer asks for it"
            )
            found.append(Change(path, what, True))
        elif path not in locked:
            found.append(Change(path, "is built, and is not in the lock", True))
        else:
            found += _differences(path, locked[path], built[path], rules.get(path, Rule()))
    return found


def _differences(path: str, old: Entry, new: Entry, rule: Rule) -> Iterator[Change]:
    if new.bucket != old.bucket:
        acknowledged = (
            bool(rule.bucket_changed_in) and rule.bucket_changed_in != old.bucket_changed_in
        )
        what = f"its bucket was {format_size(old.bucket)}, is {format_size(new.bucket)}"
        right = f": {rule.bucket_changed_in}" if acknowledged else _UNACKNOWLEDGED
        yield Change(path, what + right, not acknowledged)
    yield from _images(path, old, new)
    grown = new.used - old.used
    if grown:
        limit = rule.growth is not None and grown > rule.growth
        over = (
            f", more than the {format_bytes(rule.growth)} that the spec allows"
            if limit and rule.growth is not None
            else ""
        )
        yield Change(
            path,
            f"{'grew' if grown > 0 else 'shrank'} by {format_bytes(abs(grown))} to {new.used:,}{over}",
            limit,
        )


def _images(path: str, old: Entry, new: Entry) -> Iterator[Change]:
    before, after = old.kinds, new.kinds
    if before != after:
        gone, come = (
            [one for one in before if one not in after],
            [one for one in after if one not in before],
        )
        words = [f"lost {join_words(gone)}"] * bool(gone) + [
            f"has {join_words(come)} besides"
        ] * bool(come)
        yield Change(
            path, join_words(words) or f"has its images in another order: {join_words(after)}", True
        )
    ids = {kind: one for kind, _, one in old.images}
    for kind, _, one in new.images:
        if ids.get(kind, one) != one:
            yield Change(path, f"its {kind} image carried {ids[kind]}, carries {one}", True)


def compare_build_with_lock(
    spec: Spec, plan: Plan, out: Path, roms: Sequence[Rom] | None
) -> list[Change]:
    """What differs between the lock and the ROMs that are built, or those of a selection; raises RomforgeError without a lock."""
    locked = read_lock(lock_path(spec.path)).roms
    every = list(plan.roms())
    wanted = {rom.path for rom in every if rom in (plan.selected([]) if roms is None else roms)}
    if roms is None:
        wanted |= locked.keys() | {rom.path for rom in every if (out / rom.path).is_file()}
    found = compare_locks(
        {path: one for path, one in locked.items() if path in wanted},
        built(out, sorted(wanted)),
        rules(spec, every),
    )
    there = {one.path for one in found}
    return found + [
        Change(path, "was not built, and is not in the lock", True)
        for path in sorted(wanted - locked.keys() - there)
    ]


def require_acknowledged(before: Lock, now: Lock) -> None:
    """Raises RomforgeError where a bucket would change that the spec says nothing of."""
    acknowledged = {path: Rule(None, one.bucket_changed_in) for path, one in now.roms.items()}
    changes = compare_locks(
        {path: one for path, one in before.roms.items() if path in now.roms}, now.roms, acknowledged
    )
    if wrong := [
        f"{one.path}: {one.text}"
        for one in changes
        if one.fault and one.text.endswith(_UNACKNOWLEDGED)
    ]:
        raise RomforgeError("the lock stays as it is:\n  " + "\n  ".join(wrong))
