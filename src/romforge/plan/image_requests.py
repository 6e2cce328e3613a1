# SPDX-License-Identifier: GPL-2.0-or-later
"""What a ROM asks its sources for: one class for each way in which an image comes about.

A new source gets a class here, and a function that takes such an image in ``sources/registry``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from romforge.base.image_kind import ImageKind
from romforge.spec.model import STUB


@dataclass(frozen=True)
class ImageRequest:
    """The image of a platform.

    ``compress`` is asked of an EFI image's driver, where that makes it smaller.
    """

    platform: str
    kind: ImageKind
    compress: bool

    @property
    def source(self) -> str | None:
        """The name of the source in the spec; None where the image comes from none."""
        return None

    @property
    def needs(self) -> str | None:
        """The task that must be done before the image can be taken."""
        return None

    @property
    def make(self) -> str | None:
        """The task of the make that builds the image; None where it is not built in a tree."""
        return None

    def place(self, out: Path) -> Path:
        """The directory that the image is taken from."""
        return out


class ImpossibleImage(NamedTuple):
    """An image that the spec lists and a ROM does not get, since it could not work for the NIC."""

    platform: str
    kind: ImageKind
    reason: str


@dataclass(frozen=True)
class StubRequest(ImageRequest):
    """An image with no code, which romforge makes itself."""

    platform: str = STUB
    kind: ImageKind = ImageKind.stub()
    compress: bool = False


@dataclass(frozen=True)
class RomFileRequest(ImageRequest):
    """An image of an existing ROM: the first of ``files`` below ``root`` with one of this kind.

    ``root`` is absolute, or relative to the output root where a task fills it. ``files`` are
    patterns.
    """

    source_name: str
    root: str
    files: tuple[str, ...]

    @property
    def source(self) -> str:
        return self.source_name

    @property
    def needs(self) -> str:
        return f"source:{self.source_name}"

    def place(self, out: Path) -> Path:
        return out / self.root


@dataclass(frozen=True)
class TreeRequest(ImageRequest):
    """An image that a tree's make leaves in ``root``, a BIN directory relative to the output root.

    ``file`` is its name, with ``{goal}`` for iPXE's name of the image.
    """

    source_name: str
    root: str
    file: str

    @property
    def source(self) -> str:
        return self.source_name

    @property
    def needs(self) -> str:
        return self.make

    @property
    def make(self) -> str:
        return f"make:{self.source_name}/{self.platform}"

    def place(self, out: Path) -> Path:
        return out / self.root
