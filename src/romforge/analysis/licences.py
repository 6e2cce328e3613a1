# SPDX-License-Identifier: GPL-2.0-or-later
"""Under which licences the files are that images were built of, by the marks in them.

Each of iPXE's sources has a mark ``FILE_LICENCE ( NAME );``, and from 2.0 on one that says whether
it may be part of what is signed for Secure Boot. Others may have an SPDX identifier.
The files of an image are those that make recorded: what was linked, and all headers of that.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from romforge.base.control_file import read_control
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import NOT_BUILT
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import tree_record

NO_MARK = "no mark"
# The short names of Debian's machine-readable copyright format, by iPXE's marks.
SHORT_NAMES = {
    "PUBLIC_DOMAIN": "public-domain",
    "GPL_ANY": "GPL-1+",
    "GPL2_ONLY": "GPL-2",
    "GPL2_OR_LATER": "GPL-2+",
    "GPL2_OR_LATER_OR_UBDL": "GPL-2+ or UBDL",
    "BSD2": "BSD-2-clause",
    "BSD2_PATENT": "BSD-2-clause-patent",
    "BSD3": "BSD-3-clause",
    "MIT": "Expat",
    "ISC": "ISC",
}
# The same by SPDX's identifiers, for a file that has no such mark.
_OF_SPDX = {
    "GPL-2.0-only": "GPL-2",
    "GPL-2.0-or-later": "GPL-2+",
    "BSD-2-Clause": "BSD-2-clause",
    "BSD-2-Clause-Patent": "BSD-2-clause-patent",
    "BSD-3-Clause": "BSD-3-clause",
    "MIT": "Expat",
    "ISC": "ISC",
}
_SPDX = re.compile(r"\bSPDX-License-Identifier:\s*([\w.+-]+)(?=\s*(?:\*/|-->|$))", re.M)
_MARK = re.compile(r"\bFILE_LICENCE\s*\(\s*([A-Z][A-Z0-9_]*)\s*\)")
_SECURE_BOOT = re.compile(r"\bFILE_SECBOOT\s*\(\s*(PERMITTED|FORBIDDEN)\s*\)")
_COPYRIGHT = re.compile(
    r"Copyright\s*(?:\([cC]\)|©)?\s*((?:19|20)\d\d(?:[\s,–-]+(?:19|20)?\d\d)*),?\s+(?:by\s+)?(.+)"
)
_CONFIGURATION = "config/"  # headers that only define macros, and often have no mark


class FileLicence(NamedTuple):
    """A file of a tree, below src: its licence, its copyright lines, its platforms.

    ``licence`` is a short name, or what the mark says if that is not known, or ``NO_MARK``.
    ``secure_boot`` is "permitted", "forbidden", or empty for a file that does not say. ``by`` is
    what states the licence: "mark", "spdx", "copyright" for a copyright file, or empty.
    """

    file: str
    licence: str
    copyright: tuple[str, ...]
    secure_boot: str
    platforms: tuple[str, ...]
    by: str = ""

    @property
    def is_doubtful(self) -> bool:
        """Whether it is not known that the file may be shipped."""
        if self.licence == NO_MARK:
            return not self.file.startswith(_CONFIGURATION)
        if self.by == "copyright":
            return False
        return any(name not in SHORT_NAMES.values() for name in self.licence.split(" and "))


def licences_of(
    builds: Iterable[tuple[TreeBuild, Collection[str]]], out: Path
) -> list[FileLicence]:
    """The licences of the files that images were built of, in the order of paths.

    ``builds`` are platforms with the goals to look at. Raises RomforgeError if one is not built.
    """
    platforms: dict[str, dict[str, None]] = {}
    places: dict[str, Path] = {}
    for build, goals in builds:
        for file in _files_of(build, goals, out):
            platforms.setdefault(file, {})[build.platform] = None
            places.setdefault(file, out / build.directory / "src" / file)
    return [_read_licence(places[file], file, tuple(platforms[file])) for file in sorted(places)]


def _files_of(build: TreeBuild, goals: Collection[str], out: Path) -> Iterator[str]:
    record = tree_record.load_record(build, out)
    for goal in goals:
        image = record.goals.get(goal) if record else None
        if image is None or (image.uses is None and build.media):
            raise RomforgeError(
                f"{build.task}: {build.file_of(goal)} must be built first: {NOT_BUILT}"
            )
        for file in image.uses or ():
            yield posixpath.normpath(file)  # a header's path can have ".." in it


def made_of_files(builds: Iterable[tuple[TreeBuild, Collection[str]]], out: Path) -> Iterator[str]:
    """The goals that make does not link, but makes of other files, such as a CD image."""
    for build, goals in builds:
        record = None if build.media else tree_record.load_record(build, out)
        for goal in goals:
            if record and goal in record.goals and record.goals[goal].uses is None:
                yield goal


def _read_licence(path: Path, file: str, platforms: tuple[str, ...]) -> FileLicence:
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}; build it again") from None
    by = "mark"
    marks = sorted({SHORT_NAMES.get(mark, mark) for mark in _MARK.findall(text)})
    if not marks:
        by = "spdx"
        marks = sorted({_OF_SPDX.get(name, name) for name in _SPDX.findall(text)})
    secure_boot = _SECURE_BOOT.search(text)
    return FileLicence(
        file=file,
        licence=" and ".join(marks) or NO_MARK,
        copyright=tuple(dict.fromkeys(_copyright_lines(text))),
        secure_boot=secure_boot[1].lower() if secure_boot else "",
        platforms=platforms,
        by=by if marks else "",
    )


def complete_by_copyright(
    files: Iterable[FileLicence], copyright_file: Path, directory: str
) -> list[FileLicence]:
    """The files, those without a mark with the licence that a copyright file states for them.

    ``directory`` is what its paths begin with. A paragraph for all files ("*") states nothing.
    Raises ControlError for a file that cannot be read. (Debian's machine-readable copyright format
    1.0: of the paragraphs that match a file, the last one counts.)
    """
    stated: list[tuple[re.Pattern[str], str]] = []
    for paragraph in read_control(copyright_file):
        licence = paragraph.text("License").strip().split("\n")[0]
        for pattern in paragraph.text("Files").split():
            if pattern != "*" and licence:
                stated.append((_file_pattern(pattern), licence))
    stated.reverse()
    return [_completed(one, f"{directory}{one.file}", stated) for one in files]


def _completed(
    one: FileLicence, path: str, stated: Iterable[tuple[re.Pattern[str], str]]
) -> FileLicence:
    if one.licence != NO_MARK:
        return one
    for pattern, licence in stated:
        if pattern.fullmatch(path):
            return one._replace(licence=licence, by="copyright")
    return one


def _file_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern of paths, in which ``*`` and ``?`` match slashes, too."""
    parts = [
        {"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split("([*?])", pattern)
    ]
    return re.compile("".join(parts), re.S)


def _copyright_lines(text: str) -> Iterator[str]:
    """What follows the word in each line of copyright: ``2008 Some One <some@one>``."""
    for line in text.splitlines():
        found = _COPYRIGHT.search(line)
        if found:
            holder = found[2].strip().rstrip("*/").strip().removesuffix(".")
            holder = re.sub(r"[.,]?\s*All rights reserved", "", holder, flags=re.I).rstrip(" .,")
            yield f"{' '.join(found[1].split())} {holder}"


def debian_paragraphs(files: Iterable[FileLicence], directory: str) -> Iterator[str]:
    """Paragraphs for debian/copyright: one for the files of the same licence and copyright.

    ``directory`` is what the paths begin with: the src of the tree in the source package. (Debian's
    machine-readable copyright format 1.0.)
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in files:
        is_ours = one.file.startswith("config/local/")  # which a build writes, and no tree has
        if one.licence != NO_MARK and one.by != "copyright" and not is_ours:
            groups.setdefault((one.licence, one.copyright), []).append(one.file)
    for (licence, holders), paths in sorted(groups.items(), key=lambda group: group[1][0]):
        lines = "\n ".join(f"{directory}{path}" for path in paths)
        holders_text = "\n ".join(holders) or "not stated in the files"
        yield f"Files:\n {lines}\nCopyright:\n {holders_text}\nLicense: {licence}\n"
