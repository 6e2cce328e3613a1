# SPDX-License-Identifier: GPL-2.0-or-later
"""Gets a tar archive with a source tree, checks its digest, and unpacks it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from romforge.base import programs
from romforge.base.errors import RomforgeError
from romforge.plan.steps import PinnedTree
from romforge.sources.ipxe import source_tree

_NO_RANGES = 33  # the status of curl where a server cannot go on in the middle of a file
_WRONG_RANGE = 22  # that of an answer that is an error, as 416 where there is nothing left to get


def fetch_archive(step: PinnedTree, scratch: Path, part: Path) -> Path:
    """Gets the archive of a step, and unpacks it below ``scratch``; returns the tree's directory.

    ``part`` is the file to download to. A broken download goes on where it broke. Raises
    RomforgeError where the archive has another digest, or cannot be unpacked.
    """
    archive = part
    if step.url.startswith("/"):
        archive = Path(step.url)
        _require_digest(step, archive)
    else:
        part.parent.mkdir(parents=True, exist_ok=True)
        _download(step, part)
    directory = scratch / "archive"
    _unpack(step, archive, directory)
    part.unlink(missing_ok=True)
    return _tree_in(directory)


def _download(step: PinnedTree, part: Path) -> None:
    """Downloads to ``part``, which may have the beginning already; raises RomforgeError."""
    begun = part.exists()
    if begun and _digest(part) == step.sha256:
        return
    try:
        _curl(step, part)
        _require_digest(step, part)
    except programs.MissingTool:
        raise
    except RomforgeError as error:
        if not begun or not _may_be_the_beginning(error):
            raise
        part.unlink(missing_ok=True)  # the beginning was of another file
        _curl(step, part)
        _require_digest(step, part)


class _WrongDigest(RomforgeError):
    """An archive that is not the one of the spec."""


def _may_be_the_beginning(error: RomforgeError) -> bool:
    """Whether a download failed that may succeed from its first byte."""
    if isinstance(error, programs.ProgramError):
        return error.status in (_NO_RANGES, _WRONG_RANGE)
    return isinstance(error, _WrongDigest)


def _curl(step: PinnedTree, part: Path) -> None:
    command = ["curl", "--fail", "--location", "--silent", "--show-error", "--retry", "3"]
    command += ["--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60"]
    command += ["--continue-at", "-", "--output", str(part), "--url", step.url]
    programs.run_program(command, package="curl")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def _require_digest(step: PinnedTree, archive: Path) -> None:
    digest = _digest(archive)
    if digest != step.sha256:
        if archive != Path(step.url):
            archive.unlink()  # or the next run would go on with it
        raise _WrongDigest(
            f"{step.url} has the sha256\n  {digest}\nwhere the spec asks for\n  {step.sha256}"
        )


def _unpack(step: PinnedTree, archive: Path, directory: Path) -> None:
    """Unpacks an archive; tar lets nothing of it get outside. Raises RomforgeError."""
    directory.mkdir()
    command = ["tar", "--extract", "--no-same-owner", "--no-same-permissions"]
    command += ["--file", str(archive), "--directory", str(directory)]
    try:
        programs.run_program(command, package="tar")
    except programs.ProgramError as error:
        raise RomforgeError(f"{step.url}: cannot be unpacked: {error}") from None


def _tree_in(directory: Path) -> Path:
    """The directory of the tree: that of the archive, or the only one in it."""
    entries = sorted(directory.iterdir())
    if source_tree.find_tree([str(directory)]) is None and len(entries) == 1:
        return entries[0]
    return directory
