# SPDX-License-Identifier: GPL-2.0-or-later
"""One ROM from its step: take the images, chain them, fit the bucket, install."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from romforge.base import fingerprint, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import BuildRecord
from romforge.base.text import format_bytes, format_size
from romforge.formats import efi_image, option_rom
from romforge.formats.option_rom import EfiHeader
from romforge.plan.steps import Rom, Signing
from romforge.rom import assembly, compression_cache
from romforge.rom.manifest import Layout, MissingImage, RomEntry, Signature
from romforge.sources import registry
from romforge.sources.image import ImageTaker, SourceImage


def build_rom(step: Rom, out: Path) -> BuildRecord:
    """Builds and installs a ROM; returns its record, with the entry for the manifest.

    Raises BucketError where the ROM does not fit its bucket or its limit, and RomforgeError for all
    else that is wrong.
    """
    taker = ImageTaker(step, out)
    images = []
    for request in step.requests:
        image = registry.take_image(taker, request)
        if step.sign and image.driver is not None:
            image = _signed(image, step.sign, taker)
        if request.compress:
            image = _compressed(image, step, out)
        images.append(image)
    if not step.fix_ids:
        assembly.check_ids(images, step.ids, step.accept_ids)
    kept, dropped = assembly.drop_images(images, step.fit, step.capacity)
    chained = assembly.chain_images(kept, ids=step.ids if step.fix_ids else None)
    data = assembly.fit_bucket(
        chained, bucket=step.bucket, pad=step.pad, limit=step.limit, fit=step.fit
    )
    signature = _verify_signatures(step, chained, out)
    # A worker whose build was killed must not write beside the next one.
    output_lock.hold_lock(out)
    path = output_files.write_output(out, step.path, data)
    outputs = {step.path: fingerprint.stamp(path, data)}
    entry = _entry(step, assembly.image_layout(chained), data, dropped, signature)
    return BuildRecord(taker.inputs, outputs, entry=entry)


def _signed(image: SourceImage, sign: Signing, taker: ImageTaker) -> SourceImage:
    """The image with its driver signed. Key and certificate are inputs of the ROM."""
    from romforge.sources import signing

    assert image.driver is not None
    signing.require_key(sign, taker.inputs)
    driver = signing.sign_driver(image.driver, sign, taker.out)
    wrapped = option_rom.parse_image(efi_image.wrap_driver(driver, taker.rom.ids))
    return replace(image, image=wrapped, driver=driver)


def _verify_signatures(step: Rom, chained: Sequence[SourceImage], out: Path) -> Signature | None:
    """Verifies each driver as firmware takes it out of the ROM; returns how they were signed."""
    if step.sign is None:
        return None
    from romforge.sources import signing

    for part in chained:
        if isinstance(part.image.header, EfiHeader):
            try:
                signing.verify_driver(option_rom.driver_of(part.image), step.sign, out)
            except RomforgeError as error:
                raise RomforgeError(f"{part.name}: {error}") from None
    return Signature(tool=signing.signing_tool(), reproducible=signing.is_reproducible())


def _compressed(image: SourceImage, step: Rom, out: Path) -> SourceImage:
    """The image with its driver compressed, if that makes it smaller."""

    def compress(driver: bytes) -> bytes:
        return compression_cache.compress_cached(driver, step.level, out)

    return replace(
        image, image=compression_cache.smallest_image(image.image, image.driver, compress)
    )


def failed_entry(step: Rom, error: str, layout: Layout | None = None) -> str:
    """The entry of a ROM that could not be built: what was tried, and why it failed."""
    images = layout or []
    entry = RomEntry(
        file=step.path,
        nic=step.nic,
        bucket=step.bucket,
        used=_used(images),
        images=images,
        error=error,
    )
    _add_limit(entry, step)
    _add_impossible(entry, step)
    return json.dumps(entry)


def _entry(
    step: Rom,
    layout: Layout,
    data: bytes,
    dropped: Sequence[SourceImage],
    signature: Signature | None,
) -> str:
    entry = RomEntry(
        file=step.path,
        nic=step.nic,
        size=len(data),
        used=_used(layout),
        bucket=step.bucket or assembly.bucket_of(len(data)),
        sha256=fingerprint.sha256(data),
        images=layout,
    )
    if dropped:
        entry["dropped"] = [_dropped_image(step, image) for image in dropped]
    if signature:
        entry["signed"] = signature
    _add_limit(entry, step)
    _add_impossible(entry, step)
    return json.dumps(entry)


def _dropped_image(step: Rom, dropped: SourceImage) -> MissingImage:
    size = dropped.size
    assert step.capacity is not None
    capacity = format_size(step.capacity)
    reason = f"{format_bytes(size)} did not fit into {capacity} beside the others"
    return MissingImage(name=dropped.name, kind=dropped.image.kind, reason=reason)


def _add_limit(entry: RomEntry, step: Rom) -> None:
    if step.limit is not None:
        entry["limit"] = step.limit


def _add_impossible(entry: RomEntry, step: Rom) -> None:
    if step.impossible:
        entry["impossible"] = [
            MissingImage(name=image.platform, kind=image.kind, reason=image.reason)
            for image in step.impossible
        ]


def _used(layout: Layout) -> int:
    return sum(image["size"] for image in layout)
