# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge inspect`, `split` and `combine`, which work on ROM files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from romforge.base import fingerprint, output_files
from romforge.base.errors import FormatError, RomforgeError, UsageError
from romforge.base.json_document import FORMAT, Document
from romforge.base.located import Located, Severity
from romforge.base.table import (
    BOLD,
    GREEN,
    RED,
    YELLOW,
    Column,
    paint,
    render_table,
    terminal_width,
    wants_colours,
)
from romforge.base.text import format_bytes, format_offset, format_size, join_words, plural
from romforge.cli import common
from romforge.formats import option_rom, rom_check, rom_file
from romforge.formats.uefi_compression import decoder
from romforge.rom import assembly
from romforge.sources.image import SourceImage
from romforge.spec import value_types

_NOTE, _FAULT = "note", "fault"  # severities, as --json names them
_DEVICES_SHOWN = 4  # of a device list, in the table of images
_ROM_HELP = "a file, or a ROM that the spec builds, by a name as for build"


class ImageSummary(NamedTuple):
    """What `inspect` shows of an image. Offset and size are bytes."""

    kind: str
    offset: int
    size: int
    ids: str
    devices: list[str]  # the IDs of the device list
    last: bool
    contents: str


class FindingSummary(NamedTuple):
    """What `inspect` shows of a fault or a note, ``offset`` bytes into the file."""

    severity: str
    image: int | None  # index in the chain; None for the file as a whole
    offset: int
    text: str


class RomSummary(NamedTuple):
    """What `inspect` shows of a file. Sizes are bytes."""

    file: str
    size: int
    used: int
    bucket: int
    slack: int
    images: list[ImageSummary]
    faults: list[FindingSummary]

    @property
    def is_sound(self) -> bool:
        """Whether nothing but notes was found."""
        return all(finding.severity == _NOTE for finding in self.faults)


class UnreadFile(NamedTuple):
    """A file that `inspect` could not read, by its name on the command line, and why."""

    file: str
    message: str


class InspectDocument(Document):
    """What `inspect --json` prints: the files in the order of the command line."""

    roms: list[RomSummary]
    errors: list[UnreadFile]


class SplitFile(NamedTuple):
    """A file that `split` wrote, and its size in bytes."""

    file: str
    size: int


class SplitDocument(Document):
    """What `split --json` prints: the files that it wrote, in the order of the images."""

    files: list[SplitFile]


class CombineDocument(Document):
    """What `combine --json` prints: the ROM that it wrote. Sizes are bytes."""

    file: str
    size: int
    used: int
    bucket: int
    sha256: str
    images: list[ImageSummary]


class Part(NamedTuple):
    """A file that `split` writes."""

    name: str
    data: bytes
    description: str


def add_rom_commands(commands: common.Commands) -> None:
    """Adds `inspect`, `split` and `combine`."""
    inspect = common.add_command(
        commands,
        "inspect",
        _run_inspect,
        "shows the images, IDs, sizes and bucket of ROMs, and every structural fault",
    )
    common.add_spec_options(inspect)
    common.add_json_option(inspect, "cli.rom_commands:InspectDocument", with_format=True)
    inspect.add_argument("roms", nargs="+", metavar="ROM", help=_ROM_HELP)

    split = common.add_command(
        commands,
        "split",
        _run_split,
        "writes each image of a ROM to a file, and the driver of each EFI image; "
        "those of an .mrom stay together",
    )
    common.add_spec_options(split)
    common.add_json_option(split, "cli.rom_commands:SplitDocument")
    split.add_argument("rom", metavar="ROM", help=_ROM_HELP)
    split.add_argument(
        "-d",
        dest="directory",
        metavar="DIR",
        type=Path,
        required=True,
        help="the directory to write to",
    )

    combine = common.add_command(commands, "combine", _run_combine, "chains images into one ROM")
    common.add_json_option(combine, "cli.rom_commands:CombineDocument")
    combine.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        type=Path,
        help="the images, or ROMs with several, in their order in the ROM",
    )
    combine.add_argument(
        "-o",
        dest="output",
        metavar="OUT",
        type=Path,
        required=True,
        help="the ROM to write",
    )
    combine.add_argument(
        "--bucket",
        metavar="SIZE",
        help="pad to this size, such as 256KiB; fail if the images do not fit",
    )
    combine.add_argument(
        "--id",
        metavar="VVVV:DDDD",
        help="write this vendor and device ID into every image; a device list that lacks it "
        "becomes a list of this device alone",
    )


def _run_inspect(args: Namespace) -> int:
    summaries = []
    errors = []
    for name in args.roms:
        try:
            for path in _files_of(name, args):
                summaries.append(_summarise(path))
        except RomforgeError as error:  # the other files are shown all the same
            errors.append(UnreadFile(name, str(error)))
    if args.format:
        common.print_located(_located(summaries, errors), args.format)
    elif args.json:
        common.print_json(InspectDocument(format=FORMAT, roms=summaries, errors=errors))
    elif summaries:
        texts = ["\n".join(_summary_lines(summary)) for summary in summaries]
        print("\n\n".join(texts))
    for unread in errors:
        common.warn(unread.message)
    is_sound = all(summary.is_sound for summary in summaries)
    return int(bool(errors) or not is_sound)


def _located(summaries: list[RomSummary], unread: list[UnreadFile]) -> Iterator[Located]:
    """The findings on files, with their offsets, and the files that could not be read."""
    for rom in summaries:
        for finding in rom.faults:
            severity: Severity = "note" if finding.severity == _NOTE else "error"
            place = format_offset(finding.offset)
            if finding.image is not None:
                place = f"image {finding.image}, {place}"
            message = f"{place}: {finding.text}"
            yield Located(rom.file, None, None, None, severity, message, "structure")
    for file in unread:
        yield Located(file.file, None, None, None, "error", file.message, "unreadable")


def _files_of(name: str, args: Namespace) -> list[Path]:
    """The file of this name, or else the ROMs of the spec that the name selects, as they are built.

    Raises RomforgeError where there is neither.
    """
    named = common.named_roms(name, args)
    if named is None:
        return [Path(name)]
    return [args.out / rom.path for rom in named.roms]


def _summarise(path: Path) -> RomSummary:
    data, _ = rom_file.read_rom(path)
    chain = option_rom.parse_chain(data)
    used = chain.end
    if chain.fault:
        used = sum(len(image.data) for image in chain.images)
    bucket = assembly.bucket_of(len(data))
    return RomSummary(
        file=str(path),
        size=len(data),
        used=used,
        bucket=bucket,
        slack=bucket - used,
        images=list(map(_summarise_image, chain.images)),
        faults=list(map(_summarise_finding, rom_check.find_faults(data))),
    )


def _summarise_image(image: option_rom.Image) -> ImageSummary:
    return ImageSummary(
        kind=image.kind,
        offset=image.offset,
        size=len(image.data),
        ids=str(image.ids),
        devices=list(map(str, option_rom.listed_ids(image))),
        last=image.is_last,
        contents=_describe_contents(image),
    )


def _describe_contents(image: option_rom.Image) -> str:
    """What an image holds, such as ``driver of 69,120 bytes, compressed to 40,211``."""
    header = image.header
    if not isinstance(header, option_rom.EfiHeader):
        return _describe_code(image)
    if header.compression_type != option_rom.UEFI_COMPRESSED:
        return "driver, stored"
    try:
        compressed, original = decoder.sizes(image.data, header.efi_image_offset)
    except FormatError:
        return "driver, compressed"
    return f"driver of {original:,} bytes, compressed to {compressed:,}"


def _describe_code(image: option_rom.Image) -> str:
    """What an image without a driver holds."""
    if image.kind.is_stub:
        return "no code"
    if image.kind.is_payload:
        return "code of the image before"
    return "code that loads the payload" if image.needs_payload else "code"


def _summarise_finding(finding: rom_check.Fault) -> FindingSummary:
    severity = _NOTE if finding.severity is rom_check.Severity.NOTE else _FAULT
    return FindingSummary(severity, finding.image, finding.offset, finding.text)


def _summary_lines(rom: RomSummary) -> Iterator[str]:
    """A file as text: its size, its images, its faults and notes."""
    yield f"{paint(rom.file, BOLD, wants_colours())}: {format_bytes(rom.size)}"
    yield f"  bucket {format_size(rom.bucket)}, {rom.used:,} used, {rom.slack:,} of slack"
    if rom.images:
        for line in _image_table(rom.images):
            yield f"  {line}"
    for finding in rom.faults:
        yield f"  {_finding_line(finding)}"
    if rom.is_sound:
        yield f"  {_sound_line(rom.faults)}"


def _image_table(images: list[ImageSummary]) -> list[str]:
    columns = [
        Column("#"),
        Column("image"),
        Column("offset", right=True),
        Column("bytes", right=True),
        Column("IDs"),
        Column("contents"),
    ]
    rows = []
    for index, image in enumerate(images):
        offset, size = f"{image.offset:#x}", f"{image.size:,}"
        rows.append([str(index), image.kind, offset, size, _ids_cell(image), image.contents])
    return render_table(columns, rows, terminal_width(indentation=2))


def _ids_cell(image: ImageSummary) -> str:
    """The IDs of an image, and the further devices of its list: ``8086:100e, 100f``."""
    others = [ids.partition(":")[2] for ids in image.devices if ids != image.ids]
    cell = ", ".join([image.ids, *others[:_DEVICES_SHOWN]])
    if len(others) > _DEVICES_SHOWN:
        cell += f", {len(others) - _DEVICES_SHOWN} more"
    return cell


def _finding_line(finding: FindingSummary) -> str:
    colour = RED if finding.severity == _FAULT else YELLOW
    label = paint(finding.severity, colour, wants_colours())
    place = format_offset(finding.offset)
    if finding.image is not None:
        place = f"image {finding.image}, {place}"
    return f"{label}: {place}: {finding.text}"


def _sound_line(notes: list[FindingSummary]) -> str:
    """That there is no fault, and whether the checks could look at all of the file."""
    if any(note.text.startswith(rom_check.NOT_EXAMINED) for note in notes):
        return "no faults in the parts that were checked"
    return paint("no faults", GREEN, wants_colours())


def _run_split(args: Namespace) -> int:
    paths = _files_of(args.rom, args)
    if len(paths) != 1:
        raise UsageError(
            f'"{args.rom}" names several ROMs: {join_words(map(str, paths))}; name one'
        )
    (path,) = paths
    data, _ = rom_file.read_rom(path)
    with common.named_errors(path):
        chain = option_rom.parse_rom(data)
    if not option_rom.is_padding(data[chain.end :]):
        common.warn(
            f"{path}: {format_offset(chain.end)}: "
            "the data after the last image is not padding, and is left out"
        )
    parts = list(_split_chain(chain, path))
    args.directory.mkdir(parents=True, exist_ok=True)
    for part in parts:
        output_files.replace_file(args.directory / part.name, part.data)
    if args.json:
        rows = []
        for part in parts:
            rows.append(SplitFile(str(args.directory / part.name), len(part.data)))
        common.print_json(SplitDocument(format=FORMAT, files=rows))
        return 0
    cells = []
    for part in parts:
        cells.append([str(args.directory / part.name), f"{len(part.data):,}", part.description])
    columns = [Column("file"), Column("bytes", right=True), Column("contents")]
    print("\n".join(render_table(columns, cells, terminal_width())))
    return 0


def _split_chain(chain: option_rom.Chain, rom: Path) -> Iterator[Part]:
    """The images of a chain, and the driver inside each EFI image.

    A payload stays in the file of the image that cannot boot without it.
    """
    effort = rom_check.effort_each(chain.images)
    for image, payload in option_rom.group_images(chain.images):
        index = chain.images.index(image)
        stem = f"{index}-{image.kind.replace(' ', '-')}"
        if payload is None:
            yield Part(f"{stem}.rom", image.data, "the image, byte for byte")
        else:
            description = "the image and its payload, byte for byte"
            yield Part(f"{stem}.rom", image.data + payload.data, description)
        if isinstance(image.header, option_rom.EfiHeader):
            with common.named_errors(f"{rom}: image {index}"):
                driver = option_rom.driver_of(image, effort)
            yield Part(f"{stem}.efi", driver, "its driver")


def _run_combine(args: Namespace) -> int:
    ids = common.read_option(value_types.ID, args.id, "--id")
    bucket = common.read_option(value_types.SIZE, args.bucket, "--bucket")
    images = []
    for path in args.images:
        for image, payload in option_rom.group_images(_read_images(path)):
            images.append(SourceImage(image, image.kind, str(path), payload=payload))
    if ids is None:
        _warn_of_different_ids(images, args.output)
    with common.named_errors(join_words(map(str, args.images))):
        chained = assembly.chain_images(images, ids=ids)
    try:
        data = assembly.fit_bucket(chained, bucket=bucket)
    except assembly.BucketError as error:
        raise RomforgeError(f"{args.output}: {error}") from None
    rom_check.require_sound(data, str(args.output))
    output_files.replace_file(args.output, data)
    if args.json:
        common.print_json(_combined_as_json(args.output, data))
        return 0
    count = plural(sum(len(source.images) for source in images), "image")
    bucket_size = format_size(assembly.bucket_of(len(data)))
    print(f"{args.output}: {count}, {len(data):,} bytes, bucket {bucket_size}")
    return 0


def _combined_as_json(path: Path, data: bytes) -> CombineDocument:
    chain = option_rom.parse_rom(data)
    return CombineDocument(
        format=FORMAT,
        file=str(path),
        size=len(data),
        used=chain.end,
        bucket=assembly.bucket_of(len(data)),
        sha256=fingerprint.sha256(data),
        images=list(map(_summarise_image, chain.images)),
    )


def _read_images(path: Path) -> list[option_rom.Image]:
    """The images of a file; raises RomforgeError where it holds anything else."""
    data, _ = rom_file.read_rom(path)
    if data[:2] == b"MZ":
        raise RomforgeError(
            f"{path}: is a PE driver, not an image of a ROM; wrap it with `romforge efirom`"
        )
    chain = option_rom.parse_chain(data)
    # `split` keeps the bytes of an image, so it may claim that another one follows. That is no
    # fault if the image ends where the file does.
    is_whole_image = bool(chain.images) and chain.end == len(data)
    if chain.fault and not is_whole_image:
        raise RomforgeError(f"{path}: {chain.fault}")
    if not option_rom.is_padding(data[chain.end :]):
        raise RomforgeError(
            f"{path}: {format_offset(chain.end)}: the data after the last image is not padding"
        )
    return list(chain.images)


def _warn_of_different_ids(images: list[SourceImage], output: Path) -> None:
    if set.intersection(*(option_rom.served_ids(source.image) for source in images)):
        return
    ids = join_words(f"{source.image.ids} ({source.name})" for source in images)
    common.warn(
        f"{output}: the images have different IDs: {ids}; --id VVVV:DDDD writes one into all"
    )
