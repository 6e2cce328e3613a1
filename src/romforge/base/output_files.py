# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes and removes files of the output root. A file is replaced as a whole or not at all.

A file is written in ``.romforge/tmp``, then renamed. There is no fsync: after a power failure, the
recorded sizes and hashes do not match, and the next run writes the file again.
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

STATE = ".romforge"  # the directory in the output root for what is kept between runs


def temporary(out: Path) -> Path:
    """The directory of the output root in which files are written before they are renamed."""
    return out / STATE / "tmp"


def root_of(directory: Path) -> Path | None:
    """The output root that a directory is, or lies in; None if it lies in none."""
    absolute = directory.absolute()
    for parent in (absolute, *absolute.parents):
        if (parent / STATE).is_dir():
            return parent
    return None


def prepare_root(out: Path) -> None:
    """Creates the state directory. Raises RomforgeError if the output root cannot be written."""
    try:
        temporary(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable_root(str(error.filename or out), error) from None


def unwritable_root(path: str, error: OSError) -> RomforgeError:
    """The error for an output root in which a file or directory cannot be made."""
    problem = f"the output root cannot be written: {path}: {error.strerror}"
    remedy = "set ROMFORGE_OUT=DIR or --out DIR to use another"
    return RomforgeError(f"{problem}; {remedy}")


def remove_leftovers(out: Path) -> None:
    """Removes the temporary files of killed runs. The caller must hold the lock."""
    for leftover in temporary(out).iterdir():
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_output(out: Path, path: str, data: bytes) -> Path:
    """Writes ``data`` to ``path`` below the output root, and returns ``out / path``.

    A file that already has this content is not touched, so that it keeps its times. On failure,
    raises RomforgeError and keeps the old content.
    """
    full_path = path_within(out, path)
    try:
        is_regular = full_path.is_file() and not full_path.is_symlink()
        if is_regular and full_path.read_bytes() == data:
            return full_path
        full_path.parent.mkdir(parents=True, exist_ok=True)
        path_within(out, path)
        _replace(full_path, data, temporary(out))
    except OSError as error:
        raise RomforgeError(
            f"{full_path}: cannot be written: {error.strerror}; the previous content is unchanged"
        ) from None
    return full_path


def replace_file(path: Path, data: bytes) -> None:
    """Writes ``data`` to a file that the user named, in the output root or elsewhere.

    On failure, raises RomforgeError and keeps the old content.
    """
    try:
        _replace(path, data, path.parent)
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be written: {error.strerror}") from None


def _replace(path: Path, data: bytes, directory: Path) -> None:
    """Writes a file in ``directory``, on the same file system, and renames it to ``path``."""
    new = directory / f".{path.name}-{os.getpid()}-{threading.get_ident()}"
    try:
        new.write_bytes(data)
        new.chmod(0o644)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def path_within(out: Path, path: str) -> Path:
    """Returns ``out / path``.

    Raises RomforgeError if a symbolic link leads out of the output root.
    """
    root = os.path.realpath(out)
    parent = os.path.realpath((out / path).parent)
    if os.path.commonpath((root, parent)) != root:
        raise RomforgeError(
            f"{out / path}: a symbolic link leads out of the output root to {parent}"
        )
    return out / path


def require_apart(out: Path, outputs: set[str], sources: set[str]) -> None:
    """Raises RomforgeError if one of ``outputs``, below ``out``, is also one of ``sources``."""
    source_by_path = {os.path.realpath(source): source for source in sources}
    for directory in sorted(outputs):
        source = source_by_path.get(os.path.realpath(out / directory))
        if source is not None:
            problem = f"{out / directory}: the sources are read from there ({source})"
            raise RomforgeError(f"{problem}; set another dir, or another output root")


def remove_output(out: Path, path: str) -> None:
    """Removes a file of an earlier build, if it exists. Raises RomforgeError."""
    try:
        path_within(out, path).unlink(missing_ok=True)
    except OSError as error:
        raise RomforgeError(f"{out / path}: cannot be removed: {error.strerror}") from None


def save_json(out: Path, path: str, value: object) -> None:
    """Writes ``value`` as JSON, behind a line with its digest. Raises RomforgeError."""
    text = json.dumps(value).encode()
    write_output(out, path, fingerprint.sha256(text).encode() + b"\n" + text)


def load_json(out: Path, path: str) -> Any:
    """Reads a value that ``save_json`` wrote; None if the file is missing or was changed."""
    try:
        digest, _, text = (out / path).read_bytes().partition(b"\n")
        if digest.decode() != fingerprint.sha256(text):
            return None
        return json.loads(text)
    except (OSError, ValueError):
        return None


def remove_if_unchanged(out: Path, path: str, sha256: str | None) -> bool:
    """Removes a file of an earlier build if its digest is ``sha256``. Returns whether it is."""
    full_path = out / path
    if not sha256 or not full_path.is_file():
        return False
    if fingerprint.sha256(full_path.read_bytes()) != sha256:
        return False
    remove_output(out, path)
    return True
