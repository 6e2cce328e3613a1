# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs to leave a distribution's build to doit: examples/debian's rules, against the same makes by hand.

Both build 8 NICs for four platforms from a tree that ``bigtree.py`` generates; the rules make ROMs of the images besides, of
drivers that are stored, since those makes do not compress either. The makes run once before and once after, a platform at a time:

    python bench/rules.py [--sources N] [--json]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bigtree import generate
from measure import Measure, option, tell
from tree import CORES, NICS, PLATFORMS, makes, run, wall_of

TOP = Path(__file__).resolve().parent.parent
LIMIT = 1.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=1000, help="generated sources")
    option(parser)
    given = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    with tempfile.TemporaryDirectory() as directory:
        measures = [compare(Path(directory), given.sources)]
    return int(not tell(measures, given.json))


def compare(top: Path, sources: int) -> Measure:
    generate(top / "tree", sources=sources)
    package = top / "package"
    run([str(TOP / "examples/debian/make-source"), str(package)], top, dict(os.environ))
    spec = package / "romspec.toml"
    spec.write_text(
        re.sub(r"^bucket = .*$", r'\g<0>\nlevel = "stored"', spec.read_text(), flags=re.MULTILINE)
    )
    shutil.rmtree(package / "vendor/minipxe")
    shutil.copytree(top / "tree", package / "vendor/minipxe")
    by_hand = [fresh_makes(top)]
    rules = wall_of(lambda: build(package))
    by_hand.append(fresh_makes(top))
    roms = len(list(package.glob("out/usr/share/qemu*/*.rom")))
    mean = sum(by_hand) / 2
    detail = f"{rules:.1f} s for {roms} ROMs, the makes {by_hand[0]:.1f} s before and {by_hand[1]:.1f} s after"
    return Measure(
        "rules",
        "debian/rules less the same makes by hand",
        rules - mean,
        "seconds",
        at_most=LIMIT,
        detail=detail,
    )


def fresh_makes(top: Path) -> float:
    """Seconds that the makes take by hand, in trees in which nothing is built."""
    for name in PLATFORMS:
        shutil.rmtree(top / name, ignore_errors=True)
        shutil.copytree(top / "tree", top / name)
    return wall_of(lambda: makes(top, *NICS))


def build(package: Path) -> None:
    """As dh calls the rules, with doit of this Python."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DEB_BUILD_OPTIONS": f"parallel={CORES} terse",
    }
    command = ["make", "-f", "debian/rules", "override_dh_auto_build-indep"]
    done = subprocess.run(
        command, cwd=package, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    raise SystemExit(main())
