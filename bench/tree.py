# SPDX-License-Identifier: GPL-2.0-or-later
"""The cost of building a tree of iPXE's size: romforge's doit against the tree's own makes.

    python bench/tree.py [--sources N] [--rounds N] [--check]

Both build the same images for four platforms, in turn, from trees that ``bigtree.py`` generates.
There are three measures:

    fresh    wall time of a first doit / (CPU time of the makes / number of processors)
    no-op    wall time of the four makes with nothing to do / that of a doit with nothing to do
    touched  wall time of `doit nic:e1000` after a change of its driver, minus that of the makes

The fresh doit also compresses ROMs. The makes run before and after it, and their mean counts, since
the load on a machine may drift. The other measures are the least of the rounds. With ``--check``,
the exit status is 1 if a limit is not met.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bigtree import generate
from measure import Measure, add_json_option, print_measures

TOP = Path(__file__).resolve().parent.parent
CROSS = {"arm64": "aarch64-linux-gnu-", "riscv64": "riscv64-linux-gnu-"}
PLATFORMS = {
    "bin": "rom",
    "bin-x86_64-efi": "efidrv",
    "bin-arm64-efi": "efidrv",
    "bin-riscv64-efi": "efidrv",
}
NICS = {"e1000": "8086100e", "e1000e": "808610d3", "eepro100": "80861229", "ne2k_pci": "10ec8029"}
NICS |= {"pcnet": "10222000", "rtl8139": "10ec8139", "virtio": "1af41000", "vmxnet3": "15ad07b0"}
DRIVER = "src/drivers/net/intel.c"
CORES = len(os.sched_getaffinity(0))
FRESH_LIMIT = 1.15  # ratio, at most
NO_OP_LIMIT = 8.0  # ratio, at least
TOUCHED_LIMIT = 0.5  # seconds, at most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=1000, help="number of generated sources")
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of no-op and of touched builds"
    )
    parser.add_argument("--check", action="store_true", help="fail if a limit is not met")
    add_json_option(parser)
    args = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(TOP / "src")], check=True)
    with tempfile.TemporaryDirectory() as directory:
        measures = compare(Path(directory), args.sources, args.rounds)
    is_met = print_measures(measures, args.json)
    return int(args.check and not is_met)


def compare(top: Path, sources: int, rounds: int) -> list[Measure]:
    """Takes all three measures below ``top``, in a copy of the tree for each platform."""
    generate(top / "tree", sources=sources)
    copy_trees(top)
    write_dodo(top)
    (top / "romspec.toml").write_text(spec())
    return [measure_fresh(top), measure_no_op(top, rounds), measure_touched(top, rounds)]


def copy_trees(top: Path) -> None:
    """Copies the tree for each platform, in place of older copies."""
    for name in PLATFORMS:
        shutil.rmtree(top / name, ignore_errors=True)
        shutil.copytree(top / "tree", top / name)


def measure_fresh(top: Path) -> Measure:
    cpu_before = cpu_of(lambda: makes(top, *NICS))
    wall = wall_of(lambda: doit(top))
    copy_trees(top)
    cpu_after = cpu_of(lambda: makes(top, *NICS))
    cpu = (cpu_before + cpu_after) / 2
    what = "fresh build: doit's wall time / makes' CPU time per processor"
    detail = f"{wall:.1f} s, {cpu:.1f} s on {CORES} processors"
    return Measure("tree", what, wall / (cpu / CORES), at_most=FRESH_LIMIT, detail=detail)


def measure_no_op(top: Path, rounds: int) -> Measure:
    makes(top, *NICS)  # the first make in a tree may leave work to the second
    make_times = []
    doit_times = []
    for number in range(rounds + 1):
        make_time = wall_of(lambda: makes(top, *NICS))
        doit_time = wall_of(lambda: doit(top))
        if number:  # the first is a warm-up
            make_times.append(make_time)
            doit_times.append(doit_time)
    theirs = min(make_times)
    ours = min(doit_times)
    detail = f"{theirs:.2f} s and {ours:.2f} s, least of {rounds}"
    what = "no-op: four makes / doit"
    return Measure("tree", what, theirs / ours, at_least=NO_OP_LIMIT, detail=detail)


def measure_touched(top: Path, rounds: int) -> Measure:
    times = []
    for number in range(rounds):
        for name in ("tree", *PLATFORMS):
            change(top / name, number)
        make_time = wall_of(lambda: makes(top, "e1000"))
        doit_time = wall_of(lambda: doit(top, "nic:e1000"))
        times.append((doit_time - make_time, make_time))
    difference, make_time = min(times)
    what = "a driver touched: doit nic:e1000 less four makes"
    detail = f"the makes take {make_time:.2f} s; least of {rounds}"
    return Measure("tree", what, difference, "seconds", at_most=TOUCHED_LIMIT, detail=detail)


def write_dodo(directory: Path) -> None:
    """Writes a dodo.py like the checkout's, which finds the checkout's romforge from elsewhere."""
    text = (TOP / "dodo.py").read_text()
    text = text.replace("Path(__file__).resolve().parent", f"Path({str(TOP)!r})")
    (directory / "dodo.py").write_text(text)


def spec() -> str:
    """A spec for the tree, with a target for each platform."""
    tables = ""
    nics = ""
    targets = ""
    for name in PLATFORMS:
        platform = "pcbios" if name == "bin" else name.removeprefix("bin-")
        tables += f"[platform.{platform}]\n"
        targets += f'[target.{platform}]\ndir = "{platform}"\nfile = "{{nic}}.rom"\n'
        targets += f'images = ["{platform}"]\n'
    for nic, ids in NICS.items():
        nics += f'[nic.{nic}]\nid = "{ids[:4]}:{ids[4:]}"\n'
    return f'spec = 1\n[source.ipxe]\ntree = "tree"\n{tables}{nics}{targets}'


def change(tree: Path, number: int) -> None:
    """Changes the code of the driver."""
    path = tree / DRIVER
    text = path.read_text().partition("\n/* changed")[0]
    function = (
        f"int e1000_changed ( void );\nint e1000_changed ( void ) {{ return {number + 1}; }}\n"
    )
    path.write_text(f"{text}\n/* changed */\n{function}")


def makes(top: Path, *nics: str) -> None:
    """The tree's own makes of some NICs' images, one platform after the other."""
    for name in PLATFORMS:
        make(top, name, *nics)


def make(top: Path, name: str, *nics: str) -> None:
    """The tree's own make of some NICs' images for a platform, in the copy for this platform."""
    command = ["make", f"-j{CORES}"]
    _, _, arch = name.removesuffix("-efi").partition("-")
    if arch in CROSS:
        command.append(f"CROSS_COMPILE={CROSS[arch]}")
    command += [f"{name}/{NICS[nic]}.{PLATFORMS[name]}" for nic in nics]
    run(command, top / name / "src", clean_environment("MAKE", "MFLAGS"))


def doit(top: Path, *selection: str) -> None:
    environment = clean_environment("ROMSPEC", "ROMFORGE_OUT", "IPXE_SRC")
    run([sys.executable, "-m", "doit", *selection], top, environment)


def clean_environment(*prefixes: str) -> dict[str, str]:
    """The environment without variables whose names start with one of the prefixes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def run(command: list[str], directory: Path, environment: dict[str, str]) -> None:
    """Runs a command. Exits with the end of its output if it fails."""
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def wall_of(action: Callable[[], object]) -> float:
    """The seconds that an action takes."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def cpu_of(action: Callable[[], object]) -> float:
    """The CPU seconds of the child processes that an action runs and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())
