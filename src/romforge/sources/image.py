# SPDX-License-Identifier: GPL-2.0-or-later
"""An image that a source hands over, to be chained into a ROM."""

from __future__ import annotations

from dataclasses import dataclass

from romforge.formats.option_rom import Image


@dataclass(frozen=True)
class SourceImage:
    """An image to chain: what it is called in messages, and where it came from."""

    image: Image
    name: str
    origin: str
    driver: bytes | None = (
        None  # what an EFI image holds, where that is known better than from the image
    )
