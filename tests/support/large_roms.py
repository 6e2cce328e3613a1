# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of 16 MiB, the most a ROM can be, and the commands that read them."""

from __future__ import annotations

import random
from collections.abc import Callable

from romforge.base import image_kind
from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.formats.option_rom import LegacyHeader, PciDataStructure
from tests.support import builders
from tests.support.builders import PCIR, compressed_efi, efi, encode, flat, mended

LARGEST = 16 << 20


def minimal(blocks: int, *, last: bool = False) -> bytes:
    """A legacy image of any size with nothing but header, PCIR and a right sum."""
    header = LegacyHeader(
        option_rom.SIGNATURE, 1, b"\xe9\0\0", 0, bytes(9), 0, bytes(4), 0, PCIR, 0
    )
    pcir = builders.pcir(PciId(0x8086, 0x100E), blocks, image_kind.LEGACY, last)
    return mended(
        builders.overlaid(blocks * option_rom.BLOCK, {0: header.emit(), PCIR: pcir.emit()}), 6
    )


def endless_list() -> bytes:
    """An image of 16 MiB, all of it the device list."""
    image = builders.with_field(
        minimal(32768, last=True),
        PciDataStructure,
        PCIR,
        device_list_pointer=builders.PCIR_END - PCIR,
    )
    return mended(image[: builders.PCIR_END] + b"\x01" * (LARGEST - builders.PCIR_END), 6)


def chained(images: list[bytes]) -> bytes:
    """Images one behind the other, only the last marked so, filled up to 16 MiB."""
    marked = [
        option_rom.rewrite(option_rom.parse_image(image), last=index == len(images) - 1).data
        for index, image in enumerate(images)
    ]
    return b"".join(marked).ljust(LARGEST, b"\xff")


def slow_bomb(blocks: int) -> bytes:
    """Blocks small enough that each passes for little: 1,000 matches of 256 bytes apiece."""
    tokens: list[builders.Token] = [0, *[(256, 1)] * (1000 * blocks - 1)]
    return encode(tokens, per_block=1000, characters=flat([0, 509]), positions=flat([0]))


def stored_16_mib() -> bytes:
    return efi(builders.driver(size=LARGEST - builders.DRIVER))


def literals() -> bytes:
    """A sound stream of half a million literals, each with a code of 16 bits."""
    return encode(
        [200] * 500_000, characters=builders.skewed([*range(16), 200]), positions=flat([0])
    )


LARGE: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: bytes(LARGEST),
    "ff": lambda: b"\xff" * LARGEST,
    "random": lambda: random.Random(16).randbytes(LARGEST),
    "55aa": lambda: b"\x55\xaa" * (LARGEST // 2),
    "many images": lambda: minimal(1) * 32768,
    "32 images": lambda: minimal(1024) * 31 + minimal(1024, last=True),
    "one image": lambda: minimal(32768, last=True),
    "image and junk": lambda: (minimal(1, last=True) + b"\xff" * (LARGEST - 600)).ljust(
        LARGEST, b"\x01"
    ),
    "device list": endless_list,
    "stored": stored_16_mib,
    "bomb": lambda: chained([compressed_efi(builders.bomb())]),
    "9 bombs": lambda: chained([compressed_efi(builders.bomb())] * 9),
    "32 bombs": lambda: chained([compressed_efi(builders.bomb())] * 32),
    "32 slow bombs": lambda: chained([compressed_efi(slow_bomb(17))] * 32),
    "2 slow bombs": lambda: chained([compressed_efi(slow_bomb(65))] * 2),
    "tables": lambda: chained([compressed_efi(builders.table_bomb(20_000))]),
    "32 tables": lambda: chained([compressed_efi(builders.table_bomb(9_000))] * 32),
    "literals": lambda: chained([compressed_efi(literals())]),
    "32 literals": lambda: chained(
        [compressed_efi(encode([200] * 18_000, characters=builders.skewed([*range(16), 200])))] * 32
    ),
}
COMMANDS = {
    "inspect": ["inspect", "{}"],
    "split": ["split", "{}", "-d", "parts"],
    "combine": ["combine", "-o", "new", "--id", "10ec:8139", "{}"],
    "compat": ["compat", "{}", "{}"],
}
