# SPDX-License-Identifier: GPL-2.0-or-later
"""The cost of a distribution's build through doit: examples/debian's rules against makes by hand.

    python bench/rules.py [--sources N] [--json]

Both build 8 NICs for four platforms from a tree that ``bigtree.py`` generates. The rules also make
ROMs of the images. Their drivers are stored, since the makes do not compress either. The makes run
once before the rules and once after, one platform after the other, and their mean counts.
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
from measure import Measure, add_json_option, print_measures
from tree import CORES, NICS, PLATFORMS, makes, run, wall_of

TOP = Path(__file__).resolve().parent.parent
LIMIT = 1.0  # seconds, at most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=1000, help="number of generated sources")
    add_json_option(parser)
    args = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    with tempfile.TemporaryDirectory() as directory:
        measures = [compare(Path(directory), args.sources)]
    return int(not print_measures(measures, args.json))


def compare(top: Path, sources: int) -> Measure:
    """Measures how much longer the rules take than the makes."""
    generate(top / "tree", sources=sources)
    source = top / "package"
    command = [str(TOP / "examples/debian/make-source"), "--tree", str(top / "tree"), str(source)]
    run(command, top, dict(os.environ))
    package = source / "ipxe"
    leave_out_what_makes_do_not(package / "debian")
    before = fresh_makes(top)
    rules = wall_of(lambda: build(package))
    after = fresh_makes(top)
    roms = len(list(package.glob("debian/out/usr/share/qemu*/*.rom")))
    what = "debian/rules less the same makes by hand"
    detail = (
        f"{rules:.1f} s for {roms} ROMs, the makes {before:.1f} s before and {after:.1f} s after"
    )
    difference = rules - (before + after) / 2
    return Measure("rules", what, difference, "seconds", at_most=LIMIT, detail=detail)


def leave_out_what_makes_do_not(debian: Path) -> None:
    """Leaves in the example the ROMs that the makes build the images of, without compression."""
    spec = debian / "romspec.toml"
    text = spec.read_text().split("# ipxe: what boots by itself")[0]
    text = re.sub(r"(?ms)^\[(config|platform\.boot-|target\.qemu-loong).*?(?=^$|^\[)", "", text)
    text = re.sub(r"^(bucket = .*)$", r'\1\nlevel = "stored"', text, flags=re.MULTILINE)
    spec.write_text(text.replace("[platform.loong64-efi]\n", ""))
    rules = debian / "rules"
    text = rules.read_text().replace(" --debian $(if", " $(if").replace(",,--lock", ",,")
    rules.write_text(re.sub(r"(?m)^\t\$\(romforge\) licences .*\n", "", text))


def fresh_makes(top: Path) -> float:
    """The seconds that the makes take by hand, in trees in which nothing is built yet."""
    for name in PLATFORMS:
        shutil.rmtree(top / name, ignore_errors=True)
        shutil.copytree(top / "tree", top / name)
    return wall_of(lambda: makes(top, *NICS))


def build(package: Path) -> None:
    """Runs the rules as dh does, with the doit of this Python."""
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
