# SPDX-License-Identifier: GPL-2.0-or-later
"""From the plan to proofs: for each ROM what is to be run of it, and what must come of it. Pure, as the plan is."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from romforge.base.arch import BY_MACHINE, BY_NAME, Arch
from romforge.base.output_files import STATE
from romforge.base.pci_id import PciId
from romforge.plan.planner import Fetch, ImageRequest, Plan, Rom, fetch_step, source_root
from romforge.spec.model import LOCK, Source, Spec

# kinds of proofs
STRUCTURE, BIOS, UEFI, START, MIGRATE = "structure", "bios", "uefi", "start", "migrate"
IPV4, IPV6 = "ipv4", "ipv6"  # networks
SNP = "snp"  # our own calls of the driver's Simple Network Protocol
# What QEMU calls the device of these IDs, where that is not the name of the NIC.
_DEVICES = {
    PciId(0x8086, 0x100E): "e1000",
    PciId(0x8086, 0x100F): "e1000-82545em",
    PciId(0x8086, 0x1008): "e1000-82544gc",
    PciId(0x8086, 0x10D3): "e1000e",
    PciId(0x8086, 0x10C9): "igb",
    PciId(0x8086, 0x1209): "i82559er",
    PciId(0x8086, 0x1229): "i82559c",
    PciId(0x10EC, 0x8029): "ne2k_pci",
    PciId(0x10EC, 0x8139): "rtl8139",
    PciId(0x1022, 0x2000): "pcnet",
    PciId(0x15AD, 0x07B0): "vmxnet3",
    PciId(0x1AF4, 0x1000): "virtio-net-pci",
    PciId(0x1AF4, 0x1041): "virtio-net-pci,disable-legacy=on,disable-modern=off",
}


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
    images: tuple[tuple[bool, int], ...]  # code type and machine of each: legacy or not
    bucket: int | None
    mark: (
        str  # what the console must show in the place of our boot program's words; empty for those
    )
    old: str  # where the ROM to migrate from is searched, or the lock that tells its bucket
    needs: tuple[str, ...]  # tasks
    timeout: int  # seconds
    network: str = IPV4
    control: str = ""  # what is done to the ROM, so that the proof must fail
    other: str = ""  # the ROM to run in its place, for a control

    @property
    def task(self) -> str:
        return f"verify:{self.rom}:{self.column}{':' + self.control if self.control else ''}"


def make_proofs(spec: Spec, plan: Plan, replaced: Collection[str] = ()) -> tuple[Proof, ...]:
    """The proofs of all ROMs, in the plan's order; of sources in ``replaced`` the fallback tree is built."""
    return tuple(proof for rom in plan.roms() for proof in _of(spec, rom, replaced))


def baseline_fetches(spec: Spec, plan: Plan) -> list[Fetch]:
    """What gets the old sets that the plan does not get anyway."""
    known = {one.source for one in plan.fetches}
    names = [name for name in spec.verify.migrate_from if name not in known and name != LOCK]
    return [found for name in names if (found := fetch_step(spec, name, spec.source[name]))]


def baselines(spec: Spec) -> Iterator[tuple[str, str]]:
    """The older sets that the spec migrates from: the name of each, and where it lies."""
    for name in spec.verify.migrate_from:
        yield (
            name,
            os.path.abspath(spec.path.with_suffix(".lock"))
            if name == LOCK
            else source_root(spec, name, spec.source[name]),
        )


def device_of(nic: str, ids: PciId) -> str:
    """QEMU's name of a NIC that the spec gives no device."""
    return _DEVICES.get(ids, nic)


def _of(spec: Spec, rom: Rom, replaced: Collection[str]) -> Iterator[Proof]:
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
        images=tuple((pick.legacy, 0 if pick.legacy else pick.machine) for pick in rom.picks),
        bucket=rom.bucket,
        mark="",
        old="",
        needs=(rom.task,),
        timeout=verify.timeout,
    )
    yield proof
    for pick in rom.picks:
        if not pick.stub:
            yield from _boots(spec, proof, pick, replaced)
    there = {machine for legacy, machine in proof.images if not legacy}
    for name in verify.start:
        if BY_NAME[name].machine not in there:
            yield from _each_mode(
                proof._replace(kind=START, arch=BY_NAME[name]), f"starts-{name}", verify.roms
            )
    for name in verify.migrate_from:
        if name == LOCK:
            lock = os.path.abspath(spec.path.with_suffix(".lock"))
            yield proof._replace(kind=MIGRATE, column=f"from-{LOCK}", default=True, old=lock)
            continue
        source = spec.source[name]
        needs = (rom.task, f"source:{name}") if fetch_step(spec, name, source) else (rom.task,)
        yield proof._replace(
            kind=MIGRATE,
            column=f"from-{name}",
            default=True,
            old=source_root(spec, name, source),
            needs=needs,
        )


def _boots(
    spec: Spec, proof: Proof, pick: ImageRequest, replaced: Collection[str]
) -> Iterator[Proof]:
    """What is to be run of one image of a ROM; ``proof`` has what holds for the ROM."""
    verify = spec.verify
    name = BIOS if pick.legacy else BY_MACHINE[pick.machine].ipxe_name
    if name not in verify.boot:
        return
    source = spec.source[pick.source]
    mark = (source.fallback_mark if pick.source in replaced else source.mark) or ""
    mark = mark.format(nic=proof.nic, **proof.ids.placeholders())
    if pick.legacy or mark:
        kind = BIOS if pick.legacy else UEFI
        arch = Arch.X86_64 if pick.legacy else BY_MACHINE[pick.machine]
        yield from _each_mode(proof._replace(kind=kind, arch=arch, mark=mark), name, verify.roms)
        return
    booted = proof._replace(kind=UEFI, arch=BY_MACHINE[pick.machine])
    for network in verify.network:
        for one in _each_mode(booted, name, verify.roms):
            column = one.column if network == IPV4 else f"{one.column}-{network}"
            yield one._replace(column=column, network=network)
    if _drives_interface(spec, source):
        yield booted._replace(kind=SNP, column=f"snp-{name}")


def _drives_interface(spec: Spec, source: Source) -> bool:
    """Whether the Simple Network Protocol of a source's drivers, which have no mark, is to be called."""
    if spec.verify.snp is None:
        return source.tree is not None
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
        mark="",
        old="",
        needs=(),
        timeout=timeout,
    )


def _each_mode(proof: Proof, name: str, modes: Sequence[str]) -> Iterator[Proof]:
    for mode in modes:
        yield proof._replace(column=f"{name}-{mode}", default=mode == "default")


def proof_directory(proof: Proof) -> str:
    """Where a proof does its work, relative to the output root."""
    return os.path.join(
        STATE,
        "verify",
        proof.rom,
        f"{proof.column}{'-' + proof.control.replace(' ', '-') if proof.control else ''}",
    )
