# SPDX-License-Identifier: GPL-2.0-or-later
"""All boots and all migrations of the ROMs of three Debian releases.

Run it with ``python -m tests.support.matrix``; the tests run a sample. The exit status is 1 where a
boot fails, or where QEMU and ``romforge compat`` disagree about a migration.
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
from romforge.base import nic_models
from romforge.base.pci_id import PciId
from romforge.formats import option_rom
from romforge.verify import cases, migration
from romforge.verify.boot import CheckFailed
from tests.support import debian
from tests.support.machines import COUNTING_MACHINES
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
    """The spec of a release's ROMs, with the NICs' IDs in them and the drivers compressed anew."""
    nic_tables = ""
    for nic in nics:
        nic_tables += f'[nic.{nic}]\nid = "{IDS[nic]}"\n'
    return f"""spec = 1
[source.roms]
roms = "{roms}"
[platform.pcbios]
[platform.x86_64-efi]
{nic_tables}[bucket.efi]
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
    """A migration of a guest from a QEMU with one ROM to a QEMU with another."""

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
    """Sets of ROMs by name: each release as it is, and two variants with other buckets.

    One variant is padded to 512 KiB; the other has only the legacy images, which need less.
    """
    roms_of_set = {}
    for suite, root in releases.items():
        roms = {name: (root / name).read_bytes() for name in debian.ROMS}
        roms_of_set[suite] = roms
        roms_of_set[f"{suite}, 512 KiB"] = {
            name: data.ljust(512 << 10, b"\xff") for name, data in roms.items()
        }
        roms_of_set[f"{suite}, trimmed"] = {name: legacy_image(data) for name, data in roms.items()}
    return roms_of_set


def legacy_image(data: bytes) -> bytes:
    """The legacy image of a ROM, which is its first, as a ROM of its own."""
    return option_rom.rewrite(option_rom.parse_rom(data).images[0], last=True).data


def moves(roms_of_set: dict[str, dict[str, bytes]]) -> Iterator[Move]:
    """All migrations between two releases, and between the sets of one release."""
    for old, new in permutations(roms_of_set, 2):
        both_are_releases = "," not in old + new
        if not both_are_releases and old.split(",")[0] != new.split(",")[0]:
            continue
        for file in debian.ROMS:
            yield Move(old, new, file, roms_of_set[old][file], roms_of_set[new][file])


class Outcome(NamedTuple):
    """Whether a guest moves, and QEMU's message where it does not."""

    moves: bool
    message: str = ""


def expected(move: Move) -> Outcome:
    """The verdict of ``compat`` on a migration, with our guest's slot in QEMU's message."""
    before = compat.RomFile(len(move.before), ("legacy",))
    after = compat.RomFile(len(move.after), ("legacy",))
    (verdict,) = compat.compare_sets({move.file: before}, {move.file: after})
    if verdict.migrates:
        return Outcome(True)
    return Outcome(False, verdict.reason.replace("00:02.0", "00:03.0"))


def moved(move: Move, directory: Path, machine: str = cases.PC) -> Outcome:
    """The outcome of a live migration in QEMU, on one of its machines.

    A file whose name does not begin with efi is not the device's default ROM, and needs romfile=.
    """
    ids = IDS[move.nic]
    device = nic_models.device_of(move.nic, ids)
    arch = cases.machine_arch(machine)
    proof = cases.of_device(cases.MIGRATE, arch, device, ids, timeout=PATIENCE)
    default = move.file.startswith("efi-")
    proof = proof._replace(rom=move.file, default=default, machine=machine)
    guests = directory / machine / move.name.replace(" ", "_")
    try:
        migration.prove_migration(proof, move.before, move.after, guests, directory / "cache")
    except CheckFailed as failure:
        return Outcome(False, str(failure).removeprefix("migration: "))
    return Outcome(True)


def _run_boots(suite: str, roms: Path, directory: Path) -> bool:
    """Boots all ROMs of a release, prints the numbers, and returns whether all passed."""
    directory.mkdir()
    (directory / "romspec.toml").write_text(spec(roms, debian.NICS))
    environment = {**os.environ, "PYTHONPATH": str(TOP / "src")}
    start = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "romforge", "verify", "--json"],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
    )
    seconds = time.monotonic() - start
    counts = Counter((row["kind"], row["state"]) for row in json.loads(process.stdout)["proofs"])
    cells = [f"{count} {kind} {state}" for (kind, state), count in sorted(counts.items())]
    print(f"{suite}: {', '.join(cells)}; built, booted and checked in {seconds:.0f} s", flush=True)
    complete = {("structure", "passed"): 8, ("bios", "passed"): 16, ("uefi", "passed"): 16}
    return counts == complete and process.returncode == 0


def _run_moves(releases: dict[str, Path], directory: Path, machine: str) -> bool:
    """Makes all migrations on a machine; prints those on which QEMU and ``compat`` disagree."""
    all_moves = list(moves(sets(releases)))
    start = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda move: moved(move, directory, machine), all_moves))
    seconds = time.monotonic() - start
    successes = sum(outcome.moves for outcome in outcomes)
    disagreements = []
    for move, outcome in zip(all_moves, outcomes):
        verdict = expected(move)
        if outcome != verdict:
            disagreements.append(
                f"  {move.name}: compat says {verdict.message or 'migrates'}; "
                f"QEMU says {outcome.message or 'migrates'}"
            )
    print(
        f"{machine}: {successes} migrations moved, {len(all_moves) - successes} refused by QEMU, "
        f"in {seconds:.0f} s; compat agrees on {len(all_moves) - len(disagreements)}"
    )
    for line in disagreements:
        print(line)
    return not disagreements


def main() -> int:
    with TemporaryDirectory(prefix="romforge-matrix-") as top:
        releases = {suite: debian.unpack(suite, Path(top, suite)) for suite in debian.KNOWN}
        passed = []
        for suite, roms in releases.items():
            passed.append(_run_boots(suite, roms, Path(top, f"boots-{suite}")))
        for machine in COUNTING_MACHINES:
            passed.append(_run_moves(releases, Path(top, "moves"), machine))
    if all(passed):
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
