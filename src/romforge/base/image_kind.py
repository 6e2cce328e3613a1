# SPDX-License-Identifier: GPL-2.0-or-later
"""What kind of image of a ROM something is: which firmware runs it, and on which machine."""

from __future__ import annotations

from romforge.base.arch import BY_MACHINE, Arch, machine_name

# Code types (PCI Firmware Specification 3.3, 5.1.2); the last is reserved, and so no firmware's.
LEGACY, EFI, NOBODY = 0x00, 0x03, 0xFF
_STUB, _PAYLOAD = "stub", "payload"


class ImageKind(str):
    """The kind of an image. As text it is ``legacy``, ``payload``, ``stub``, or an architecture.

    No firmware runs a stub or a payload. A stub has no code; a payload is the code of the legacy
    image in front of it. They have the same code type, so ``name`` tells them apart. ``machine`` is
    the PE machine of an EFI image, and 0 for others:

    >>> ImageKind.efi(Arch.ARM64), ImageKind(LEGACY).is_legacy
    ('arm64', True)
    """

    code_type: int
    machine: int

    def __new__(cls, code_type: int, machine: int = 0, name: str = "") -> ImageKind:
        kind = super().__new__(cls, name or _name(code_type, machine))
        kind.code_type = code_type
        kind.machine = machine if code_type == EFI else 0
        return kind

    def __getnewargs__(self) -> tuple[int, int, str]:  # type: ignore[override]
        return self.code_type, self.machine, str(self)

    @classmethod
    def efi(cls, arch: Arch) -> ImageKind:
        """The kind of an EFI image for an architecture."""
        return cls(EFI, arch.machine)

    @classmethod
    def stub(cls) -> ImageKind:
        """The kind of an image without code."""
        return cls(NOBODY, name=_STUB)

    @classmethod
    def payload(cls) -> ImageKind:
        """The kind of the second image of an iPXE .mrom, which has the code of the first."""
        return cls(NOBODY, name=_PAYLOAD)

    @property
    def is_legacy(self) -> bool:
        return self.code_type == LEGACY

    @property
    def is_stub(self) -> bool:
        return self == _STUB

    @property
    def is_payload(self) -> bool:
        return self == _PAYLOAD

    @property
    def has_port_io(self) -> bool:
        """Whether iPXE can access the I/O space of the PCI bus where this image runs."""
        if self.code_type != EFI:
            return self.is_legacy
        return self.machine in BY_MACHINE and BY_MACHINE[self.machine].has_port_io


def is_bootable(kind: str) -> bool:
    """Whether some firmware can boot from images of a kind, by its name as in a lock."""
    return kind not in (_STUB, _PAYLOAD)


def _name(code_type: int, machine: int) -> str:
    if code_type == LEGACY:
        return "legacy"
    if code_type == EFI:
        return machine_name(machine)
    return f"type {code_type:#04x}"
