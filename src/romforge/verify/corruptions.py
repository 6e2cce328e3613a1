# SPDX-License-Identifier: GPL-2.0-or-later
"""Negative controls: ROMs that are spoilt on purpose, each of which must turn a proof red, and for the right reason.

What stays green with a spoilt ROM proves nothing with a good one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.formats import option_rom
from romforge.formats.option_rom import Chain, EfiHeader, Image
from romforge.rom.assembly import bucket_of
from romforge.verify.cases import BIOS, MIGRATE, SNP, START, STRUCTURE, UEFI, Proof

FLIPPED, BROKEN, OTHER_BYTES = "flipped bit", "broken driver", "other bytes"
ALONE, ANOTHER, MACHINE = "legacy image alone", "ROM of another NIC", "wrong machine"
EMPTY, TRUNCATED, TOO_LARGE = "empty file", "truncated", "bucket too large"


class CorruptedRom(NamedTuple):
    """What to run; and what the guest is to find, where that is another ROM."""

    data: bytes
    expected: bytes | None = None


class Control(NamedTuple):
    """How a ROM is spoilt, for which kinds of proofs, and which checks may find it."""

    kinds: tuple[str, ...]
    checks: tuple[str, ...]
    spoil: Callable[[Chain, bytes, Proof], CorruptedRom]


def add_controls(proofs: Sequence[Proof]) -> list[Proof]:
    """The controls of a set of proofs: each once for each kind of proof, firmware and way to load the ROM.

    Code with a wrong bit may hang for ever, so a control has a third of the time.
    """
    found: dict[tuple[object, ...], Proof] = {}
    for proof in proofs:
        # of another vendor, for one driver may drive several devices of one
        other = next(
            (one for one in proofs if one.ids[0] != proof.ids[0] and one.images == proof.images),
            None,
        )
        for name, control in CONTROLS.items():
            if proof.kind not in control.kinds or not _applies(name, proof, other):
                continue
            virtio = name == ALONE and "virtio" in proof.device  # OVMF has a driver of its own
            made = proof._replace(control=name, timeout=-(-proof.timeout // 3))
            if name == ANOTHER and other:
                made = made._replace(
                    needs=tuple(dict.fromkeys(proof.needs + other.needs)), other=other.rom
                )
            found.setdefault(
                (name, proof.kind, proof.arch, proof.default, proof.network, virtio), made
            )
    return list(found.values())


def _applies(name: str, proof: Proof, other: Proof | None) -> bool:
    """Whether the ROM has what is to be spoilt."""
    if proof.mark and name in (
        FLIPPED,
        BROKEN,
        OTHER_BYTES,
    ):  # code that only shows a mark runs and tells little of itself
        return False
    if name == ANOTHER:
        return other is not None
    if name == ALONE:
        return proof.images[0].is_legacy
    return name not in (BROKEN, MACHINE) or any(kind.machine for kind in proof.images)


def _flipped(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """A bit in the middle of the legacy image, whose checksum is right again."""
    image = _first(chain, lambda image: image.pcir.code_type == option_rom.LEGACY)
    spoilt = bytearray(data)
    place, checksum = image.offset + len(image.data) // 2, image.offset + option_rom.CHECKSUM
    spoilt[place] ^= 1
    spoilt[checksum] = (spoilt[checksum] + data[place] - spoilt[place]) & 0xFF
    return CorruptedRom(bytes(spoilt))


def _broken(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """Of a compressed driver 64 bytes in the middle are turned over, of a stored one its first two, which are MZ."""
    image = _first(
        chain,
        lambda image: (
            _is_efi(image) and (proof.kind == STRUCTURE or image.machine == proof.arch.machine)
        ),
    )
    header = image.header
    assert isinstance(header, EfiHeader)
    compressed = header.compression_type == option_rom.UEFI_COMPRESSED
    begin = image.offset + (len(image.data) // 2 if compressed else header.efi_image_offset)
    end = begin + (64 if compressed else 2)
    return CorruptedRom(data[:begin] + bytes(one ^ 0xFF for one in data[begin:end]) + data[end:])


def _legacy_alone(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    image = _first(chain, lambda image: image.pcir.code_type == option_rom.LEGACY)
    return CorruptedRom(option_rom.rewrite(image, last=True).data.ljust(len(data), b"\xff"))


def _wrong_machine(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """The machine field of the EFI header (UEFI Specification, 14.4.2) names another architecture."""
    image = _first(chain, _is_efi)
    place = image.offset + 0xA
    return CorruptedRom(
        data[:place] + (image.machine ^ 0xFF).to_bytes(2, "little") + data[place + 2 :]
    )


def _other_bytes(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    """The good ROM is run in the place of one that ends otherwise."""
    last = chain.end - 1
    return CorruptedRom(data, data[:last] + bytes([data[last] ^ 0xFF]) + data[chain.end :])


def _truncated(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    return CorruptedRom(data[: len(chain.images[0].data) // 2])


def _too_large(chain: Chain, data: bytes, proof: Proof) -> CorruptedRom:
    return CorruptedRom(data.ljust(2 * bucket_of(len(data)), b"\xff"))


_BOOTED = "boot", "driver"
CONTROLS = {
    FLIPPED: Control((BIOS,), ("boot",), _flipped),
    BROKEN: Control((STRUCTURE, UEFI, SNP), ("structure", *_BOOTED), _broken),
    ALONE: Control((UEFI,), _BOOTED, _legacy_alone),
    ANOTHER: Control(
        (STRUCTURE, BIOS, UEFI, SNP),
        ("structure", *_BOOTED),
        lambda chain, data, proof: CorruptedRom(data),
    ),
    EMPTY: Control(
        (STRUCTURE, BIOS, UEFI, START),
        ("structure", "boot", "start"),
        lambda chain, data, proof: CorruptedRom(b""),
    ),
    TRUNCATED: Control((STRUCTURE, BIOS, UEFI), ("structure", *_BOOTED), _truncated),
    MACHINE: Control((STRUCTURE,), ("structure",), _wrong_machine),
    TOO_LARGE: Control((STRUCTURE, MIGRATE), ("structure", "migration"), _too_large),
    OTHER_BYTES: Control((BIOS, UEFI), ("content",), _other_bytes),
}


def _is_efi(image: Image) -> bool:
    return isinstance(image.header, EfiHeader)


def _first(chain: Chain, wanted: Callable[[Image], bool]) -> Image:
    found = next((image for image in chain.images if wanted(image)), None)
    if not found:
        raise RomforgeError("the ROM has no image that the control could spoil")
    return found
