# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge efirom`, `compress` and `decompress`, which work on drivers and UEFI compression."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from romforge.base import fingerprint, output_files
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.json_document import FORMAT, Document
from romforge.base.text import format_bytes, format_size, join_words
from romforge.cli import common
from romforge.formats import efi_image, option_rom, rom_file
from romforge.formats.uefi_compression import decoder, encoder
from romforge.rom import compression_cache
from romforge.spec import value_types


class EfiromDocument(Document):
    """What `efirom --json` prints: the image that it wrote. Sizes are bytes.

    ``devices`` is the device list, which an image for one device does not have.
    """

    file: str
    size: int
    sha256: str
    kind: str
    ids: str
    devices: list[str]
    compressed: bool
    driver: int  # its size


class StreamDocument(Document):
    """What `compress --json` and `decompress --json` print: the file written. Sizes are bytes.

    ``left_out`` is the size of what follows the compressed data, and was not read.
    """

    file: str
    size: int
    sha256: str
    input: str
    input_size: int
    left_out: int


def add_driver_commands(commands: common.Commands) -> None:
    """Adds `efirom`, `compress` and `decompress`."""
    efirom = common.add_command(
        commands, "efirom", _run_efirom, "wraps an EFI driver in an image of a ROM"
    )
    common.add_json_option(efirom, "cli.driver_commands:EfiromDocument")
    efirom.add_argument("driver", metavar="IN.efi", type=Path, help="the driver")
    efirom.add_argument("output", metavar="OUT.rom", type=Path, help="the image to write")
    efirom.add_argument(
        "--id",
        dest="ids",
        action="append",
        metavar="VVVV:DDDD",
        required=True,
        help="the vendor and device ID of the image; may be repeated",
    )
    compression = efirom.add_mutually_exclusive_group()
    common.add_level_option(compression)
    compression.add_argument("--stored", action="store_true", help="do not compress the driver")

    compress = common.add_command(
        commands,
        "compress",
        _run_compress,
        "compresses a file into the UEFI compression format",
    )
    common.add_level_option(compress)
    _add_files(compress)

    decompress = common.add_command(
        commands,
        "decompress",
        _run_decompress,
        "decompresses a file in the UEFI compression format",
    )
    _add_files(decompress)


def _add_files(parser: common.CommandParser) -> None:
    common.add_json_option(parser, "cli.driver_commands:StreamDocument")
    parser.add_argument("input", metavar="IN", type=Path, help="the file to read")
    parser.add_argument("output", metavar="OUT", type=Path, help="the file to write")


def _run_efirom(args: Namespace) -> int:
    ids, *others = [common.read_option(value_types.ID, text, "--id") for text in args.ids]
    fault = efi_image.device_list_fault(ids, others)
    if fault:
        raise UsageError(f"--id: {fault}")
    driver, _ = rom_file.read_rom(args.driver)
    with common.named_errors(args.driver):
        image = option_rom.parse_image(efi_image.wrap_driver(driver, ids, others))
    if not args.stored:

        def compress(data: bytes) -> bytes:
            return _compress(data, args.level)

        image = compression_cache.smallest_image(image, driver, compress)
    output_files.replace_file(args.output, image.data)
    if args.json:
        header = image.header
        assert isinstance(header, option_rom.EfiHeader)
        document = EfiromDocument(
            format=FORMAT,
            file=str(args.output),
            size=len(image.data),
            sha256=fingerprint.sha256(image.data),
            kind=image.kind,
            ids=str(image.ids),
            devices=list(map(str, option_rom.listed_ids(image))),
            compressed=header.compression_type == option_rom.UEFI_COMPRESSED,
            driver=len(driver),
        )
        common.print_json(document)
        return 0
    size, devices = format_bytes(len(image.data)), join_words(map(str, [ids, *others]))
    print(f"{args.output}: {image.kind} image of {size}, {devices}")
    return 0


def _run_compress(args: Namespace) -> int:
    data = _read_driver(args.input)
    stream = _compress(data, args.level)
    output_files.replace_file(args.output, stream)
    if args.json:
        common.print_json(_stream_as_json(args, data, stream))
    else:
        print(f"{args.output}: {len(data):,} bytes compressed to {len(stream):,}")
    return 0


def _run_decompress(args: Namespace) -> int:
    data = _read_driver(args.input)
    with common.named_errors(args.input):
        driver = decoder.decompress(data)
    compressed_size, _ = decoder.sizes(data)
    rest = data[decoder.HEADER.size + compressed_size :].strip(b"\0")
    if rest:
        common.warn(f"{args.input}: {len(rest):,} bytes after the compressed data are left out")
    output_files.replace_file(args.output, driver)
    if args.json:
        common.print_json(_stream_as_json(args, data, driver, len(rest)))
    else:
        print(f"{args.output}: {len(driver):,} bytes")
    return 0


def _stream_as_json(
    args: Namespace, data: bytes, written: bytes, left_out: int = 0
) -> StreamDocument:
    return StreamDocument(
        format=FORMAT,
        file=str(args.output),
        size=len(written),
        sha256=fingerprint.sha256(written),
        input=str(args.input),
        input_size=len(data),
        left_out=left_out,
    )


def _read_driver(path: Path) -> bytes:
    """Reads a file that a ROM could hold; raises RomforgeError where it is too large."""
    limit = decoder.MAX_ORIGINAL_SIZE
    data, _ = fingerprint.read_file(path, limit + 1)
    if len(data) > limit:
        raise RomforgeError(f"{path}: is larger than any option ROM, {format_size(limit)}")
    return data


def _compress(data: bytes, level: str) -> bytes:
    """Compresses, and shows a progress bar on a terminal."""
    if not sys.stderr.isatty():
        return encoder.compress(data, level)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("compressing")

        def show_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return encoder.compress(data, level, show_progress)
