# SPDX-License-Identifier: GPL-2.0-or-later
"""Images with no code, made here: where QEMU wants a file and there is nothing to put into it."""

from __future__ import annotations

from romforge.formats import option_rom, stub_image
from romforge.plan.image_requests import StubRequest
from romforge.sources.image import ImageTaker, SourceImage


def take_stub(taker: ImageTaker, request: StubRequest) -> SourceImage:
    """A stub image with the IDs of the ROM."""
    image = option_rom.parse_image(stub_image.make_stub(taker.rom.ids))
    return SourceImage(image, request.platform, "romforge")
