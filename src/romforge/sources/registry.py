# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes an image from its source: a function for each class of requests.

A new source is a class in ``plan/image_requests``, a module here with its function, and a line
below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from romforge.plan.image_requests import (
    ImageRequest,
    RomFileRequest,
    StubRequest,
    TreeRequest,
)
from romforge.sources import rom_files, stubs, tree_images
from romforge.sources.image import ImageTaker, SourceImage

_FUNCTIONS: Mapping[type[ImageRequest], Callable[[ImageTaker, Any], SourceImage]] = {
    StubRequest: stubs.take_stub,
    RomFileRequest: rom_files.take_from_rom,
    TreeRequest: tree_images.take_tree_image,
}


def take_image(taker: ImageTaker, request: ImageRequest) -> SourceImage:
    """The requested image for the ROM of ``taker``, which notes what was read.

    Raises RomforgeError where the source has no such image, or an unsound one.
    """
    return _FUNCTIONS[type(request)](taker, request)
