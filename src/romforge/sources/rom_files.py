# SPDX-License-Identifier: GPL-2.0-or-later
"""Existing ROMs as a source: gets them out of packages, finds the file of a NIC, takes images out of it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from romforge.base import fingerprint, output_files, programs
from romforge.base.arch import machine_name
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import FileState
from romforge.base.text import format_size, join_words
from romforge.formats import option_rom, rom_check
from romforge.plan.planner import Fetch, ImageRequest, Rom
from romforge.sources.image import SourceImage
from romforge.spec.model import expand_pattern

LARGEST_ROM = 16 << 20  # bytes: the largest expansion ROM that PCI has room for


@dataclass
class Reader:
    """Reads ROM files for one step and keeps the state of each, of those looked for in vain too."""

    out: Path
    inputs: dict[str, FileState | None] = field(default_factory=dict)
    roms: dict[str, option_rom.Chain] = field(default_factory=dict)

    def take(self, pick: ImageRequest, rom: Rom) -> SourceImage:
        """The image of a platform; raises RomforgeError where no file holds one, or the file is no sound ROM."""
        root = self.out / pick.root
        files = [expand_pattern(file, rom.nic, rom.ids, rom.target) for file in pick.files]
        if not root.is_dir():
            raise RomforgeError(
                f"there is no directory {root}; mend roms in [source.{pick.source}]"
            )
        found = []
        for name in files:
            path = str(root / name)
            if (chain := self.open(path)) is None:
                continue
            found.append(name)
            for index, image in enumerate(chain.images):
                if (
                    pick.legacy
                    if image.pcir.code_type == option_rom.LEGACY
                    else image.machine == pick.machine and not pick.legacy
                ):
                    return SourceImage(image, pick.platform, f"{pick.source}: {name} image {index}")
        kind = "legacy" if pick.legacy else machine_name(pick.machine)
        if found:
            raise RomforgeError(
                f"source {pick.source}: {join_words(found)} of {root} holds no {kind} image"
            )
        raise RomforgeError(
            f"source {pick.source}: {root} has none of the files\n  " + "\n  ".join(files)
        )

    def open(self, path: str) -> option_rom.Chain | None:
        """The images of a ROM file; None where there is none. Raises RomforgeError where it has faults."""
        if path not in self.roms:
            if not os.path.isfile(path):
                self.inputs[path] = None
                return None
            data, self.inputs[path] = read_rom(Path(path))
            rom_check.require_sound(data, path)
            self.roms[path] = option_rom.parse_rom(data)
        return self.roms[path]


def read_rom(path: Path) -> tuple[bytes, FileState]:
    """A ROM file's bytes and state; raises RomforgeError where it cannot be read or is larger than any ROM."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    if not path.is_file():
        raise RomforgeError(f"{path}: is no file")
    data, state = fingerprint.read_file(path, LARGEST_ROM + 1)
    if len(data) > LARGEST_ROM:
        raise RomforgeError(
            f"{path}: {size:,} bytes are no option ROM, which has at most {format_size(LARGEST_ROM)}"
        )
    return data, state


def fetch_package(step: Fetch, out: Path) -> dict[str, object]:
    """Fills the source's directory with the ROM files of its package; returns the step's record."""
    deb, data, inputs = _deb(step, out)
    digest = fingerprint.sha256(data)
    if step.sha256 and digest != step.sha256:
        raise RomforgeError(
            f"{deb.name} has the sha256\n  {digest}\nwhere the spec asks for\n  {step.sha256}"
        )
    about = programs.run_program(
        ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(deb)], package="dpkg"
    ).decode()
    outputs = {}
    for name, content in deb_files(deb):
        place = output_files.write_output(out, f"{step.directory}/{name}", content)
        outputs[f"{step.directory}/{name}"] = fingerprint.stamp(place, content)
    if not outputs:
        raise RomforgeError(f"{deb.name} holds no *.rom file")
    _drop_others(out, step.directory, set(outputs))
    if step.package:
        deb.unlink()
    return {"inputs": inputs, "outputs": outputs, "about": {"deb": about, "sha256": digest}}


def deb_files(deb: Path) -> Iterator[tuple[str, bytes]]:
    """The ``*.rom`` files of a Debian package, links left aside: path and content. Raises RomforgeError."""
    archive = programs.run_program(["dpkg-deb", "--fsys-tarfile", str(deb)], package="dpkg")
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            for member in members:
                name = PurePosixPath(member.name)
                if (
                    member.isfile()
                    and name.suffix == ".rom"
                    and ".." not in name.parts
                    and member.size <= LARGEST_ROM
                ):
                    content = members.extractfile(member)
                    assert content is not None  # it is a regular file
                    yield str(name.relative_to(name.anchor)), content.read()
    except tarfile.TarError as error:
        raise RomforgeError(f"{deb}: the archive inside is broken: {error}") from None


def _deb(step: Fetch, out: Path) -> tuple[Path, bytes, dict[str, FileState | None]]:
    """The package file of a source, its bytes, and the inputs to record."""
    if step.deb:
        path = Path(step.deb)
        if not path.is_file():
            right = f'write roms = "DIR" or roms = "FILE.deb" in [source.{step.source}]'
            raise RomforgeError(f"there is no {path}; {right}")
        data, state = fingerprint.read_file(path)
        return path, data, {str(path): state}
    assert step.package is not None
    path = download(
        step.package, output_files.temporary(out) / f"{os.getpid()}-{step.source}", step.source
    )
    return path, path.read_bytes(), {}


def download(package: str, directory: Path, source: str) -> Path:
    """Gets a package of this machine's own release through apt into an empty directory; raises RomforgeError."""
    directory.mkdir(parents=True, exist_ok=True)
    for rest in directory.iterdir():
        rest.unlink()
    # the sandbox user of apt may not write below a private directory
    command = ["apt-get", "--quiet", "--yes", "-o", "APT::Sandbox::User=root", "download", package]
    try:
        programs.run_program(command, package="apt", cwd=str(directory))
    except RomforgeError as error:
        update = (
            "" if isinstance(error, programs.MissingTool) else "run `apt-get update` first, or "
        )
        right = f'{update}set roms = "DIR" or roms = "FILE.deb" in [source.{source}]'
        raise RomforgeError(
            f"the package {package} cannot be had: {error}\n  to mend it, {right}"
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
