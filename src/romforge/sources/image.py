# SPDX-License-Identifier: GPL-2.0-or-later
"""An image that a source hands over, to be chained into a ROM, and what a source needs for that."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from romforge.base.fingerprint import InputStates
from romforge.formats import option_rom
from romforge.formats.option_rom import Image
from romforge.plan.steps import Rom


@dataclass(frozen=True)
class SourceImage:
    """An image to chain: its name in messages, and where it came from.

    ``driver`` is what an EFI image holds, where that is known better than from the image.
    ``payload`` is the second image of an iPXE .mrom, without which the first cannot boot.
    """

    image: Image
    name: str
    origin: str
    driver: bytes | None = None
    payload: Image | None = None

    @property
    def images(self) -> list[Image]:
        """The image, and its payload behind it."""
        return [self.image] if self.payload is None else [self.image, self.payload]

    @property
    def size(self) -> int:
        """The size of the image with its payload, in bytes."""
        return sum(len(image.data) for image in self.images)


@dataclass
class ImageTaker:
    """Takes the images of one ROM from their sources, and notes the state of each file it reads.

    Files that were looked for and are not there are noted, too. ``chains`` keeps the ROM files that
    were parsed, by path.
    """

    rom: Rom
    out: Path
    inputs: InputStates = field(default_factory=dict)
    chains: dict[str, option_rom.Chain] = field(default_factory=dict)
