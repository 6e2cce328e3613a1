# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one proof of a ROM, inside the pool of jobs. A ROM's structure is checked first."""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from pathlib import Path

from romforge.base import fingerprint, jobserver, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import BuildRecord, FileState, InputStates
from romforge.base.image_kind import LEGACY, ImageKind
from romforge.base.output_files import STATE
from romforge.base.programs import MissingTool
from romforge.base.text import format_size, join_words, plural
from romforge.formats import option_rom, rom_check, rom_file, stub_image
from romforge.formats.rom_check import Severity
from romforge.rom import lock_format, rom_sets
from romforge.rom.assembly import bucket_of, describe_ids
from romforge.verify import (
    boot,
    cases,
    corruptions,
    exit_watch,
    guest_program,
    guest_report,
    migration,
    qemu,
    several_nics,
    snp,
)
from romforge.verify.boot import CheckFailed, FirmwareHangs, NotProvable, ProofFailed
from romforge.verify.cases import (
    BIOS,
    CALLED,
    EXIT,
    HOTPLUG,
    MIGRATE,
    NICS,
    STRUCTURE,
    UEFI,
    Proof,
)
from romforge.verify.snp import Seen

_CONSOLE_LINES = 20  # of a failed proof, that are kept for reports
CACHE = f"{STATE}/boot"  # boot programs, below the output root


def run_proof(proof: Proof, out: Path) -> BuildRecord:
    """Does a proof; returns its record: what it read, and as JSON what it saw.

    Raises RomforgeError where it failed. Its directory then stays, with the console's log and the
    command to run the guest again. Raises NotProvable where this machine lacks a QEMU, a firmware
    or a compiler that the proof needs.
    """
    directory = (out / cases.proof_directory(proof)).absolute()
    inputs: InputStates = {}
    repeated = ""
    with jobserver.shared_pool().local_job():
        began = time.monotonic()
        output_lock.hold_lock(out)
        boot.fresh_directory(directory)
        try:
            try:
                seen = _run(proof, out, directory, inputs)
            except FirmwareHangs as hang:
                repeated = f"; at the second attempt: {hang}"
                boot.fresh_directory(directory)
                seen = _run(proof._replace(repeated=True), out, directory, inputs)
        except CheckFailed as failure:
            lines = [f"{failure}{repeated}"]
            if (directory / qemu.COMMAND).exists():
                lines += boot.qemu_command_to_paste(directory)
            seconds = round(time.monotonic() - began, 2)
            console = _end_of_console(directory)
            raise ProofFailed("\n  ".join(lines), seconds, console) from None
        except (MissingTool, NotProvable) as lack:
            shutil.rmtree(directory, ignore_errors=True)
            raise NotProvable(str(lack)) from None
        shutil.rmtree(directory, ignore_errors=True)
    seconds = round(time.monotonic() - began, 2)
    proven = {"seen": f"{seen.text}{repeated}", "seconds": seconds}
    if seen.calls:
        proven["calls"] = seen.calls
    return BuildRecord(inputs, {}, proof=json.dumps(proven))


def _run(proof: Proof, out: Path, directory: Path, inputs: InputStates) -> Seen:
    if proof.control:
        return _run_control(proof, proof.control, out, directory, inputs)
    data = _read_rom(out / proof.rom, inputs)
    return _run_kind(proof, data, out, directory, inputs)


def _end_of_console(directory: Path) -> str:
    """The last lines that a guest printed, without a terminal's codes; none without a guest."""
    path = directory / qemu.CONSOLE
    if not path.exists():
        return ""
    text = guest_report.strip_terminal_codes(qemu.read_console(path))
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-_CONSOLE_LINES:])


def _run_control(proof: Proof, name: str, out: Path, directory: Path, inputs: InputStates) -> Seen:
    """Checks that a proof fails with a corrupted ROM, and for one of the right reasons."""
    control = corruptions.CONTROLS[name]
    data = _read_rom(out / (proof.other or proof.rom), inputs)
    corrupted = control.corrupt(option_rom.parse_rom(data), data, proof)
    try:
        seen = _run_kind(proof, corrupted.data, out, directory, inputs, corrupted.expected)
    except CheckFailed as failure:
        if failure.check in control.checks:
            return Seen(f"fails as it must: {failure}")
        reasons = " or ".join(control.checks)
        raise CheckFailed(
            "control", f"fails for another reason than {reasons}: {failure}"
        ) from None
    raise CheckFailed("control", f"passes, though the ROM is corrupted: {seen.text}")


def _run_kind(
    proof: Proof,
    data: bytes,
    out: Path,
    directory: Path,
    inputs: InputStates,
    expected: bytes | None = None,
) -> Seen:
    """Does what the kind of a proof asks for.

    ``expected`` is what the guest must find in the ROM's place.
    """
    if proof.kind == STRUCTURE:
        return Seen(structure(proof, data))
    if proof.kind in (BIOS, UEFI, *CALLED) and not proof.control:
        structure(proof, data)  # of a control, this may be what is corrupted
        _require_image(proof, data)
    machine = qemu.MACHINES[proof.arch]
    programs = [qemu.binary(machine)]
    _require_device(proof, machine)
    if proof.kind in (UEFI, *CALLED):
        firmware = qemu.find_firmware(machine)
        programs += [firmware.code, firmware.variables]
    elif proof.kind == BIOS:
        programs.append(qemu.pc_bios())
    for path in programs:
        inputs[path] = _state_of_program(path)
    for path in qemu.absent(machine):
        if not os.path.exists(path):
            inputs[path] = None
    if proof.kind == MIGRATE:
        baseline = _read_baseline(proof, out, inputs)
        return Seen(migration.prove_migration(proof, baseline, data, directory, out / CACHE))
    if proof.kind in CALLED:
        return _use_interface(proof, data, out, directory, inputs, expected)
    return Seen(boot.prove_boot(proof, data, directory, out / CACHE, expected))


def _require_image(proof: Proof, data: bytes) -> None:
    """Raises NotProvable where the image that a proof runs was dropped to fit the bucket."""
    kind = ImageKind(LEGACY) if proof.kind == BIOS else ImageKind.efi(proof.arch)
    if kind not in proof.droppable:
        return
    if kind not in [image.kind for image in option_rom.parse_rom(data).images]:
        raise NotProvable(f"the {kind} image of the ROM was dropped to fit its bucket")


def _require_device(proof: Proof, machine: qemu.Machine) -> None:
    """Raises NotProvable where QEMU does not have the NIC."""
    name = _device_name(proof.device)
    if not qemu.has_device(machine, name):
        raise NotProvable(f"this {machine.binary} has no device {name}")


def _device_name(device: str) -> str:
    """The name in an argument of QEMU's option -device."""
    return device.partition(",")[0]


def _companion_rom(proof: Proof, out: Path, inputs: InputStates) -> bytes | None:
    """The ROM of the NIC of another model that is in the guest, too.

    None where there is no such NIC, or its ROM has no image that could run.
    """
    companion = proof.companion
    machine = qemu.MACHINES[proof.arch]
    if companion is None or not qemu.has_device(machine, _device_name(companion.device)):
        return None
    data = _read_rom(out / companion.rom, inputs)
    kinds = [image.kind for image in option_rom.parse_rom(data).images]
    return data if ImageKind.efi(proof.arch) in kinds else None


def _use_interface(
    proof: Proof,
    data: bytes,
    out: Path,
    directory: Path,
    inputs: InputStates,
    expected: bytes | None,
) -> Seen:
    """Does a proof in which a program of ours uses the driver's network interface."""
    if proof.kind == NICS:
        companion = _companion_rom(proof, out, inputs)
        return several_nics.prove_nics(proof, data, companion, directory, out / CACHE)
    if proof.kind == HOTPLUG:
        return several_nics.prove_hotplug(proof, data, directory, out / CACHE)
    if proof.kind == EXIT:
        application = guest_program.EXIT
        if proof.control == corruptions.STAYS:
            application = guest_program.STAY
        return exit_watch.prove_exit(proof, data, directory, out / CACHE, application)
    return snp.prove_interface(proof, data, directory, out / CACHE, expected)


def structure(proof: Proof, data: bytes) -> str:
    """Checks that a ROM has no fault, and is what the spec asks for: images, IDs, sizes.

    Returns what was seen. Raises CheckFailed.
    """
    faults = [fault for fault in rom_check.find_faults(data) if fault.severity is not Severity.NOTE]
    if faults:
        raise CheckFailed(STRUCTURE, "\n  ".join(["the ROM is not sound:", *map(str, faults)]))
    images = option_rom.parse_rom(data).images
    kinds = tuple(image.kind for image in images if not image.kind.is_payload)
    if kinds not in _allowed_images(proof):
        raise CheckFailed(
            STRUCTURE,
            f"the ROM holds {', '.join(kinds)}, and the spec asks for {', '.join(proof.images)}",
        )
    for image in images:
        if option_rom.served_ids(image).isdisjoint([proof.ids, *proof.accept_ids]):
            carried = describe_ids(image, proof.ids)
            raise CheckFailed(
                STRUCTURE, f"its {image.kind} image carries {carried}, the NIC is {proof.ids}"
            )
    romsize = bucket_of(len(data))
    if proof.bucket and romsize != proof.bucket:
        raise CheckFailed(
            STRUCTURE,
            f"QEMU gives it {format_size(romsize)}, its bucket is {format_size(proof.bucket)}",
        )
    if proof.limit is not None and len(data) > proof.limit:
        raise CheckFailed(
            STRUCTURE,
            f"it has {format_size(len(data))}, more than its limit of {format_size(proof.limit)}",
        )
    return f"{plural(len(images), 'image')}, {format_size(len(data))}"


def _allowed_images(proof: Proof) -> list[tuple[str, ...]]:
    """The images that a ROM may hold: all, or without the first of those that may be dropped."""
    allowed: list[tuple[str, ...]] = [proof.images]
    for count in range(1, len(proof.droppable) + 1):
        dropped = proof.droppable[:count]
        allowed.append(tuple(kind for kind in proof.images if kind not in dropped))
    return allowed


def _read_baseline(proof: Proof, out: Path, inputs: InputStates) -> bytes:
    """The ROM to migrate from.

    Of a lock, a stub of its bucket, since QEMU compares nothing else.
    """
    assert proof.baseline is not None  # it is a migration
    place = out / proof.baseline
    if place.suffix != ".lock":
        return _read_rom(find_baseline(proof.rom, place), inputs)
    entry = lock_format.read_lock(place).roms.get(proof.rom)
    if not entry:
        raise RomforgeError(f"{place}: has no {proof.rom}")
    inputs[str(place)] = fingerprint.read_file(place)[1]
    return stub_image.make_stub(proof.ids).ljust(entry.bucket, b"\xff")


def find_baseline(rom: str, root: Path) -> Path:
    """The file among older ROMs below ``root`` that corresponds to a ROM.

    Raises RomforgeError where there is none, or several are equally near.
    """
    files = {path.relative_to(root).as_posix(): path for path in rom_sets.files_below(root)}
    found = rom_sets.counterparts(rom, files)
    if not found:
        raise RomforgeError(f"{root} has no {Path(rom).name}, which a guest could run with")
    if len(found) > 1:
        raise RomforgeError(
            f"{root}: a guest with {rom} could have run with {join_words(found, 'or')} before;"
            " name a directory of the set as a source, and migrate from that"
        )
    return files[found[0]]


def _read_rom(path: Path, inputs: InputStates) -> bytes:
    data, inputs[str(path)] = rom_file.read_rom(path)
    return data


@functools.lru_cache
def _state_of_program(path: str) -> FileState:
    """The state of a program or firmware, which is large, and the same for many proofs."""
    return fingerprint.read_file(Path(path))[1]
