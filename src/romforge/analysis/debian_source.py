# SPDX-License-Identifier: GPL-2.0-or-later
"""The packaging directory of a Debian source package, and what a check of it finds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from romforge.base.arch import Arch
from romforge.base.control_file import ControlError, Paragraph, Relation, read_control, read_lines
from romforge.base.errors import UsageError
from romforge.base.located import Severity
from romforge.sources.ipxe.toolchain import NATIVE
from romforge.spec.fields import Path as Key

BUILD_FIELDS = ("Build-Depends", "Build-Depends-Indep", "Build-Depends-Arch")


@dataclass(frozen=True)
class Finding:
    """Something that a packaging directory lacks, or has too much.

    ``file`` is None where no file of the packaging is to blame: then ``key`` is the table of the
    spec that it is about. ``line`` counts from 1. ``remedy`` may have several lines.
    """

    file: Path | None
    line: int | None
    key: Key
    severity: Severity
    message: str
    remedy: str

    @property
    def text(self) -> str:
        """The message with its remedy."""
        return f"{self.message}; {self.remedy}"


@dataclass(frozen=True)
class DebianSource:
    """What debian/control says: the source package, and its binary packages in their order."""

    directory: Path
    source: Paragraph
    binaries: tuple[Paragraph, ...]

    @property
    def control(self) -> Path:
        return self.directory / "control"

    def packages(self) -> dict[str, Paragraph]:
        """The binary packages by their names."""
        return {binary.text("package"): binary for binary in self.binaries}

    def build_relations(self) -> dict[str, list[Relation]]:
        """The packages of each field of build dependencies that is there."""
        found = {}
        for field in BUILD_FIELDS:
            if field.lower() in self.source.fields:
                found[field] = self.source.relations(field)
        return found


def is_native(arch: Arch) -> bool:
    """Whether the compiler of amd64, on which Debian builds packages for all, is of it, too."""
    return arch in NATIVE["x86_64"]


def require_packaging(directory: Path) -> None:
    """Raises UsageError for what is no packaging directory."""
    if (directory / "control").is_file():
        return
    what = f"{directory} has no control"
    if not directory.is_dir():
        what = f"there is no directory {directory}"
    hint = "name the directory of a source package that has control"
    if (directory / "debian/control").is_file():
        hint = f"write --debian {directory / 'debian'}"
    raise UsageError(f"--debian: {what}; {hint}")


def read_source(directory: Path) -> DebianSource:
    """Reads debian/control; raises ControlError, whose line is one of that file."""
    paragraphs = read_control(directory / "control")
    if not paragraphs or "source" not in paragraphs[0].fields:
        line = paragraphs[0].line if paragraphs else 1
        message = "the first paragraph has no field Source"
        raise ControlError(line, message, 'begin the file with "Source: NAME"')
    binaries = paragraphs[1:]
    _require_packages(binaries, paragraphs[0])
    read = DebianSource(directory, paragraphs[0], tuple(binaries))
    read.build_relations()  # an error of theirs belongs to the file
    for binary in binaries:
        binary.relations("Depends")
    return read


def _require_packages(binaries: Sequence[Paragraph], source: Paragraph) -> None:
    """Raises ControlError unless each paragraph has a package of its own."""
    remedy = 'write "Package: NAME" into each paragraph after the first'
    if not binaries:
        raise ControlError(source.line, "there is no binary package", remedy)
    lines: dict[str, int] = {}
    for binary in binaries:
        name = binary.text("package")
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", name):
            raise ControlError(binary.line, "this paragraph names no package", remedy)
        first = lines.setdefault(name, binary.line)
        if first != binary.line:
            message = f"{name} is there twice, first in line {first}"
            raise ControlError(binary.line, message, "remove one of the two paragraphs")


def broken_file(file: Path, error: ControlError) -> Finding:
    """The finding for a file of the packaging that cannot be read."""
    return Finding(file, error.line, (), "error", error.message, error.remedy)


def output_root_of_rules(directory: Path) -> str | None:
    """What debian/rules sets ROMFORGE_OUT to; None where it does not, or by other variables."""
    try:
        text = "\n".join(read_lines(directory / "rules"))
    except ControlError:
        return None
    setting = re.search(r"(?m)^(?:export[ \t]+)?ROMFORGE_OUT[ \t]*[:?]?=[ \t]*([^\s$#]+)$", text)
    return setting[1] if setting else None
