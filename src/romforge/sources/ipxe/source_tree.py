# SPDX-License-Identifier: GPL-2.0-or-later
"""An iPXE source tree: where it lies, its files and version, and what its makefiles are told."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base.errors import RomforgeError
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import link_roots, toolchain, tree_version, worktree
from romforge.sources.ipxe.link_roots import LinkPlan
from romforge.sources.ipxe.tree_record import BuildSettings, TreeRecord, load_record
from romforge.sources.ipxe.tree_version import TreeVersion
from romforge.sources.ipxe.worktree import FileStatus

LOG = "make.log"
# Debugging information holds the build directory, and iPXE's build ID sums up objects with all they
# hold. So the directory is taken out: other output roots and checkouts then give the same bytes.
# Columns are, too: what distcc compiles was preprocessed before, and has others within macros.
# The quotes are for the shell: the directory may have spaces.
_SAME_ANYWHERE = '"-ffile-prefix-map=$(CURDIR)=." -gno-column-info'
_CONFIG_HEADER = re.compile(r"config/([^/]+)\.h")


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
    """The source trees of one run. Each is read once, for all platforms."""

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self._by_paths: dict[tuple[str, ...], Tree] = {}

    def of(self, step: TreeBuild) -> Tree:
        """The tree that a platform is built from.

        Raises RomforgeError where there is none, or it cannot be read.
        """
        tree = self._by_paths.get(step.trees)
        if tree is None:
            src = locate_tree(step)
            files = worktree.scan_tree(src, self.out)
            tree = Tree(src, files, tree_version.read_version(src))
            self._by_paths[step.trees] = tree
        return tree


def locate_tree(step: TreeBuild) -> Path:
    """The src directory of the tree to build. Raises RomforgeError, which says how to get one."""
    src = find_tree(step.trees)
    if src is not None:
        return src
    places = " or ".join(step.trees)
    raise RomforgeError(
        f"there is no iPXE source tree (with src/Makefile) at {places}; get one:\n  {HOW_TO_GET}\n"
        f"  or set IPXE_SRC=DIR, or tree in [source.{step.source}]"
    )


def find_tree(places: Sequence[str]) -> Path | None:
    """The src directory of the first of these trees that is there; a place may be src itself."""
    for tree in map(Path, places):
        for src in (tree / "src", tree):
            if src.name == "src" and (src / "Makefile").is_file():
                return src
    return None


def built_fallback(step: TreeBuild) -> Path | None:
    """The fallback tree of a platform, if that is what is built."""
    if len(step.trees) < 2:
        return None
    tree = find_tree(step.trees)
    if tree is None or tree.is_relative_to(step.trees[0]):
        return None
    return tree


def fallback_note(step: TreeBuild) -> str | None:
    """What to say of a platform of which the fallback tree is built."""
    tree = built_fallback(step)
    if tree is None:
        return None
    missing = _shorten(step.trees[0])
    built = _shorten(str(tree.parent))
    return f"{missing} is not there, so {built} is built; to get the real one: {HOW_TO_GET}"


def _shorten(path: str) -> str:
    """A path relative to the working directory, if it lies below."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


CLONE = "git clone https://github.com/ipxe/ipxe"
HOW_TO_GET = (
    "`git submodule add https://github.com/ipxe/ipxe vendor/ipxe`, `apt-get source ipxe`,"
    " or a release's tarball whose sha256 you checked"
)


def compile_variables(step: TreeBuild) -> list[tuple[str, str]]:
    """The variables that make gets for what is compiled: those of the spec, and ours."""
    variables = dict(step.variables)
    flags = variables.get("EXTRA_CFLAGS", "")
    variables["EXTRA_CFLAGS"] = f"{flags} {_SAME_ANYWHERE}".strip()
    return list(variables.items())


def version_variables(step: TreeBuild, tree: Tree) -> list[tuple[str, str]]:
    """The variables that make gets for the version, unless the spec sets it."""
    of_spec = {name for name, _ in step.variables}
    if "VERSION" in of_spec:
        return []
    return [(name, value) for name, value in tree.version.variables if name not in of_spec]


def link_plan(step: TreeBuild, files: Collection[str], downgraded: bool | None) -> LinkPlan:
    """How a platform's images are linked; ``files`` are the tree's, by their paths below src."""
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


def image_path(step: TreeBuild, out: Path, goal: str) -> Path:
    """Where make leaves an image."""
    return out / step.directory / "src" / step.bin / f"{goal}.{step.media}"


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
