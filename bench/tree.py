# SPDX-License-Identifier: GPL-2.0-or-later
"""What building from a tree of iPXE's size costs: romforge's doit against the tree's own makes, for four platforms.

Both build the same images from trees that ``bigtree.py`` generates, in one go and in turn. Three lines come of it:

    fresh    wall time of a first doit, over the CPU time of the makes alone divided by the processors
    no-op    wall time of the four makes that have nothing to do, over that of a doit that has nothing to do
    touched  wall time of `doit nic:e1000` after a change of its driver, less that of the four makes of its images

    python bench/tree.py [--sources N] [--rounds N] [--check]

With ``--check`` the exit status is 1 where a limit is exceeded. The makes are run before and after the fresh doit, which
includes compression, and their mean is taken: a machine that others use, too, drifts. The other lines are the least of the
rounds.
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
from measure import Measure, option, tell

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
FRESH, NO_OP, TOUCHED = 1.15, 8.0, 0.5  # limits: a ratio at most, a ratio at least, seconds at most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=1000, help="generated sources")
    parser.add_argument(
        "--rounds", type=int, default=5, help="of the no-op and the touched builds, in turn"
    )
    parser.add_argument("--check", action="store_true", help="fail where a limit is exceeded")
    option(parser)
    given = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(TOP / "src")], check=True)
    with tempfile.TemporaryDirectory() as directory:
        fine = tell(compare(Path(directory), given.sources, given.rounds), given.json)
    return int(given.check and not fine)


def compare(top: Path, sources: int, rounds: int) -> list[Measure]:
    """Does all three."""
    generate(top / "tree", sources=sources)
    for name in PLATFORMS:
        shutil.copytree(top / "tree", top / name)
    (top / "dodo.py").write_text(
        (TOP / "dodo.py")
        .read_text()
        .replace("Path(__file__).resolve().parent", f"Path({str(TOP)!r})")
    )
    (top / "romspec.toml").write_text(spec())
    before = cpu_of(lambda: makes(top, *NICS))
    wall = wall_of(lambda: doit(top))
    for name in PLATFORMS:
        shutil.rmtree(top / name)
        shutil.copytree(top / "tree", top / name)
    cpu = (before + cpu_of(lambda: makes(top, *NICS))) / 2
    what, detail = (
        "fresh build: doit's wall time / makes' CPU time per processor",
        f"{wall:.1f} s, {cpu:.1f} s on {CORES} processors",
    )
    found = [Measure("tree", what, wall / (cpu / CORES), at_most=FRESH, detail=detail)]
    makes(top, *NICS)  # the first make in a tree may leave work to the second
    theirs, ours, extra = [], [], []
    for number in range(rounds + 1):
        spent = wall_of(lambda: makes(top, *NICS)), wall_of(lambda: doit(top))
        if number:  # the first is a warm-up
            theirs.append(spent[0])
            ours.append(spent[1])
    detail = f"{min(theirs):.2f} s and {min(ours):.2f} s, least of {rounds}"
    found.append(
        Measure(
            "tree",
            "no-op: four makes / doit",
            min(theirs) / min(ours),
            at_least=NO_OP,
            detail=detail,
        )
    )
    for number in range(rounds):
        for name in ("tree", *PLATFORMS):
            change(top / name, number)
        alone = wall_of(lambda: makes(top, "e1000"))
        extra.append((wall_of(lambda: doit(top, "nic:e1000")) - alone, alone))
    what, detail = (
        "a driver touched: doit nic:e1000 less four makes",
        f"the makes take {min(extra)[1]:.2f} s; least of {rounds}",
    )
    found.append(Measure("tree", what, min(extra)[0], "seconds", at_most=TOUCHED, detail=detail))
    return found


def spec() -> str:
    """A spec for the tree: a target for each platform."""
    platforms = [name.removeprefix("bin-") if name != "bin" else "pcbios" for name in PLATFORMS]
    nics = "".join(f'[nic.{nic}]\nid = "{ids[:4]}:{ids[4:]}"\n' for nic, ids in NICS.items())
    tables = "".join(f"[platform.{name}]\n" for name in platforms)
    targets = "".join(
        f'[target.{name}]\ndir = "{name}"\nfile = "{{nic}}.rom"\nimages = ["{name}"]\n'
        for name in platforms
    )
    return f'spec = 1\n[source.ipxe]\ntree = "tree"\n{tables}{nics}{targets}'


def change(tree: Path, number: int) -> None:
    """Changes the code of the driver."""
    path = tree / DRIVER
    text = path.read_text().partition("\n/* changed")[0]
    path.write_text(
        f"{text}\n/* changed */\nint e1000_changed ( void );\nint e1000_changed ( void ) {{ return {number + 1}; }}\n"
    )


def makes(top: Path, *nics: str) -> None:
    """The tree's own makes of some NICs' images, one platform after the other."""
    for name in PLATFORMS:
        make(top, name, *nics)


def make(top: Path, name: str, *nics: str) -> None:
    """The tree's own make of some NICs' images for one platform, in a copy that only it builds in."""
    goals = [f"{name}/{NICS[nic]}.{PLATFORMS[name]}" for nic in nics]
    arch = name.split("-")[1] if "-" in name else ""
    words = [f"CROSS_COMPILE={CROSS[arch]}"] if arch in CROSS else []
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))
    }
    run(["make", f"-j{CORES}", *words, *goals], top / name / "src", clean)


def doit(top: Path, *selection: str) -> None:
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in ("ROMSPEC", "ROMFORGE_OUT", "IPXE_SRC")
    }
    run([sys.executable, "-m", "doit", *selection], top, clean)


def run(command: list[str], directory: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def wall_of(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def cpu_of(action: Callable[[], object]) -> float:
    """User and system time of the children that an action runs and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())
