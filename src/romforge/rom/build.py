# SPDX-License-Identifier: GPL-2.0-or-later
"""One ROM from its step: take the images, chain them, fit the bucket, install."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from romforge.base import fingerprint, output_files, output_lock
from romforge.formats import option_rom, stub_image
from romforge.plan.planner import ImageRequest, Rom
from romforge.rom import assembly, compression_cache
from romforge.sources import rom_files
from romforge.sources.image import SourceImage
from romforge.sources.ipxe import image_build


def build_rom(step: Rom, out: Path) -> dict[str, Any]:
    """Builds and installs a ROM; returns its record: inputs, outputs and, as JSON, the entry for the manifest.

    Raises BucketError where it is not in its bucket, and RomforgeError for whatever else is wrong with it.
    """
    reader = rom_files.Reader(out)
    parts = [_packed(_take(reader, step, pick), pick, step, out) for pick in step.picks]
    if not step.fix_ids:
        assembly.check_ids(parts, step.ids, step.accept_ids)
    parts = assembly.chain_images(parts, ids=step.ids if step.fix_ids else None)
    data = assembly.fit_bucket(parts, bucket=step.bucket, pad=step.pad)
    output_lock.hold_lock(out)  # a worker whose build was killed must not write beside the next one
    state = fingerprint.stamp(output_files.write_output(out, step.path, data), data)
    return {
        "inputs": reader.inputs,
        "outputs": {step.path: state},
        "entry": _entry(step, assembly.image_layout(parts), data),
    }


def failed_entry(step: Rom, error: str, layout: assembly.Layout | None = None) -> str:
    """The entry of a ROM that could not be built: what was tried, and why it failed."""
    entry = {
        "file": step.path,
        "nic": step.nic,
        "bucket": step.bucket,
        "used": _used(layout or []),
        "images": layout or [],
        "error": error,
    }
    return json.dumps(entry)


def _take(reader: rom_files.Reader, step: Rom, pick: ImageRequest) -> SourceImage:
    """An image, from existing ROMs, from what a tree's make left, or a stub; what is read is noted in the reader's inputs."""
    if pick.stub:
        return SourceImage(
            option_rom.parse_image(stub_image.make_stub(step.ids)), pick.platform, "romforge"
        )
    if not pick.make:
        return reader.take(pick, step)
    part, states = image_build.take_image(pick, step, reader.out)
    reader.inputs.update(states)
    return part


def _packed(part: SourceImage, pick: ImageRequest, step: Rom, out: Path) -> SourceImage:
    """The part with its driver compressed, if that is asked for and makes it smaller."""
    if not pick.compress:
        return part
    image = compression_cache.smallest_image(
        part.image,
        part.driver,
        lambda driver: compression_cache.compress_cached(driver, step.level, out),
    )
    return replace(part, image=image)


def _entry(step: Rom, layout: assembly.Layout, data: bytes) -> str:
    bucket = step.bucket or assembly.bucket_of(len(data))
    entry = {
        "file": step.path,
        "nic": step.nic,
        "size": len(data),
        "used": _used(layout),
        "bucket": bucket,
    }
    return json.dumps({**entry, "sha256": fingerprint.sha256(data), "images": layout})


def _used(layout: assembly.Layout) -> int:
    return sum(image["size"] for image in layout)
