# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the output root: they appear whole or not at all.

A file is written under ``.romforge/tmp`` and renamed into place, which a kill leaves done or not done. No fsync:
after a power failure the sizes and hashes of the records no longer hold, and the next run writes the file anew.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

from romforge.base import fingerprint
from romforge.base.errors import RomforgeError

STATE = ".romforge"  # below the output root: what is kept between runs


def temporary(out: Path) -> Path:
    """The directory below the output root in which files are written before they are renamed."""
    return out / STATE / "tmp"


def prepare_root(out: Path) -> None:
    """Creates the state directory; raises RomforgeError where the output root cannot be written."""
    try:
        temporary(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"{error.filename or out}: {error.strerror}"
        raise RomforgeError(
            f"the output root cannot be written: {what}; set ROMFORGE_OUT=DIR or --out DIR to have another"
        ) from None


def remove_leftovers(out: Path) -> None:
    """Removes what killed runs left in the temporary directory; only for the holder of the lock."""
    for rest in temporary(out).iterdir():
        shutil.rmtree(
            rest, ignore_errors=True
        ) if rest.is_dir() and not rest.is_symlink() else rest.unlink(missing_ok=True)


def write_output(out: Path, path: str, data: bytes) -> Path:
    """Makes ``data`` the content of ``path`` below the output root; raises RomforgeError, the old content kept.

    A file that has the content already is left alone, with its times.
    """
    place = path_within(out, path)
    try:
        if place.is_file() and not place.is_symlink() and place.read_bytes() == data:
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        path_within(out, path)
        _replace(place, data, temporary(out))
    except OSError as error:
        raise RomforgeError(
            f"{place}: cannot be written: {error.strerror}; what was there before is unchanged"
        ) from None
    return place


def replace_file(path: Path, data: bytes) -> None:
    """Makes ``data`` the content of a file that a command was told to write; raises RomforgeError, the old content kept."""
    try:
        _replace(path, data, path.parent)
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be written: {error.strerror}") from None


def _replace(place: Path, data: bytes, directory: Path) -> None:
    """Writes a file into ``directory``, and moves it to its place when it is whole."""
    fresh = directory / f".{place.name}-{os.getpid()}-{threading.get_ident()}"
    try:
        fresh.write_bytes(data)
        fresh.chmod(0o644)
        os.replace(fresh, place)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def path_within(out: Path, path: str) -> Path:
    """``out / path``; raises RomforgeError where a symbolic link leads out of the output root."""
    root, parent = os.path.realpath(out), os.path.realpath((out / path).parent)
    if os.path.commonpath((root, parent)) != root:
        raise RomforgeError(
            f"{out / path}: a symbolic link leads out of the output root to {parent}"
        )
    return out / path


def require_apart(out: Path, outputs: set[str], sources: set[str]) -> None:
    """Raises RomforgeError where a directory of outputs, relative to ``out``, is one that sources are read from."""
    read = {os.path.realpath(source): source for source in sources}
    for directory in sorted(outputs):
        if source := read.get(os.path.realpath(out / directory)):
            raise RomforgeError(
                f"{out / directory}: the sources are read from there ({source}); have another dir, or another output root"
            )


def remove_output(out: Path, path: str) -> None:
    """Removes a file of an earlier build."""
    try:
        path_within(out, path).unlink(missing_ok=True)
    except OSError as error:
        raise RomforgeError(f"{out / path}: cannot be removed: {error.strerror}") from None


def save_json(out: Path, path: str, value: object) -> None:
    """Writes what ``load_json`` is to read back, with its digest in front; raises RomforgeError."""
    text = json.dumps(value).encode()
    write_output(out, path, fingerprint.sha256(text).encode() + b"\n" + text)


def load_json(out: Path, path: str) -> Any:
    """What ``save_json`` wrote; None where there is nothing, or not what was written."""
    try:
        digest, _, text = (out / path).read_bytes().partition(b"\n")
        return json.loads(text) if digest.decode() == fingerprint.sha256(text) else None
    except (OSError, ValueError):
        return None


def remove_if_unchanged(out: Path, path: str, sha256: str | None) -> bool:
    """Removes a file of an earlier build, if it is still the one that was built; tells whether it was."""
    if (
        sha256
        and (out / path).is_file()
        and fingerprint.sha256((out / path).read_bytes()) == sha256
    ):
        remove_output(out, path)
        return True
    return False
