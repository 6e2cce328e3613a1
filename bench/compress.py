# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes and times of the compressor on real drivers, at each level, against EDK2's.

    python bench/compress.py [--levels LEVEL,…] [--suites SUITE,…] [--jobs N] [--check]

The drivers are those of Debian's ipxe-qemu in trixie and sid, and the four ipxe-*.efi of sid's
package ipxe. The reference is EDK2's EfiCompress, C code in the module uefi_firmware. If a package
has a compressed driver, the reference must give its stream. EDK2's decoder decodes each stream.

Sizes are bytes of a stream without its header and padding. Gains are percentages of the reference.
Times are CPU time, which grows if several drivers share a core. With ``--check``, the exit status
is 1 if a sum exceeds its limit.
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


class Driver(NamedTuple):
    """A driver to compress. ``packaged`` is the size of its stream in the package, or None."""

    suite: str
    name: str
    data: bytes
    packaged: int | None


class Result(NamedTuple):
    """The bytes of a stream, and the CPU seconds of its compression."""

    size: int
    seconds: float


class Job(NamedTuple):
    """The compression of a driver at a level."""

    suite: str
    driver: str
    level: str


def main() -> int:
    args = parse_arguments()
    drivers = []
    for suite in args.suites:
        drivers += read_drivers(suite)
    longest_first = sorted(drivers, key=lambda driver: -len(driver.data))
    jobs: dict[Job, Future[Result]] = {}
    measures = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for level in reversed(args.levels):
            for driver in longest_first:
                job = Job(driver.suite, driver.name, level)
                jobs[job] = pool.submit(compress, driver.data, level)
        print_header(args.levels)
        for suite in args.suites:
            drivers_of_suite = [driver for driver in drivers if driver.suite == suite]
            measures += measure_suite(suite, drivers_of_suite, args.levels, jobs)
    is_met = print_measures(measures, args.json)
    return int(args.check and not is_met)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--levels",
        type=list_of(encoder.LEVELS),
        default=list(encoder.LEVELS),
        help="fast, default, best (default: all)",
    )
    parser.add_argument(
        "--suites",
        type=list_of(SUITES),
        default=list(SUITES),
        help="trixie, sid, ipxe (default: all)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="number of drivers to compress at a time (default: the number of processors)",
    )
    parser.add_argument("--check", action="store_true", help="fail if a sum exceeds its limit")
    add_json_option(parser)
    return parser.parse_args()


def list_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A type for argparse: a list of known words, separated by commas."""

    def parse(text: str) -> list[str]:
        words = text.split(",")
        unknown = sorted(set(words) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}"
            )
        return words

    return parse


def read_drivers(suite: str) -> list[Driver]:
    """The drivers of a suite, decompressed."""
    drivers = []
    with tempfile.TemporaryDirectory() as directory:
        if suite == "ipxe":
            for path in debian.applications(Path(directory)).values():
                drivers.append(Driver(suite, path.name, path.read_bytes(), None))
            return drivers
        roms = debian.unpack(suite, Path(directory))
        for nic in debian.NICS:
            image = option_rom.parse_rom((roms / f"efi-{nic}.rom").read_bytes()).images[1]
            assert isinstance(image.header, option_rom.EfiHeader)
            packaged, _ = decoder.sizes(image.data, image.header.efi_image_offset)
            drivers.append(Driver(suite, nic, option_rom.driver_of(image), packaged))
    return drivers


def compress(data: bytes, level: str) -> Result:
    """Compresses data, in a process of its own, and checks the stream with EDK2's decoder."""
    start = time.process_time()
    stream = encoder.compress(data, level)
    seconds = time.process_time() - start
    if bytes(efi_compressor.EfiDecompress(stream, len(stream))) != data:
        raise SystemExit(f"EDK2's decoder does not restore what was compressed at level {level}")
    size, _ = decoder.sizes(stream)
    return Result(size, seconds)


def compress_reference(driver: Driver) -> Result:
    """Compresses a driver with EDK2's EfiCompress, and takes the least time of five.

    Exits if the size is not that of the stream in the package.
    """
    times = []
    for _ in range(5):
        start = time.process_time()
        stream = bytes(efi_compressor.EfiCompress(driver.data, len(driver.data)))
        times.append(time.process_time() - start)
    size, _ = decoder.sizes(stream)
    if driver.packaged is not None and driver.packaged != size:
        raise SystemExit(
            f"{driver.suite} {driver.name}: EDK2 gives {size} bytes, "
            f"but the package has {driver.packaged}"
        )
    return Result(size, min(times))


def measure_suite(
    suite: str, drivers: list[Driver], levels: list[str], jobs: dict[Job, Future[Result]]
) -> list[Measure]:
    """Prints the rows of a suite and their sums, and returns the sums as measures."""
    rows = []
    for driver in drivers:
        row = [compress_reference(driver)]
        row += [jobs[Job(suite, driver.name, level)].result() for level in levels]
        rows.append(row)
        print_row(f"{suite} {driver.name}", len(driver.data), row)
    sums = [sum_results(column) for column in zip(*rows)]
    print_row(f"{suite}, all {len(drivers)}", sum(len(driver.data) for driver in drivers), sums)
    reference, *results = sums
    measures = []
    for level, result in zip(levels, results):
        gain = gain_percent(result, reference)
        measure = Measure(
            bench="compress",
            what=f"{len(drivers)} drivers of {suite} compressed at {level}",
            value=result.size,
            unit="bytes",
            at_most=LIMITS.get((suite, level)),
            detail=f"{gain:.2f} % less than EDK2's {reference.size:,}, in {result.seconds:.1f} s",
        )
        measures.append(measure)
    return measures


def sum_results(results: Iterable[Result]) -> Result:
    size = 0
    seconds = 0.0
    for result in results:
        size += result.size
        seconds += result.seconds
    return Result(size, seconds)


def gain_percent(result: Result, reference: Result) -> float:
    return 100 - 100 * result.size / reference.size


def print_header(levels: list[str]) -> None:
    cells = []
    for level in levels:
        cells += [level, "gain", "s"]
    print_cells(["driver", "bytes", "reference", "ms", *cells])


def print_row(name: str, size: int, results: list[Result]) -> None:
    """Prints a row of the table; the first result is the reference."""
    reference, *ours = results
    cells = [name, f"{size:,}", f"{reference.size:,}", f"{reference.seconds * 1000:.1f}"]
    for result in ours:
        gain = gain_percent(result, reference)
        cells += [f"{result.size:,}", f"{gain:.2f} %", f"{result.seconds:.2f}"]
    print_cells(cells)


def print_cells(cells: list[str]) -> None:
    """Prints a line of the table to standard error, since standard output may be JSON."""
    name, size, reference, milliseconds, *others = cells
    line = f"{name:<22}{size:>10}{reference:>11}{milliseconds:>7}"
    for index, cell in enumerate(others):
        line += cell.rjust((11, 8, 8)[index % 3])
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
