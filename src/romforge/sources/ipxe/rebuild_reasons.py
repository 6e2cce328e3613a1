# SPDX-License-Identifier: GPL-2.0-or-later
"""Which images of a source tree must be built again, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from romforge.base import fingerprint, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import FAILED, NOT_BUILT
from romforge.base.text import in_a_line
from romforge.plan.image_requests import TreeRequest
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import dependencies, source_tree, tree_record, worktree
from romforge.sources.ipxe.dependencies import DependencyFiles, RecordedLink
from romforge.sources.ipxe.source_tree import Tree, Trees
from romforge.sources.ipxe.tree_record import ImageRecord, TreeRecord
from romforge.sources.ipxe.worktree import Changes

Reasons = dict[str, str]  # why an image must be built, by its goal

_SETTINGS = {  # as the reasons name them
    "tools": "the compiler or binutils",
    "cross": "cross",
    "make": "make's variables",
    "strip": "strip or leave_out",
    "require": "require",
    "files": "embed, trust or cert",
    "debug": "debug",
    "epoch": "SOURCE_DATE_EPOCH",
    "revision": "the revision of the tree's checkout",
}


def stale_goals(step: TreeBuild, out: Path, goals: list[str], trees: Trees) -> Reasons:
    """Those of ``goals`` that must be built, each with the reason.

    Raises RomforgeError where there is no tree.
    """
    tree = trees.of(step)
    record = tree_record.load_record(step, out)
    if record is None:
        reason = NOT_BUILT
        if tree_record.is_unfinished(step, out):
            reason = "an earlier build was interrupted"
        return dict.fromkeys(goals, reason)
    files, changes = worktree.compare_trees(tree.src, tree.files, record.files)
    reasons = reasons_to_rebuild(step, out, record, tree, changes, goals)
    if changes.touched and not changes and output_lock.is_lock_held(out):
        record.files = files
        with suppress(RomforgeError):  # it only spares later runs the reading of these files
            tree_record.write_record(step, out, record)
    return reasons


def reasons_to_rebuild(
    step: TreeBuild,
    out: Path,
    record: TreeRecord,
    tree: Tree,
    changes: Changes,
    goals: Collection[str],
) -> Reasons:
    """Which of ``goals`` would be built otherwise now, and why.

    ``record`` says what they were built of, ``changes`` what of the source changed since.
    """
    changes.changed.update(_changed_headers(step, record))
    common = next(_common_reasons(step, record, tree), None)
    work = out / step.directory / "src"
    records = DependencyFiles(work / step.bin)
    reasons: Reasons = {}
    for goal in goals:
        image = record.goals.get(goal)
        if image is None:
            error = record.errors.get(goal)
            reasons[goal] = FAILED + in_a_line(error) if error else NOT_BUILT
            continue
        reason = image.why or common
        if reason is None and changes:
            linked = work / step.bin / source_tree.linked_file(step, goal)
            link = _recorded_link(goal, image)
            of_link = dependencies.reasons_of_link(changes, link, records, tree.src, work, linked)
            reason = next(of_link, None)
        path = source_tree.image_path(step, out, goal)
        if reason is None and not fingerprint.is_unchanged(str(path), image.state, link=False):
            reason = "its image was changed or removed"
        if reason is not None:
            reasons[goal] = reason
    return reasons


def _common_reasons(step: TreeBuild, record: TreeRecord, tree: Tree) -> Iterator[str]:
    """Why every image of a platform must be built: settings and embedded files."""
    settings = asdict(source_tree.build_settings(step, tree))
    before = asdict(record.settings) if record.settings else {}
    for name, value in settings.items():
        if value != before.get(name):
            yield f"{_SETTINGS[name]} changed"
    for path, place in source_tree.embedded_files(step):
        if not fingerprint.is_unchanged(path, record.embedded.get(place)):
            yield f"{path} changed"


def _changed_headers(step: TreeBuild, record: TreeRecord) -> set[str]:
    """The configuration headers whose text in the spec changed: paths below src."""
    headers = source_tree.spec_headers(step)
    paths = headers.keys() | record.headers.keys()
    return {path for path in paths if headers.get(path) != record.headers.get(path)}


def _recorded_link(goal: str, image: ImageRecord) -> RecordedLink:
    uses = None if image.uses is None else frozenset(image.uses)
    return RecordedLink(goal, tuple(image.objects), uses)


def error_of(request: TreeRequest, out: Path, goal: str) -> str:
    """Why the make that should have built an image did not."""
    directory = request.root.rsplit("/src/", 1)[0]
    record = tree_record.read_record(out, directory) or TreeRecord()
    return record.errors.get(goal) or f"{out / request.root / goal} was not built"
