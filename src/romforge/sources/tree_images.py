# SPDX-License-Identifier: GPL-2.0-or-later
"""Images that were built in a source tree, taken from where make left them."""

from __future__ import annotations

from pathlib import Path

from romforge.base.errors import FormatError, RomforgeError
from romforge.formats import efi_image, option_rom, rom_check
from romforge.formats.rom_file import read_rom
from romforge.plan.image_requests import TreeRequest
from romforge.sources.image import ImageTaker, SourceImage
from romforge.sources.ipxe import rebuild_reasons

_SIGNATURE = option_rom.SIGNATURE.to_bytes(2, "little")


def take_tree_image(taker: ImageTaker, request: TreeRequest) -> SourceImage:
    """The image that a platform's make left for a ROM; an EFI driver is wrapped.

    Raises RomforgeError where it is not there, or not sound.
    """
    rom = taker.rom
    name = request.file.format(goal=rom.goal)
    path = taker.out / request.root / name
    if not path.is_file():
        error = rebuild_reasons.error_of(request, taker.out, rom.goal)
        raise RomforgeError(f"{request.make}: {error}")
    data, state = read_rom(path)
    is_driver = not data.startswith(_SIGNATURE)
    try:
        wrapped = efi_image.wrap_driver(data, rom.ids) if is_driver else data
        rom_check.require_sound(wrapped, str(path))
        images = option_rom.parse_rom(wrapped).images
    except FormatError as error:
        raise RomforgeError(f"{path}: {error}") from None
    image, payload = option_rom.group_images(images)[0]
    _require_kind(path, image, request)
    taker.inputs[str(path)] = state
    driver = data if is_driver else None
    return SourceImage(image, request.platform, f"{request.source}: {name}", driver, payload)


def _require_kind(path: Path, image: option_rom.Image, request: TreeRequest) -> None:
    """Raises RomforgeError where an image is for another machine than its platform."""
    if not request.kind.is_legacy and image.machine != request.kind.machine:
        raise RomforgeError(
            f"{path}: is for {image.kind}, and the platform {request.platform} for {request.kind}"
        )
