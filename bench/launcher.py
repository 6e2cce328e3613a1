# SPDX-License-Identifier: GPL-2.0-or-later
"""What compiler launchers cost and gain: fresh builds of a generated tree, without one and through ccache and distcc.

    python bench/launcher.py [--sources N] [--jobs N] [--rounds N] [--json]

Each build is from nothing, and all must have the same bytes. The builds take turns, and the least wall time of each is divided
by that without a launcher. The two distccd run on this very machine, so what is seen of distcc is its cost, and none of the gain
that other machines bring; objects that a driver's device list is made into come from standard input, and so no server makes them.
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
from measure import Measure, option, tell

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=300, help="generated sources")
    parser.add_argument(
        "--jobs",
        type=int,
        default=4,
        help="of builds through distcc, half of them for each of two servers",
    )
    parser.add_argument("--rounds", type=int, default=3, help="builds of each kind, in turn")
    option(parser)
    given = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory, "tree"), sources=given.sources)
        rounds = [measure(Path(directory), given.jobs) for _ in range(given.rounds)]
    return int(not tell(summed_up(rounds), given.json))


class Build(NamedTuple):
    """A build: seconds, the share of objects that did not have to be compiled here, and its ROM."""

    seconds: float
    share: float | None
    rom: bytes


def measure(top: Path, jobs: int) -> dict[str, Build]:
    """A build of each kind."""
    cache = {"CCACHE_DIR": str(top / "ccache"), "HOME": str(top)}
    shutil.rmtree(top / "ccache", ignore_errors=True)
    builds = {"without": Build(build(top, "", {}), None, rom(top))}
    for name in ("ccache cold", "ccache warm"):
        builds[name] = Build(build(top, "ccache", cache), hit_rate(cache), rom(top))
    with distccd.running(top, max(1, jobs // 2)) as servers:
        seconds = build(top, "distcc", {"DISTCC_HOSTS": servers.hosts, "HOME": str(top)}, jobs)
        objects = len(list((top / "out").rglob("bin*/*.o")))
        builds["distcc"] = Build(
            seconds, (len(servers.compiled(0)) + len(servers.compiled(1))) / objects, rom(top)
        )
    return builds


def rom(top: Path) -> bytes:
    return (top / "out/roms/e1000.rom").read_bytes()


def summed_up(rounds: list[dict[str, Build]]) -> list[Measure]:
    """The ratio of each kind of build to that without a launcher; ends all where the bytes are not the same."""
    usual = min(one["without"].seconds for one in rounds)
    found = []
    for name, last in rounds[-1].items():
        if any(one[name].rom != rounds[0]["without"].rom for one in rounds):
            raise SystemExit(f"{name}: the ROM has other bytes than without a launcher")
        seconds = min(one[name].seconds for one in rounds)
        if last.share is not None:
            whence = "made by the servers" if name == "distcc" else "from the cache"
            detail = f"{last.share:.1%} of the objects {whence}; {seconds:.1f} s and {usual:.1f} s, least of {len(rounds)}"
            found.append(
                Measure(
                    "launcher",
                    f"fresh build: {NAMES[name]} / without a launcher",
                    seconds / usual,
                    detail=detail,
                )
            )
    return found


def build(top: Path, launcher: str, environment: dict[str, str], jobs: int | None = None) -> float:
    """Seconds that a build from nothing takes."""
    shutil.rmtree(top / "out", ignore_errors=True)
    (top / "romspec.toml").write_text(SPEC.format(launcher=launcher))
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ROM", "IPXE_SRC", "CCACHE_", "DISTCC_"))
    }
    command = [sys.executable, "-m", "romforge", "build", *(["--jobs", str(jobs)] if jobs else [])]
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=top,
        env=clean | {"PYTHONPATH": str(TOP / "src")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{launcher}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.monotonic() - began


def hit_rate(environment: dict[str, str]) -> float:
    """The share of compilations that ccache knew, of those since the last look that it can know."""
    told = subprocess.run(
        ["ccache", "--print-stats"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    counts = {
        name: int(count) for name, count in (line.split("\t") for line in told.stdout.splitlines())
    }
    subprocess.run(
        ["ccache", "-z"], env={**os.environ, **environment}, check=True, capture_output=True
    )
    known = counts["direct_cache_hit"] + counts["preprocessed_cache_hit"]
    return known / (known + counts["cache_miss"])


if __name__ == "__main__":
    raise SystemExit(main())
