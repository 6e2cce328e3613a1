# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one proof of a ROM, inside the pool of jobs: its structure first of all, for a boot proves little of that."""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from romforge.base import fingerprint, jobserver, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import FileState
from romforge.base.output_files import STATE
from romforge.base.text import format_size, plural
from romforge.formats import option_rom, rom_check, stub_image
from romforge.formats.rom_check import Severity
from romforge.rom import lock_format
from romforge.rom.assembly import bucket_of
from romforge.sources import rom_files
from romforge.verify import boot, cases, corruptions, migration, qemu, snp
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import BIOS, MIGRATE, SNP, STRUCTURE, UEFI, Proof
from romforge.verify.snp import Seen

CACHE = f"{STATE}/boot"  # boot programs, below the output root


def run_proof(proof: Proof, out: Path) -> dict[str, Any]:
    """Does a proof; returns its record: what it read, and as JSON what it saw. Raises RomforgeError where it failed.

    Of a proof that failed, its directory stays: the console's log, and the command to run the guest again.
    """
    directory = (out / cases.proof_directory(proof)).absolute()
    inputs: dict[str, FileState | None] = {}
    with jobserver.shared_pool().local_job():
        began = time.monotonic()
        output_lock.hold_lock(out)
        boot.fresh_directory(directory)
        try:
            seen = (
                _controlled(proof, out, directory, inputs)
                if proof.control
                else _proven(proof, out, directory, inputs)
            )
        except CheckFailed as refuted:
            left = (
                boot.qemu_command_to_paste(directory) if (directory / qemu.COMMAND).exists() else []
            )
            raise RomforgeError("\n  ".join([str(refuted), *left])) from None
        shutil.rmtree(directory, ignore_errors=True)
    seconds = round(time.monotonic() - began, 2)
    proven = {"seen": seen.text, "seconds": seconds}
    if seen.calls:
        proven["calls"] = seen.calls
    return {"inputs": inputs, "outputs": {}, "proof": json.dumps(proven)}


def _proven(proof: Proof, out: Path, directory: Path, inputs: dict[str, FileState | None]) -> Seen:
    data = _rom(out / proof.rom, inputs)
    return _one(proof, data, out, directory, inputs)


def _controlled(
    proof: Proof, out: Path, directory: Path, inputs: dict[str, FileState | None]
) -> Seen:
    """That a proof fails with a ROM that is spoilt, and for one of the right reasons."""
    control = corruptions.CONTROLS[proof.control]
    data = _rom(out / (proof.other or proof.rom), inputs)
    spoilt = control.spoil(option_rom.parse_rom(data), data, proof)
    try:
        seen = _one(proof, spoilt.data, out, directory, inputs, spoilt.expected)
    except CheckFailed as refuted:
        if refuted.check in control.checks:
            return Seen(f"turns red: {refuted}")
        raise CheckFailed(
            "control",
            f"turns red, but for another reason than {' or '.join(control.checks)}: {refuted}",
        ) from None
    raise CheckFailed("control", f"stays green: {seen.text}")


def _one(
    proof: Proof,
    data: bytes,
    out: Path,
    directory: Path,
    inputs: dict[str, FileState | None],
    expected: bytes | None = None,
) -> Seen:
    if proof.kind == STRUCTURE:
        return Seen(structure(proof, data))
    if (
        proof.kind in (BIOS, UEFI, SNP) and not proof.control
    ):  # whose ROM may be spoilt in this very respect
        structure(proof, data)
    machine = qemu.MACHINES[proof.arch]
    programs = [qemu.binary(machine)]
    if proof.kind in (UEFI, SNP):
        programs += qemu.find_firmware(machine)
    elif proof.kind == BIOS:
        programs.append(qemu.pc_bios())
    inputs.update((path, _state(path)) for path in programs)
    inputs.update((path, None) for path in qemu.absent(machine) if not os.path.exists(path))
    if proof.kind == MIGRATE:
        return Seen(
            migration.prove_migration(proof, _old(proof, out, inputs), data, directory, out / CACHE)
        )
    if proof.kind == SNP:
        return snp.prove_interface(proof, data, directory, out / CACHE, expected)
    return Seen(boot.prove_boot(proof, data, directory, out / CACHE, expected))


def structure(proof: Proof, data: bytes) -> str:
    """That a ROM has no fault, and is what the spec asks for: its images, their IDs, its bucket. Raises Refuted."""
    found = [fault for fault in rom_check.find_faults(data) if fault.severity is not Severity.NOTE]
    if found:
        raise CheckFailed(STRUCTURE, "\n  ".join(["the ROM is not sound:", *map(str, found)]))
    images = option_rom.parse_rom(data).images
    kinds = tuple((image.pcir.code_type == option_rom.LEGACY, image.machine) for image in images)
    if kinds != proof.images:
        raise CheckFailed(
            STRUCTURE,
            f"the ROM holds {', '.join(image.kind for image in images)}, which is not what the spec asks for",
        )
    for image in images:
        if image.ids != proof.ids and image.ids not in proof.accept_ids:
            raise CheckFailed(
                STRUCTURE,
                f"its {image.kind} image carries {image.ids}, the NIC is {proof.ids}",
            )
    if proof.bucket and bucket_of(len(data)) != proof.bucket:
        raise CheckFailed(
            STRUCTURE,
            f"QEMU gives it {format_size(bucket_of(len(data)))}, its bucket is {format_size(proof.bucket)}",
        )
    return f"{plural(len(images), 'image')}, {format_size(len(data))}"


def _old(proof: Proof, out: Path, inputs: dict[str, FileState | None]) -> bytes:
    """The ROM to migrate from; of a lock, a stub of its bucket, for QEMU compares nothing else."""
    place = out / proof.old
    if place.suffix != ".lock":
        return _rom(find_old(proof, out), inputs)
    entry = lock_format.read_lock(place).roms.get(proof.rom)
    if not entry:
        raise RomforgeError(f"{place}: has no {proof.rom}")
    inputs[str(place)] = fingerprint.read_file(place)[1]
    return stub_image.make_stub(proof.ids).ljust(entry.bucket, b"\xff")


def find_old(proof: Proof, out: Path) -> Path:
    """The file of the same name among older ROMs, the first in order of the paths; raises RomforgeError where there is none."""
    root = out / proof.old
    name = Path(proof.rom).name
    found = sorted(path for path in root.rglob(name) if path.is_file() and not path.is_symlink())
    if not found:
        raise RomforgeError(f"{root} has no {name}, which a guest could run with")
    return found[0]


def _rom(path: Path, inputs: dict[str, FileState | None]) -> bytes:
    data, inputs[str(path)] = rom_files.read_rom(path)
    return data


@functools.lru_cache
def _state(path: str) -> FileState:
    """The state of a program or firmware, which is large, and the same for many proofs."""
    return fingerprint.read_file(Path(path))[1]
