# SPDX-License-Identifier: GPL-2.0-or-later
"""A project with a ROM and two files that are no ROMs, built of the miniature and locked."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support import linked
from tests.support.compilers import CACHED_PATH, cached_compilers
from tests.support.project import run

FILES = """spec = 1
[source.ipxe]
tree = "tree"
[platform.pcbios]
[image.disk]
platform = "pcbios"
goal = "8086100e.rom"
dir = "usr/lib/ipxe"
[image.net]
platform = "pcbios"
goal = "10ec8139.rom"
dir = "boot"
file = "net.rom"
"""
ROM = """[nic.e1000]
id = "8086:100e"
[target.qemu]
dir = "roms"
file = "{nic}.rom"
images = ["pcbios"]
"""
DISK, NET = "usr/lib/ipxe/8086100e.rom", "boot/net.rom"
GROWTH = 512  # bytes


def build(top: Path, directory: str = "usr/lib/ipxe") -> Path:
    """Builds and locks the project in ``top``, which it returns, with DISK in a directory."""
    linked.minipxe(top / "tree")
    (top / "romspec.toml").write_text((FILES + ROM).replace("usr/lib/ipxe", directory))
    environment = {"SOURCE_DATE_EPOCH": "1700000000", "PATH": CACHED_PATH} | cached_compilers()
    for command in ("build", "lock"):
        done = run([sys.executable, "-m", "romforge", command], top, **environment)
        assert done.returncode == 0, done.stderr
    return top


def without_roms(top: Path) -> None:
    """Takes the ROM out of the spec and out of the lock, which has files alone then."""
    spec = top / "romspec.toml"
    spec.write_text(spec.read_text().removesuffix(ROM))
    lock = top / "romspec.lock"
    head, _, rest = lock.read_text().partition("[rom.")
    lock.write_text(head + rest[rest.index("[file.") :] if rest else head)


def let_grow(top: Path, path: str) -> None:
    """Lets the lock say that a file was smaller by GROWTH bytes, and nothing of its digest."""
    size = (top / "out" / path).stat().st_size
    lock = top / "romspec.lock"
    text = lock.read_text()
    before, found, rest = text.partition(f'[file."{path}"]\nsize = {size}\n')
    assert found
    lock.write_text(
        f'{before}[file."{path}"]\nsize = {size - GROWTH}\n{rest.partition(chr(10))[2]}'
    )
