# SPDX-License-Identifier: GPL-2.0-or-later
"""What a doit costs that has nothing to do: romforge's against an empty dodo.py, and against as many trivial tasks.

Runs each pair in turn, many times, in one go, and prints the least CPU time of each and the ratio (the least,
since whatever else the machine does can only add to it):

    python bench/noop.py [--rounds N] [--nics N] [--json]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "src"))

from measure import Measure, option, tell  # noqa: E402

from romforge.formats import option_rom, pe  # noqa: E402

# A network driver offers an interface, and so holds its GUID.
SIMPLE_NETWORK = uuid.UUID("a19832b9-ac25-11d3-9a2d-0090273fc14d")
TRIVIAL = """
def nothing():
    pass
def task_trivial():
    for number in range({count}):
        yield {{"name": str(number), "actions": [nothing], "uptodate": [True]}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="runs of each, in turn")
    parser.add_argument(
        "--nics", type=int, default=1000, help="NICs of the large spec, which has two targets"
    )
    option(parser)
    given = parser.parse_args()
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(TOP / "src")], check=True)
    with tempfile.TemporaryDirectory() as directory:
        small = {
            "romforge, 16 ROMs": set_up(Path(directory, "small"), 8),
            "empty dodo.py": plain(Path(directory, "empty"), ""),
        }
        measures = [compare(small, given.rounds, 1.5)]
        large = {
            f"romforge, {2 * given.nics:,} ROMs": set_up(Path(directory, "large"), given.nics),
            f"{2 * given.nics:,} trivial tasks": plain(
                Path(directory, "trivial"), TRIVIAL.format(count=2 * given.nics)
            ),
        }
        measures.append(compare(large, max(3, given.rounds // 3), 2.5))
    return int(not tell(measures, given.json))


def compare(pair: dict[str, Path], rounds: int, limit: float) -> Measure:
    """Times the no-op doit of both directories in turn."""
    times: dict[str, list[float]] = {name: [] for name in pair}
    for number in range(rounds + 1):
        for name, directory in pair.items():
            spent = timed(directory)
            if number:  # the first is a warm-up
                times[name].append(spent)
    ours, theirs = (min(spent) for spent in times.values())
    detail = f"{ours:.3f} s and {theirs:.3f} s of CPU time, least of {rounds}"
    return Measure(
        "no-op", "no-op doit: " + " / ".join(pair), ours / theirs, at_most=limit, detail=detail
    )


def timed(directory: Path) -> float:
    """CPU seconds of one doit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    doit(directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def doit(directory: Path) -> None:
    clean = {
        key: value for key, value in os.environ.items() if key not in ("ROMSPEC", "ROMFORGE_OUT")
    }
    subprocess.run(
        [sys.executable, "-m", "doit"],
        cwd=directory,
        env=clean,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def plain(directory: Path, dodo: str) -> Path:
    directory.mkdir()
    (directory / "dodo.py").write_text(dodo)
    doit(directory)
    return directory


def set_up(directory: Path, nics: int) -> Path:
    """A spec of so many NICs and two targets over ROMs made up for it, built once."""
    (directory / "roms").mkdir(parents=True)
    dodo = (
        (TOP / "dodo.py")
        .read_text()
        .replace("Path(__file__).resolve().parent", f"Path({str(TOP)!r})")
    )
    (directory / "dodo.py").write_text(dodo)
    tables = []
    for number in range(nics):
        tables.append(f'[nic.card{number}]\nid = "1234:{number:04x}"\n')
        (directory / "roms" / f"card{number}.rom").write_bytes(rom(0x1234, number))
    targets = ""
    for name, images in (("efi", '"pcbios", "x86_64-efi"'), ("pxe", '"pcbios"')):
        targets += f'[target.{name}]\ndir = "roms"\nfile = "{name}-{{nic}}.rom"\nimages = [{images}]\nbucket = "all"\n'
    head = 'spec = 1\n[source.made]\nroms = "roms"\nfiles = ["{nic}.rom"]\n[platform.pcbios]\n[platform.x86_64-efi]\n'
    (directory / "romspec.toml").write_text(
        f'{head}[bucket.all]\nsize = "2KiB"\n{"".join(tables)}{targets}'
    )
    doit(directory)
    return directory


def rom(vendor: int, device: int) -> bytes:
    """A faultless ROM of two images of a block each, which no machine would run."""
    legacy = option_rom.LegacyHeader(
        option_rom.SIGNATURE, 1, b"\xe9\0\0", 0, bytes(9), 0, bytes(4), 0, 0x1C, 0
    ).emit()
    efi = option_rom.EfiHeader(
        option_rom.SIGNATURE,
        1,
        option_rom.EFI_SIGNATURE,
        pe.EFI_BOOT_SERVICE_DRIVER,
        0x8664,
        0,
        bytes(8),
        0x38,
        0x1C,
    ).emit()
    coff = pe.CoffHeader(b"PE\0\0", 0x8664, 0, 0, 0, 0, 0, 0).emit()
    driver = pe.DosHeader(b"MZ", bytes(58), 64).emit() + coff
    driver += pe.OptionalHeader(0x20B, bytes(54), 0, 0, 0, pe.EFI_BOOT_SERVICE_DRIVER).emit()
    driver += SIMPLE_NETWORK.bytes_le
    images = []
    for header, code_type, contents in (
        (legacy, option_rom.LEGACY, b""),
        (efi, option_rom.EFI, driver),
    ):
        last = option_rom.LAST_IMAGE if code_type == option_rom.EFI else 0
        pcir = option_rom.PciDataStructure(
            b"PCIR",
            vendor,
            device,
            0,
            0x18,
            3,
            option_rom.NETWORK_ETHERNET,
            1,
            0,
            code_type,
            last,
            0,
        ).emit()
        image = bytearray((header.ljust(0x1C, b"\0") + pcir).ljust(0x38, b"\0") + contents)
        image = image.ljust(option_rom.BLOCK, b"\0")
        image[option_rom.CHECKSUM] = (
            -sum(image) & 0xFF if code_type == option_rom.LEGACY else image[option_rom.CHECKSUM]
        )
        images.append(bytes(image))
    return b"".join(images)


if __name__ == "__main__":
    raise SystemExit(main())
