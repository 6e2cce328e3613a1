# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads, writes and compares romspec.lock, which records the ROMs that were built. Sizes are bytes.

A review of its changes shows which guests can still migrate. A guest keeps the size of its ROM for
life, so a bucket may change only if the spec gives a reason. The file is sorted TOML with one fact
a line, and has nothing that differs between two builds of the same ROMs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from romforge import __version__
from romforge.base import fingerprint
from romforge.base.errors import FormatError, RomforgeError
from romforge.base.text import format_bytes, format_size, join_words
from romforge.base.toml_parser import line_with_deep_key, parse_toml
from romforge.formats import option_rom
from romforge.formats.rom_file import LARGEST_ROM, read_rom
from romforge.plan.steps import Plan, Rom
from romforge.rom import locked_files, manifest
from romforge.rom.assembly import bucket_of
from romforge.rom.locked_files import LockedFile
from romforge.rom.manifest import ABSENT, RomEntry, read_manifest
from romforge.sources.ipxe import toolchain, tree_record
from romforge.spec.model import Spec

LOCK_VERSION = 1
_LARGEST_FILE = 4 << 20  # bytes; 1,000 ROMs are 400 KiB
_LONGEST_LINE = 256 << 10  # characters; the parser takes 120 bytes for each digit of a number
_TOO_DEEP = "it is nested too deeply"
_KINDS = {int: "a number", str: "a text", list: "a list", dict: "a table"}  # of values in TOML
_COMMENT = (
    "# Written by `romforge lock`: what was built last."
    " Review its changes; `romforge lock --check` compares.\n"
)
_REMEDY = (
    "; guests with the old bucket can no longer migrate. If that is intended, write in the target\n"
    '    bucket_changed_in = "VERSION: REASON"'
)


class LockedImage(NamedTuple):
    """An image of a ROM."""

    kind: str  # "legacy", or the architecture of an EFI image
    size: int
    ids: str  # as vvvv:dddd


@dataclass(frozen=True)
class Entry:
    """A ROM in the lock."""

    bucket: int
    images: tuple[LockedImage, ...]
    sha256: str | None = None  # only if a build is reproducible
    bucket_changed_in: str = ""  # the spec's reason for the last change of the bucket
    dropped: tuple[str, ...] = ()  # the kinds of images that did not fit the bucket

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(image.kind for image in self.images)

    @property
    def used(self) -> int:
        """The size of all images, without padding."""
        return sum(image.size for image in self.images)


@dataclass(frozen=True)
class Lock:
    """The ROMs by path below the output root, the revisions of sources, the versions of tools.

    ``files`` are those of iPXE that are no ROMs, by path.
    """

    roms: Mapping[str, Entry]
    sources: Mapping[str, str]
    tools: Mapping[str, str]
    files: Mapping[str, LockedFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """The changes of a ROM that the spec allows."""

    growth: int | None = None  # the limit; None for no limit
    bucket_changed_in: str = ""  # the reason for the last change of the bucket


@dataclass(frozen=True)
class Change:
    """A difference between the lock and a build; ``fault`` if it is not allowed.

    ``not_built`` if the ROM is not what was to be built last, so that it cannot be locked.
    ``is_rom`` tells ROMs from other files.
    """

    path: str
    text: str
    fault: bool
    not_built: bool = False
    unacknowledged: bool = False  # a new bucket for which the spec gives no reason
    growth: int = 0  # bytes; below 0 for a ROM that shrank
    is_rom: bool = True


def lock_path(spec: Path) -> Path:
    """The path of a spec's lock."""
    return spec.with_suffix(".lock")


def describe_rom(data: bytes) -> Entry:
    """The entry of a ROM file's content; raises FormatError if it has no image."""
    images = []
    for image in option_rom.parse_rom(data).images:
        images.append(LockedImage(image.kind, len(image.data), str(image.ids)))
    return Entry(bucket_of(len(data)), tuple(images))


def lock_from_build(spec: Spec, plan: Plan, out: Path, roms: Sequence[Rom]) -> Lock:
    """The lock of built ROMs.

    Raises RomforgeError if one is not what was to be built last, or is not a ROM.
    """
    missing = [rom.path for rom in roms if not (out / rom.path).is_file()]
    present = [rom for rom in roms if rom.path not in missing]
    faults = build_faults(present, out, manifest.read_manifests(out))
    if faults:
        lines = "".join(f"\n  {path}: {fault}" for path, fault in faults.items())
        raise RomforgeError(f"the lock was not changed; build these first:{lines}")
    if missing:
        raise RomforgeError(f"not built yet: {join_words(missing)}; run doit, or name what to lock")
    rules_by_path = rules(spec, roms)
    entries = {}
    built = read_built_roms(out, sorted(rom.path for rom in roms))
    for path, entry in _add_details(built, plan, out, roms).items():
        entries[path] = replace(entry, bucket_changed_in=rules_by_path[path].bucket_changed_in)
    files = locked_files.built_files(plan, out)
    return Lock(entries, _source_revisions(out, roms), _tool_versions(plan, out, roms), files)


def build_faults(roms: Sequence[Rom], out: Path, entries: Mapping[str, RomEntry]) -> dict[str, str]:
    """Why ROMs are not what was to be built last, by the paths of those that are not.

    ``entries`` are those of all manifests.
    """
    faults = {}
    for rom in roms:
        fault = manifest.build_fault(out, rom.path, entries.get(rom.path))
        if fault:
            faults[rom.path] = fault
    return faults


def _dropped_images(out: Path, roms: Sequence[Rom]) -> dict[str, tuple[str, ...]]:
    """The kinds of the images that did not fit, from the manifests, by the paths of ROMs."""
    dropped = {}
    for target in dict.fromkeys(rom.target for rom in roms):
        for path, entry in read_manifest(out, target).roms.items():
            if "dropped" in entry:
                dropped[path] = tuple(image["kind"] for image in entry["dropped"])
    return dropped


def _source_revisions(out: Path, roms: Sequence[Rom]) -> dict[str, str]:
    """The .deb or revision of each source, from the manifests of the ROMs' targets."""
    revisions = {}
    for target in dict.fromkeys(rom.target for rom in roms):
        for name, source in read_manifest(out, target).sources.items():
            revision = manifest.revision_of(source)
            if revision:
                revisions[name] = revision
    for name, source in manifest.read_boot_file_sources(out).items():
        revision = manifest.revision_of(source)
        if revision:
            revisions.setdefault(name, revision)
    return revisions


def source_changes(lock: Lock, plan: Plan, out: Path) -> list[str]:
    """The sources of which the lock has another revision than what is built."""
    built = [rom for rom in plan.roms() if (out / rom.path).is_file()]
    changes = []
    for name, revision in sorted(_source_revisions(out, built).items()):
        before = lock.sources.get(name)
        if before is not None and before != revision:
            changes.append(f"{name} was {before}, is {revision}")
    return changes


def locked_revision(plan: Plan, source: str) -> str | None:
    """What the lock of a spec says of a source: a revision, a digest or a version.

    None where it says nothing. Raises RomforgeError where the lock cannot be read.
    """
    path = lock_path(Path(plan.spec))
    if not path.exists():
        return None
    return read_lock(path).sources.get(source)


def _tool_versions(plan: Plan, out: Path, roms: Sequence[Rom]) -> dict[str, str]:
    """The version of romforge, and of what built the ROMs' images, and the files that are no ROMs.

    A file that was not built needs no compiler.
    """
    versions = {"romforge": __version__}
    used = {request.make for rom in roms for request in rom.requests}
    built = manifest.read_boot_files(out)
    used |= {file.make for file in plan.files if file.path in built}
    for build in plan.all_makes():
        if build.task in used:
            versions |= toolchain.tool_versions(build)
    return versions


def rules(spec: Spec, roms: Sequence[Rom]) -> dict[str, Rule]:
    """The rule of each ROM, by path."""
    by_target = {}
    for name, target in spec.target.items():
        by_target[name] = Rule(target.growth, target.bucket_changed_in or "")
    return {rom.path: by_target[rom.target] for rom in roms}


def read_built_roms(out: Path, paths: Iterable[str]) -> dict[str, Entry]:
    """The entries of those ROMs that are built; raises RomforgeError if one is not a ROM."""
    entries = {}
    for path in paths:
        file = out / path
        if not file.is_file():
            continue
        try:
            entries[path] = describe_rom(read_rom(file)[0])
        except FormatError as error:
            raise RomforgeError(f"{file}: {error}") from None
    return entries


def digest_of(path: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal digits."""
    return fingerprint.sha256(path.read_bytes())


def _is_reproducible(rom: Rom, out: Path, makes: Collection[str]) -> bool:
    """Whether a ROM has the same bytes in every build: nothing wrote the time of the build into it.

    ``makes`` are the tasks of those makes that did not.
    """
    if rom.sign:
        entry = read_manifest(out, rom.target).roms.get(rom.path)
        if entry is None or "signed" not in entry or not entry["signed"]["reproducible"]:
            return False
    used = {request.make for request in rom.requests if request.make}
    return used <= set(makes)


def _reproducible_makes(plan: Plan, out: Path, roms: Sequence[Rom]) -> set[str]:
    """The tasks of the makes for ROMs that wrote an epoch into images, and not the time.

    The record of a make has the epoch. Without a record nothing is known.
    """
    used = {request.make for rom in roms for request in rom.requests}
    makes = set()
    for build in plan.makes:
        if build.task in used:
            record = tree_record.load_record(build, out)
            if record is not None and record.settings is not None and record.settings.epoch:
                makes.add(build.task)
    return makes


def emit_lock(lock: Lock) -> bytes:
    """The content of romspec.lock."""
    parts = [f"{_COMMENT}lock = {LOCK_VERSION}\n"]
    for title, table in (("sources", lock.sources), ("tools", lock.tools)):
        if table:
            lines = [f"{_quote(name)} = {_quote(table[name])}\n" for name in sorted(table)]
            parts.append(f"[{title}]\n" + "".join(lines))
    for path in sorted(lock.roms):
        parts.append(f"[rom.{_quote(path)}]\n" + "".join(_entry_lines(lock.roms[path])))
    for path, file in sorted(lock.files.items()):
        digest = f"sha256 = {_quote(file.sha256)}\n" if file.sha256 else ""
        parts.append(f"[file.{_quote(path)}]\nsize = {file.size}\n{digest}")
    return "\n".join(parts).encode()


def _entry_lines(entry: Entry) -> Iterator[str]:
    yield f"bucket = {entry.bucket}\n"
    if entry.bucket_changed_in:
        yield f"bucket_changed_in = {_quote(entry.bucket_changed_in)}\n"
    yield f"used = {entry.used}\n"
    yield "images = [\n"
    for kind, size, ids in entry.images:
        yield f"  {{ kind = {_quote(kind)}, size = {size}, ids = {_quote(ids)} }},\n"
    yield "]\n"
    if entry.dropped:
        yield f"dropped = [{', '.join(map(_quote, entry.dropped))}]\n"
    if entry.sha256:
        yield f"sha256 = {_quote(entry.sha256)}\n"


def _quote(text: str) -> str:
    """A TOML basic string. JSON's escapes are valid in it, but it must escape DEL as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_lock(path: Path) -> Lock:
    """Reads a lock; raises RomforgeError with a remedy."""
    try:
        document = _parse(_read(path))
        version = _value(document, "lock", int, "lock")
        if version != LOCK_VERSION:
            raise RomforgeError(
                f"{path}: version {version} is not supported, only {LOCK_VERSION};"
                " remove it, and run `romforge lock`"
            )
        entries = {}
        for name in _value(document, "rom", dict, "rom", default={}):
            place = f"rom.{_quote(name)}"
            entries[name] = _parse_entry(_value(document["rom"], name, dict, place), place)
        sources = _parse_texts(document, "sources")
        files = _parse_files(document)
        return Lock(entries, sources, _parse_texts(document, "tools"), files)
    except FileNotFoundError:
        raise RomforgeError(
            f"{path}: there is no lock; create it with `romforge lock`, and keep it with the spec"
        ) from None
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RomforgeError(
            f"{path}: is not a valid lock ({error}); restore it from your version control,"
            " or remove it and run `romforge lock`"
        ) from None


def _read(path: Path) -> str:
    """The text of a lock; raises OSError, or ValueError where it is none."""
    if path.stat() and not path.is_file():
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        data = file.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise ValueError(f"it is larger than {format_size(_LARGEST_FILE)}, the limit for a lock")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wrong = f"byte {data[error.start]:#04x} is not valid UTF-8"
        raise ValueError(f"line {line}: {wrong}") from None


def _parse(text: str) -> dict[str, Any]:
    """The tables of a lock; raises ValueError."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LONGEST_LINE:
            limit = f"more than the {_LONGEST_LINE:,} that a lock may have"
            raise ValueError(f"line {number} has {len(line):,} characters, {limit}")
    if line_with_deep_key(text) is not None:
        raise ValueError(_TOO_DEEP)
    try:
        return parse_toml(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def _parse_entry(table: dict[str, Any], place: str) -> Entry:
    """The entry of a ROM; raises ValueError with the place of what is wrong."""
    images = []
    for index, image in enumerate(_value(table, "images", list, f"{place}.images")):
        here = f"{place}.images[{index}]"
        if not isinstance(image, dict):
            raise ValueError(f"{here} is not a table")
        kind = _value(image, "kind", str, f"{here}.kind")
        size = _size(image, "size", f"{here}.size")
        images.append(LockedImage(kind, size, _value(image, "ids", str, f"{here}.ids")))
    dropped = _value(table, "dropped", list, f"{place}.dropped", default=[])
    if not all(isinstance(kind, str) for kind in dropped):
        raise ValueError(f"{place}.dropped is not a list of texts")
    bucket = _size(table, "bucket", f"{place}.bucket")
    if bucket != bucket_of(bucket):
        raise ValueError(f"{place}.bucket is not a power of two")
    return Entry(
        bucket,
        tuple(images),
        _value(table, "sha256", str, f"{place}.sha256", default="") or None,
        _value(table, "bucket_changed_in", str, f"{place}.bucket_changed_in", default=""),
        tuple(dropped),
    )


def _parse_files(document: dict[str, Any]) -> dict[str, LockedFile]:
    """The files that are no ROMs, which may be missing; raises ValueError."""
    files = {}
    tables = _value(document, "file", dict, "file", default={})
    for path in tables:
        place = f"file.{_quote(path)}"
        table = _value(tables, path, dict, place)
        size = _value(table, "size", int, f"{place}.size")
        if size < 0:
            raise ValueError(f"{place}.size is below 0")
        digest = _value(table, "sha256", str, f"{place}.sha256", default="")
        files[path] = LockedFile(size, digest or None)
    return files


def _parse_texts(document: dict[str, Any], name: str) -> dict[str, str]:
    """A table of texts, which may be missing; raises ValueError."""
    table = _value(document, name, dict, name, default={})
    return {key: _value(table, key, str, f"{name}.{_quote(key)}") for key in table}


def _size(table: dict[str, Any], key: str, place: str) -> int:
    """A number of bytes; raises ValueError for one that no ROM has."""
    size: int = _value(table, key, int, place)
    if not 0 < size <= LARGEST_ROM:
        raise ValueError(f"{place} is not a size from 1 to {LARGEST_ROM:,} bytes")
    return size


def _value(table: dict[str, Any], key: str, kind: type, place: str, default: object = None) -> Any:
    """The value of a key, of a type; raises ValueError. Without a default it must be there."""
    value = table.get(key, default)
    if value is None:
        raise ValueError(f"{place} is missing")
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{place} is not {_KINDS[kind]}")
    return value


def compare_locks(
    locked: Mapping[str, Entry], built: Mapping[str, Entry], rules: Mapping[str, Rule]
) -> list[Change]:
    """The differences, sorted by path; ``rules`` are those of all ROMs of the spec."""
    changes: list[Change] = []
    for path in sorted(locked.keys() | built.keys()):
        if path in locked and path in built:
            rule = rules.get(path, Rule())
            changes += _compare_entries(path, locked[path], built[path], rule)
        elif path in built:
            changes.append(Change(path, "was built, but is not in the lock", True))
        elif path in rules:
            text = "is in the lock, but was not built"
            changes.append(Change(path, text, True, not_built=True))
        else:
            changes.append(Change(path, "is in the lock, but no longer in the spec", True))
    return changes


def _compare_entries(path: str, old: Entry, new: Entry, rule: Rule) -> Iterator[Change]:
    if new.bucket != old.bucket:
        yield _bucket_change(path, old, new, rule)
    yield from _compare_images(path, old, new)
    growth = new.used - old.used
    if growth:
        verb = "grew" if growth > 0 else "shrank"
        text = f"{verb} by {format_bytes(abs(growth))} to {new.used:,}"
        is_over = rule.growth is not None and growth > rule.growth
        if rule.growth is not None and is_over:
            text += f", more than the {format_bytes(rule.growth)} that the spec allows"
        yield Change(path, text, is_over, growth=growth)


def _bucket_change(path: str, old: Entry, new: Entry, rule: Rule) -> Change:
    """A new bucket is allowed if the spec has a reason that the lock does not have yet."""
    text = f"its bucket was {format_size(old.bucket)}, is now {format_size(new.bucket)}"
    reason = rule.bucket_changed_in
    if reason and reason != old.bucket_changed_in:
        return Change(path, f"{text}: {reason}", fault=False)
    return Change(path, text + _REMEDY, fault=True, unacknowledged=True)


def _compare_images(path: str, old: Entry, new: Entry) -> Iterator[Change]:
    if old.kinds != new.kinds:
        lost = [kind for kind in old.kinds if kind not in new.kinds]
        gained = [kind for kind in new.kinds if kind not in old.kinds]
        differences = []
        if lost:
            differences.append(f"lost {join_words(lost)}")
            if set(lost) & set(new.dropped):
                did_not_fit = join_words(kind for kind in lost if kind in new.dropped)
                differences[-1] += f" ({did_not_fit} did not fit the bucket, and fit allows that)"
        if gained:
            differences.append(f"gained {join_words(gained)}")
        if not differences:
            differences.append(f"the order of its images is now {join_words(new.kinds)}")
        yield Change(path, join_words(differences), True)
    old_ids = {image.kind: image.ids for image in old.images}
    for kind, _, ids in new.images:
        if old_ids.get(kind, ids) != ids:
            text = f"the IDs of its {kind} image were {old_ids[kind]}, are now {ids}"
            yield Change(path, text, True)


def compare_build_with_lock(
    spec: Spec, plan: Plan, out: Path, roms: Sequence[Rom] | None
) -> list[Change]:
    """The differences between the lock and built ROMs; raises RomforgeError without a lock.

    ``roms`` is a selection. Without one, all ROMs are compared that are built, locked or in a
    default target. Of a ROM whose last build failed, only that is said: its file is an earlier one.
    Without a selection, a ROM of another target that was not built is no fault: a build may make
    less than was locked. It is one where the target is kept for the guests of machine types.
    """
    lock = read_lock(lock_path(spec.path))
    all_roms = {rom.path: rom for rom in plan.roms()}
    if roms is not None:
        paths = {rom.path for rom in roms}
    else:
        paths = {rom.path for rom in plan.selected([])} | lock.roms.keys()
        paths |= {path for path in all_roms if (out / path).is_file()}
    selected = [rom for path, rom in all_roms.items() if path in paths]
    entries = manifest.read_manifests(out)
    faults = build_faults(selected, out, entries)
    faults = {path: text for path, text in faults.items() if text != ABSENT}
    failed = {path for path in faults if manifest.error_in_a_line(entries.get(path))}
    readable, damaged = _read_each(out, [rom for rom in selected if rom.path not in failed])
    failed |= damaged.keys()
    faults = damaged | faults
    compared = {path: one for path, one in lock.roms.items() if path in paths - failed}
    sound = [rom for rom in selected if rom.path not in failed]
    built = _add_details(readable, plan, out, sound)
    changes = [Change(path, text, True, not_built=True) for path, text in faults.items()]
    changes += compare_locks(compared, built, rules(spec, list(all_roms.values())))
    for path in sorted(paths - lock.roms.keys() - built.keys() - failed):
        text = "was not built, and is not in the lock"
        changes.append(Change(path, text, True, not_built=True))
    changes += _compare_contents(lock, plan, out, built, {change.path for change in changes})
    if roms is None:
        optional = {rom.path for rom in plan.roms() if _is_optional(spec, plan, rom)}
        changes = [_excused(change, out, optional) for change in changes]
        causes = _other_versions(lock.sources, _source_revisions(out, []))
        causes += _other_versions(lock.tools, _tool_versions(plan, out, []))
        for found in locked_files.compare_files(lock.files, plan, out, causes):
            changes.append(Change(**asdict(found), is_rom=False))
    return sorted(changes, key=lambda change: change.path)


def _is_optional(spec: Spec, plan: Plan, rom: Rom) -> bool:
    return rom.target not in plan.default and not spec.target[rom.target].machines


def _excused(change: Change, out: Path, optional: Collection[str]) -> Change:
    """A change that is no fault if it only says that an optional ROM was not built."""
    if change.not_built and change.path in optional and not (out / change.path).exists():
        return replace(change, fault=False)
    return change


def compare_paths_with_lock(spec: Spec, plan: Plan) -> list[Change]:
    """The ROMs that are in the lock or in the spec alone, sorted by path; they are faults.

    Nothing needs to be built for that. Raises RomforgeError without a lock.
    """
    lock = read_lock(lock_path(spec.path))
    locked = lock.roms.keys() | lock.files.keys()
    by_default = {rom.path: rom.target in plan.default for rom in plan.roms()}
    by_default |= {file.path: file.default for file in plan.files}
    changes = []
    for path in sorted(locked | by_default.keys()):
        if path not in by_default:
            changes.append(Change(path, "is in the lock, but no longer in the spec", True))
        elif path not in locked and by_default[path]:
            changes.append(Change(path, "is in the spec, but not in the lock", True))
    return changes


def _read_each(out: Path, roms: Sequence[Rom]) -> tuple[dict[str, Entry], dict[str, str]]:
    """By path: the entries of ROMs that are built, and the faults of files that are no ROM."""
    built: dict[str, Entry] = {}
    damaged: dict[str, str] = {}
    for rom in roms:
        try:
            built |= read_built_roms(out, [rom.path])
        except RomforgeError as error:
            damaged[rom.path] = str(error)
    return built, damaged


def _add_details(
    entries: Mapping[str, Entry], plan: Plan, out: Path, roms: Sequence[Rom]
) -> dict[str, Entry]:
    """The entries of ROMs, with what did not fit, and digests as in a lock."""
    built = dict(entries)
    dropped_by_path = _dropped_images(out, roms)
    makes = _reproducible_makes(plan, out, roms)
    for rom in roms:
        if rom.path in built:
            dropped = dropped_by_path.get(rom.path, ())
            sha256 = digest_of(out / rom.path) if _is_reproducible(rom, out, makes) else None
            built[rom.path] = replace(built[rom.path], dropped=dropped, sha256=sha256)
    return built


def _compare_contents(
    lock: Lock, plan: Plan, out: Path, built: Mapping[str, Entry], changed: Collection[str]
) -> Iterator[Change]:
    """The ROMs whose bytes differ from the locked ones. ``changed`` are those with other changes.

    The same sources and tools make the same bytes, so then another digest is a fault. With other
    ones it is a change.
    """
    causes_by_target: dict[str, list[str]] = {}
    for path, entry in built.items():
        before = lock.roms.get(path)
        if before is None or not before.sha256 or before.sha256 == entry.sha256:
            continue
        if entry.sha256 is None:
            text = "its bytes cannot be compared: the time of the build is written into it"
            yield Change(path, f"{text}; set SOURCE_DATE_EPOCH", False)
            continue
        rom = next(rom for rom in plan.roms() if rom.path == path)
        if rom.target not in causes_by_target:
            roms = [other for other in plan.targets[rom.target] if other.path in built]
            causes = _other_versions(lock.sources, _source_revisions(out, roms))
            causes += _other_versions(lock.tools, _tool_versions(plan, out, roms))
            causes_by_target[rom.target] = causes
        causes = causes_by_target[rom.target]
        if causes:
            yield Change(path, f"its bytes differ: {'; '.join(causes)}", False)
        elif path not in changed:
            yield Change(path, "its bytes differ, with the sources and tools of the lock", True)


def _other_versions(locked: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    """What is of another version than in the lock."""
    causes = []
    for name, version in current.items():
        before = locked.get(name)
        if before is not None and before != version:
            causes.append(f"{name} was {before}, is {version}")
    return causes


def require_acknowledged(before: Lock, after: Lock) -> None:
    """Raises RomforgeError if a bucket would change for which the spec gives no reason."""
    reasons = {path: Rule(None, entry.bucket_changed_in) for path, entry in after.roms.items()}
    compared = {path: entry for path, entry in before.roms.items() if path in after.roms}
    faults = []
    for change in compare_locks(compared, after.roms, reasons):
        if change.unacknowledged:
            faults.append(f"\n  {change.path}: {change.text}")
    if faults:
        raise RomforgeError("the lock was not changed:" + "".join(faults))
