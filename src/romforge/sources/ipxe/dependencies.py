# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that an image is built from, as make recorded them, and the changes that affect it.

For each source, iPXE's makefiles write ``BIN/deps/PATH.d`` in the form
``realtek_DEPS += drivers/net/realtek.c include/…``. The line has the object's name and all files
that the preprocessor read. The linker's map lists the objects of an image. Together they determine
the files that the image is built from.

A file outside this list may still affect the image: see ``UnusedFiles``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from romforge.base.text import join_words
from romforge.sources.ipxe import link_roots, worktree
from romforge.sources.ipxe.worktree import Changes

# The object with the name and version of an image; each image has its own, from core/version.c.
VERSION_OBJECT = "version"

_RECORD = re.compile(r"^(\S+)_DEPS\s*\+?=(.*)$", re.MULTILINE)
_SOURCES = ".c", ".S"
_DOCUMENTS = re.compile(
    r"(?i)(?:readme|copying|licen[cs]e|changelog|notes|authors)\b.*|.*\.(?:md|txt|rst|cfg)"
)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_PCI_ID = re.compile("[0-9a-f]{8}")  # vendor and device
_LISTED = 3  # objects in one reason


def is_complete(path: Path) -> bool:
    """Whether a dependency file was written to its end."""
    text = path.read_text(errors="replace")
    return bool(_RECORD.search(text)) and text.endswith("\n") and not text.endswith("\\\n")


def drop_unfinished(directory: Path, began: int) -> None:
    """Removes dependency files that were not written to their end, which break every later make.

    Only files written since ``began`` (ns) are checked. iPXE has its dependency files in ``deps``.
    Other trees have each one beside its object, and write the object last: an object that is older
    than its list may depend on other files, so both are removed.
    """
    drop_incomplete(directory, began)
    for path in _written_since(directory, began):
        if path.is_relative_to(directory / "deps"):
            continue
        compiled = path.with_suffix(".o")
        if not compiled.exists() or compiled.stat().st_mtime_ns < path.stat().st_mtime_ns:
            path.unlink()
            compiled.unlink(missing_ok=True)


def drop_incomplete(directory: Path, began: int) -> list[str]:
    """Removes files in ``deps`` that were not written to their end.

    Only files written since ``began`` (ns) are checked. Returns their sources, as ``core/a.c``.
    """
    top = directory / "deps"
    incomplete = [path for path in _written_since(top, began) if not is_complete(path)]
    for path in incomplete:
        path.unlink()
    return [str(path.relative_to(top).with_suffix("")) for path in incomplete]


def _written_since(directory: Path, began: int) -> list[Path]:
    """The dependency files below a directory that were written at or after a time in ns."""
    return [path for path in directory.rglob("*.d") if path.stat().st_mtime_ns >= began]


class DependencyFiles:
    """The dependency files of a BIN directory; each is read when it is first needed."""

    def __init__(self, bin_directory: Path) -> None:
        self.top = bin_directory / "deps"
        self._sources: dict[str, list[str]] | None = None
        self._files: dict[str, list[str]] = {}

    def paths(self) -> dict[str, list[str]]:
        """The sources of each object, by its name: ``{"realtek": ["drivers/net/realtek.c"]}``."""
        if self._sources is None:
            self._sources = {}
            for path in sorted(self.top.rglob("*.d")):
                source = str(path.relative_to(self.top)).removesuffix(".d")
                name = link_roots.object_symbol(PurePosixPath(source).stem)
                self._sources.setdefault(name, []).append(source)
        return self._sources

    def files(self, name: str) -> list[str] | None:
        """The files that an object is compiled from; None if make recorded none."""
        if name not in self._files:
            files: dict[str, None] = {}
            for source in self.paths().get(name, ()):
                files.update(dict.fromkeys(self._read(source)))
            self._files[name] = list(files)
        return self._files[name] or None

    def _read(self, source: str) -> list[str]:
        """The files that one source is compiled from; empty if the record cannot be read."""
        try:
            text = (self.top / f"{source}.d").read_text(errors="replace")
        except OSError:
            return []
        match = _RECORD.search(text.replace("\\\n", " "))
        return match[2].split() if match else []

    def directory(self, name: str) -> str:
        """The directory of an object's source below src; empty if there is no source."""
        sources = self.paths().get(name)
        if not sources:
            return ""
        return str(PurePosixPath(sources[0]).parent)

    def of_link(self, objects: Iterable[str]) -> list[str] | None:
        """All files that a link's objects are compiled from; None if one has no record."""
        used: set[str] = set()
        for name in {VERSION_OBJECT, *objects}:
            files = self.files(name)
            if files is None:
                return None
            used.update(files)
        return sorted(used)

    def objects_using(self, path: str, objects: Iterable[str]) -> list[str]:
        """Those of the objects that are compiled from a file."""
        return [name for name in objects if path in (self.files(name) or ())]


class RecordedLink(NamedTuple):
    """What the record says of an image's link: its goal, its objects, and the files they use.

    ``uses`` is None if the files are not known; then the image depends on every file.
    """

    goal: str
    objects: tuple[str, ...]
    uses: frozenset[str] | None


def reasons_of_link(
    changes: Changes,
    link: RecordedLink,
    records: DependencyFiles,
    src: Path,
    old_src: Path,
    linked: Path,
) -> Iterator[str]:
    """Why an image must be built again: one message for each file that affects it.

    ``src`` has the current files, ``old_src`` the previous ones; ``linked`` is the linked file.

    >>> next(reasons_of_link(changes, link, records, src, old_src, linked))
    'include/pci.h changed (used by realtek)'
    """
    unused_files = UnusedFiles(link, linked)
    for verb, paths, places in (
        ("changed", changes.changed, (src, old_src)),
        ("was removed", changes.removed, (old_src,)),
        ("was added", changes.added, (src,)),
    ):
        for path in sorted(paths):
            if _is_part(path, link, is_new=paths is changes.added):
                yield f"{path} {verb}{_users(path, link, records)}"
                continue
            reason = unused_files.reason(path, [place / path for place in places])
            if reason is not None:
                yield f"{path} {verb}, and {reason}"


def _is_part(path: str, link: RecordedLink, *, is_new: bool) -> bool:
    """Whether an image is built from a file, or must be assumed to be."""
    if link.uses is None:
        return worktree.is_source(path)
    if path in link.uses:
        return True
    if is_new:
        return is_build_file(path)
    if path.endswith((*_SOURCES, ".h")):
        return path.startswith("util/")  # the host tools, which every image depends on
    return worktree.is_source(path) and not _DOCUMENTS.fullmatch(PurePosixPath(path).name)


def is_build_file(path: str) -> bool:
    """Whether make, or a script of the tree, finds the file by its name."""
    name = PurePosixPath(path).name
    return name.startswith("Makefile") or name.endswith((".mk", ".lds"))


def _users(path: str, link: RecordedLink, records: DependencyFiles) -> str:
    """The objects of an image that use a file, such as `` (used by realtek)``; may be empty."""
    users = records.objects_using(path, link.objects)
    if not users:
        return ""
    more = len(users) - _LISTED
    if more > 1:
        return f" (used by {', '.join(users[:_LISTED])} and {more} more objects)"
    return f" (used by {join_words(users)})"


class UnusedFiles:
    """Decides whether a file that an image was not built from could become part of it.

    - The compiler may find a header before another one of the same name.
    - A source may replace an object of the same name.
    - A source may be a driver for the image's device.
    - A source may define a symbol of the link, so that the linker takes it. A definition starts in
      the first column, as in all of iPXE. A static one does not count.
    """

    def __init__(self, link: RecordedLink, linked: Path) -> None:
        self.link = link
        self.linked = linked
        self._symbols: Collection[str] | None = None

    def reason(self, path: str, versions: Iterable[Path]) -> str | None:
        """How the file could become part of the image; None if it cannot.

        ``versions`` are the places of the file before and after the change.
        """
        name = PurePosixPath(path)
        if name.suffix == ".h":
            return self._hides_header(name.name)
        if name.suffix not in _SOURCES or path.startswith("util/"):
            return None
        if link_roots.object_symbol(name.stem) in self.link.objects:
            return f"compiles to an object {name.stem}, which is in the image"
        texts = [version.read_text(errors="replace") for version in versions if version.is_file()]
        for text in texts:
            if self._names_device(text):
                return f"names the device of {self.link.goal}"
        for text in texts:
            symbol = self._find_definition(text)
            if symbol is not None:
                return f"may define {symbol}, which is in the image"
        return None

    def _hides_header(self, name: str) -> str | None:
        """The reason if the image uses a header of this name in another directory."""
        for used in sorted(self.link.uses or ()):
            if PurePosixPath(used).name == name:
                return f"may be included instead of {used}"
        return None

    def _names_device(self, text: str) -> bool:
        """Whether a driver's ``PCI_ROM`` lines name a device of the image."""
        for element in self.link.goal.split("--"):
            if _PCI_ID.fullmatch(element):
                ids = rf"0x{element[:4]}\s*,\s*0x{element[4:]}\b"
                if re.search(rf"_ROM\s*\(\s*{ids}", text, re.IGNORECASE):
                    return True
            elif re.search(rf'_ROM\s*\([^"]*"{re.escape(element)}"', text):
                return True
        return False

    def _find_definition(self, text: str) -> str | None:
        """A symbol of the link that a source seems to define, or None."""
        symbols = self._link_symbols()
        for line in text.splitlines():
            if not (line[:1].isalpha() or line[:1] in "_."):
                continue
            if line.startswith(("static", "typedef", "extern")):
                continue
            identifiers: list[str] = _IDENTIFIER.findall(line.partition("=")[0])
            for identifier in identifiers:
                if identifier in symbols:
                    return identifier
        return None

    def _link_symbols(self) -> Collection[str]:
        """The global symbols of the linked file; empty if it is missing."""
        if self._symbols is None:
            from romforge.formats import elf

            if self.linked.is_file():
                self._symbols = elf.global_symbols(self.linked)
            else:
                self._symbols = ()
        return self._symbols
