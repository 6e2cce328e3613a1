# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files an image is made of, as make itself recorded them, and what a changed file redoes.

iPXE's makefiles write ``BIN/deps/PATH.d`` for each source, in the form
``realtek_DEPS += drivers/net/realtek.c include/…``: the object's name, and all files that the
preprocessor read. The linker's map has the objects of an image. Together they tell exactly which
files the image is made of.

A file that is not among them may still matter: see ``Newcomers``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from romforge.base.text import join_words
from romforge.sources.ipxe import link_roots, worktree
from romforge.sources.ipxe.worktree import Changes

VERSION_OBJECT = (
    "version"  # the object of each image that has its name; its source is core/version.c
)
_RECORD = re.compile(r"^(\S+)_DEPS\s*\+?=(.*)$", re.MULTILINE)
_SOURCES = ".c", ".S"
_DOCUMENTS = re.compile(
    r"(?i)(?:readme|copying|licen[cs]e|changelog|notes|authors)\b.*|.*\.(?:md|txt|rst|cfg)"
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_FEW = 3  # objects that a reason names


def is_complete(path: Path) -> bool:
    """Whether a dependency file was written to its end."""
    text = path.read_text(errors="replace")
    return bool(_RECORD.search(text)) and text.endswith("\n") and not text.endswith("\\\n")


def drop_unfinished(directory: Path, began: int) -> None:
    """Removes dependency files that were not written to their end: they would stop every later make.

    iPXE has them in ``deps``. Other trees have each beside its object, which is written after it:
    an object that is older is not of that list, and nothing would say what it depends on.
    """
    drop_incomplete(directory, began)
    for path in _written_since(directory, began):
        if path.is_relative_to(directory / "deps"):
            continue
        compiled = path.with_suffix(".o")
        if not (compiled.exists() and compiled.stat().st_mtime_ns >= path.stat().st_mtime_ns):
            path.unlink()
            compiled.unlink(missing_ok=True)


def drop_incomplete(directory: Path, began: int) -> list[str]:
    """Removes what in ``deps`` was not written to its end; returns the sources, such as ``core/a.c``."""
    top = directory / "deps"
    lost = [path for path in _written_since(top, began) if not is_complete(path)]
    for path in lost:
        path.unlink()
    return [str(path.relative_to(top).with_suffix("")) for path in lost]


def _written_since(directory: Path, began: int) -> list[Path]:
    """The dependency files below a directory that a make wrote which began then."""
    return [path for path in directory.rglob("*.d") if path.stat().st_mtime_ns >= began]


class DependencyFiles:
    """The records below ``BIN/deps``, each read when it is asked for."""

    def __init__(self, bin_directory: Path) -> None:
        self.top = bin_directory / "deps"
        self._paths: dict[str, list[str]] | None = None
        self._files: dict[str, list[str]] = {}

    def paths(self) -> dict[str, list[str]]:
        """By the name of the object its sources, such as ``drivers/net/realtek.c``."""
        if self._paths is None:
            self._paths = {}
            for path in sorted(self.top.rglob("*.d")):
                source = str(path.relative_to(self.top))[: -len(".d")]
                name = link_roots.object_symbol(PurePosixPath(source).stem)
                self._paths.setdefault(name, []).append(source)
        return self._paths

    def files(self, name: str) -> list[str] | None:
        """The files that an object is made of; None where make recorded none."""
        if name not in self._files:
            found: dict[str, None] = {}
            for source in self.paths().get(name, ()):
                found.update(dict.fromkeys(self._read(source)))
            self._files[name] = list(found)
        return self._files[name] or None

    def _read(self, source: str) -> list[str]:
        try:
            text = (self.top / f"{source}.d").read_text(errors="replace")
        except OSError:
            return []
        match = _RECORD.search(text.replace("\\\n", " "))
        return match[2].split() if match else []

    def directory(self, name: str) -> str:
        """The directory of an object's source below src; empty where there is no source."""
        sources = self.paths().get(name)
        return str(PurePosixPath(sources[0]).parent) if sources else ""

    def of_link(self, objects: Iterable[str]) -> list[str] | None:
        """All files that the objects of a link are made of; None where that is not recorded."""
        found: set[str] = set()
        for name in {VERSION_OBJECT, *objects}:
            files = self.files(name)
            if files is None:
                return None
            found.update(files)
        return sorted(found)

    def objects_using(self, path: str, objects: Iterable[str]) -> list[str]:
        """Those of the objects that are made of a file."""
        return [name for name in objects if path in (self.files(name) or ())]


class RecordedLink(NamedTuple):
    """What is known of an image's link: its name, its objects, the files they are made of.

    ``uses`` is None where that is not known; then every file counts.
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
    """Why an image must be built again, in words: each a file, and the objects that are made of it.

    ``src`` has the files as they are now, ``old_src`` as they were; ``linked`` is the linked file.
    """
    newcomers = Newcomers(link, linked)
    for verb, paths, places in (
        ("changed", changes.changed, (src, old_src)),
        ("was removed", changes.removed, (old_src,)),
        ("was added", changes.added, (src,)),
    ):
        for path in sorted(paths):
            if _is_part(path, link, is_new=paths is changes.added):
                yield f"{path} {verb}{_used_by(path, link, records)}"
            elif reason := newcomers.reason(path, [place / path for place in places]):
                yield f"{path} {verb}, and {reason}"


def _is_part(path: str, link: RecordedLink, *, is_new: bool) -> bool:
    """Whether an image is made of a file, or must be taken to be."""
    if is_new and link.uses is not None:
        return path in link.uses or is_build_file(path)
    return _counts(path, link)


def _counts(path: str, link: RecordedLink) -> bool:
    """Whether a file that was there before is one that the image is made of."""
    if link.uses is None:
        return worktree.is_source(path)
    if path in link.uses:
        return True
    if path.endswith((*_SOURCES, ".h")):
        return path.startswith("util/")
    return worktree.is_source(path) and not _DOCUMENTS.fullmatch(PurePosixPath(path).name)


def is_build_file(path: str) -> bool:
    """Whether make or a script of the tree's reads the file by its name alone."""
    name = PurePosixPath(path).name
    return name.startswith("Makefile") or name.endswith((".mk", ".lds"))


def _used_by(path: str, link: RecordedLink, records: DependencyFiles) -> str:
    users = records.objects_using(path, link.objects)
    if not users:
        return ""
    more = len(users) - _FEW
    if more > 1:
        return f" ({', '.join(users[:_FEW])} and {more} more objects are made of it)"
    return f" ({join_words(users)} {'is' if len(users) == 1 else 'are'} made of it)"


class Newcomers:
    """Whether a file that an image is not made of could become part of it.

    - A header may be found before another of the same name.
    - A source may replace an object of the same name, drive the image's device, or define a symbol
      of the link: then the linker may take it. A definition begins at the left margin, as all of
      iPXE's do; a static one does not count.
    """

    def __init__(self, link: RecordedLink, linked: Path) -> None:
        self.link = link
        self.linked = linked
        self._symbols: Collection[str] | None = None

    def reason(self, path: str, versions: Iterable[Path]) -> str | None:
        """In words; None where the file cannot become part of the image."""
        name = PurePosixPath(path)
        if name.suffix == ".h":
            return self._shadowed(name.name)
        if name.suffix not in _SOURCES or path.startswith("util/"):
            return None
        if link_roots.object_symbol(name.stem) in self.link.objects:
            return f"makes an object {name.stem}, which is in the image"
        texts = [version.read_text(errors="replace") for version in versions if version.is_file()]
        if any(self._names_device(text) for text in texts):
            return f"names the device of {self.link.goal}"
        symbols = [symbol for text in texts if (symbol := self._defined(text))]
        return f"may define {symbols[0]}, which is in the image" if symbols else None

    def _shadowed(self, name: str) -> str | None:
        for used in sorted(self.link.uses or ()):
            if PurePosixPath(used).name == name:
                return f"may be taken in the place of {used}"
        return None

    def _names_device(self, text: str) -> bool:
        """Whether a driver has a device of the image's among its ``PCI_ROM`` lines."""
        for element in self.link.goal.split("--"):
            if re.fullmatch("[0-9a-f]{8}", element):
                ids = rf"0x{element[:4]}\s*,\s*0x{element[4:]}\b"
                if re.search(rf"_ROM\s*\(\s*{ids}", text, re.IGNORECASE):
                    return True
            elif re.search(rf'_ROM\s*\([^"]*"{re.escape(element)}"', text):
                return True
        return False

    def _defined(self, text: str) -> str | None:
        """A symbol of the link that the source seems to define."""
        symbols = self._link_symbols()
        for line in text.splitlines():
            if line[:1].isalpha() or line[:1] in "_.":
                if line.startswith(("static", "typedef", "extern")):
                    continue
                words: list[str] = _WORD.findall(line.partition("=")[0])
                found = [word for word in words if word in symbols]
                if found:
                    return found[0]
        return None

    def _link_symbols(self) -> Collection[str]:
        if self._symbols is None:
            from romforge.formats import elf

            self._symbols = elf.global_symbols(self.linked) if self.linked.is_file() else ()
        return self._symbols
