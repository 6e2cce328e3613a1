# SPDX-License-Identifier: GPL-2.0-or-later
"""The vendor and device that identify a NIC on the PCI bus."""

from __future__ import annotations

from typing import NamedTuple


class PciId(NamedTuple):
    """A vendor ID and a device ID, 16 bits each (PCI Local Bus Specification 3.0, 6.2.1).

    ``str()`` gives the form of lspci and of the spec, as ``8086:100e``.
    """

    vendor: int
    device: int

    def __str__(self) -> str:
        return f"{self.vendor:04x}:{self.device:04x}"

    @property
    def goal(self) -> str:
        """iPXE's name of the image for this device: ``8086100e``."""
        return f"{self.vendor:04x}{self.device:04x}"

    def placeholders(self) -> dict[str, str]:
        """What ``{vendor}`` and ``{device}`` stand for in patterns and marks."""
        return {"vendor": f"{self.vendor:04x}", "device": f"{self.device:04x}"}
