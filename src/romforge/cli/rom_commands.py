# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that work on files, ROMs, images and drivers: each takes the parsed arguments and returns the exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from romforge.analysis import compat as comparing
from romforge.base import fingerprint, output_files
from romforge.base.errors import FormatError, RomforgeError, UsageError
from romforge.base.table import BOLD, GREEN, RED, YELLOW, Column, paint, render_table, wants_colours
from romforge.base.text import format_bytes, format_offset, format_size, join_words, plural
from romforge.formats import option_rom, rom_check, rom_file
from romforge.formats.efi_image import wrap_driver
from romforge.formats.uefi_compression import decoder, encoder
from romforge.rom import assembly, compression_cache
from romforge.sources.image import SourceImage
from romforge.spec import fields, value_types

Arguments = Any  # argparse.Namespace, whose attributes no type checker knows


def inspect(given: Arguments) -> int:
    found, unread = [], []
    for path in given.roms:
        try:
            found.append(_inspected(path))
        except RomforgeError as why:  # the others are told all the same
            unread.append(str(why))
    if given.json:
        print_json(found)
    elif found:
        print("\n\n".join("\n".join(_inspection(one)) for one in found))
    for told in unread:
        _warn(told)
    return int(
        bool(unread) or any(fault["severity"] != "note" for one in found for fault in one["faults"])
    )


def split(given: Arguments) -> int:
    data, _ = rom_file.read_rom(given.rom)
    with _named(given.rom):
        chain = option_rom.parse_rom(data)
    if not option_rom.is_padding(data[chain.end :]):
        _warn(
            f"{given.rom}: {format_offset(chain.end)}: what lies behind the last image is no padding, and is left out"
        )
    effort = rom_check.effort_each(chain.images)
    given.directory.mkdir(parents=True, exist_ok=True)
    written = []
    for index, image in enumerate(chain.images):
        stem = f"{index}-{image.kind.replace(' ', '-')}"
        written.append((f"{stem}.rom", image.data, "the image, byte for byte"))
        if isinstance(image.header, option_rom.EfiHeader):
            with _named(f"{given.rom}: image {index}"):
                driver = option_rom.driver_of(image, effort)
            written.append((f"{stem}.efi", driver, "the driver inside"))
    for name, content, _ in written:
        output_files.replace_file(given.directory / name, content)
    rows = [
        [str(given.directory / name), f"{len(content):,}", what] for name, content, what in written
    ]
    if given.json:
        print_json([{"file": row[0], "size": len(one[1])} for row, one in zip(rows, written)])
    else:
        print(
            "\n".join(
                render_table([Column("file"), Column("bytes", right=True), Column("what")], rows)
            )
        )
    return 0


def combine(given: Arguments) -> int:
    ids = _argument(value_types.ID, given.id, "--id")
    bucket = _argument(value_types.SIZE, given.bucket, "--bucket")
    parts = []
    for path in given.images:
        parts += [SourceImage(image, image.kind, str(path)) for image in _images(path).images]
    if ids is None and len({part.image.ids for part in parts}) > 1:
        found = join_words(f"{part.image.ids} ({part.name})" for part in parts)
        _warn(
            f"{given.output}: the images are of different devices: {found}; --id VVVV:DDDD rewrites them"
        )
    with _named(join_words(map(str, given.images))):
        chained = assembly.chain_images(parts, ids=ids)
    try:
        data = assembly.fit_bucket(chained, bucket=bucket)
    except assembly.BucketError as error:
        raise RomforgeError(f"{given.output}: {error}") from None
    rom_check.require_sound(data, str(given.output))
    output_files.replace_file(given.output, data)
    count = plural(len(parts), "image")
    print(
        f"{given.output}: {count}, {len(data):,} bytes, bucket {format_size(assembly.bucket_of(len(data)))}"
    )
    return 0


def efirom(given: Arguments) -> int:
    ids = _argument(value_types.ID, given.id, "--id")
    driver = rom_file.read_rom(given.driver)[0]
    with _named(given.driver):
        image = option_rom.parse_image(wrap_driver(driver, ids))
    if not given.stored:
        image = compression_cache.smallest_image(
            image, driver, lambda data: _compressed(data, given.level)
        )
    output_files.replace_file(given.output, image.data)
    print(f"{given.output}: {image.kind} image of {format_bytes(len(image.data))}, {given.id}")
    return 0


def compress(given: Arguments) -> int:
    data = _read(given.input)
    stream = _compressed(data, given.level)
    output_files.replace_file(given.output, stream)
    print(f"{given.output}: {len(data):,} bytes compressed to {len(stream):,}")
    return 0


def decompress(given: Arguments) -> int:
    stream = _read(given.input)
    with _named(given.input):
        data = decoder.decompress(stream)
    if more := stream[decoder.HEADER.size + decoder.sizes(stream)[0] :].strip(b"\0"):
        _warn(f"{given.input}: {len(more):,} bytes behind the stream are left out")
    output_files.replace_file(given.output, data)
    print(f"{given.output}: {len(data):,} bytes")
    return 0


def _read(path: Path) -> bytes:
    data, _ = fingerprint.read_file(path, decoder.MAX_ORIGINAL_SIZE + 1)
    if len(data) > decoder.MAX_ORIGINAL_SIZE:
        raise RomforgeError(
            f"{path}: is larger than any option ROM, {format_size(decoder.MAX_ORIGINAL_SIZE)}"
        )
    return data


def _compressed(data: bytes, level: str) -> bytes:
    """Compresses, and on a terminal shows how far it has come."""
    if not sys.stderr.isatty():
        return encoder.compress(data, level)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("compressing")
        return encoder.compress(
            data, level, lambda done, of: progress.update(task, completed=done, total=of)
        )


def compat(given: Arguments) -> int:
    verdicts = comparing.compare_sets(*comparing.read_sets(given.old, given.new, given.out))
    if given.json:
        print_json([_verdict(one) for one in verdicts])
    else:
        columns = [
            Column("file"),
            Column("old", right=True),
            Column("new", right=True),
            Column("guests"),
            Column("why"),
        ]
        lines = render_table(columns, comparing.rows(verdicts))
        marks = ["", "", *("" if one.compatible else RED for one in verdicts)]
        print(
            "\n".join(
                paint(line, mark, wants_colours() and bool(mark))
                for line, mark in zip(lines, marks)
            )
        )
    return int(not all(one.compatible for one in verdicts))


def _inspected(path: Path) -> dict[str, Any]:
    """All that inspect says of a file."""
    data, _ = rom_file.read_rom(path)
    chain = option_rom.parse_chain(data)
    parts = [SourceImage(image, image.kind, str(path)) for image in chain.images]
    images = [_image(part) for part in parts]
    found = [
        {
            "severity": "note" if one.severity is rom_check.Severity.NOTE else "fault",
            "image": one.image,
            "offset": one.offset,
            "text": one.text,
        }
        for one in rom_check.find_faults(data)
    ]
    used = chain.end if not chain.fault else sum(len(image.data) for image in chain.images)
    bucket = assembly.bucket_of(len(data))
    return {
        "file": str(path),
        "size": len(data),
        "used": used,
        "bucket": bucket,
        "slack": bucket - used,
        "images": images,
        "faults": found,
    }


def _image(part: SourceImage) -> dict[str, Any]:
    image = part.image
    about = {
        "kind": image.kind,
        "offset": image.offset,
        "size": len(image.data),
        "ids": str(image.ids),
    }
    about |= {"last": image.is_last, "contents": "code"}
    if isinstance(image.header, option_rom.EfiHeader):
        about["contents"] = "driver, stored"
        if image.header.compression_type == option_rom.UEFI_COMPRESSED:
            try:
                stream, original = decoder.sizes(image.data, image.header.efi_image_offset)
                about["contents"] = f"driver of {original:,} bytes, compressed to {stream:,}"
            except FormatError:
                about["contents"] = "driver, compressed"
    return about


def _inspection(one: dict[str, Any]) -> list[str]:
    lines = [f"{paint(one['file'], BOLD, wants_colours())}: {format_bytes(one['size'])}"]
    lines.append(
        f"  bucket {format_size(one['bucket'])}, {one['used']:,} used, {one['slack']:,} of slack"
    )
    if one["images"]:
        columns = [
            Column("#"),
            Column("image"),
            Column("offset", right=True),
            Column("bytes", right=True),
            Column("IDs"),
            Column("contents"),
        ]
        cells = [
            [
                str(index),
                image["kind"],
                f"{image['offset']:#x}",
                f"{image['size']:,}",
                image["ids"],
                image["contents"],
            ]
            for index, image in enumerate(one["images"])
        ]
        lines += [f"  {line}" for line in render_table(columns, cells)]
    for fault in one["faults"]:
        where = "" if fault["image"] is None else f"image {fault['image']}, "
        tint = RED if fault["severity"] == "fault" else YELLOW
        text = f"{where}{format_offset(fault['offset'])}: {fault['text']}"
        lines.append(f"  {paint(fault['severity'], tint, wants_colours())}: {text}")
    if all(fault["severity"] == "note" for fault in one["faults"]):
        examined = not any(
            fault["text"].startswith(rom_check.NOT_EXAMINED) for fault in one["faults"]
        )
        lines.append(
            "  no faults in what was examined"
            if not examined
            else f"  {paint('no faults', GREEN, wants_colours())}"
        )
    return lines


@contextmanager
def _named(name: object) -> Iterator[None]:
    """Says of which file a FormatError inside speaks."""
    try:
        yield
    except FormatError as error:
        raise RomforgeError(f"{name}: {error}") from None


def _images(path: Path) -> option_rom.Chain:
    data, _ = rom_file.read_rom(path)
    if data[:2] == b"MZ":
        raise RomforgeError(
            f"{path}: is a PE driver, not an image of a ROM; a ROM's image begins with 55 aa"
        )
    chain = option_rom.parse_chain(data)
    # an image split off a chain says that another follows: here the file's end is the image's
    if chain.fault and not (chain.images and chain.end == len(data)):
        raise RomforgeError(f"{path}: {chain.fault}")
    if not option_rom.is_padding(data[chain.end :]):
        raise RomforgeError(f"{path}: {format_offset(chain.end)}: junk behind the last image")
    return chain


def _warn(text: str) -> None:
    print(f"romforge: {text}", file=sys.stderr)


def _argument(kind: fields.ValueType, value: str | None, name: str) -> Any:
    if value is None:
        return None
    try:
        return kind.read(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}; {kind.hint}") from None


def _verdict(one: comparing.Verdict) -> dict[str, Any]:
    def side(rom: comparing.RomFile | None) -> dict[str, Any] | None:
        return {"size": rom.size, "bucket": rom.bucket, "images": rom.images} if rom else None

    return {
        "file": one.file,
        "old": side(one.old),
        "new": side(one.new),
        "compatible": one.compatible,
        "reason": one.reason,
        "romsize": one.romsize,
    }


def print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=1)
    print()
