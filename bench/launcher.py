# SPDX-License-Identifier: GPL-2.0-or-later
"""The cost and gain of compiler launchers: fresh builds with ccache, with distcc and without one.

    python bench/launcher.py [--sources N] [--jobs N] [--rounds N] [--json]

Each build starts from nothing, and all must give the same bytes. The builds run in turn, and the
least wall time of each is divided by that without a launcher.

Both distccd run on this machine. So this shows the cost of distcc, and not the gain from other
machines. The servers cannot compile the objects of a driver's device list, since the compiler reads
these from standard input.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bigtree import generate
from measure import Measure, add_json_option, print_measures
from tree import clean_environment, run

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP), str(TOP / "src")]

from tests.support import distccd  # noqa: E402

NAMES = {
    "ccache cold": "ccache, cold",
    "ccache warm": "ccache, warm",
    "distcc": "two distccd on this machine",
}
SPEC = """spec = 1
[toolchain]
launcher = "{launcher}"
[source.ipxe]
tree = "tree"
[platform.pcbios]
[platform.x86_64-efi]
[nic.e1000]
id = "8086:100e"
[target.all]
dir = "roms"
file = "{{nic}}.rom"
images = ["pcbios", "x86_64-efi"]
level = "stored"
"""


class Build(NamedTuple):
    """A fresh build: its seconds and its ROM.

    ``share`` is the share of objects that were not compiled locally, or None without a launcher.
    """

    seconds: float
    share: float | None
    rom: bytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=300, help="number of generated sources")
    parser.add_argument(
        "--jobs",
        type=int,
        default=4,
        help="number of jobs of a build with distcc, half of them for each of two servers",
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of builds of each kind")
    add_json_option(parser)
    args = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        generate(top / "tree", sources=args.sources)
        rounds = [build_each_kind(top, args.jobs) for _ in range(args.rounds)]
    is_met = print_measures(compare(rounds), args.json)
    return int(not is_met)


def build_each_kind(top: Path, jobs: int) -> dict[str, Build]:
    """Makes a build of each kind."""
    ccache = {"CCACHE_DIR": str(top / "ccache"), "HOME": str(top)}
    shutil.rmtree(top / "ccache", ignore_errors=True)
    builds = {"without": Build(build(top, "", {}), None, rom(top))}
    for name in ("ccache cold", "ccache warm"):
        seconds = build(top, "ccache", ccache)
        builds[name] = Build(seconds, hit_rate(ccache), rom(top))
    with distccd.running(top, max(1, jobs // 2)) as servers:
        distcc = {"DISTCC_HOSTS": servers.hosts, "HOME": str(top)}
        seconds = build(top, "distcc", distcc, jobs)
        objects = len(list((top / "out").rglob("bin*/*.o")))
        compiled = len(servers.compiled(0)) + len(servers.compiled(1))
        builds["distcc"] = Build(seconds, compiled / objects, rom(top))
    return builds


def rom(top: Path) -> bytes:
    return (top / "out/roms/e1000.rom").read_bytes()


def compare(rounds: list[dict[str, Build]]) -> list[Measure]:
    """The ratio of each kind of build to that without a launcher. Exits if ROMs differ."""
    expected = rounds[0]["without"].rom
    usual = least_seconds(rounds, "without")
    measures = []
    for name, last in rounds[-1].items():
        if any(builds[name].rom != expected for builds in rounds):
            raise SystemExit(f"{name}: the ROM differs from that without a launcher")
        if last.share is None:
            continue
        seconds = least_seconds(rounds, name)
        origin = "made by the servers" if name == "distcc" else "from the cache"
        what = f"fresh build: {NAMES[name]} / without a launcher"
        detail = (
            f"{last.share:.1%} of the objects {origin}; "
            f"{seconds:.1f} s and {usual:.1f} s, least of {len(rounds)}"
        )
        measures.append(Measure("launcher", what, seconds / usual, detail=detail))
    return measures


def least_seconds(rounds: list[dict[str, Build]], name: str) -> float:
    return min(builds[name].seconds for builds in rounds)


def build(top: Path, launcher: str, variables: dict[str, str], jobs: int | None = None) -> float:
    """The seconds that a build from nothing takes, with environment variables of its own."""
    shutil.rmtree(top / "out", ignore_errors=True)
    (top / "romspec.toml").write_text(SPEC.format(launcher=launcher))
    environment = clean_environment("ROM", "IPXE_SRC", "CCACHE_", "DISTCC_")
    environment["PYTHONPATH"] = str(TOP / "src")
    environment.update(variables)
    command = [sys.executable, "-m", "romforge", "build"]
    if jobs:
        command += ["--jobs", str(jobs)]
    start = time.monotonic()
    run(command, top, environment)
    return time.monotonic() - start


def hit_rate(variables: dict[str, str]) -> float:
    """The share of compilations that ccache had cached, since the last call of this function."""
    environment = {**os.environ, **variables}
    statistics = subprocess.run(
        ["ccache", "--print-stats"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    counts = {}
    for line in statistics.splitlines():
        name, count = line.split("\t")
        counts[name] = int(count)
    subprocess.run(["ccache", "-z"], env=environment, check=True, capture_output=True)
    hits = counts["direct_cache_hit"] + counts["preprocessed_cache_hit"]
    return hits / (hits + counts["cache_miss"])


if __name__ == "__main__":
    raise SystemExit(main())
