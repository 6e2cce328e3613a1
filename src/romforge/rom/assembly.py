# SPDX-License-Identifier: GPL-2.0-or-later
"""Chains images into one ROM and fits it to its bucket.

QEMU gives a ROM file the next power of two as its size, and a live migration needs the same one on both sides: so
a ROM that shrinks under its bucket is as wrong as one that outgrows it. Sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import sha256
from romforge.base.pci_id import PciId
from romforge.base.table import Column, render_table
from romforge.base.text import format_bytes, format_size
from romforge.formats import option_rom
from romforge.formats.option_rom import EfiHeader
from romforge.formats.uefi_compression import decoder
from romforge.sources.image import SourceImage

Layout = list[dict[str, Any]]  # an image each


class BucketError(RomforgeError):
    """A ROM that is not in its bucket; ``layout`` is the map of what was tried."""

    def __init__(self, text: str, layout: Layout) -> None:
        super().__init__(text)
        self.layout = layout


def bucket_of(size: int) -> int:
    """The size that QEMU gives a ROM file of ``size`` bytes: the next power of two."""
    return 1 << max(0, size - 1).bit_length()


def chain_images(parts: Sequence[SourceImage], *, ids: PciId | None = None) -> list[SourceImage]:
    """The parts as they lie in the ROM: the last-image bit on the last alone, checksums right, IDs rewritten if given."""
    last = len(parts) - 1
    return [
        SourceImage(
            option_rom.rewrite(part.image, ids=ids, last=index == last), part.name, part.origin
        )
        for index, part in enumerate(parts)
    ]


def check_ids(parts: Sequence[SourceImage], right: PciId, accepted: Sequence[PciId] = ()) -> None:
    """Raises RomforgeError unless every image carries the device's IDs, or accepted ones."""
    wrong = [part for part in parts if part.image.ids != right and part.image.ids not in accepted]
    if wrong:
        found = "\n".join(
            f"  {part.name} of {part.origin} carries {part.image.ids}" for part in wrong
        )
        raise RomforgeError(
            f"the device is {right}, but\n{found}\n  `fix_ids = true` in the target would rewrite them"
        )


def image_layout(parts: Sequence[SourceImage]) -> Layout:
    """The map of a ROM: for each image its place and size, what it is, and where it came from."""
    rows: Layout = []
    offset = 0
    for part in parts:
        image = part.image
        row: dict[str, Any] = {
            "name": part.name,
            "kind": image.kind,
            "offset": offset,
            "size": len(image.data),
        }
        row |= {"ids": str(image.ids), "sha256": sha256(image.data), "origin": part.origin}
        if isinstance(image.header, EfiHeader):
            row["compressed"] = image.header.compression_type == option_rom.UEFI_COMPRESSED
            if row["compressed"]:
                row["stream"], row["driver"] = decoder.sizes(
                    image.data, image.header.efi_image_offset
                )
        rows.append(row)
        offset += len(image.data)
    return rows


def fit_bucket(
    parts: Sequence[SourceImage], *, bucket: int | None = None, pad: bool = True
) -> bytes:
    """The bytes of the ROM, filled up with 0xff to the bucket if ``pad``; raises BucketError where it is not in it."""
    data = b"".join(part.image.data for part in parts)
    if bucket is None:
        return data
    if len(data) <= bucket and pad:
        return data.ljust(bucket, b"\xff")
    if bucket_of(len(data)) != bucket:
        raise BucketError(_misfit(parts, len(data), bucket), image_layout(parts))
    return data


def _misfit(parts: Sequence[SourceImage], used: int, bucket: int) -> str:
    """The text of a BucketError: the images, how far off, and what would be nearest to mend it."""
    rows = [
        [part.name, f"{len(part.image.data):,}", f"{len(part.image.data):#x}", part.origin]
        for part in parts
    ]
    rows.append(["together", f"{used:,}", f"{used:#x}", ""])
    table = render_table(
        [Column("image"), Column("bytes", right=True), Column("hex", right=True), Column("from")],
        rows,
    )
    if used > bucket:
        verdict = f"{format_bytes(used - bucket)} over its bucket of {format_size(bucket)}"
        remedies = [*_to_shrink(parts, used - bucket), _other_bucket(used)]
    else:
        verdict = f"{format_bytes(bucket // 2 + 1 - used)} short of its bucket of {format_size(bucket)}: QEMU would give it {format_size(bucket_of(used))}"
        remedies = ["`pad = true` in the bucket fills it up with ff", _other_bucket(used)]
    return "\n".join(
        [verdict, *(f"  {line}" for line in table), *(f"  remedy: {remedy}" for remedy in remedies)]
    )


def _to_shrink(parts: Sequence[SourceImage], over: int) -> list[str]:
    """Ways to lose ``over`` bytes, the mildest first."""
    stored = [
        part
        for part in parts
        if isinstance(part.image.header, EfiHeader) and not part.image.header.compression_type
    ]
    remedies = [
        f"have {part.name} compressed; it is stored as linked, {format_bytes(len(part.image.data))}"
        for part in stored
    ]
    if len(parts) > 1:
        enough = [part for part in parts if len(part.image.data) >= over]
        least = min(enough, key=lambda part: len(part.image.data), default=None)
        if least:
            remedies.append(
                f"leave out {least.name}, which frees {format_bytes(len(least.image.data))}"
            )
    return remedies


def _other_bucket(used: int) -> str:
    return f"a bucket of {format_size(bucket_of(used))}; guests that run with the present one could no longer migrate"
