# SPDX-License-Identifier: GPL-2.0-or-later
"""An iPXE source tree: where it lies, its files and version, and what its makefiles are told."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base import shipped_files
from romforge.base.errors import RomforgeError
from romforge.plan.steps import TreeBuild, TreePlace
from romforge.sources.ipxe import link_roots, toolchain, tree_version, worktree
from romforge.sources.ipxe.link_roots import LinkPlan
from romforge.sources.ipxe.tree_record import BuildSettings, TreeRecord, load_record
from romforge.sources.ipxe.tree_version import TreeVersion
from romforge.sources.ipxe.worktree import FileStatus

LOG = "make.log"
# Debugging information holds the build directory, and iPXE's build ID sums up objects with all they
# hold. So the directory is taken out: other output roots and checkouts then give the same bytes.
# Columns are, too: what distcc compiles was preprocessed before, and has others within macros.
_PREFIX_MAP = "-ffile-prefix-map=$(CURDIR)=."
_NO_COLUMNS = "-gno-column-info"
_CONFIG_HEADER = re.compile(r"config/([^/]+)\.h")


class Tree(NamedTuple):
    """A source tree as it is now: its src directory and place, its files, and its version."""

    src: Path
    place: TreePlace
    files: dict[str, FileStatus]
    version: TreeVersion

    @property
    def revision(self) -> str:
        """What `git describe` says of the checkout; empty where the tree is none."""
        return self.version.described


class Trees:
    """The source trees of one run. Each is read once, for all platforms."""

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self._by_places: dict[tuple[TreePlace, ...], Tree] = {}

    def of(self, step: TreeBuild) -> Tree:
        """The tree that a platform is built from.

        Raises RomforgeError where there is none, or it cannot be read.
        """
        tree = self._by_places.get(step.trees)
        if tree is None:
            found = locate_tree(step, self.out)
            files = worktree.scan_tree(found.src, self.out)
            tree = Tree(*found, files, tree_version.read_version(found.src))
            self._by_places[step.trees] = tree
        return tree


class FoundTree(NamedTuple):
    """The tree that is built: its src directory, and the place where it was found."""

    src: Path
    place: TreePlace


def locate_tree(step: TreeBuild, out: Path) -> FoundTree:
    """The tree to build. Raises RomforgeError, which says how to get one."""
    found = find_built_tree(step.trees, out)
    if found is not None:
        return found
    lack = f"there is no iPXE source tree (with src/Makefile) {describe_places(step)}"
    ways = [HOW_TO_GET, f"or set IPXE_SRC=DIR, or tree in [source.{step.source}]"]
    if step.trees[0].kind == "pinned":
        ways.insert(0, f"`{GET} {step.source}`, which gets the one of the spec, or")
    raise RomforgeError("\n  ".join([f"{lack}; get one:", *ways]))


def find_built_tree(places: Iterable[TreePlace], out: Path) -> FoundTree | None:
    """The first of these trees that is there; ``out`` is the output root."""
    for place in places:
        src = find_tree([os.path.join(os.path.abspath(out), place.path)])
        if src is not None:
            return FoundTree(src, place)
    return None


def describe_places(step: TreeBuild) -> str:
    """Where the trees of a platform may lie, in words."""
    places = [place.path for place in step.trees if place.kind != "pinned"]
    if not places:
        return f"yet for [source.{step.source}]"
    return f"at {' or '.join(places)}"


def find_tree(places: Sequence[str]) -> Path | None:
    """The src directory of the first of these trees that is there; a place may be src itself."""
    for tree in map(Path, places):
        for src in (tree / "src", tree):
            if src.name == "src" and (src / "Makefile").is_file():
                return src
    return None


def builds_fallback(step: TreeBuild, out: Path) -> bool:
    """Whether the fallback tree of a platform is what is built."""
    found = find_built_tree(step.trees, out)
    return found is not None and found.place.kind == "fallback"


def other_tree_note(step: TreeBuild, out: Path) -> str | None:
    """What to say of a platform of which another tree is built than the spec asks for first."""
    found = find_built_tree(step.trees, out)
    first = step.trees[0]
    if found is None or found.place == first:
        return None
    built = shipped_files.shown_path(str(found.src.parent))
    if first.kind == "pinned":
        lack = f"the tree of [source.{step.source}] was not got, so {built} is built"
        return f"{lack}; to get the pinned one: `{GET} {step.source}`"
    lack = f"{shipped_files.shown_path(first.path)} is not there, so {built} is built"
    return f"{lack}; get one by {HOW_TO_GET}"


GET = "romforge get"
HOW_TO_GET = (
    "`git submodule add https://github.com/ipxe/ipxe vendor/ipxe`, `apt-get source ipxe`,"
    " or a release's tarball whose sha256 you checked"
)


def compile_variables(step: TreeBuild, directory: Path | None = None) -> list[tuple[str, str]]:
    """The variables that make gets for what is compiled: those of the spec, and ours.

    ``directory`` is where make runs. Without it they are written as for a directory with spaces.
    That form is recorded, so that a tree that is moved is not built again for its name.
    """
    variables = dict(step.variables)
    flags = variables.get("EXTRA_CFLAGS", "")
    prefix_map = f'"{_PREFIX_MAP}"'
    if directory and _is_plain(os.path.realpath(directory)):
        # make runs a command without quotes by itself, and starts a shell for others
        prefix_map = _PREFIX_MAP
    variables["EXTRA_CFLAGS"] = f"{flags} {prefix_map} {_NO_COLUMNS}".strip()
    return list(variables.items())


def _is_plain(path: str) -> bool:
    """Whether a shell reads a path as one word that stands for itself."""
    return shlex.quote(path) == path


def version_variables(step: TreeBuild, tree: Tree) -> list[tuple[str, str]]:
    """The variables that make gets for the version, unless the spec sets it."""
    of_spec = {name for name, _ in step.variables}
    if "VERSION" in of_spec:
        return []
    return [(name, value) for name, value in tree.version.variables if name not in of_spec]


def link_plan(step: TreeBuild, files: Collection[str], downgraded: bool | None) -> LinkPlan:
    """How a platform's images are linked; ``files`` are the tree's, by their paths below src."""
    if not step.media:
        return LinkPlan()
    names = {link_roots.object_symbol(Path(path).stem) for path in files if path.endswith(".c")}
    return link_roots.make_link_plan(
        step.strip, legacy=step.legacy, downgraded=downgraded, sources=names
    )


def recorded_link_plan(step: TreeBuild, out: Path) -> LinkPlan:
    """How the images of a platform were linked when they were built."""
    record = load_record(step, out) or TreeRecord()
    return link_plan(step, record.files, record.downgraded)


def build_settings(step: TreeBuild, tree: Tree) -> BuildSettings:
    """All that an image depends on besides files."""
    version = [list(pair) for pair in version_variables(step, tree)]
    return BuildSettings(
        tools=toolchain.tools_identity(step),
        cross=toolchain.cross_prefix(step),
        make=[list(pair) for pair in compile_variables(step)],
        strip=_as_lists([*step.strip, link_roots.stubs_digest(), link_roots.ADDED_ROOTS]),
        require=list(step.require),
        files=[[variable, list(files)] for variable, files in step.files],
        debug=list(step.debug),
        epoch=os.environ.get("SOURCE_DATE_EPOCH", ""),
        revision=[tree.version.commit, *version],
    )


def _as_lists(values: Sequence[Any]) -> list[Any]:
    """Values with tuples as lists, as they come back from JSON."""
    return [_as_lists(value) if isinstance(value, tuple) else value for value in values]


def linked_medium(step: TreeBuild) -> str:
    """The medium that is linked: an ``efirom`` is an ``efidrv`` that make wraps afterwards."""
    return "efidrv" if step.media == "efirom" else step.media


def linked_file(step: TreeBuild, goal: str) -> str:
    """The name of the linked file of a goal: ``8086100e.efidrv.tmp``."""
    if not step.media:
        return f"{goal}.tmp"
    return f"{goal}.{linked_medium(step)}.tmp"


def image_path(step: TreeBuild, out: Path, goal: str) -> Path:
    """Where make leaves an image."""
    return out / step.directory / "src" / step.bin / step.file_of(goal)


def header_path(step: TreeBuild, header: str) -> str:
    """Where a configuration header of the spec is written, below src."""
    return f"config/local/{step.config}/{header}.h"


def spec_headers(step: TreeBuild) -> dict[str, str]:
    """The texts of the spec's configuration headers, by their paths below src."""
    return {header_path(step, name): text for name, text in step.headers}


def config_headers(files: Collection[str]) -> set[str]:
    """The names of the tree's configuration headers, such as ``general``."""
    matches = map(_CONFIG_HEADER.fullmatch, files)
    return {match[1] for match in matches if match}


def embedded_files(step: TreeBuild) -> list[tuple[str, str]]:
    """The files that go into a platform's images, each with the place of its copy below src.

    They are copied so that their directories have no part in an image.
    """
    pairs: list[tuple[str, str]] = []
    for variable, files in step.files:
        pairs += zip(files, embedded_places(variable, files))
    return pairs


def embedded_places(variable: str, files: tuple[str, ...]) -> list[str]:
    """Where the files of EMBED, TRUST or CERT are copied to, below src."""
    return [
        f".romforge/{variable.lower()}/{index}/{Path(path).name}"
        for index, path in enumerate(files)
    ]
