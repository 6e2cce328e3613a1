# SPDX-License-Identifier: GPL-2.0-or-later
"""Brings a working tree up to date with its source, before make runs in it.

iPXE's makefiles do not track every variable. Where one changed that they do not track, the whole
BIN directory is removed. And the caller removes an image that must be built with all its stages, so
that make cannot take it for up to date.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from romforge.base import fingerprint, output_files
from romforge.base.errors import RomforgeError
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import config_check, source_tree, tree_record, worktree
from romforge.sources.ipxe.rebuild_reasons import reasons_to_rebuild
from romforge.sources.ipxe.source_tree import Tree
from romforge.sources.ipxe.tree_record import BuildSettings, TreeRecord
from romforge.sources.ipxe.worktree import Changes


def prepare_worktree(
    step: TreeBuild, out: Path, tree: Tree, spec: Path | None = None
) -> TreeRecord:
    """Brings the working tree up to date with its source; returns its record.

    From here on the tree is marked as unfinished, until ``save_record``. Raises RomforgeError,
    which points to lines of the file ``spec``.
    """
    work = out / step.directory
    record = tree_record.load_record(step, out)
    if record is None:
        worktree.clear_worktree(work, output_files.temporary(out))
        record = TreeRecord()
    config_check.require_config(step, tree, spec)
    embedded = {
        place: fingerprint.read_file(Path(path)) for path, place in source_tree.embedded_files(step)
    }
    try:
        (work / "src").mkdir(parents=True, exist_ok=True)
        tree_record.mark_unfinished(step, out)
        _write_commit(tree.version.commit, work)
    except OSError as error:
        raise RomforgeError(f"{error.filename}: cannot be written: {error.strerror}") from None

    settings = source_tree.build_settings(step, tree)
    before = record.settings
    since = record.ended
    files = _copy_changes(step, out, tree, record, settings)
    if before and _objects_are_stale(before, settings):
        shutil.rmtree(work / "src" / step.bin, ignore_errors=True)

    removed = record.headers.keys() - files.keys()
    record.headers = _write_headers(step, work / "src", removed, record.headers, since)
    for place, (data, state) in embedded.items():
        copy = work / "src" / place
        old = record.embedded.get(place)
        if not copy.exists() or old is None or old.sha256 != state.sha256:
            worktree.write_source(copy, data, since=since)
    record.embedded = {place: state for place, (_, state) in embedded.items()}
    record.settings = settings
    record.files = files
    return record


def _copy_changes(
    step: TreeBuild, out: Path, tree: Tree, record: TreeRecord, settings: BuildSettings
) -> worktree.Files:
    """Copies what changed, and notes in the record which images are stale.

    Returns the files as they are now.
    """
    work = out / step.directory / "src"
    # The reasons come first, since the old copies tell how files were before they changed.
    _, changes = worktree.compare_trees(tree.src, tree.files, record.files)
    reasons = reasons_to_rebuild(step, out, record, tree, changes, list(record.goals))
    if record.settings != settings or _may_change_macros(changes):
        record.downgraded = None
    files, copied = worktree.compare_trees(tree.src, tree.files, record.files, work, record.ended)
    damaged = Changes(copied.changed - changes.changed, copied.added - changes.added, set(), False)
    others = record.goals.keys() - reasons.keys()
    reasons |= reasons_to_rebuild(step, out, record, tree, damaged, others)
    for goal, reason in reasons.items():
        record.goals[goal].why = reason
    return files


def _objects_are_stale(before: BuildSettings, now: BuildSettings) -> bool:
    """Whether a setting changed that objects depend on, and that iPXE's makefiles do not track."""
    return (before.tools, before.cross, before.make) != (now.tools, now.cross, now.make)


def _may_change_macros(changes: Changes) -> bool:
    """Whether the configuration may define other macros than before."""
    paths = changes.changed | changes.added | changes.removed
    return any(path.startswith("config/") or path.endswith("compiler.h") for path in paths)


def _write_commit(commit: str, work: Path) -> None:
    """Gives the working tree a ``.git/HEAD`` with the commit, for iPXE 2.0's version.

    The checkout's own repository is not needed; its index and branches have no influence.
    """
    head = work / ".git" / "HEAD"
    if not commit:
        shutil.rmtree(work / ".git", ignore_errors=True)
    elif not head.is_file() or head.read_text() != f"{commit}\n":
        worktree.write_source(head, f"{commit}\n".encode())


def _write_headers(
    step: TreeBuild, src: Path, removed: set[str], before: dict[str, str], since: int
) -> dict[str, str]:
    """Writes the spec's configuration headers where they changed; returns them by path.

    Headers in ``removed`` that the spec no longer has are emptied: make wants a file.
    """
    headers = source_tree.spec_headers(step)
    for path in removed - headers.keys():
        worktree.write_source(src / path, b"", since=since)
    for path, text in headers.items():
        if text != before.get(path):
            worktree.write_source(src / path, text.encode(), since=since)
    return headers
