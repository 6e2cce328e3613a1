# SPDX-License-Identifier: GPL-2.0-or-later
"""The cost of a doit that has nothing to do: romforge's, an empty one, and trivial tasks.

    python bench/noop.py [--rounds N] [--nics N] [--json]

romforge's doit is compared with an empty dodo.py, and with as many trivial tasks as it has ROMs.
Both of a pair run in turn, many times. The result is the median of the ratios of their CPU times.
Other load on the machine slows down both of a pair, which run one after the other.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "src"))

from measure import Measure, add_json_option, print_measures  # noqa: E402
from tree import write_dodo  # noqa: E402

from romforge.base import image_kind  # noqa: E402
from romforge.formats import option_rom, pe  # noqa: E402

# The GUID of EFI_SIMPLE_NETWORK_PROTOCOL, which a network driver contains.
SIMPLE_NETWORK = uuid.UUID("a19832b9-ac25-11d3-9a2d-0090273fc14d")
PCIR_OFFSET, CONTENT_OFFSET = 0x1C, 0x38  # in an image
MACHINE_X86_64 = 0x8664
TRIVIAL = """
def nothing():
    pass
def task_trivial():
    for number in range({count}):
        yield {{"name": str(number), "actions": [nothing], "uptodate": [True]}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31, help="number of runs of each")
    parser.add_argument(
        "--nics",
        type=int,
        default=1000,
        help="number of NICs of the large spec, which has two targets",
    )
    add_json_option(parser)
    args = parser.parse_args()
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(TOP / "src")], check=True)
    roms = 2 * args.nics
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        small = {
            "romforge, 16 ROMs": set_up_romforge(top / "small", 8),
            "empty dodo.py": set_up_dodo(top / "empty", ""),
        }
        measures = [compare(small, args.rounds, 1.5)]
        large = {
            f"romforge, {roms:,} ROMs": set_up_romforge(top / "large", args.nics),
            f"{roms:,} trivial tasks": set_up_dodo(top / "trivial", TRIVIAL.format(count=roms)),
        }
        measures.append(compare(large, max(3, args.rounds // 3), 2.5))
    return int(not print_measures(measures, args.json))


def compare(pair: dict[str, Path], rounds: int, limit: float) -> Measure:
    """Compares doit in two directories, by name. ``limit`` is the highest ratio allowed."""
    times: dict[str, list[float]] = {name: [] for name in pair}
    for number in range(rounds + 1):
        for name, directory in pair.items():
            seconds = cpu_seconds(directory)
            if number:  # the first is a warm-up
                times[name].append(seconds)
    ours, theirs = times.values()
    ratio = statistics.median(one / other for one, other in zip(ours, theirs))
    detail = f"{min(ours):.3f} s and {min(theirs):.3f} s of CPU time, least of {rounds}"
    what = "no-op doit: " + " / ".join(pair)
    return Measure("no-op", what, ratio, at_most=limit, detail=detail)


def cpu_seconds(directory: Path) -> float:
    """The CPU seconds of one doit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    doit(directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def doit(directory: Path) -> None:
    environment = dict(os.environ)
    environment.pop("ROMSPEC", None)
    environment.pop("ROMFORGE_OUT", None)
    subprocess.run(
        [sys.executable, "-m", "doit"],
        cwd=directory,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def set_up_dodo(directory: Path, dodo: str) -> Path:
    """A directory with a dodo.py of its own, after its first doit."""
    directory.mkdir()
    (directory / "dodo.py").write_text(dodo)
    doit(directory)
    return directory


def set_up_romforge(directory: Path, nics: int) -> Path:
    """A directory with a spec of two targets over generated ROMs, after its first doit."""
    (directory / "roms").mkdir(parents=True)
    write_dodo(directory)
    spec = 'spec = 1\n[source.made]\nroms = "roms"\nfiles = ["{nic}.rom"]\n'
    spec += "[platform.pcbios]\n[platform.x86_64-efi]\n"
    spec += '[bucket.all]\nsize = "2KiB"\n'
    for number in range(nics):
        spec += f'[nic.card{number}]\nid = "1234:{number:04x}"\n'
        (directory / "roms" / f"card{number}.rom").write_bytes(rom(0x1234, number))
    for name, images in (("efi", '"pcbios", "x86_64-efi"'), ("pxe", '"pcbios"')):
        spec += f'[target.{name}]\ndir = "roms"\nfile = "{name}-{{nic}}.rom"\n'
        spec += f'images = [{images}]\nbucket = "all"\n'
    (directory / "romspec.toml").write_text(spec)
    doit(directory)
    return directory


def rom(vendor: int, device: int) -> bytes:
    """A valid ROM of two images of one 512-byte block each, which no machine would run."""
    legacy = option_rom.LegacyHeader(
        signature=option_rom.SIGNATURE,
        initialization_blocks=1,
        entry_point=b"\xe9\0\0",
        checksum=0,
        reserved=bytes(9),
        ipxe_pointer=0,
        undi_gap=bytes(4),
        undi_pointer=0,
        pcir_pointer=PCIR_OFFSET,
        pnp_pointer=0,
    )
    efi = option_rom.EfiHeader(
        signature=option_rom.SIGNATURE,
        initialization_blocks=1,
        efi_signature=option_rom.EFI_SIGNATURE,
        subsystem=pe.EFI_BOOT_SERVICE_DRIVER,
        machine=MACHINE_X86_64,
        compression_type=0,
        reserved=bytes(8),
        efi_image_offset=CONTENT_OFFSET,
        pcir_pointer=PCIR_OFFSET,
    )
    pcir = option_rom.PciDataStructure(
        signature=b"PCIR",
        vendor_id=vendor,
        device_id=device,
        device_list_pointer=0,
        length=0x18,
        revision=3,
        class_code=option_rom.NETWORK_ETHERNET,
        image_blocks=1,
        code_revision=0,
        code_type=image_kind.LEGACY,
        indicator=0,
        max_runtime_blocks=0,
    )
    legacy_image = image(legacy.emit(), pcir.emit(), b"")
    legacy_image[option_rom.CHECKSUM] = -sum(legacy_image) & 0xFF
    last_pcir = replace(pcir, code_type=image_kind.EFI, indicator=option_rom.LAST_IMAGE)
    return bytes(legacy_image + image(efi.emit(), last_pcir.emit(), efi_driver()))


def image(header: bytes, pcir: bytes, content: bytes) -> bytearray:
    """An image of one block: the header, the PCI Data Structure and the content."""
    data = header.ljust(PCIR_OFFSET, b"\0") + pcir
    data = data.ljust(CONTENT_OFFSET, b"\0") + content
    return bytearray(data.ljust(option_rom.BLOCK, b"\0"))


def efi_driver() -> bytes:
    """The headers of a PE file, followed by the GUID that marks a network driver."""
    driver = pe.DosHeader(b"MZ", bytes(58), 64).emit()
    driver += pe.CoffHeader(b"PE\0\0", MACHINE_X86_64, 0, 0, 0, 0, 0, 0).emit()
    driver += pe.OptionalHeader(0x20B, bytes(54), 0, 0, 0, pe.EFI_BOOT_SERVICE_DRIVER).emit()
    return driver + SIMPLE_NETWORK.bytes_le


if __name__ == "__main__":
    raise SystemExit(main())
