# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets of small ROMs, for tests of builds in which it does not matter what the ROMs are.

They are like those of a release of Debian: an ``efi-NIC.rom`` of a legacy image and a compressed
driver, padded to 256 KiB in all sets but the oldest, and a ``pxe-NIC.rom``. Each driver has a
kilobyte, so it is checked in a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from romforge.base.pci_id import PciId
from romforge.formats.option_rom import BLOCK
from tests.support import builders

# The blocks of 512 bytes of each legacy image, by the version of a set: alone it fits into 128 KiB,
# with a driver not
VERSIONS = {"new": 255, "old": 255, "oldest": 250}


def write_sets(top: Path, nics: Mapping[str, str]) -> dict[str, Path]:
    """Writes the three versions of a set for some NICs; returns their directories.

    Those of ``new`` and ``old`` differ, and have the same sizes. ``oldest`` has another size.
    """
    sets = {}
    for version, blocks in VERSIONS.items():
        sets[version] = top / version
        sets[version].mkdir(parents=True)
        for nic, ids in nics.items():
            vendor, device = (int(part, 16) for part in ids.split(":"))
            roms = _roms(PciId(vendor, device), blocks, f"{version} {nic}")
            if version != "oldest":
                roms["efi"] = roms["efi"].ljust(256 << 10, b"\xff")
            for kind, data in roms.items():
                (sets[version] / f"{kind}-{nic}.rom").write_bytes(data)
    return sets


def _roms(ids: PciId, blocks: int, name: str) -> dict[str, bytes]:
    """The two ROMs of a NIC; the name is in the code of both images."""
    code = name.encode().ljust(32)
    driver = builders.driver()[: -len(code)] + code
    alone = builders.changed(builders.legacy(ids, blocks=blocks), BLOCK, code)
    first = builders.changed(builders.legacy(ids, blocks=blocks, last=False), BLOCK, code)
    chain = builders.mended(first, 6) + builders.compressed_efi(builders.stored(driver), ids)
    return {"efi": chain, "pxe": builders.mended(alone, 6)}
