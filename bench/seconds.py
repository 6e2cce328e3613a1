# SPDX-License-Identifier: GPL-2.0-or-later
"""What has a limit in seconds, of processor time; boots: of the clock, on two cores.

The tests hold the same work to ratios, which no other work on the machine spoils. This needs a
machine of its own:

    python bench/seconds.py [--only WORDS] [--json]
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

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP), str(TOP / "src")]

from measure import Measure, option, tell  # noqa: E402

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="WORDS", default="", help="measures with these words")
    option(parser)
    given = parser.parse_args()
    measures = []
    for what, (limit, measure) in MEASURES.items():
        if given.only in what:
            with tempfile.TemporaryDirectory() as directory:
                seconds, detail = measure(Path(directory))
            measures.append(
                Measure("seconds", what, seconds, "seconds", at_most=limit, detail=detail)
            )
    return int(not tell(measures, given.json))


def least(action: Callable[[], object], rounds: int = 3) -> tuple[float, str]:
    return min(spent(action) for _ in range(rounds)), f"least of {rounds}"


def hostile(top: Path) -> tuple[float, str]:
    """The slowest of all commands on all files of 16 MiB, each twice."""
    found = []
    for name, make in large_roms.LARGE.items():
        (top / "large.rom").write_bytes(make())
        for command, arguments in large_roms.COMMANDS.items():
            words = [argument.format("large.rom") for argument in arguments]
            used = [measured(top, *words).cpu for _ in range(2)]
            found.append((min(used), f"{command} of {name}"))
    return max(found)


def mistakes(top: Path) -> tuple[float, str]:
    def read(text: str) -> None:
        (top / "romspec.toml").write_text(text)
        try:
            loader.load_spec(top / "romspec.toml")
        except SpecError:
            return
        raise SystemExit("a spec full of mistakes was taken for a sound one")

    longest = max(least(partial(read, text))[0] for text in MISTAKES)
    return longest, f"the longest of {len(MISTAKES)}"


def why(top: Path) -> tuple[float, str]:
    built = linked.project(top, linked.bigtree)
    return least(lambda: built.why(linked.ROM))


def minipxe(top: Path) -> tuple[float, str]:
    tree = Tree(top / "minipxe")
    return spent(lambda: tree.make("bin-x86_64-efi/8086100e.efirom", jobs=1)), "one job"


def driver(level: str) -> Callable[[Path], tuple[float, str]]:
    def measure(top: Path) -> tuple[float, str]:
        data = (debian.unpack("sid", top) / "efi-e1000.rom").read_bytes()
        content = option_rom.driver_of(option_rom.parse_rom(data).images[1])
        return least(lambda: encoder.compress(content, level))

    return measure


def shapeless(top: Path) -> tuple[float, str]:
    noise = random.Random(6).randbytes(MIB)
    found = {"zeros": bytes(MIB), "one byte": b"\x5a" * MIB, "noise": noise}
    return max((spent(partial(encoder.compress, data)), name) for name, data in found.items())


def application(top: Path) -> tuple[float, str]:
    data = debian.applications(top)["amd64"].read_bytes()
    return spent(lambda: encoder.compress(data)), f"{len(data):,} bytes"


def boots(top: Path) -> tuple[float, str]:
    (top / "romspec.toml").write_text(matrix.spec(debian.unpack("sid", top / "roms"), debian.NICS))
    began = time.monotonic()
    command = [sys.executable, "-m", "romforge", "verify"]
    done = subprocess.run(
        command,
        cwd=top,
        env={**os.environ, "PYTHONPATH": str(TOP / "src")},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}")
    return time.monotonic() - began, "built, booted and checked"


MEASURES: dict[str, tuple[float, Callable[[Path], tuple[float, str]]]] = {
    "a command on 16 MiB of anything": (1, hostile),
    "a spec full of mistakes told": (1, mistakes),
    "why of a ROM, a tree of 1,000 sources": (3, why),
    "minipxe's driver built": (4, minipxe),
    "a driver of 70 KB compressed at fast": (1, driver("fast")),
    "a driver of 70 KB compressed at default": (4, driver("default")),
    "a MiB without structure compressed": (10, shapeless),
    "a MiB of code compressed": (90, application),
    "sid's 32 boots": (300, boots),
}

if __name__ == "__main__":
    raise SystemExit(main())
