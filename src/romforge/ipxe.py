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
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from romforge import install, lock, record, toolchain, worktree
from romforge.errors import RomforgeError, near
from romforge.plan import Make, Pick
from romforge.worktree import Changes, Status

_FORMAT = 1  # of the record; to count up when it changes
_RECORD, _UNFINISHED, LOG = "record.json", "unfinished", "make.log"
_AFFECTS_OBJECTS = ("tools", "cross", "make")  # settings that iPXE does not track
_WORDS = {
    "tools": "the compiler or binutils",
    "cross": "cross",
    "make": "make's variables",
    "strip": "strip",
    "require": "require",
    "files": "embed, trust or cert",
    "debug": "debug",
    "epoch": "SOURCE_DATE_EPOCH",
    "revision": "the revision of the tree's checkout",
}


class Tree(NamedTuple):
    """A source tree as it is now: its src directory, its files, and the revision that git gives it, or nothing."""

    src: Path
    files: dict[str, Status]
    revision: str


class Trees:
    """The source trees of one look at a plan: each is read once, though several platforms are built from it."""

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.found: dict[tuple[str, ...], Tree] = {}

    def of(self, step: Make) -> Tree:
        """Raises RomforgeError where there is no tree, or it cannot be read."""
        if step.trees not in self.found:
            src = locate(step)
            self.found[step.trees] = Tree(src, worktree.scan(src, self.out), _revision(src.parent))
        return self.found[step.trees]


def locate(step: Make) -> Path:
    """The src directory of the tree to build; raises RomforgeError, which says how to get one."""
    for tree in map(Path, step.trees):
        for src in (tree / "src", tree):
            if src.name == "src" and (src / "Makefile").is_file():
                return src
    raise RomforgeError(
        f"there is no iPXE source tree (with src/Makefile) at {' or '.join(step.trees)}; get one:\n  {HOW_TO_GET}\n"
        f"  or set IPXE_SRC=DIR, or tree in [source.{step.source}]"
    )


HOW_TO_GET = (
    "`git submodule add https://github.com/ipxe/ipxe vendor/ipxe`, `apt-get source ipxe`, or a release's tarball whose sha256 you checked"
)


def _revision(checkout: Path) -> str:
    """The commit of a checkout and the tag it is described by; empty where git knows none."""
    if not (checkout / ".git").exists():
        return ""
    words = "describe", "--always", "--long", "--abbrev=40"  # makefiles may heed annotated tags alone, or all
    found = dict.fromkeys(said for more in ((), ("--tags",)) if (said := _git(checkout, *words, *more)))
    return " ".join(found) or "unknown"


def _git(checkout: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *words],
            env=toolchain.environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return ""  # no git, and so none for the tree's makefiles
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def settings(step: Make, tree: Tree) -> dict[str, Any]:
    """All that an image depends on besides files: each may be compared with what it was."""
    found = {
        "tools": toolchain.identity(step),
        "cross": toolchain.prefix(step),
        "make": [list(pair) for pair in step.variables],
        "strip": [list(step.drop), list(step.keep)],
        "require": list(step.require),
        "files": [[variable, list(files)] for variable, files in step.files],
        "debug": list(step.debug),
        "epoch": os.environ.get("SOURCE_DATE_EPOCH", ""),
        "revision": tree.revision,
    }
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # as it comes back from the record


def load(step: Make, out: Path) -> dict[str, Any] | None:
    """The record of a working tree; None where it has none, or is not finished."""
    if (out / step.directory / _UNFINISHED).exists():
        return None
    found = install.load(out, f"{step.directory}/{_RECORD}")
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        return None
    return found if found["ended"] <= time.time_ns() else None  # the clock was set back: make would believe old objects


def blank() -> dict[str, Any]:
    """The record of a working tree in which nothing was built."""
    return {"format": _FORMAT, "settings": None, "files": {}, "headers": {}, "embedded": {}, "goals": {}, "errors": {}, "ended": 0}


def save(step: Make, out: Path, found: dict[str, Any]) -> None:
    """Writes the record of a working tree that is in order."""
    install.save(out, f"{step.directory}/{_RECORD}", found)
    (out / step.directory / _UNFINISHED).unlink(missing_ok=True)


def error_of(pick: Pick, out: Path, goal: str) -> str:
    """Why the make that should have built an image did not."""
    found = install.load(out, f"{pick.root.rsplit('/src/', 1)[0]}/{_RECORD}") or blank()
    return str(found["errors"].get(goal) or f"{out / pick.root / goal} was not built")


def stale(step: Make, out: Path, goals: list[str], trees: Trees) -> dict[str, str]:
    """Those of ``goals`` that must be built, each with the reason in words; raises RomforgeError where there is no tree."""
    tree, found = trees.of(step), load(step, out)
    if found is None:
        begun = (out / step.directory / _UNFINISHED).exists()
        return dict.fromkeys(goals, "an earlier build did not end in good order" if begun else "it was not built yet")
    files, changes = worktree.compare(tree.src, tree.files, found["files"])
    why = reasons(step, out, found, settings(step, tree), changes, goals)
    if not why and changes.touched and lock.held(out):
        with suppress(RomforgeError):  # it only saves each later look from reading them again
            install.save(out, f"{step.directory}/{_RECORD}", found | {"files": files})
    return why


def reasons(step: Make, out: Path, found: dict[str, Any], now: dict[str, Any], changes: Changes, goals: list[str]) -> dict[str, str]:
    """Which of ``goals`` are not as they would be built now, and why; ``found`` is the record of what they were built of."""
    general = [f"{_WORDS[name]} changed" for name in now if now[name] != (found["settings"] or {}).get(name)]
    headers = {header_path(step, name): text for name, text in step.headers}
    changes.changed.update(path for path in headers.keys() | found["headers"].keys() if headers.get(path) != found["headers"].get(path))
    general += [f"{path} changed" for path, place in embedded(step) if not record.holds(path, found["embedded"].get(place))]
    why = {}
    for goal in goals:
        entry = found["goals"].get(goal)
        if entry is None:
            why[goal] = "it was not built yet"
        elif reason := entry["why"] or next(iter(general), None) or next(worktree.used(changes, entry["uses"]), None):
            why[goal] = reason
        elif not record.holds(str(product(step, out, goal)), entry["state"], link=False):
            why[goal] = "its image was changed or removed"
    return why


def product(step: Make, out: Path, goal: str) -> Path:
    """Where make leaves an image."""
    return out / step.directory / "src" / step.bin / f"{goal}.{step.media}"


def header_path(step: Make, header: str) -> str:
    """Where a configuration header of the spec is written, below src."""
    return f"config/local/{step.config}/{header}.h"


def prepare(step: Make, out: Path, tree: Tree) -> dict[str, Any]:
    """Brings the working tree up to date with its source; returns its record.

    From here on the tree is marked as unfinished, until ``save``. Raises RomforgeError.
    """
    work, found = out / step.directory, load(step, out)
    if found is None:
        worktree.clear(work, install.temporary(out))
        found = blank()
    _require_config(step, tree)
    contents = {place: record.read(Path(path)) for path, place in embedded(step)}
    try:
        (work / "src").mkdir(parents=True, exist_ok=True)
        (work / _UNFINISHED).touch()
        _link_git(tree.src.parent, work)
    except OSError as error:
        raise RomforgeError(f"{error.filename}: cannot be written: {error.strerror}") from None
    now, before = settings(step, tree), found["settings"]
    if before and any(before[name] != now[name] for name in _AFFECTS_OBJECTS):
        shutil.rmtree(work / "src" / step.bin, ignore_errors=True)
    since = found["ended"]
    files, changes = worktree.compare(tree.src, tree.files, found["files"], work / "src", since)
    for goal, why in reasons(step, out, found, now, changes, list(found["goals"])).items():
        found["goals"][goal]["why"] = why
    headers = _write_headers(step, work / "src", found["headers"].keys() - files.keys(), found["headers"], since)
    for place, (data, state) in contents.items():
        if not (work / "src" / place).exists() or found["embedded"].get(place, [""])[-1] != state[-1]:
            worktree.write(work / "src" / place, data, since=since)
    states = {place: state for place, (_, state) in contents.items()}
    return found | {"settings": now, "files": files, "headers": headers, "embedded": states}


def _require_config(step: Make, tree: Tree) -> None:
    """Raises RomforgeError where the tree does not know the configuration or a header, or has such a header of its own."""
    known = {path.split("/")[1][:-2] for path in tree.files if path.count("/") == 1 and path.startswith("config/") and path.endswith(".h")}
    for header, _ in step.headers:
        if header not in known:
            raise RomforgeError(f"[config.{step.config}.{header}]: the tree has no header config/{header}.h{near(header, known)}")
        if tree.files.get(path := header_path(step, header), [0, 0])[1]:
            raise RomforgeError(f"{tree.src / path} and [config.{step.config}.{header}] of the spec are for the same; leave one out")
    own = f"config/{step.config}/", f"config/local/{step.config}/"
    if step.config and not step.headers and not any(path.startswith(own) for path in tree.files):
        raise RomforgeError(f"the tree has no configuration config/{step.config}, and the spec no [config.{step.config}.HEADER]")


def _link_git(checkout: Path, work: Path) -> None:
    """Gives the working tree the checkout's repository, which the tree's makefiles take the version from."""
    link, where = work / ".git", _git(checkout, "rev-parse", "--absolute-git-dir") if (checkout / ".git").exists() else ""
    if os.path.lexists(link) and (not where or os.readlink(link) != where):
        link.unlink()
    if where and not os.path.lexists(link):
        link.symlink_to(where)


def _write_headers(step: Make, src: Path, ours: set[str], before: dict[str, str], since: int) -> dict[str, str]:
    """Writes the configuration headers of the spec where they changed; one of ``ours`` that it no longer has is emptied."""
    headers = {header_path(step, name): text for name, text in step.headers}
    for path in ours - headers.keys():
        worktree.write(src / path, b"", since=since)
    for path, text in headers.items():
        if text != before.get(path):
            worktree.write(src / path, text.encode(), since=since)
    return headers


def embedded(step: Make) -> list[tuple[str, str]]:
    """The files that go into a platform's images, each with the place below src that it is copied to.

    They are copied so that their directories have no part in an image.
    """
    return [both for variable, files in step.files for both in zip(files, embedded_places(variable, files))]


def embedded_places(variable: str, files: tuple[str, ...]) -> list[str]:
    """Where the files of EMBED, TRUST or CERT are copied to, below src."""
    return [f".romforge/{variable.lower()}/{index}/{Path(path).name}" for index, path in enumerate(files)]
