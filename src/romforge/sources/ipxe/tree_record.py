# SPDX-License-Identifier: GPL-2.0-or-later
"""What a working tree was built of: ``record.json`` beside it.

While a build is running, a file ``unfinished`` lies beside the record. A tree in which one is found
was killed halfway, and is made anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from romforge.base import fingerprint, output_files
from romforge.base.fingerprint import FileState
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe.worktree import Files, SourceFile

_FORMAT = 3  # to count up when the record changes
_RECORD, _UNFINISHED = "record.json", "unfinished"

SettingPairs = list[list[str]]  # names with values, as JSON keeps pairs


@dataclass
class BuildSettings:
    """All that an image depends on besides files, in the form that JSON keeps."""

    tools: list[list[str | int]]
    cross: str
    make: SettingPairs
    strip: list[Any]
    require: list[str]
    files: list[list[Any]]
    debug: list[str]
    epoch: str
    revision: list[Any]


@dataclass
class ImageRecord:
    """An image as it was built.

    ``objects`` are the sources' stems that were linked, ``uses`` the files that these were made of
    (None where make recorded nothing), ``left_out`` the objects that were left out of the link.
    ``why`` tells why the image must be built again, where that is known.
    """

    state: FileState
    objects: list[str]
    uses: list[str] | None
    left_out: list[str]
    why: str | None = None


@dataclass
class TreeRecord:
    """A working tree as it was built.

    ``files`` are those of the source as they were copied, ``headers`` the texts of configuration
    headers by path, ``embedded`` the embedded files by their place in the working tree. ``goals``
    are the images that were built, ``errors`` what went wrong, by goal. ``downgraded`` tells
    whether the configuration defines EFI_DOWNGRADE_UX; None where that is not known. ``ended`` is a
    time in ns.
    """

    settings: BuildSettings | None = None
    files: Files = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    embedded: dict[str, FileState] = field(default_factory=dict)
    goals: dict[str, ImageRecord] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    downgraded: bool | None = None
    ended: int = 0


def load_record(step: TreeBuild, out: Path) -> TreeRecord | None:
    """The record of a working tree; None where it has none, or its build was not finished."""
    if is_unfinished(step, out):
        return None
    record = read_record(out, step.directory)
    if record and record.ended > time.time_ns():
        return None  # the clock was set back: make would take old objects for new ones
    return record


def read_record(out: Path, directory: str) -> TreeRecord | None:
    """The record in a directory relative to the output root.

    None where there is none of this format.
    """
    stored = output_files.load_json(out, f"{directory}/{_RECORD}")
    if not isinstance(stored, dict) or stored.pop("format", None) != _FORMAT:
        return None
    return _from_json(stored)


def _from_json(stored: Mapping[str, Any]) -> TreeRecord:
    settings = stored["settings"]
    record = TreeRecord(**stored)
    record.settings = BuildSettings(**settings) if settings else None
    record.files = {path: SourceFile._make(file) for path, file in record.files.items()}
    record.embedded = {place: FileState._make(state) for place, state in record.embedded.items()}
    for goal, image in stored["goals"].items():
        state = fingerprint.stored_state(image.pop("state"))
        assert state is not None  # it was written by save_record
        record.goals[goal] = ImageRecord(state=state, **image)
    return record


def is_unfinished(step: TreeBuild, out: Path) -> bool:
    """Whether a build of the working tree was begun and did not end."""
    return (out / step.directory / _UNFINISHED).exists()


def mark_unfinished(step: TreeBuild, out: Path) -> None:
    """Marks a working tree as one that is being changed, until ``save_record``."""
    (out / step.directory / _UNFINISHED).touch()


def save_record(step: TreeBuild, out: Path, record: TreeRecord) -> None:
    """Writes the record of a working tree whose build has ended."""
    write_record(step, out, record)
    (out / step.directory / _UNFINISHED).unlink(missing_ok=True)


def write_record(step: TreeBuild, out: Path, record: TreeRecord) -> None:
    """Writes the record, and leaves the mark of an unfinished build as it is."""
    goals = {goal: vars(image) for goal, image in record.goals.items()}
    settings = asdict(record.settings) if record.settings else None
    stored = {"format": _FORMAT, **vars(record), "settings": settings, "goals": goals}
    output_files.save_json(out, f"{step.directory}/{_RECORD}", stored)
