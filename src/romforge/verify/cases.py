# SPDX-License-Identifier: GPL-2.0-or-later
"""From the plan to proofs: for each ROM what to run of it, and what must be seen.

Pure, as the plan is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from romforge.base.arch import BY_MACHINE, BY_NAME, Arch
from romforge.base.image_kind import ImageKind
from romforge.base.output_files import STATE
from romforge.base.pci_id import PciId
from romforge.plan.image_requests import ImageRequest
from romforge.plan.planner import fetch_step, source_root
from romforge.plan.steps import Fetch, Plan, Rom
from romforge.spec.model import LOCK, Source, Spec, migration_column
from romforge.spec.value_types import MACHINES_ALL

# kinds of proofs
STRUCTURE, BIOS, UEFI, START, MIGRATE = "structure", "bios", "uefi", "start", "migrate"
IPV4, IPV6 = "ipv4", "ipv6"  # networks
PC = "pc"  # the machine to migrate on if a ROM has an image for none
SNP = "snp"  # our own calls of the driver's Simple Network Protocol
# Our own calls with several NICs, with a NIC that comes and goes, and after ExitBootServices.
NICS, HOTPLUG, EXIT = "nics", "hotplug", "exit"
CALLED = SNP, NICS, HOTPLUG, EXIT  # the kinds in which a program of ours uses the driver


class Companion(NamedTuple):
    """A NIC of another model beside those of a proof: its ROM, and QEMU's device."""

    rom: str
    device: str


class Proof(NamedTuple):
    """One thing to prove of a ROM. Paths are relative to the output root, or absolute."""

    rom: str
    column: str  # of the matrix
    kind: str
    arch: Arch
    default: bool  # whether QEMU loads the ROM as its default one, or by romfile=
    nic: str
    device: str  # of QEMU, with properties
    ids: PciId
    accept_ids: tuple[PciId, ...]
    images: tuple[ImageKind, ...]
    bucket: int | None
    mark: str | None  # what the console must show, if not the report of our boot program
    baseline: str | None  # where the ROM to migrate from is searched, or the lock with its bucket
    needs: tuple[str, ...]  # tasks
    timeout: int  # seconds
    network: str = IPV4
    droppable: tuple[ImageKind, ...] = ()  # what the ROM may lack, in the order of dropping
    machine: str = PC  # where to migrate
    control: str | None = None  # how the ROM is corrupted, so that the proof must fail
    other: str | None = None  # the ROM to run in its place, for a control
    companion: Companion | None = None  # only of NICS
    limit: int | None = None  # of the file, in bytes
    repeated: bool = False  # whether a guest has hung before, with the firmware to blame

    @property
    def task(self) -> str:
        name = f"verify:{self.rom}:{self.column}"
        return f"{name}:{self.control}" if self.control else name


def make_proofs(spec: Spec, plan: Plan, replaced: Collection[str] = ()) -> tuple[Proof, ...]:
    """The proofs of all ROMs, in the plan's order.

    Of sources in ``replaced`` the fallback tree is built.
    """
    proofs: list[Proof] = []
    for rom in plan.roms():
        proofs += _proofs_of_rom(spec, rom, replaced)
    return tuple(_add_companions(plan, proofs))


def _add_companions(plan: Plan, proofs: Sequence[Proof]) -> Iterator[Proof]:
    """The proofs; those of several NICs with the next other model of the same target."""
    targets = {rom.path: rom.target for rom in plan.roms()}
    groups: dict[tuple[str, Arch], list[Proof]] = {}
    for proof in proofs:
        if proof.kind == NICS:
            groups.setdefault((targets[proof.rom], proof.arch), []).append(proof)
    for proof in proofs:
        if proof.kind == NICS:
            group = groups[targets[proof.rom], proof.arch]
            yield _add_companion(proof, group)
        else:
            yield proof


def _add_companion(proof: Proof, group: Sequence[Proof]) -> Proof:
    """The proof with the next NIC of another model in the group, if there is one."""
    following = group.index(proof) + 1
    for other in [*group[following:], *group[:following]]:
        if other.device != proof.device:
            needs = tuple(dict.fromkeys(proof.needs + other.needs))
            return proof._replace(companion=Companion(other.rom, other.device), needs=needs)
    return proof


def baseline_fetches(spec: Spec, plan: Plan) -> list[Fetch]:
    """The steps that get older sets which the plan does not get anyway."""
    planned = {fetch.source for fetch in plan.fetches}
    steps = []
    for name in spec.verify.migrate_from:
        if name == LOCK or name in planned:
            continue
        step = fetch_step(spec, name, spec.source[name])
        if step:
            steps.append(step)
    return steps


def baselines(spec: Spec) -> Iterator[tuple[str, str]]:
    """The older sets that the spec migrates from: the name of each, and where it lies."""
    for name in spec.verify.migrate_from:
        yield name, _baseline_place(spec, name)


def _baseline_place(spec: Spec, name: str) -> str:
    """Where an older set lies: absolute, or relative to the output root."""
    if name == LOCK:
        return os.path.abspath(spec.path.with_suffix(".lock"))
    return source_root(spec, name, spec.source[name])


def _proofs_of_rom(spec: Spec, rom: Rom, replaced: Collection[str]) -> Iterator[Proof]:
    from romforge.base.nic_models import device_of  # a doit with nothing to do makes no proofs

    verify = spec.verify
    proof = Proof(
        rom=rom.path,
        column=STRUCTURE,
        kind=STRUCTURE,
        arch=Arch.X86_64,
        default=False,
        nic=rom.nic,
        device=spec.nic[rom.nic].device or device_of(rom.nic, rom.ids),
        ids=rom.ids,
        accept_ids=rom.accept_ids,
        images=tuple(request.kind for request in rom.requests),
        droppable=rom.droppable,
        bucket=rom.bucket,
        mark=None,
        baseline=None,
        needs=(rom.task,),
        timeout=verify.timeout,
        limit=rom.limit,
    )
    yield proof
    for request in rom.requests:
        if request.source is not None:
            yield from _boots(spec, proof, request, replaced)
    machines = {kind.machine for kind in proof.images}
    for name in verify.start:
        arch = BY_NAME[name]
        if arch.machine not in machines:
            started = proof._replace(kind=START, arch=arch)
            yield from _each_mode(started, f"starts-{name}", verify.roms)
    for name in verify.migrate_from:
        for machine in _machines(spec, proof.images):
            yield _migration(spec, proof, name, machine)


def _machines(spec: Spec, images: Sequence[ImageKind]) -> list[str]:
    """The machines to migrate on: those of the spec, or for which the ROM has an image.

    A ROM that has no such image migrates on the machine pc: QEMU compares no images.
    """
    wanted = spec.verify.migrate_on
    if wanted is not None:
        return [name for name in MACHINES_ALL if name in wanted]
    archs = {BY_MACHINE[kind.machine] for kind in images if kind.machine in BY_MACHINE}
    if archs & {Arch.I386, Arch.X86_64} or any(kind.is_legacy for kind in images):
        archs.add(Arch.X86_64)
    return [name for name in MACHINES_ALL if machine_arch(name) in archs] or [PC]


def machine_arch(name: str) -> Arch:
    """The architecture of a machine to migrate on."""
    return BY_NAME.get(name, Arch.X86_64)


def _migration(spec: Spec, proof: Proof, name: str, machine: str) -> Proof:
    """The migration from the ROM of a source, or from the lock, to that of ``proof``."""
    needs = proof.needs
    if name != LOCK and fetch_step(spec, name, spec.source[name]):
        needs = (*needs, f"source:{name}")
    return proof._replace(
        kind=MIGRATE,
        column=migration_column(name, machine),
        arch=machine_arch(machine),
        machine=machine,
        default="default" in spec.verify.roms,
        baseline=_baseline_place(spec, name),
        needs=needs,
    )


def _boots(
    spec: Spec, proof: Proof, request: ImageRequest, replaced: Collection[str]
) -> Iterator[Proof]:
    """What is to be run of one image of a ROM; ``proof`` has what holds for the ROM."""
    verify = spec.verify
    name = BIOS if request.kind.is_legacy else str(request.kind)
    if name not in verify.boot:
        return
    assert request.source is not None  # a stub is not booted
    source = spec.source[request.source]
    booted = proof._replace(kind=BIOS, arch=Arch.X86_64)
    if not request.kind.is_legacy:
        booted = proof._replace(kind=UEFI, arch=BY_MACHINE[request.kind.machine])
    mark = source.fallback_mark if request.source in replaced else source.mark
    if mark:
        booted = booted._replace(mark=mark.format(nic=proof.nic, **proof.ids.placeholders()))
    if mark or request.kind.is_legacy:
        yield from _each_mode(booted, name, verify.roms)
        return
    for network in verify.network:
        for proof_of_mode in _each_mode(booted, name, verify.roms):
            column = proof_of_mode.column
            if network != IPV4:
                column = f"{column}-{network}"
            yield proof_of_mode._replace(column=column, network=network)
    if _drives_interface(spec, source):
        for kind in CALLED:
            yield booted._replace(kind=kind, column=f"{kind}-{name}")


def _drives_interface(spec: Spec, source: Source) -> bool:
    """Whether to call the Simple Network Protocol of a source's drivers, which have no mark."""
    if spec.verify.snp is None:
        return source.is_tree
    return spec.verify.snp


def of_device(kind: str, arch: Arch, device: str, ids: PciId, timeout: int = 120) -> Proof:
    """A proof of a ROM that no spec names, which QEMU gets by romfile= for a device."""
    return Proof(
        rom="",
        column=kind,
        kind=kind,
        arch=arch,
        default=False,
        nic=device,
        device=device,
        ids=ids,
        accept_ids=(),
        images=(),
        bucket=None,
        mark=None,
        baseline=None,
        needs=(),
        timeout=timeout,
    )


def _each_mode(proof: Proof, name: str, modes: Sequence[str]) -> Iterator[Proof]:
    for mode in modes:
        yield proof._replace(column=f"{name}-{mode}", default=mode == "default")


def proof_directory(proof: Proof) -> str:
    """Where a proof does its work, relative to the output root."""
    name = proof.column
    if proof.control:
        name += "-" + proof.control.replace(" ", "-")
    return os.path.join(STATE, "verify", proof.rom, name)
