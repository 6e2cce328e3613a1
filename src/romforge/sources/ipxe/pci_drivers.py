# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the drivers of an iPXE tree: the PCI devices of each, and whether it needs port I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from romforge.base.pci_id import PciId

# A device in a driver's source: vendor, device, and the name of its ROM.
_PCI_ROM = re.compile(
    rb'PCI_ROM\s*\(\s*0x([0-9a-fA-F]{1,4})\s*,\s*0x([0-9a-fA-F]{1,4})\s*,\s*"([^"\n]*)"'
    rb'(?:\s*,\s*"([^"\n]*)")?'
)
_IGNORED = re.compile(rb'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_PORT_IO = re.compile(rb"\b(?:in|out)s?[bwl]\s*\(")
_MEMORY_IO = re.compile(
    rb"\b(?:pci_)?ioremap\s*\(|\b(?:read|write)[bwlq]\s*\(|\bio(?:read|write)(?:8|16|32|64)\s*\("
)


class Device(NamedTuple):
    """A device in a driver's source: its IDs, iPXE's name of its ROM, and what it is."""

    ids: PciId
    name: str
    description: str


def driver_sources(src: Path) -> Iterator[tuple[str, bytes]]:
    """The C sources with PCI devices, each with its path below ``src``."""
    for directory, _, files in os.walk(src / "drivers"):
        for name in files:
            if not name.endswith(".c"):
                continue
            path = Path(directory, name)
            with suppress(OSError):
                content = path.read_bytes()
                if b"PCI_ROM" in content:
                    yield str(path.relative_to(src)), content


def devices_of(content: bytes) -> Iterator[Device]:
    """The devices in a driver's source.

    >>> list(devices_of(b'PCI_ROM ( 0x8086, 0x100e, "82540em", "82540EM", 0 ),'))
    [Device((0x8086, 0x100e), "82540em", "82540EM")]
    """
    for vendor, device, name, description in _PCI_ROM.findall(content):
        ids = PciId(int(vendor, 16), int(device, 16))
        yield Device(ids, name.decode(errors="replace"), description.decode(errors="replace"))


def count_port_io(content: bytes) -> int:
    """How often a driver's source uses port I/O; 0 where it uses memory-mapped registers, too.

    A driver that does neither itself leaves both to a bus driver, which has the choice.

    >>> count_port_io(b"outb ( 1, ioaddr ); x = inw ( ioaddr );  // readl (")
    2
    >>> count_port_io(b"regs = pci_ioremap ( pci, bar, 8 ); outb ( 1, ioaddr );")
    0
    """
    code = _IGNORED.sub(b"", content)
    if _MEMORY_IO.search(code):
        return 0
    return len(_PORT_IO.findall(code))
