# SPDX-License-Identifier: GPL-2.0-or-later
"""What building an upstream iPXE tree costs: romforge's doit against the tree's own makes, four platforms.

    IPXE_SRC=DIR python bench/real_tree.py [--rounds N] [--check]

Both build eight NICs' images for the PC BIOS, x86_64, arm64 and riscv64, with the same jobs, from
copies of the tree. Four lines come of it:

    fresh       wall time of a first doit over that of the makes by hand
    fresh CPU   wall time of a first doit, over the CPU time of the makes divided by the processors
    no-op       CPU time of the four makes with nothing to do over that of a doit with nothing to do
    touched     wall time of `doit nic:rtl8139` after an edit of its driver, less that of the makes

The doit compresses and chains ROMs as well. The no-op and touched lines are the least of the rounds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Measure, option, tell
from tree import CORES, CROSS, NICS, PLATFORMS, TOP, cpu_of, run, spec, wall_of

DRIVER = "src/drivers/net/realtek.c"
NIC = "rtl8139"
SETTINGS = {"CONFIG": "qemu", "NO_WERROR": "1"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of the no-op and the touched builds")
    parser.add_argument("--check", action="store_true", help="fail where a limit is exceeded")
    option(parser)
    args = parser.parse_args()
    source = os.environ.pop("IPXE_SRC", "")
    if not source:
        parser.error("IPXE_SRC must name an upstream iPXE tree")
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(TOP / "src")], check=True)
    with tempfile.TemporaryDirectory() as directory:
        measures = Comparison(Path(directory), Path(source)).measures(args.rounds)
    fine = tell(measures, args.json)
    return int(args.check and not fine)


class Comparison:
    """Copies of a tree, one for each platform that make builds by hand, and one for doit."""

    def __init__(self, top: Path, source: Path) -> None:
        self.top = top
        self.about = describe(source)
        ignored = shutil.ignore_patterns("bin", "bin-*")
        for name in ("tree", *PLATFORMS):
            shutil.copytree(source, top / name, symlinks=True, ignore=ignored)
        text = (TOP / "dodo.py").read_text()
        text = text.replace("Path(__file__).resolve().parent", f"Path({str(TOP)!r})")
        (top / "dodo.py").write_text(text)
        settings = 'config = "qemu"\nmake = { NO_WERROR = 1 }\n'
        (top / "romspec.toml").write_text(
            spec().replace('tree = "tree"\n', f'tree = "tree"\n{settings}')
        )

    def measures(self, rounds: int) -> list[Measure]:
        return [*self.fresh(), self.nothing_to_do(rounds), self.touched(rounds)]

    def fresh(self) -> list[Measure]:
        spent: list[float] = []
        makes_wall = wall_of(lambda: spent.append(cpu_of(self.makes)))
        doit_wall = wall_of(self.doit)
        (makes_cpu,) = spent
        detail = f"{self.about}: {doit_wall:.0f} s and {makes_wall:.0f} s on {CORES} processors"
        ratio = Measure(
            "real_tree",
            "real tree, fresh: doit / makes by hand",
            doit_wall / makes_wall,
            at_most=1.0,
            detail=detail,
        )
        what = "real tree, fresh: doit's wall time / makes' CPU time per processor"
        detail = f"{self.about}: {doit_wall:.0f} s, {makes_cpu:.0f} s of CPU"
        return [
            ratio,
            Measure("real_tree", what, doit_wall / (makes_cpu / CORES), at_most=1.1, detail=detail),
        ]

    def nothing_to_do(self, rounds: int) -> Measure:
        self.makes()  # the first make in a tree may leave work to the second
        self.doit()
        makes, doit = (
            min(cpu_of(action) for _ in range(rounds)) for action in (self.makes, self.doit)
        )
        detail = f"{self.about}: {makes:.2f} s and {doit:.2f} s of CPU, least of {rounds}"
        return Measure(
            "real_tree",
            "real tree, no-op: four makes / doit",
            makes / doit,
            at_least=12,
            detail=detail,
        )

    def touched(self, rounds: int) -> Measure:
        extra = []
        for number in range(rounds):
            for name in ("tree", *PLATFORMS):
                edit(self.top / name / DRIVER, number)
            makes = wall_of(lambda: self.makes(NIC))
            extra.append((wall_of(lambda: self.doit(f"nic:{NIC}")) - makes, makes))
        least, makes = min(extra)
        detail = f"{self.about}: the makes take {makes:.2f} s; least of {rounds}"
        what = f"real tree, {DRIVER} edited: doit nic:{NIC} less four makes"
        return Measure("real_tree", what, least, "seconds", at_most=1.0, detail=detail)

    def makes(self, *nics: str) -> None:
        """The tree's own makes of some NICs' images, or all, one platform after the other."""
        for name, media in PLATFORMS.items():
            arch = name.split("-")[1] if "-" in name else ""
            words = [f"{key}={value}" for key, value in SETTINGS.items()]
            words += [f"CROSS_COMPILE={CROSS[arch]}"] if arch in CROSS else []
            words += [f"{name}/{NICS[nic]}.{media}" for nic in nics or NICS]
            run(
                ["make", f"-j{CORES}", *words],
                self.top / name / "src",
                clean_environment("MAKE", "MFLAGS"),
            )

    def doit(self, *selection: str) -> None:
        run([sys.executable, "-m", "doit", *selection], self.top, clean_environment("ROM", "MAKE"))


def clean_environment(*prefixes: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def describe(tree: Path) -> str:
    """The version of a tree, as git tells it."""
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
