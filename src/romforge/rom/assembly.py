# SPDX-License-Identifier: GPL-2.0-or-later
"""Chains images into one ROM and fits it to its bucket and its limit.

QEMU gives a ROM file the next power of two as its size, and a live migration needs the same one on
both sides: so a ROM that shrinks under its bucket is as wrong as one that outgrows it. Sizes are
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import sha256
from romforge.base.pci_id import PciId
from romforge.base.table import Column, render_table
from romforge.base.text import format_bytes, format_size, join_words
from romforge.formats import option_rom
from romforge.formats.option_rom import EfiHeader, Image
from romforge.formats.uefi_compression import decoder
from romforge.rom.manifest import ImageEntry, Layout
from romforge.sources.image import SourceImage


class BucketError(RomforgeError):
    """A ROM that is not in its bucket, or over its limit.

    ``verdict`` has the table of the images, ``remedies`` are the ways out, the mildest first.
    ``over`` are the bytes by which it is too large, or 0. ``layout`` is the map of what was tried.
    """

    def __init__(
        self, verdict: str, remedies: Sequence[str], layout: Layout, over: int = 0
    ) -> None:
        lines = [verdict, *(f"  remedy: {remedy}" for remedy in remedies)]
        super().__init__("\n".join(lines))
        self.verdict = verdict
        self.remedies = tuple(remedies)
        self.layout = layout
        self.over = over

    def with_remedies(self, first: Sequence[str]) -> BucketError:
        """The same error with further remedies before its own."""
        return BucketError(self.verdict, [*first, *self.remedies], self.layout, self.over)

    def __reduce__(self) -> tuple[type[BucketError], tuple[str, tuple[str, ...], Layout, int]]:
        return type(self), (self.verdict, self.remedies, self.layout, self.over)


def bucket_of(size: int) -> int:
    """The size that QEMU gives a ROM file of ``size`` bytes: the next power of two."""
    return 1 << max(0, size - 1).bit_length()


def chain_images(parts: Sequence[SourceImage], *, ids: PciId | None = None) -> list[SourceImage]:
    """The images as they lie in the ROM: only the last has the last-image bit, checksums are right.

    With ``ids``, these are written into every image: see ``option_rom.rewrite``.
    """
    chained = []
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        payload = part.payload
        if payload is not None:
            payload = option_rom.rewrite(payload, ids=ids, last=is_last)
        ends_chain = is_last and payload is None
        image = option_rom.rewrite(part.image, ids=ids, last=ends_chain)
        chained.append(SourceImage(image, part.name, part.origin, payload=payload))
    return chained


def check_ids(
    parts: Sequence[SourceImage], expected: PciId, accepted: Sequence[PciId] = ()
) -> None:
    """Raises RomforgeError unless every image carries the device's IDs, or accepted ones.

    What counts is what firmware reads: see ``option_rom.served_ids``.
    """
    wrong = []
    for part in parts:
        for image in part.images:
            if option_rom.served_ids(image).isdisjoint([expected, *accepted]):
                carried = describe_ids(image, expected)
                wrong.append(f"  {part.name} of {part.origin} carries {carried}")
    if wrong:
        remedy = "  `fix_ids = true` in the target would rewrite them"
        raise RomforgeError("\n".join([f"the device is {expected}, but", *wrong, remedy]))


def describe_ids(image: Image, expected: PciId) -> str:
    """The IDs of an image that is not for ``expected``, and why its device list does not help."""
    if expected in option_rom.listed_ids(image):
        return f"{image.ids}; its device list has {expected}, but SeaBIOS does not read it"
    return str(image.ids)


def image_layout(parts: Sequence[SourceImage]) -> Layout:
    """The map of a ROM: for each image its place and size, what it is, and where it came from."""
    layout: Layout = []
    offset = 0
    for part in parts:
        for image in part.images:
            name = part.name if image is part.image else f"{part.name} payload"
            layout.append(_image_entry(part, image, name, offset))
            offset += len(image.data)
    return layout


def _image_entry(part: SourceImage, image: Image, name: str, offset: int) -> ImageEntry:
    entry = ImageEntry(
        name=name,
        kind=image.kind,
        offset=offset,
        size=len(image.data),
        ids=str(image.ids),
        sha256=sha256(image.data),
        origin=part.origin,
    )
    header = image.header
    if isinstance(header, EfiHeader):
        entry["compressed"] = header.compression_type == option_rom.UEFI_COMPRESSED
        if entry["compressed"]:
            stream, driver = decoder.sizes(image.data, header.efi_image_offset)
            entry["stream"] = stream
            entry["driver"] = driver
    return entry


def drop_images(
    parts: Sequence[SourceImage], fit: Sequence[str], capacity: int | None
) -> tuple[list[SourceImage], list[SourceImage]]:
    """The images that are kept so that they fit into ``capacity``, and those that are dropped.

    Images of the platforms in ``fit`` are dropped in that order, until the others fit. Where they
    do not fit without any of these, all are kept: ``fit_bucket`` then says by how much.
    """
    kept = list(parts)
    dropped = []
    for platform in fit:
        if capacity is None or _total_size(kept) <= capacity:
            break
        others = [part for part in kept if part.name != platform]
        if others:
            dropped += [part for part in kept if part.name == platform]
            kept = others
    if capacity is not None and _total_size(kept) > capacity:
        return list(parts), []
    return kept, dropped


def _total_size(parts: Sequence[SourceImage]) -> int:
    return sum(part.size for part in parts)


def fit_bucket(
    parts: Sequence[SourceImage],
    *,
    bucket: int | None = None,
    pad: bool = True,
    limit: int | None = None,
    fit: Sequence[str] = (),
) -> bytes:
    """The bytes of the ROM, filled up with 0xff to the bucket if ``pad``.

    ``fit`` are the images that could be dropped, for the error: all of them were not enough. Raises
    BucketError where QEMU would give the ROM another size than its bucket, or the file would have
    more bytes than ``limit``.
    """
    data = b"".join(image.data for part in parts for image in part.images)
    used = len(data)
    if bucket is not None and pad:
        data = data.ljust(bucket, b"\xff")
    if limit is not None and len(data) > limit:
        limited = min(size for size in (bucket, limit) if size is not None)
        raise _over_capacity(parts, used, limited, fit, is_limit=limited == limit)
    if bucket is None or bucket_of(len(data)) == bucket:
        return data
    if used > bucket:
        raise _over_capacity(parts, used, bucket, fit, is_limit=False)
    raise _short_of_bucket(parts, used, bucket)


def _over_capacity(
    parts: Sequence[SourceImage], used: int, capacity: int, fit: Sequence[str], *, is_limit: bool
) -> BucketError:
    """How far a ROM is over its bucket or its limit, its images, and remedies."""
    over = used - capacity
    verdict = f"{format_bytes(over)} over its bucket of {format_size(capacity)}"
    if is_limit:
        verdict = f"{format_bytes(over)} over its limit of {format_size(capacity)}"
    if fit:
        kept = _total_size([part for part in parts if part.name not in fit])
        verdict += f"; without {join_words(fit)} it is {format_bytes(kept - capacity)} over"
    remedies = _ways_to_shrink(parts, over)
    if is_limit:
        remedies.append("a larger limit, if what takes the file takes a larger one")
    else:
        remedies.append(_other_bucket(used))
    return _misfit(verdict, parts, used, remedies, over)


def _short_of_bucket(parts: Sequence[SourceImage], used: int, bucket: int) -> BucketError:
    """How much a ROM that is not padded lacks to its bucket, its images, and remedies."""
    missing = format_bytes(bucket // 2 + 1 - used)
    romsize = format_size(bucket_of(used))
    verdict = (
        f"{missing} short of its bucket of {format_size(bucket)}: QEMU would give it {romsize}"
    )
    remedies = ["`pad = true` in the bucket fills it up with ff", _other_bucket(used)]
    return _misfit(verdict, parts, used, remedies)


def _other_bucket(used: int) -> str:
    return (
        f"a bucket of {format_size(bucket_of(used))};"
        " guests that run with the present one could no longer migrate"
    )


def _misfit(
    verdict: str,
    parts: Sequence[SourceImage],
    used: int,
    remedies: Sequence[str],
    over: int = 0,
) -> BucketError:
    lines = [verdict, *(f"  {line}" for line in _table_of_images(parts, used))]
    return BucketError("\n".join(lines), remedies, image_layout(parts), over)


def _table_of_images(parts: Sequence[SourceImage], used: int) -> list[str]:
    columns = [
        Column("image"),
        Column("bytes", right=True),
        Column("hex", right=True),
        Column("from"),
    ]
    rows = []
    for part in parts:
        size = part.size
        rows.append([part.name, f"{size:,}", f"{size:#x}", part.origin])
    rows.append(["together", f"{used:,}", f"{used:#x}", ""])
    return render_table(columns, rows)


def _ways_to_shrink(parts: Sequence[SourceImage], over: int) -> list[str]:
    """Ways to lose ``over`` bytes, the mildest first."""
    remedies = []
    large_enough = []
    for part in parts:
        header = part.image.header
        size = part.size
        if isinstance(header, EfiHeader) and header.compression_type == option_rom.UNCOMPRESSED:
            remedies.append(
                f"have {part.name} compressed; it is stored as linked, {format_bytes(size)}"
            )
        if size >= over:
            large_enough.append(part)
    if len(parts) > 1 and large_enough:
        smallest = min(large_enough, key=lambda part: part.size)
        size = smallest.size
        remedies.append(
            f"leave out {smallest.name}, which frees {format_bytes(size)};"
            f' `fit = ["{smallest.name}"]` in the target does so where it must'
        )
    return remedies
