# SPDX-License-Identifier: GPL-2.0-or-later
"""How small the compressor makes real drivers, and how long it takes: against EDK2's, at each level.

The drivers are those of Debian's ipxe-qemu in trixie and sid, and the four ipxe-*.efi of sid's package ipxe:

    python bench/compress.py [--levels fast,default,best] [--suites trixie,sid,ipxe] [--jobs N] [--check]

The reference is EDK2's EfiCompress, C code that the module uefi_firmware carries; where a package has its driver compressed,
it is compared with that stream, too. Sizes are bytes, of the stream without its header and of no padding; gains are in
percent of the reference; seconds are CPU time, longer where several drivers share a core. Each stream is decoded by EDK2's
decoder. With ``--check`` the exit status is 1 where a sum is over its limit.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from uefi_firmware import efi_compressor  # type: ignore[import-untyped]

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP), str(TOP / "src")]

from measure import Measure, add_json_option, print_measures  # noqa: E402

from romforge.formats import option_rom  # noqa: E402
from romforge.formats.uefi_compression import decoder, encoder  # noqa: E402
from tests.support import debian  # noqa: E402

SUITES = "trixie", "sid", "ipxe"
LIMITS = {
    ("sid", "fast"): 294_500,
    ("sid", "default"): 291_500,
    ("sid", "best"): 290_600,
    ("trixie", "best"): 375_600,
}
HEADER = decoder.HEADER.size


class Driver(NamedTuple):
    """What is compressed, and the size of the stream that its package has, 0 where it has none."""

    suite: str
    name: str
    data: bytes
    packaged: int


class Result(NamedTuple):
    """Bytes and seconds."""

    size: int
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--levels",
        type=_words(encoder.LEVELS),
        default=list(encoder.LEVELS),
        help="fast, default, best; default: all",
    )
    parser.add_argument(
        "--suites",
        type=_words(SUITES),
        default=list(SUITES),
        help="trixie, sid, ipxe; default: all",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="drivers at once; default: as many as processors",
    )
    parser.add_argument("--check", action="store_true", help="fail where a sum is over its limit")
    add_json_option(parser)
    args = parser.parse_args()
    drivers = [driver for suite in args.suites for driver in _drivers(suite)]
    with ProcessPoolExecutor(args.jobs) as pool:
        longest_first = sorted(drivers, key=lambda driver: -len(driver.data))
        begun = {
            (one.suite, one.name, level): pool.submit(_ours, one.data, level)
            for level in args.levels[::-1]
            for one in longest_first
        }
        _table(
            _line(
                "driver",
                "bytes",
                "reference",
                "ms",
                [cell for level in args.levels for cell in (level, "gain", "s")],
            )
        )
        measures = [
            one
            for suite in args.suites
            for one in _suite(
                suite, [driver for driver in drivers if driver.suite == suite], args.levels, begun
            )
        ]
    fine = print_measures(measures, args.json)
    return int(args.check and not fine)


def _table(line: str) -> None:
    """The table of drivers is for people, and out of the way of JSON."""
    print(line, file=sys.stderr, flush=True)


def _words(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A list of known words, for argparse."""

    def read(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(known)}")
        return text.split(",")

    return read


def _drivers(suite: str) -> list[Driver]:
    with tempfile.TemporaryDirectory() as directory:
        if suite == "ipxe":
            return [
                Driver(suite, path.name, path.read_bytes(), 0)
                for path in debian.applications(Path(directory)).values()
            ]
        roms = debian.unpack(suite, Path(directory))
        found = []
        for nic in debian.NICS:
            image = option_rom.parse_rom((roms / f"efi-{nic}.rom").read_bytes()).images[1]
            assert isinstance(image.header, option_rom.EfiHeader)
            packaged = decoder.sizes(image.data, image.header.efi_image_offset)[0]
            found.append(Driver(suite, nic, option_rom.driver_of(image), packaged))
        return found


def _ours(data: bytes, level: str) -> Result:
    """Compresses, in a process of its own, and has EDK2's decoder look at the stream."""
    began = time.process_time()
    stream = encoder.compress(data, level)
    spent = time.process_time() - began
    if bytes(efi_compressor.EfiDecompress(stream, len(stream))) != data:
        raise SystemExit(f"EDK2's decoder does not give back what was compressed at level {level}")
    return Result(decoder.sizes(stream)[0], spent)


def _reference(driver: Driver) -> Result:
    """EDK2's EfiCompress: the least time of five; the size must be that of the stream in the package."""
    times = []
    for _ in range(5):
        began = time.process_time()
        stream = bytes(efi_compressor.EfiCompress(driver.data, len(driver.data)))
        times.append(time.process_time() - began)
    size = decoder.sizes(stream)[0]
    if driver.packaged not in (0, size):
        raise SystemExit(
            f"{driver.suite} {driver.name}: EDK2 gives {size} bytes, the package has {driver.packaged}"
        )
    return Result(size, min(times))


def _suite(
    suite: str,
    drivers: list[Driver],
    levels: list[str],
    begun: dict[tuple[str, str, str], Future[Result]],
) -> list[Measure]:
    """Prints the lines of a suite, and their sums, which are what it measures."""
    rows = []
    for driver in drivers:
        row = [_reference(driver), *(begun[suite, driver.name, level].result() for level in levels)]
        rows.append(row)
        _print(f"{suite} {driver.name}", len(driver.data), row)
    sums = [
        Result(sum(one.size for one in column), sum(one.seconds for one in column))
        for column in zip(*rows)
    ]
    _print(f"{suite}, all {len(drivers)}", sum(len(driver.data) for driver in drivers), sums)
    found = []
    for level, one in zip(levels, sums[1:]):
        gain = 100 - 100 * one.size / sums[0].size
        detail = f"{gain:.2f} % less than EDK2's {sums[0].size:,}, in {one.seconds:.1f} s"
        what = f"{len(drivers)} drivers of {suite} compressed at {level}"
        found.append(
            Measure(
                "compress",
                what,
                one.size,
                "bytes",
                at_most=LIMITS.get((suite, level)),
                detail=detail,
            )
        )
    return found


def _print(name: str, size: int, row: list[Result]) -> None:
    reference, ours = row[0], row[1:]
    cells = []
    for one in ours:
        cells += [
            f"{one.size:,}",
            f"{100 - 100 * one.size / reference.size:.2f} %",
            f"{one.seconds:.2f}",
        ]
    _table(
        _line(name, f"{size:,}", f"{reference.size:,}", f"{reference.seconds * 1000:.1f}", cells)
    )


def _line(name: str, size: str, reference: str, spent: str, cells: list[str]) -> str:
    return f"{name:<22}{size:>10}{reference:>11}{spent:>7}" + "".join(
        f"{cell:>{(11, 8, 8)[index % 3]}}" for index, cell in enumerate(cells)
    )


if __name__ == "__main__":
    raise SystemExit(main())
