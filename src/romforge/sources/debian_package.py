# SPDX-License-Identifier: GPL-2.0-or-later
"""Existing ROMs from a Debian package, which apt downloads, or from a .deb."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from romforge.base import fingerprint, output_files, programs
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import BuildRecord, InputStates
from romforge.formats.rom_file import LARGEST_ROM
from romforge.plan.steps import Fetch


def fetch_package(step: Fetch, out: Path) -> BuildRecord:
    """Fills the source's directory with the ROM files of its package.

    Raises RomforgeError where the package is not to be had, has another sha256, or no ROM file.
    """
    deb, data, inputs = _package_file(step, out)
    digest = fingerprint.sha256(data)
    if step.sha256 and digest != step.sha256:
        raise RomforgeError(
            f"{deb.name} has the sha256\n  {digest}\nwhere the spec asks for\n  {step.sha256}"
        )
    show = ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(deb)]
    version = programs.run_program(show, package="dpkg").decode()
    outputs = {}
    for name, content in deb_files(deb):
        place = output_files.write_output(out, f"{step.directory}/{name}", content)
        outputs[f"{step.directory}/{name}"] = fingerprint.stamp(place, content)
    if not outputs:
        raise RomforgeError(f"{deb.name} holds no *.rom file")
    _drop_others(out, step.directory, set(outputs))
    if step.package:
        deb.unlink()
    return BuildRecord(inputs, outputs, source={"deb": version, "sha256": digest})


def deb_files(deb: Path) -> Iterator[tuple[str, bytes]]:
    """The ``*.rom`` files of a Debian package, links left aside: path and content.

    Raises RomforgeError.
    """
    archive = programs.run_program(["dpkg-deb", "--fsys-tarfile", str(deb)], package="dpkg")
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            for member in members:
                name = PurePosixPath(member.name)
                if not _is_rom(member, name):
                    continue
                content = members.extractfile(member)
                assert content is not None  # it is a regular file
                yield str(name.relative_to(name.anchor)), content.read()
    except tarfile.TarError as error:
        raise RomforgeError(f"{deb}: the archive inside is broken: {error}") from None


def _is_rom(member: tarfile.TarInfo, name: PurePosixPath) -> bool:
    is_inside = ".." not in name.parts
    is_small = member.size <= LARGEST_ROM
    return member.isfile() and name.suffix == ".rom" and is_inside and is_small


def _package_file(step: Fetch, out: Path) -> tuple[Path, bytes, InputStates]:
    """The package file of a source, its bytes, and the inputs to record."""
    if step.deb:
        path = Path(step.deb)
        if not path.is_file():
            remedy = f'write roms = "DIR" or roms = "FILE.deb" in [source.{step.source}]'
            raise RomforgeError(f"there is no {path}; {remedy}")
        data, state = fingerprint.read_file(path)
        return path, data, {str(path): state}
    assert step.package is not None
    directory = output_files.temporary(out) / f"{os.getpid()}-{step.source}"
    path = download(step.package, directory, step.source)
    return path, path.read_bytes(), {}


def download(package: str, directory: Path, source: str) -> Path:
    """Gets a package through apt, as this machine knows it, into an empty directory.

    Raises RomforgeError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for rest in directory.iterdir():
        rest.unlink()
    # the sandbox user of apt may not write below a private directory
    command = ["apt-get", "--quiet", "--yes", "-o", "APT::Sandbox::User=root", "download", package]
    try:
        programs.run_program(command, package="apt", cwd=str(directory))
    except RomforgeError as error:
        remedy = f'set roms = "DIR" or roms = "FILE.deb" in [source.{source}]'
        if not isinstance(error, programs.MissingTool):
            remedy = f"run `apt-get update` first, or {remedy}"
        raise RomforgeError(
            f"the package {package} cannot be downloaded: {error}\n  to fix it, {remedy}"
        ) from None
    found = sorted(directory.glob("*.deb"))
    if len(found) != 1:
        raise RomforgeError(
            f"apt-get download {package} left {len(found)} packages in {directory}, not one"
        )
    return found[0]


def _drop_others(out: Path, directory: str, keep: set[str]) -> None:
    """Removes what an earlier package left in the source's directory."""
    for path in sorted((out / directory).rglob("*")):
        if path.is_file() and str(path.relative_to(out)) not in keep:
            path.unlink()
