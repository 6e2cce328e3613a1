# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of existing ROMs: finds the file of a NIC, and the image of a platform in it."""

from __future__ import annotations

import os
from pathlib import Path

from romforge.base.errors import RomforgeError
from romforge.base.text import join_words
from romforge.formats import option_rom, rom_check
from romforge.formats.rom_file import read_rom
from romforge.plan.image_requests import RomFileRequest
from romforge.sources.image import ImageTaker, SourceImage
from romforge.spec.model import expand_pattern


def take_from_rom(taker: ImageTaker, request: RomFileRequest) -> SourceImage:
    """The first image of the requested kind in the files that a NIC's ROM may have.

    Raises RomforgeError where no file holds one, or a file is not a sound ROM.
    """
    rom = taker.rom
    root = taker.out / request.root
    names = [expand_pattern(file, rom.nic, rom.ids, rom.target) for file in request.files]
    source = f"source {request.source}"
    if not root.is_dir():
        raise RomforgeError(f"there is no directory {root}; fix roms in [source.{request.source}]")
    present = []
    for name in names:
        chain = _open_rom(taker, str(root / name))
        if chain is None:
            continue
        present.append(name)
        for image, payload in option_rom.group_images(chain.images):
            if image.kind == request.kind:
                origin = f"{request.source}: {name} image {chain.images.index(image)}"
                return SourceImage(image, request.platform, origin, payload=payload)
    if present:
        raise RomforgeError(
            f"{source}: {join_words(present)} of {root} holds no {request.kind} image"
        )
    raise RomforgeError("\n  ".join([f"{source}: {root} has none of the files", *names]))


def _open_rom(taker: ImageTaker, path: str) -> option_rom.Chain | None:
    """The images of a ROM file; None where there is none.

    Raises RomforgeError where it has faults.
    """
    chain = taker.chains.get(path)
    if chain is None:
        if not os.path.isfile(path):
            taker.inputs[path] = None
            return None
        data, taker.inputs[path] = read_rom(Path(path))
        rom_check.require_sound(data, path)
        chain = option_rom.parse_rom(data)
        taker.chains[path] = chain
    return chain
