# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures with a limit in seconds: CPU time, or for boots wall time on two cores.

The tests limit the same things by ratios, which do not depend on the load of the machine. These
measures need a machine without other load.

    python bench/seconds.py [--only TEXT] [--json]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP), str(TOP / "src")]

from measure import Measure, add_json_option, print_measures  # noqa: E402

from romforge.base.errors import SpecError  # noqa: E402
from romforge.formats import option_rom  # noqa: E402
from romforge.formats.uefi_compression import encoder  # noqa: E402
from romforge.spec import loader  # noqa: E402
from tests.support import debian, large_roms, linked, matrix  # noqa: E402
from tests.support.measuring import measured  # noqa: E402
from tests.support.minipxe import Tree  # noqa: E402
from tests.support.specs import MISTAKES  # noqa: E402
from tests.support.yardstick import spent  # noqa: E402

MIB = 1 << 20


class Timing(NamedTuple):
    """Measured seconds, and how they were measured."""

    seconds: float
    detail: str


class Benchmark(NamedTuple):
    """A limit in seconds, and a function that measures in an empty directory."""

    limit: float
    measure: Callable[[Path], Timing]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="only measures whose name contains this"
    )
    add_json_option(parser)
    args = parser.parse_args()
    measures = []
    for what, (limit, measure) in BENCHMARKS.items():
        if args.only not in what:
            continue
        with tempfile.TemporaryDirectory() as directory:
            seconds, detail = measure(Path(directory))
        measures.append(Measure("seconds", what, seconds, "seconds", at_most=limit, detail=detail))
    return int(not print_measures(measures, args.json))


def least(action: Callable[[], object], rounds: int = 3) -> Timing:
    """The least CPU time of an action in several rounds."""
    seconds = min(spent(action) for _ in range(rounds))
    return Timing(seconds, f"least of {rounds}")


def hostile_files(top: Path) -> Timing:
    """The slowest of all commands on all files of 16 MiB, each of which runs twice."""
    timings = []
    for name, make in large_roms.LARGE.items():
        (top / "large.rom").write_bytes(make())
        for command, template in large_roms.COMMANDS.items():
            arguments = [argument.format("large.rom") for argument in template]
            first = measured(top, *arguments).cpu
            second = measured(top, *arguments).cpu
            timings.append(Timing(min(first, second), f"{command} of {name}"))
    return max(timings)


def invalid_specs(top: Path) -> Timing:
    """The slowest error message for a spec that is full of mistakes."""

    def read(text: str) -> None:
        (top / "romspec.toml").write_text(text)
        try:
            loader.load_spec(top / "romspec.toml")
        except SpecError:
            return
        raise SystemExit("no error was reported for a spec that is full of mistakes")

    longest = max(least(partial(read, text)).seconds for text in MISTAKES)
    return Timing(longest, f"the longest of {len(MISTAKES)}")


def why(top: Path) -> Timing:
    """`romforge why` of a ROM from a tree of 1,000 sources."""
    built = linked.project(top, linked.bigtree)
    return least(lambda: built.why(linked.ROM))


def minipxe_driver(top: Path) -> Timing:
    """The build of minipxe's EFI driver."""
    tree = Tree(top / "minipxe")
    seconds = spent(lambda: tree.make("bin-x86_64-efi/8086100e.efirom", jobs=1))
    return Timing(seconds, "one job")


def compressed_driver(level: str) -> Callable[[Path], Timing]:
    """The compression of a packaged driver at a level."""

    def measure(top: Path) -> Timing:
        data = (debian.unpack("sid", top) / "efi-e1000.rom").read_bytes()
        content = option_rom.driver_of(option_rom.parse_rom(data).images[1])
        return least(lambda: encoder.compress(content, level))

    return measure


def uniform_data(top: Path) -> Timing:
    """The slowest compression of a MiB of zeros, of another byte, or of noise."""
    noise = random.Random(6).randbytes(MIB)
    timings = []
    for name, data in (("zeros", bytes(MIB)), ("one byte", b"\x5a" * MIB), ("noise", noise)):
        timings.append(Timing(spent(partial(encoder.compress, data)), name))
    return max(timings)


def compressed_application(top: Path) -> Timing:
    """The compression of iPXE's application for amd64."""
    data = debian.applications(top)["amd64"].read_bytes()
    seconds = spent(lambda: encoder.compress(data))
    return Timing(seconds, f"{len(data):,} bytes")


def boots(top: Path) -> Timing:
    """The wall time of a verify of all ROMs of a release."""
    (top / "romspec.toml").write_text(matrix.spec(debian.unpack("sid", top / "roms"), debian.NICS))
    start = time.monotonic()
    command = [sys.executable, "-m", "romforge", "verify"]
    done = subprocess.run(
        command,
        cwd=top,
        env={**os.environ, "PYTHONPATH": str(TOP / "src")},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit status {done.returncode}")
    return Timing(time.monotonic() - start, "built, booted and checked")


BENCHMARKS = {
    "a command on 16 MiB of anything": Benchmark(1, hostile_files),
    "errors of a spec full of mistakes": Benchmark(1, invalid_specs),
    "why of a ROM, a tree of 1,000 sources": Benchmark(3, why),
    "minipxe's driver built": Benchmark(4, minipxe_driver),
    "a driver of 70 KB compressed at fast": Benchmark(1, compressed_driver("fast")),
    "a driver of 70 KB compressed at default": Benchmark(4, compressed_driver("default")),
    "a MiB without structure compressed": Benchmark(10, uniform_data),
    "a MiB of code compressed": Benchmark(90, compressed_application),
    "sid's 32 boots": Benchmark(300, boots),
}

if __name__ == "__main__":
    raise SystemExit(main())
