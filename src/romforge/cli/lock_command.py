# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge lock`, which writes romspec.lock, or compares what is built with it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from romforge.base import output_files
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.json_document import FORMAT, Document
from romforge.base.junit import Case, write_junit
from romforge.base.located import Located, Severity
from romforge.base.programs import MissingTool
from romforge.base.table import RED, paint, wants_colours
from romforge.base.text import count_parts, plural
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.plan.steps import Plan, Rom
from romforge.rom import lock_format
from romforge.rom.lock_format import Change, Lock
from romforge.sources.ipxe import nic_drivers
from romforge.spec import loader, toml_positions


class LockDocument(Document):
    """What `lock --json` prints: the file that it wrote, and the paths of its ROMs."""

    lock: str
    roms: list[str]


class LockChange(TypedDict):
    """A difference between the lock and what is built; ``fault`` if it is not allowed."""

    file: str
    text: str
    fault: bool


class LockCheckDocument(Document):
    """What `lock --check --json` prints: the differences, by the path of the ROM."""

    lock: str
    changes: list[LockChange]


def add_lock_command(commands: common.Commands) -> None:
    """Adds `lock`."""
    parser = common.add_command(
        commands,
        "lock",
        _run_lock,
        "writes what was built to the lock file, or compares it with the file",
    )
    common.add_spec_options(parser)
    documents = ("LockDocument", "LockCheckDocument")
    places = [f"cli.lock_command:{name}" for name in documents]
    common.add_json_option(parser, *places, with_format=True)
    parser.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="as for build; default: all ROMs that are built or locked",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare and write nothing; a changed bucket, image, ID or file is a fault",
    )
    parser.add_argument(
        "--junit",
        type=Path,
        metavar="FILE",
        help="with --check, also write the result of each ROM and other file, as JUnit XML",
    )


def _run_lock(args: Namespace) -> int:
    if (args.format or args.junit) and not args.check:
        raise UsageError(f"{'--format' if args.format else '--junit'} needs --check")
    spec = loader.load_spec(args.spec, args.out)
    plan = nic_drivers.make_buildable_plan(spec, source_tree_override(), args.out)
    selected = common.selected_tasks(plan, args.out, args.selection, roms_only=True)
    roms = plan.selected(selected)
    lock_file = lock_format.lock_path(args.spec)
    if args.check:
        compared = roms if args.selection else None
        found = lock_format.compare_build_with_lock(spec, plan, args.out, compared)
        changes = _explain(found, plan, args.out, args.spec)
        for text in lock_format.source_changes(_read_lock(lock_file), plan, args.out):
            common.warn(f"the lock is of another source: {text}")
        if args.junit:
            paths = [rom.path for rom in compared] if compared is not None else None
            _write_junit(args.junit, lock_file, paths, changes)
        if args.format:
            common.print_located(_located(changes, lock_file), args.format)
            return int(any(change.fault for change in changes))
        return _show_changes(changes, lock_file, args.json)
    before = _read_lock(lock_file)
    if not args.selection:
        roms += _other_roms(plan, roms, before, args.out)
    after = lock_format.lock_from_build(spec, plan, args.out, roms)
    if args.selection:
        after = _merged(before, after)
    lock_format.require_acknowledged(before, after)
    output_files.replace_file(lock_file, lock_format.emit_lock(after))
    _write_sizes(plan, args.out, args.spec)
    if args.json:
        roms_locked = sorted(after.roms)
        common.print_json(LockDocument(format=FORMAT, lock=str(lock_file), roms=roms_locked))
    else:
        print(f"{lock_file}: {count_parts(len(after.roms), len(after.files))}")
    return 0


def show_changes_since_lock(spec_path: Path, out: Path) -> int:
    """Shows what `lock --check` shows of a spec; returns its exit status."""
    spec = loader.load_spec(spec_path, out)
    plan = nic_drivers.make_buildable_plan(spec, None, out)
    found = lock_format.compare_build_with_lock(spec, plan, out, None)
    changes = _explain(found, plan, out, spec_path)
    return _show_changes(changes, lock_format.lock_path(spec_path), as_json=False)


def _explain(changes: list[Change], plan: Plan, out: Path, spec: Path) -> list[Change]:
    """The changes, with the objects that grew; without them where pyelftools is not installed."""
    if not any(change.growth > 0 for change in changes) or not plan.makes:
        return changes
    try:
        from romforge.analysis import object_sizes
    except MissingTool:
        return changes
    return object_sizes.explain_changes(changes, plan, out, spec)


def _write_sizes(plan: Plan, out: Path, spec: Path) -> None:
    """Writes the sizes of objects beside the lock; those of images not built stay as they were."""
    if not plan.makes:
        return
    try:
        from romforge.analysis import image_sizes, object_sizes
    except MissingTool as lack:
        common.warn(f"the sizes of objects are not written: {lack}")
        return
    path = object_sizes.sizes_path(spec)
    try:
        before = object_sizes.read_sizes(path)
    except RomforgeError:
        before = {}  # damaged, and written again
    known = {image_sizes.image_name(make.task, goal) for make in plan.makes for goal in make.goals}
    kept = {name: image for name, image in before.items() if name in known}
    sizes = kept | object_sizes.current_sizes(plan, out)
    if sizes:
        output_files.replace_file(path, object_sizes.emit_sizes(sizes))


def _read_lock(path: Path) -> Lock:
    """The lock, which is empty where it is not written yet."""
    if not path.exists():
        return Lock({}, {}, {})
    return lock_format.read_lock(path)


def _other_roms(plan: Plan, roms: list[Rom], before: Lock, out: Path) -> list[Rom]:
    """The ROMs of other targets that are built or were locked, and so stay locked."""
    others = []
    for rom in plan.roms():
        if rom in roms:
            continue
        if rom.path in before.roms or (out / rom.path).is_file():
            others.append(rom)
    return others


def _merged(before: Lock, after: Lock) -> Lock:
    """The lock with what is new in it, and with the rest as it was."""
    return Lock(
        {**before.roms, **after.roms},
        {**before.sources, **after.sources},
        {**before.tools, **after.tools},
        {**before.files, **after.files},
    )


def _write_junit(
    junit: Path, lock_file: Path, roms: Sequence[str] | None, changes: Sequence[Change]
) -> None:
    """Writes a test case for each ROM that was compared; by default, all that is locked."""
    paths = roms
    if paths is None:
        locked = lock_format.read_lock(lock_file)
        paths = [*sorted(locked.roms), *sorted(locked.files)]
    cases = []
    for path in dict.fromkeys([*paths, *(change.path for change in changes)]):
        found = [change for change in changes if change.path == path]
        faults = []
        for one in _located(found, lock_file):
            if one.severity == "error":
                faults.append(f"{one.file}:{one.line}: {one.message}")
        text = "\n".join(faults or [change.text for change in found])
        cases.append(Case(path, "lock", "failure" if faults else "passed", text))
    write_junit(junit, "romforge lock --check", cases)


def _located(changes: Sequence[Change], lock_file: Path) -> list[Located]:
    """Changes at the line of the ROM's or file's table in the lock; at the first without one."""
    lines = toml_positions.locate_keys(lock_file.read_text())
    located = []
    for change in changes:
        line = lines.get(("rom" if change.is_rom else "file", change.path), 1)
        severity: Severity = "error" if change.fault else "note"
        found = Located(str(lock_file), line, None, change.path, severity, change.text, "lock")
        located.append(found)
    return located


def _show_changes(changes: Sequence[Change], lock_file: Path, as_json: bool) -> int:
    """Shows what differs from the lock; returns 1 where that is a fault."""
    faults = [change for change in changes if change.fault]
    status = int(bool(faults))
    if as_json:
        rows = []
        for change in changes:
            rows.append(LockChange(file=change.path, text=change.text, fault=change.fault))
        common.print_json(LockCheckDocument(format=FORMAT, lock=str(lock_file), changes=rows))
        return status
    for change in changes:
        label = paint("FAULT", RED, wants_colours()) if change.fault else "change"
        print(f"{label} {change.path}: {change.text}")
    if faults:
        remedy = f"if all changes are intended, run `romforge lock` to update {lock_file}"
        if any(change.not_built for change in faults):
            remedy = f"run doit first, since only what was built last can be locked; then {remedy}"
        if all(change.not_built for change in faults):
            remedy = "run doit, and compare again"
        print(f"{plural(len(faults), 'fault')}; {remedy}")
    return status
