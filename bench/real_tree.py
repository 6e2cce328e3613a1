# SPDX-License-Identifier: GPL-2.0-or-later
"""The cost of building an upstream iPXE tree: romforge's doit against the tree's own makes.

    IPXE_SRC=DIR python bench/real_tree.py [--rounds N] [--check]

Both build the images of eight NICs for the PC BIOS, x86_64, arm64 and riscv64, with the same number
of jobs, from copies of the tree. There are four measures:

    fresh       wall time of a first doit / that of the makes by hand
    fresh CPU   wall time of a first doit / (CPU time of the makes / number of processors)
    no-op       CPU time of the four makes with nothing to do / that of a doit with nothing to do
    touched     wall time of `doit nic:rtl8139` after an edit of its driver, minus that of the makes

The doit also compresses and chains ROMs. The no-op and touched measures are the least of the
rounds. With ``--check``, the exit status is 1 if a limit is not met.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Measure, add_json_option, print_measures
from tree import (
    CORES,
    CROSS,
    NICS,
    PLATFORMS,
    TOP,
    clean_environment,
    cpu_of,
    run,
    spec,
    wall_of,
    write_dodo,
)

DRIVER = "src/drivers/net/realtek.c"
NIC = "rtl8139"
SETTINGS = {"CONFIG": "qemu", "NO_WERROR": "1"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=3, help="number of no-op and of touched builds"
    )
    parser.add_argument("--check", action="store_true", help="fail if a limit is not met")
    add_json_option(parser)
    args = parser.parse_args()
    source = os.environ.pop("IPXE_SRC", "")
    if not source:
        parser.error("IPXE_SRC must name an upstream iPXE tree")
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(TOP / "src")], check=True)
    with tempfile.TemporaryDirectory() as directory:
        measures = Comparison(Path(directory), Path(source)).measures(args.rounds)
    is_met = print_measures(measures, args.json)
    return int(args.check and not is_met)


class Comparison:
    """Copies of a tree below ``top``: one for doit, and one for each platform's make."""

    def __init__(self, top: Path, source: Path) -> None:
        self.top = top
        self.version = describe(source)
        ignored = shutil.ignore_patterns("bin", "bin-*")
        for name in ("tree", *PLATFORMS):
            shutil.copytree(source, top / name, symlinks=True, ignore=ignored)
        write_dodo(top)
        source_line = 'tree = "tree"\n'
        settings = 'config = "qemu"\nmake = { NO_WERROR = 1 }\n'
        text = spec().replace(source_line, source_line + settings)
        (top / "romspec.toml").write_text(text)

    def measures(self, rounds: int) -> list[Measure]:
        return [*self.fresh(), self.nothing_to_do(rounds), self.touched(rounds)]

    def fresh(self) -> list[Measure]:
        """Measures the first builds, by wall time and by the CPU time of the makes."""
        cpu_times: list[float] = []
        makes_wall = wall_of(lambda: cpu_times.append(cpu_of(self.makes)))
        doit_wall = wall_of(self.doit)
        (makes_cpu,) = cpu_times
        wall_measure = Measure(
            "real_tree",
            "real tree, fresh: doit / makes by hand",
            doit_wall / makes_wall,
            at_most=1.0,
            detail=f"{self.version}: {doit_wall:.0f} s and {makes_wall:.0f} s "
            f"on {CORES} processors",
        )
        cpu_measure = Measure(
            "real_tree",
            "real tree, fresh: doit's wall time / makes' CPU time per processor",
            doit_wall / (makes_cpu / CORES),
            at_most=1.1,
            detail=f"{self.version}: {doit_wall:.0f} s, {makes_cpu:.0f} s of CPU",
        )
        return [wall_measure, cpu_measure]

    def nothing_to_do(self, rounds: int) -> Measure:
        self.makes()  # the first make in a tree may leave work to the second
        self.doit()
        makes = min(cpu_of(self.makes) for _ in range(rounds))
        doit = min(cpu_of(self.doit) for _ in range(rounds))
        detail = f"{self.version}: {makes:.2f} s and {doit:.2f} s of CPU, least of {rounds}"
        return Measure(
            "real_tree",
            "real tree, no-op: four makes / doit",
            makes / doit,
            at_least=12,
            detail=detail,
        )

    def touched(self, rounds: int) -> Measure:
        times = []
        for number in range(rounds):
            for name in ("tree", *PLATFORMS):
                edit(self.top / name / DRIVER, number)
            make_time = wall_of(lambda: self.makes(NIC))
            doit_time = wall_of(lambda: self.doit(f"nic:{NIC}"))
            times.append((doit_time - make_time, make_time))
        difference, make_time = min(times)
        detail = f"{self.version}: the makes take {make_time:.2f} s; least of {rounds}"
        what = f"real tree, {DRIVER} edited: doit nic:{NIC} less four makes"
        return Measure("real_tree", what, difference, "seconds", at_most=1.0, detail=detail)

    def makes(self, *nics: str) -> None:
        """The tree's own makes of some NICs' images, or all, one platform after the other."""
        for name, media in PLATFORMS.items():
            command = ["make", f"-j{CORES}"]
            command += [f"{key}={value}" for key, value in SETTINGS.items()]
            _, _, arch = name.removesuffix("-efi").partition("-")
            if arch in CROSS:
                command.append(f"CROSS_COMPILE={CROSS[arch]}")
            command += [f"{name}/{NICS[nic]}.{media}" for nic in nics or NICS]
            run(command, self.top / name / "src", clean_environment("MAKE", "MFLAGS"))

    def doit(self, *selection: str) -> None:
        run([sys.executable, "-m", "doit", *selection], self.top, clean_environment("ROM", "MAKE"))


def describe(tree: Path) -> str:
    """The version of a tree, from git."""
    command = ["git", "-C", str(tree), "describe", "--always", "--tags"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"iPXE {done.stdout.strip() or 'of an unknown version'}"


def edit(path: Path, number: int) -> None:
    """Changes the code of a driver."""
    text = path.read_text().partition("\n/* edited")[0]
    function = f"int edited_{NIC} ( void );\nint edited_{NIC} ( void ) {{ return {number + 1}; }}\n"
    path.write_text(f"{text}\n/* edited */\n{function}")


if __name__ == "__main__":
    raise SystemExit(main())
