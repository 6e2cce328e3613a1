# SPDX-License-Identifier: GPL-2.0-or-later
"""Negative controls: proofs of corrupted ROMs, each of which must fail, and for the right reason.

A proof that passes with a corrupted ROM shows nothing when it passes with a good one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.formats import option_rom
from romforge.formats.option_rom import Chain, EfiHeader, Image
from romforge.rom.assembly import bucket_of
from romforge.verify.cases import BIOS, CALLED, EXIT, MIGRATE, SNP, START, STRUCTURE, UEFI, Proof

FLIPPED, BROKEN, OTHER_BYTES = "flipped bit", "broken driver", "other bytes"
ALONE, ANOTHER, MACHINE = "legacy image alone", "ROM of another NIC", "wrong machine"
EMPTY, TRUNCATED, TOO_LARGE = "empty file", "truncated", "bucket too large"
STAYS = "no ExitBootServices"  # the ROM is good, and the program does not call it
_WITHOUT_DMA = ("ne2k_pci",)  # devices that never write to memory
_MACHINE_FIELD = 0x0A  # offset in an EFI image's header (UEFI Specification, 14.4.2)


class CorruptedRom(NamedTuple):
    """The ROM to run; and the ROM that the guest must find, if that is another one."""

    data: bytes
    expected: bytes | None = None


Corruption = Callable[[Chain, bytes, Proof], CorruptedRom]


class Control(NamedTuple):
    """How to corrupt a ROM, for which kinds of proofs, and which checks may fail then."""

    kinds: tuple[str, ...]
    checks: tuple[str, ...]
    corrupt: Corruption


class _Variant(NamedTuple):
    """What distinguishes controls: each control is run once for each of these."""

    name: str
    kind: str
    arch: Arch
    default: bool
    network: str
    machine: str  # to migrate on
    virtio: bool  # the firmware could use its own driver instead


def add_controls(proofs: Sequence[Proof]) -> list[Proof]:
    """The controls of a set of proofs: each once per kind of proof, firmware and romfile=.

    Corrupted code may hang for ever, so a control has a third of the proof's time.
    """
    controls: dict[_Variant, Proof] = {}
    for proof in proofs:
        other = _other_vendor(proof, proofs)
        for name, control in CONTROLS.items():
            if proof.kind not in control.kinds or not _applies(name, proof, other):
                continue
            virtio = name == ALONE and "virtio" in proof.device  # OVMF has a driver of its own
            variant = _Variant(
                name,
                proof.kind,
                proof.arch,
                proof.default,
                proof.network,
                proof.machine,
                virtio,
            )
            controls.setdefault(variant, _make_control(name, proof, other))
    return list(controls.values())


def _other_vendor(proof: Proof, proofs: Sequence[Proof]) -> Proof | None:
    """A proof of a ROM of another vendor with the same kinds of images.

    A ROM of the same vendor would not do: its driver may support both devices.
    """
    for other in proofs:
        if other.ids.vendor != proof.ids.vendor and other.images == proof.images:
            return other
    return None


def _make_control(name: str, proof: Proof, other: Proof | None) -> Proof:
    control = proof._replace(control=name, timeout=-(-proof.timeout // 3))
    if name == ANOTHER and other:
        needs = tuple(dict.fromkeys(proof.needs + other.needs))
        control = control._replace(needs=needs, other=other.rom)
    return control


def _applies(name: str, proof: Proof, other: Proof | None) -> bool:
    """Whether the ROM has what the control corrupts."""
    if proof.mark and name in (FLIPPED, BROKEN, OTHER_BYTES):
        return False  # code that only shows a mark may show it although it is corrupted
    has_efi_image = any(kind.machine for kind in proof.images)
    conditions = {
        ANOTHER: other is not None,
        ALONE: proof.images[0].is_legacy,
        STAYS: proof.device not in _WITHOUT_DMA,
        TOO_LARGE: proof.kind != STRUCTURE or proof.bucket is not None,
        BROKEN: has_efi_image,
        MACHINE: has_efi_image,
    }
    return conditions.get(name, True)


def _flip_bit(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """A bit in the middle of the legacy image is inverted; its checksum is valid again.

    Of an .mrom, that is the middle of the payload, which has the code.
    """
    image, payload = _first_legacy_image(chain)
    if payload is not None:
        image = payload
    offset = image.offset + len(image.data) // 2
    checksum = image.offset + option_rom.CHECKSUM
    corrupted = bytearray(data)
    corrupted[offset] ^= 1
    corrupted[checksum] = (corrupted[checksum] + data[offset] - corrupted[offset]) & 0xFF
    return CorruptedRom(bytes(corrupted))


def _break_driver(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """Some bytes of the EFI driver are inverted.

    They are 64 bytes in the middle of a compressed driver, and the signature MZ of another.
    """

    def is_tested(image: Image) -> bool:
        if not _is_efi(image):
            return False
        return proof.kind == STRUCTURE or image.machine == proof.arch.machine

    image = _first_image(chain, is_tested)
    header = image.header
    assert isinstance(header, EfiHeader)
    if header.compression_type == option_rom.UEFI_COMPRESSED:
        start, size = image.offset + len(image.data) // 2, 64
    else:
        start, size = image.offset + header.efi_image_offset, 2
    inverted = bytes(byte ^ 0xFF for byte in data[start : start + size])
    return CorruptedRom(_replace_bytes(data, start, inverted))


def _keep_legacy_image(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """The EFI images are removed; the ROM has the same bucket."""
    image, payload = _first_legacy_image(chain)
    kept = option_rom.rewrite(image, last=payload is None).data
    if payload is not None:
        kept += option_rom.rewrite(payload, last=True).data
    return CorruptedRom(kept.ljust(len(data), b"\xff"))


def _change_machine(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """The first EFI image is marked as one for another architecture."""
    image = _first_image(chain, _is_efi)
    machine = (image.machine ^ 0xFF).to_bytes(2, "little")
    return CorruptedRom(_replace_bytes(data, image.offset + _MACHINE_FIELD, machine))


def _expect_other_byte(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """The good ROM is run, and one with another last byte is expected."""
    last = chain.end - 1
    return CorruptedRom(data, _replace_bytes(data, last, bytes([data[last] ^ 0xFF])))


def _truncate(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    return CorruptedRom(data[: len(chain.images[0].data) // 2])


def _enlarge(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    return CorruptedRom(data.ljust(2 * bucket_of(len(data)), b"\xff"))


def _empty(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    return CorruptedRom(b"")


def _keep(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """The ROM is unchanged: it is that of another NIC, or the program is another one."""
    return CorruptedRom(data)


_BOOTED = "boot", "driver"
_STRUCTURE_OR_BOOTED = "structure", *_BOOTED
CONTROLS = {
    FLIPPED: Control((BIOS,), ("boot",), _flip_bit),
    BROKEN: Control((STRUCTURE, UEFI, *CALLED), _STRUCTURE_OR_BOOTED, _break_driver),
    ALONE: Control((UEFI,), _BOOTED, _keep_legacy_image),
    ANOTHER: Control((STRUCTURE, BIOS, UEFI, SNP), _STRUCTURE_OR_BOOTED, _keep),
    EMPTY: Control((STRUCTURE, BIOS, UEFI, START), ("structure", "boot", "start"), _empty),
    TRUNCATED: Control((STRUCTURE, BIOS, UEFI), _STRUCTURE_OR_BOOTED, _truncate),
    MACHINE: Control((STRUCTURE,), ("structure",), _change_machine),
    TOO_LARGE: Control((STRUCTURE, MIGRATE), ("structure", "migration"), _enlarge),
    OTHER_BYTES: Control((BIOS, UEFI), ("content",), _expect_other_byte),
    STAYS: Control((EXIT,), ("memory",), _keep),
}


def _first_legacy_image(chain: Chain) -> tuple[Image, Image | None]:
    """The first legacy image, and its payload if it is that of an .mrom."""
    for image, payload in option_rom.group_images(chain.images):
        if image.kind.is_legacy:
            return image, payload
    raise RomforgeError("the ROM has no legacy image that the control could corrupt")


def _is_efi(image: Image) -> bool:
    return isinstance(image.header, EfiHeader)


def _first_image(chain: Chain, matches: Callable[[Image], bool]) -> Image:
    for image in chain.images:
        if matches(image):
            return image
    raise RomforgeError("the ROM has no image that the control could corrupt")


def _replace_bytes(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]
