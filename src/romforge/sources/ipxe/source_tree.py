# SPDX-License-Identifier: GPL-2.0-or-later
"""An iPXE source tree as a source of images: what must be built again and why, and one make for all of it.

Each platform is built in a working tree of its own. ``record.json`` there tells of what it was made: the files as they
were copied, the settings, and for each image the files its link used. While a build is at work, a file ``unfinished``
lies beside it: a tree in which one is found was killed in the midst of something, and is made anew.

Not every variable is tracked by iPXE's makefiles. Where one that they do not track has changed, the whole BIN directory
is removed; and an image to be built is removed with all its stages first, so that make cannot think it up to date.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base import fingerprint, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.text import did_you_mean, join_words
from romforge.plan.planner import ImageRequest, TreeBuild
from romforge.sources.ipxe import dependencies, link_roots, toolchain, tree_version, worktree
from romforge.sources.ipxe.dependencies import DependencyFiles, RecordedLink
from romforge.sources.ipxe.link_roots import LinkPlan
from romforge.sources.ipxe.tree_version import TreeVersion
from romforge.sources.ipxe.worktree import Changes, FileStatus

_FORMAT = 2  # of the record; to count up when it changes
_RECORD, _UNFINISHED, LOG = "record.json", "unfinished", "make.log"
_AFFECTS_OBJECTS = ("tools", "cross", "make")  # settings that iPXE does not track
# Debugging information holds the build directory, and iPXE's build ID sums up objects with all they
# hold. So the directory is taken out: other output roots and checkouts then give the same bytes.
# Columns are, too: what distcc compiles was preprocessed before, and has others within macros.
_SAME_ANYWHERE = "-ffile-prefix-map=$(CURDIR)=. -gno-column-info"
_CONFIG_HEADER = re.compile(r"config/([^/]+)\.h")
_CONFIG_DIRECTORY = re.compile(r"config/(?!local/|defaults/)([^/]+)/")
_WORDS = {
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


class Tree(NamedTuple):
    """A source tree as it is now: its src directory, its files, and its version."""

    src: Path
    files: dict[str, FileStatus]
    version: TreeVersion

    @property
    def revision(self) -> str:
        """What `git describe` says of the checkout; empty where the tree is none."""
        return self.version.described


class Trees:
    """The source trees of one look at a plan: each is read once, though several platforms are built from it."""

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.found: dict[tuple[str, ...], Tree] = {}

    def of(self, step: TreeBuild) -> Tree:
        """Raises RomforgeError where there is no tree, or it cannot be read."""
        if step.trees not in self.found:
            src = locate_tree(step)
            self.found[step.trees] = Tree(
                src, worktree.scan_tree(src, self.out), tree_version.read_version(src)
            )
        return self.found[step.trees]


def locate_tree(step: TreeBuild) -> Path:
    """The src directory of the tree to build; raises RomforgeError, which says how to get one."""
    for tree in map(Path, step.trees):
        for src in (tree / "src", tree):
            if src.name == "src" and (src / "Makefile").is_file():
                return src
    raise RomforgeError(
        f"there is no iPXE source tree (with src/Makefile) at {' or '.join(step.trees)}; get one:\n  {HOW_TO_GET}\n"
        f"  or set IPXE_SRC=DIR, or tree in [source.{step.source}]"
    )


HOW_TO_GET = "`git submodule add https://github.com/ipxe/ipxe vendor/ipxe`, `apt-get source ipxe`, or a release's tarball whose sha256 you checked"


def compile_variables(step: TreeBuild) -> list[tuple[str, str]]:
    """The variables that make gets for what is compiled: those of the spec, and ours."""
    given = dict(step.variables)
    given["EXTRA_CFLAGS"] = f"{given.get('EXTRA_CFLAGS', '')} {_SAME_ANYWHERE}".strip()
    return list(given.items())


def version_variables(step: TreeBuild, tree: Tree) -> list[tuple[str, str]]:
    """The variables that make gets for the version, unless the spec sets it."""
    given = {name for name, _ in step.variables}
    if "VERSION" in given:
        return []
    return [(name, value) for name, value in tree.version.variables if name not in given]


def link_plan(step: TreeBuild, files: Collection[str], downgraded: bool | None) -> LinkPlan:
    """How a platform's images are linked; ``files`` are the tree's, by their paths below src."""
    names = {link_roots.object_symbol(Path(path).stem) for path in files if path.endswith(".c")}
    return link_roots.make_link_plan(
        step.strip, legacy=step.legacy, downgraded=downgraded, sources=names
    )


def recorded_link_plan(step: TreeBuild, out: Path) -> LinkPlan:
    """How the images of a platform were linked when they were built."""
    found = load_record(step, out) or blank_record()
    return link_plan(step, found["files"], found["downgraded"])


def build_settings(step: TreeBuild, tree: Tree) -> dict[str, Any]:
    """All that an image depends on besides files: each may be compared with what it was."""
    found = {
        "tools": toolchain.tools_identity(step),
        "cross": toolchain.cross_prefix(step),
        "make": [list(pair) for pair in compile_variables(step)],
        "strip": [*step.strip, link_roots.stubs_digest()],
        "require": list(step.require),
        "files": [[variable, list(files)] for variable, files in step.files],
        "debug": list(step.debug),
        "epoch": os.environ.get("SOURCE_DATE_EPOCH", ""),
        "revision": [tree.version.commit, *(list(pair) for pair in version_variables(step, tree))],
    }
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # as it comes back from the record


def load_record(step: TreeBuild, out: Path) -> dict[str, Any] | None:
    """The record of a working tree; None where it has none, or is not finished."""
    if (out / step.directory / _UNFINISHED).exists():
        return None
    found = output_files.load_json(out, f"{step.directory}/{_RECORD}")
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        return None
    return (
        found if found["ended"] <= time.time_ns() else None
    )  # the clock was set back: make would believe old objects


def blank_record() -> dict[str, Any]:
    """The record of a working tree in which nothing was built."""
    return {
        "format": _FORMAT,
        "settings": None,
        "files": {},
        "headers": {},
        "embedded": {},
        "goals": {},
        "errors": {},
        "downgraded": None,
        "ended": 0,
    }


def mark_unfinished(step: TreeBuild, out: Path) -> None:
    """Marks a working tree as one that something is at work in, until ``save_record``."""
    (out / step.directory / _UNFINISHED).touch()


def save_record(step: TreeBuild, out: Path, found: dict[str, Any]) -> None:
    """Writes the record of a working tree that is in order."""
    output_files.save_json(out, f"{step.directory}/{_RECORD}", found)
    (out / step.directory / _UNFINISHED).unlink(missing_ok=True)


def error_of(pick: ImageRequest, out: Path, goal: str) -> str:
    """Why the make that should have built an image did not."""
    found = (
        output_files.load_json(out, f"{pick.root.rsplit('/src/', 1)[0]}/{_RECORD}")
        or blank_record()
    )
    return str(found["errors"].get(goal) or f"{out / pick.root / goal} was not built")


def stale_goals(step: TreeBuild, out: Path, goals: list[str], trees: Trees) -> dict[str, str]:
    """Those of ``goals`` that must be built, each with the reason in words; raises RomforgeError where there is no tree."""
    tree, found = trees.of(step), load_record(step, out)
    if found is None:
        begun = (out / step.directory / _UNFINISHED).exists()
        return dict.fromkeys(
            goals, "an earlier build did not end in good order" if begun else "it was not built yet"
        )
    files, changes = worktree.compare_trees(tree.src, tree.files, found["files"])
    why = reasons_to_rebuild(step, out, found, tree, changes, goals)
    if changes.touched and not changes and output_lock.is_lock_held(out):
        with suppress(RomforgeError):  # it only saves each later look from reading them again
            output_files.save_json(out, f"{step.directory}/{_RECORD}", found | {"files": files})
    return why


def reasons_to_rebuild(
    step: TreeBuild,
    out: Path,
    found: dict[str, Any],
    tree: Tree,
    changes: Changes,
    goals: Collection[str],
) -> dict[str, str]:
    """Which of ``goals`` are not as they would be built now, and why; ``found`` is the record of what they were built of."""
    now = build_settings(step, tree)
    general = [
        f"{_WORDS[name]} changed"
        for name in now
        if now[name] != (found["settings"] or {}).get(name)
    ]
    headers = {header_path(step, name): text for name, text in step.headers}
    changes.changed.update(
        path
        for path in headers.keys() | found["headers"].keys()
        if headers.get(path) != found["headers"].get(path)
    )
    general += [
        f"{path} changed"
        for path, place in embedded_files(step)
        if not fingerprint.is_unchanged(path, found["embedded"].get(place))
    ]
    work = out / step.directory / "src"
    records = DependencyFiles(work / step.bin)
    why = {}
    for goal in goals:
        entry = found["goals"].get(goal)
        if entry is None:
            why[goal] = "it was not built yet"
            continue
        reason = entry["why"] or next(iter(general), None)
        if reason is None and changes:
            uses = None if entry["uses"] is None else frozenset(entry["uses"])
            link = RecordedLink(goal, tuple(entry["objects"]), uses)
            linked = work / step.bin / f"{goal}.{linked_medium(step)}.tmp"
            reason = next(
                dependencies.reasons_of_link(changes, link, records, tree.src, work, linked), None
            )
        if reason is not None:
            why[goal] = reason
        elif not fingerprint.is_unchanged(
            str(image_path(step, out, goal)), entry["state"], link=False
        ):
            why[goal] = "its image was changed or removed"
    return why


def linked_medium(step: TreeBuild) -> str:
    """The medium that is linked for the platform's: an ``efi_image`` is an ``efidrv`` that was wrapped."""
    return "efidrv" if step.media == "efirom" else step.media


def image_path(step: TreeBuild, out: Path, goal: str) -> Path:
    """Where make leaves an image."""
    return out / step.directory / "src" / step.bin / f"{goal}.{step.media}"


def header_path(step: TreeBuild, header: str) -> str:
    """Where a configuration header of the spec is written, below src."""
    return f"config/local/{step.config}/{header}.h"


def prepare_worktree(step: TreeBuild, out: Path, tree: Tree) -> dict[str, Any]:
    """Brings the working tree up to date with its source; returns its record.

    From here on the tree is marked as unfinished, until ``save_record``. Raises RomforgeError.
    """
    work, found = out / step.directory, load_record(step, out)
    if found is None:
        worktree.clear_worktree(work, output_files.temporary(out))
        found = blank_record()
    _require_config(step, tree)
    contents = {place: fingerprint.read_file(Path(path)) for path, place in embedded_files(step)}
    try:
        (work / "src").mkdir(parents=True, exist_ok=True)
        (work / _UNFINISHED).touch()
        _write_commit(tree.version.commit, work)
    except OSError as error:
        raise RomforgeError(f"{error.filename}: cannot be written: {error.strerror}") from None
    now, before = build_settings(step, tree), found["settings"]
    since = found["ended"]
    # looked at first, since the copies tell how files were before they changed
    _, changes = worktree.compare_trees(tree.src, tree.files, found["files"])
    why_stale = reasons_to_rebuild(step, out, found, tree, changes, list(found["goals"]))
    if _may_change_macros(changes, before != now):
        found["downgraded"] = None
    files, copied = worktree.compare_trees(
        tree.src, tree.files, found["files"], work / "src", since
    )
    damaged = Changes(copied.changed - changes.changed, copied.added - changes.added, set(), False)
    why_stale |= reasons_to_rebuild(
        step, out, found, tree, damaged, found["goals"].keys() - why_stale.keys()
    )
    for goal, why in why_stale.items():
        found["goals"][goal]["why"] = why
    if before and any(before[name] != now[name] for name in _AFFECTS_OBJECTS):
        shutil.rmtree(work / "src" / step.bin, ignore_errors=True)
    headers = _write_headers(
        step, work / "src", found["headers"].keys() - files.keys(), found["headers"], since
    )
    for place, (data, state) in contents.items():
        if (
            not (work / "src" / place).exists()
            or found["embedded"].get(place, [""])[-1] != state[-1]
        ):
            worktree.write_source(work / "src" / place, data, since=since)
    states = {place: state for place, (_, state) in contents.items()}
    return found | {"settings": now, "files": files, "headers": headers, "embedded": states}


def _require_config(step: TreeBuild, tree: Tree) -> None:
    """Raises RomforgeError where the tree does not know the configuration or a header, or has such a header of its own."""
    known = config_headers(tree.files)
    for header, _ in step.headers:
        if header not in known:
            raise RomforgeError(
                f"[config.{step.config}.{header}]: the tree has no header config/{header}.h{did_you_mean(header, known)}"
            )
        if tree.files.get(path := header_path(step, header), [0, 0])[1]:
            raise RomforgeError(
                f"{tree.src / path} and [config.{step.config}.{header}] of the spec are for the same; leave one out"
            )
    if step.config and not step.headers:
        _require_own_config(step.config, tree)


def config_headers(files: Collection[str]) -> set[str]:
    """The names of the tree's configuration headers, such as ``general``."""
    return {match[1] for path in files if (match := _CONFIG_HEADER.fullmatch(path))}


def _require_own_config(config: str, tree: Tree) -> None:
    """Raises RomforgeError where neither the tree nor the spec has the configuration."""
    if any(
        path.startswith((f"config/{config}/", f"config/local/{config}/")) for path in tree.files
    ):
        return
    known = sorted({match[1] for path in tree.files if (match := _CONFIG_DIRECTORY.match(path))})
    has = f"it has {join_words(known)}" if known else "it has none"
    raise RomforgeError(
        f'the tree has no configuration "{config}"{did_you_mean(config, known)}; {has}, and the spec no [config.{config}.HEADER]'
    )


def _may_change_macros(changes: Changes, other_settings: bool) -> bool:
    """Whether the configuration may define other macros than before."""
    paths = changes.changed | changes.added | changes.removed
    return other_settings or any(
        path.startswith("config/") or path.endswith("compiler.h") for path in paths
    )


def _write_commit(commit: str, work: Path) -> None:
    """Gives the working tree a ``.git/HEAD`` with the commit, which iPXE 2.0 takes its version from.

    The checkout's own repository is not needed, and its index and branches have no say.
    """
    head = work / ".git" / "HEAD"
    if not commit:
        shutil.rmtree(work / ".git", ignore_errors=True)
    elif not head.is_file() or head.read_text() != f"{commit}\n":
        worktree.write_source(head, f"{commit}\n".encode())


def _write_headers(
    step: TreeBuild, src: Path, ours: set[str], before: dict[str, str], since: int
) -> dict[str, str]:
    """Writes the configuration headers of the spec where they changed; one of ``ours`` that it no longer has is emptied."""
    headers = {header_path(step, name): text for name, text in step.headers}
    for path in ours - headers.keys():
        worktree.write_source(src / path, b"", since=since)
    for path, text in headers.items():
        if text != before.get(path):
            worktree.write_source(src / path, text.encode(), since=since)
    return headers


def embedded_files(step: TreeBuild) -> list[tuple[str, str]]:
    """The files that go into a platform's images, each with the place below src that it is copied to.

    They are copied so that their directories have no part in an image.
    """
    return [
        both
        for variable, files in step.files
        for both in zip(files, embedded_places(variable, files))
    ]


def embedded_places(variable: str, files: tuple[str, ...]) -> list[str]:
    """Where the files of EMBED, TRUST or CERT are copied to, below src."""
    return [
        f".romforge/{variable.lower()}/{index}/{Path(path).name}"
        for index, path in enumerate(files)
    ]
