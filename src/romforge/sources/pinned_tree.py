# SPDX-License-Identifier: GPL-2.0-or-later
"""Gets the source tree that a spec pins: a commit of a git repository, or an archive.

A tree appears in the output root as a whole, under the name of its pin. So one that is there is the
one of the spec, and nothing but `romforge get` goes to the network for it.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from romforge.base import output_files, programs
from romforge.base.errors import RomforgeError
from romforge.plan.steps import PinnedTree
from romforge.sources import git_checkout, tree_archive
from romforge.sources.ipxe import source_tree


def get_tree(step: PinnedTree, out: Path, locked: str | None) -> dict[str, str]:
    """Gets a tree, unless it is there; returns what a manifest says of it.

    ``locked`` is the revision in the lock, from which the commit of a tag must not differ. Raises
    RomforgeError where the tree is not to be had, is another one, or was changed in its place.
    """
    place = out / step.directory
    if not place.exists():
        scratch = output_files.temporary(out) / f"{os.getpid()}-{step.source}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            tree = _fetch(step, scratch, place, locked)
            _move(tree, place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    revision = step.pin
    if step.rev is not None:
        revision = git_checkout.require_unchanged(step, place, locked)
    return {"tree": str(place.resolve()), "kind": "pinned", "revision": revision}


def _fetch(step: PinnedTree, scratch: Path, place: Path, locked: str | None) -> Path:
    """Gets a tree into a directory below ``scratch``, and returns it."""
    try:
        if step.rev is not None:
            tree = git_checkout.fetch_commit(step, scratch / "tree", locked)
        else:
            part = place.parent / f"{place.name}.part"
            tree = tree_archive.fetch_archive(step, scratch, part)
    except programs.MissingTool:
        raise
    except RomforgeError as error:
        raise RomforgeError(f"{error}\n{_by_hand(step)}") from None
    if source_tree.find_tree([str(tree)]) is None:
        raise RomforgeError(f"{step.url} of {step.pin} is no iPXE tree: it has no src/Makefile")
    return tree


def _move(tree: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        tree.rename(place)
    except OSError as error:
        raise RomforgeError(f"{place}: cannot be written: {error.strerror}") from None


def _by_hand(step: PinnedTree) -> str:
    """How to get a tree on another machine."""
    url = shlex.quote(step.url)
    if step.rev is None:
        get, what = f"curl -LO {url}", "FILE"
    else:
        get, what = f"git clone {url} ipxe", "ipxe"
    return (
        f"  to get it by hand, run `{get}` where there is a network, bring it here, and run"
        f" `{source_tree.GET} {step.source} --from {what}`: it must be the pinned one all the same;"
        "\n  or build another tree with IPXE_SRC=DIR"
    )
