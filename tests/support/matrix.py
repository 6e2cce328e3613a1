# SPDX-License-Identifier: GPL-2.0-or-later
"""All boots and all migrations of Debian's three releases: ``python -m tests.support.matrix``. The tests make a sample of each.

Exit status 1 where a boot fails, or QEMU's verdict on a migration is not that of ``romforge compat``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from romforge.analysis import compat
from romforge.base.arch import Arch
from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.verify import cases, migration
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import Proof
from tests.support import debian
from tests.support.project import PATIENCE, TOP

_IDS = {
    "e1000": 0x8086100E,
    "e1000e": 0x808610D3,
    "eepro100": 0x80861229,
    "ne2k_pci": 0x10EC8029,
    "pcnet": 0x10222000,
    "rtl8139": 0x10EC8139,
    "virtio": 0x1AF41000,
    "vmxnet3": 0x15AD07B0,
}
IDS = {nic: PciId(*divmod(number, 1 << 16)) for nic, number in _IDS.items()}


def spec(roms: Path, nics: tuple[str, ...]) -> str:
    """A release's ROMs, with the NICs' IDs written into them and the drivers compressed anew."""
    return f"""spec = 1
[source.roms]
roms = "{roms}"
[platform.pcbios]
[platform.x86_64-efi]
{"".join(f'[nic.{nic}]{chr(10)}id = "{IDS[nic]}"{chr(10)}' for nic in nics)}[bucket.efi]
size = "256KiB"
[target.qemu]
source = "roms"
dir = "qemu"
file = "efi-{{nic}}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "efi"
fix_ids = true
recompress = true
level = "fast"
"""


class Move(NamedTuple):
    """A guest that is to move from a QEMU with one ROM to a QEMU with another."""

    old: str  # names of sets
    new: str
    file: str
    before: bytes
    after: bytes

    @property
    def name(self) -> str:
        return f"{self.file} {self.old} -> {self.new}"

    @property
    def nic(self) -> str:
        return self.file.removesuffix(".rom").split("-", 1)[1]


def sets(releases: dict[str, Path]) -> dict[str, dict[str, bytes]]:
    """The releases' ROMs, and those of each padded to 512 KiB and without their EFI images, which fit a smaller bucket."""
    found = {
        suite: {name: (root / name).read_bytes() for name in debian.ROMS}
        for suite, root in releases.items()
    }
    for suite in releases:
        found[f"{suite}, 512 KiB"] = {
            name: data.ljust(512 << 10, b"\xff") for name, data in found[suite].items()
        }
        found[f"{suite}, trimmed"] = {name: trimmed(data) for name, data in found[suite].items()}
    return found


def trimmed(data: bytes) -> bytes:
    """The legacy image of a ROM alone, which is its first."""
    first = bytearray(option_rom.parse_rom(data).images[0].data)
    place = (
        int.from_bytes(first[0x18:0x1A], "little") + 0x15
    )  # the indicator byte of the PCI data structure
    old, first[place] = first[place], first[place] | option_rom.LAST_IMAGE
    first[option_rom.CHECKSUM] = (first[option_rom.CHECKSUM] + old - first[place]) & 0xFF
    return bytes(first)


def moves(found: dict[str, dict[str, bytes]]) -> Iterator[Move]:
    """Between all releases, to and fro; and between each and its own padded and trimmed sets."""
    pairs = [
        pair
        for pair in permutations(found, 2)
        if "," not in "".join(pair) or pair[0].split(",")[0] == pair[1].split(",")[0]
    ]
    for old, new in pairs:
        for file in debian.ROMS:
            yield Move(old, new, file, found[old][file], found[new][file])


def expected(move: Move) -> tuple[bool, str]:
    """What ``compat`` says of a move: whether it works, and QEMU's words where not, with our guest's slot."""
    before, after = (compat.RomFile(len(data), ("legacy",)) for data in (move.before, move.after))
    (verdict,) = compat.compare_sets({move.file: before}, {move.file: after})
    return verdict.compatible, "" if verdict.compatible else verdict.reason.replace(
        "00:02.0", "00:03.0"
    )


def moved(move: Move, directory: Path) -> tuple[bool, str]:
    """What QEMU says of a move, by a live migration; romfile= where the ROM is not the device's default one."""
    ids = IDS[move.nic]
    device = cases.device_of(move.nic, ids)
    default = move.file.startswith("efi-")
    proof = Proof(
        move.file,
        "",
        cases.MIGRATE,
        Arch.X86_64,
        default,
        move.nic,
        device,
        ids,
        (),
        (),
        None,
        "",
        "",
        (),
        PATIENCE,
    )
    try:
        migration.prove_migration(
            proof,
            move.before,
            move.after,
            directory / move.name.replace(" ", "_"),
            directory / "cache",
        )
    except CheckFailed as refuted:
        check, _, words = str(refuted).partition(": ")
        return False, words if check == "migration" else str(refuted)
    return True, ""


def _boots(suite: str, roms: Path, directory: Path) -> bool:
    """Boots all of a release, and prints what came of it."""
    directory.mkdir()
    (directory / "romspec.toml").write_text(spec(roms, debian.NICS))
    environment = {**os.environ, "PYTHONPATH": str(TOP / "src")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "romforge", "verify", "--json"],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
    )
    seconds = time.monotonic() - began
    ran = Counter((row["kind"], row["state"]) for row in json.loads(done.stdout or "[]"))
    right = ran == {("structure", "passed"): 8, ("bios", "passed"): 16, ("uefi", "passed"): 16}
    told = ", ".join(f"{count} {kind} {state}" for (kind, state), count in sorted(ran.items()))
    print(f"{suite}: {told}; built, booted and checked in {seconds:.0f} s", flush=True)
    return right and done.returncode == 0


def _moves(releases: dict[str, Path], directory: Path) -> bool:
    """Makes all migrations, and prints where QEMU and ``compat`` are not of one mind."""
    found = list(moves(sets(releases)))
    began = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda move: moved(move, directory), found))
    wrong = [(move, outcome) for move, outcome in zip(found, outcomes) if outcome != expected(move)]
    works = sum(outcome[0] for outcome in outcomes)
    seconds = time.monotonic() - began
    print(
        f"migrations: {works} moved, {len(found) - works} refused by QEMU, in {seconds:.0f} s; compat agrees on {len(found) - len(wrong)}"
    )
    for move, (_, words) in wrong:
        print(
            f"  {move.name}: compat says {expected(move)[1] or 'migrates'}; QEMU says {words or 'migrates'}"
        )
    return not wrong


def main() -> int:
    with TemporaryDirectory(prefix="romforge-matrix-") as top:
        releases = {suite: debian.unpack(suite, Path(top, suite)) for suite in debian.KNOWN}
        right = [
            _boots(suite, roms, Path(top, f"boots-{suite}")) for suite, roms in releases.items()
        ]
        right.append(_moves(releases, Path(top, "moves")))
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
