# SPDX-License-Identifier: GPL-2.0-or-later
"""One ROM from its step: take the images, chain them, fit the bucket, install."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from romforge import combine, images, install, lock, packing, pcirom, prebuilt, record, stub
from romforge.plan import Pick, Rom


def build_rom(step: Rom, out: Path) -> dict[str, Any]:
    """Builds and installs a ROM; returns its record: inputs, outputs and, as JSON, the entry for the manifest.

    Raises BucketError where it is not in its bucket, and RomforgeError for whatever else is wrong with it.
    """
    reader = prebuilt.Reader(out)
    parts = [_packed(_take(reader, step, pick), pick, step, out) for pick in step.picks]
    if not step.fix_ids:
        combine.check_ids(parts, step.ids, step.accept_ids)
    parts = combine.chain(parts, ids=step.ids if step.fix_ids else None)
    data = combine.fit(parts, bucket=step.bucket, pad=step.pad)
    lock.hold(out)  # a worker whose build was killed must not write beside the next one
    state = record.settled(install.write(out, step.path, data), data)
    return {"inputs": reader.inputs, "outputs": {step.path: state}, "entry": _entry(step, combine.layout(parts), data)}


def failed_entry(step: Rom, error: str, layout: combine.Layout | None = None) -> str:
    """The entry of a ROM that could not be built: what was tried, and why it failed."""
    entry = {"file": step.path, "nic": step.nic, "bucket": step.bucket, "used": _used(layout or []), "images": layout or [], "error": error}
    return json.dumps(entry)


def _take(reader: prebuilt.Reader, step: Rom, pick: Pick) -> combine.Part:
    """An image, from existing ROMs, from what a tree's make left, or a stub; what is read is noted in the reader's inputs."""
    if pick.stub:
        return combine.Part(pcirom.parse_image(stub.make(step.ids)), pick.platform, "romforge")
    if not pick.make:
        return reader.take(pick, step)
    part, states = images.take(pick, step, reader.out)
    reader.inputs.update(states)
    return part


def _packed(part: combine.Part, pick: Pick, step: Rom, out: Path) -> combine.Part:
    """The part with its driver compressed, if that is asked for and makes it smaller."""
    if not pick.compress:
        return part
    image = packing.smallest(part.image, part.driver, lambda driver: packing.cached(driver, step.level, out))
    return replace(part, image=image)


def _entry(step: Rom, layout: combine.Layout, data: bytes) -> str:
    bucket = step.bucket or combine.bucket_of(len(data))
    entry = {"file": step.path, "nic": step.nic, "size": len(data), "used": _used(layout), "bucket": bucket}
    return json.dumps({**entry, "sha256": record.sha256(data), "images": layout})


def _used(layout: combine.Layout) -> int:
    return sum(image["size"] for image in layout)
