# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of romspec.toml, typed and frozen; docs/spec-reference.md is made from them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Literal

from romforge.base.arch import BY_NAME, Arch
from romforge.base.pci_id import PciId
from romforge.spec import value_types
from romforge.spec.fields import key

LOCK = "lock"  # among the sources to migrate from: buckets alone, of romspec.lock
STUB = "stub"  # among the images of a target: an image with no code for anyone
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """Where images come from: an iPXE tree, existing ROMs (a directory or a .deb), or a Debian package that holds ROMs."""

    tree: str | None = key(
        value_types.TEXT, "an iPXE source tree; IPXE_SRC=DIR names another", None
    )
    fallback: str | None = key(
        value_types.TEXT, "the tree to build where there is no such directory", None
    )
    roms: str | None = key(
        value_types.TEXT, "a directory of ROM files, or a .deb that holds them", None
    )
    package: str | None = key(
        value_types.PACKAGE, "a Debian package of ROM files, got through apt", None
    )
    files: tuple[str, ...] | None = key(
        value_types.FILE_LIST,
        "where the ROM of a NIC may lie in it, tried in this order; default where distributions have it",
        None,
    )
    sha256: str | None = key(value_types.SHA256, "of the .deb, if it must be this one", None)
    config: str | None = key(
        value_types.TEXT,
        "the configuration to build with: one of the tree's, such as qemu, or a [config.NAME.HEADER] of the spec",
        None,
    )
    make: Pairs = key(value_types.VARIABLES, "variables for make", ())
    mark: str | None = key(
        value_types.MARK, "what shows on a console that its images run, if they boot nothing", None
    )
    fallback_mark: str | None = key(
        value_types.MARK, "the same for images of the fallback tree", None
    )


@dataclass(frozen=True, eq=False, repr=False)
class Header:
    """What one header of iPXE's configuration, such as general.h, defines, undefines and sets; [config.NAME] alone is the tree's own."""

    define: tuple[str, ...] = key(value_types.MACROS, "macros to define", ())
    undef: tuple[str, ...] = key(value_types.MACROS, "macros to undefine", ())
    set: Pairs = key(value_types.VARIABLES, "macros to define as a value", ())


@dataclass(frozen=True, eq=False, repr=False)
class Strip:
    """What to leave out of a platform's links: a strength alone, or a table with roots of the link too."""

    strength: str = key(
        value_types.STRENGTH,
        'how much to leave out of EFI drivers: "none", "safe" or "minimal"',
        "safe",
    )
    drop: tuple[str, ...] = key(
        value_types.SYMBOLS, "roots to leave out, besides those that a default drops", ()
    )
    keep: tuple[str, ...] = key(
        value_types.SYMBOLS,
        "roots to link although a default drops them, or the tree names none such",
        (),
    )


@dataclass(frozen=True, eq=False, repr=False)
class Platform:
    """An architecture and its firmware, which is what iPXE calls a BIN: pcbios, x86_64-efi, arm64-efi and so on."""

    bin: str | None = key(
        value_types.BIN, 'iPXE\'s BIN directory; default "bin-NAME", for pcbios "bin"', None
    )
    media: str | None = key(
        value_types.MEDIA, 'what make builds; default "rom" for pcbios, "efidrv" for EFI', None
    )
    cross: str | None = key(
        value_types.TEXT,
        "the toolchain's prefix, such as \"aarch64-linux-gnu-\"; default none, or that of Debian's cross compiler",
        None,
    )
    source: str | None = key(
        value_types.TEXT, "the source of this platform's images; default the target's", None
    )
    config: str | None = key(
        value_types.TEXT, "the configuration to build with, instead of the source's", None
    )
    make: Pairs = key(value_types.VARIABLES, "variables for make, besides the source's", ())
    strip: Strip | None = key(
        value_types.STRENGTH_OR_TABLE._replace(
            table=Strip, read=lambda value: Strip(value_types.STRENGTH.read(value))
        ),
        'what to leave out of EFI drivers: "none", "safe" (the default), "minimal", or a table',
        None,
    )
    leave_out: tuple[str, ...] = key(
        value_types.NAMES,
        "objects that no image may hold, by the names of their sources, such as aoe",
        (),
    )
    require: tuple[str, ...] = key(
        value_types.NAMES, "objects that every image must hold, such as efi_snp", ()
    )
    recompress: bool = key(
        value_types.FLAG,
        "whether to compress EFI images of existing ROMs anew, where that makes them smaller",
        False,
    )
    embed: tuple[str, ...] = key(
        value_types.PATHS, "files to embed, such as a script: make's EMBED", ()
    )
    trust: tuple[str, ...] = key(
        value_types.CERTIFICATES, "certificates to trust: make's TRUST", ()
    )
    cert: tuple[str, ...] = key(value_types.CERTIFICATES, "certificates to embed: make's CERT", ())
    launcher: tuple[str, ...] | None = key(
        value_types.LAUNCHER, 'instead of that of [toolchain]; "" for none', None
    )
    debug: tuple[str, ...] = key(
        value_types.OBJECTS, 'objects to debug, such as "e1000" or "http:2": make\'s DEBUG', ()
    )


@dataclass(frozen=True, eq=False, repr=False)
class Nic:
    """A QEMU network device, under the name that stands for {nic} in file names."""

    id: PciId = key(value_types.ID, "vendor and device that its ROM must carry")
    goal: str | None = key(
        value_types.GOAL,
        "iPXE's name of its image: a ROM, a driver, or IDs; default those of id",
        None,
    )
    accept_ids: tuple[PciId, ...] = key(
        value_types.IDS, "other IDs that existing images of it may carry", ()
    )
    device: str | None = key(
        value_types.DEVICE,
        "QEMU's device, as for its option -device; default that of the IDs",
        None,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Bucket:
    """The power of two that QEMU must see as a ROM's size."""

    size: int = key(value_types.SIZE, "the bucket's size")
    pad: bool = key(value_types.FLAG, "whether to fill the file up to the bucket with ff", True)


@dataclass(frozen=True, eq=False, repr=False)
class Target:
    """A set of ROM files in one directory."""

    dir: str = key(value_types.DIRECTORY, "the directory below the output root")
    file: str = key(
        value_types.FILE_PATTERN,
        "the pattern of the file names: {nic}, {vendor}, {device} and {target} are filled in",
    )
    images: tuple[str, ...] = key(
        value_types.PLATFORMS, "the platforms whose images a ROM chains, in this order"
    )
    nics: tuple[str, ...] | None = key(
        value_types.NICS, 'the NICs to make a ROM for; "*" for all', None
    )
    bucket: str | None = key(value_types.TEXT, "the bucket that each ROM must be in", None)
    source: str | None = key(
        value_types.TEXT,
        "the source of the images, where the platform names none; default the first",
        None,
    )
    fix_ids: bool = key(value_types.FLAG, "whether to write the NIC's IDs into every image", False)
    level: str = key(
        value_types.LEVEL,
        "how hard to compress EFI images that a tree built, or that are compressed anew",
        "default",
    )
    recompress: bool = key(
        value_types.FLAG,
        "whether to compress EFI images of existing ROMs anew, where that makes them smaller",
        False,
    )
    default: bool = key(value_types.FLAG, "whether a plain doit builds it", True)
    growth: int | None = key(
        value_types.AMOUNT, "bytes that each ROM may grow by since the lock; default: any", None
    )
    bucket_changed_in: str | None = key(
        value_types.TEXT,
        "the version in which the bucket changed, and why: guests cannot migrate",
        None,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Qemu:
    """Where the QEMU of an architecture looks for ROMs, for `romforge compat`."""

    firmware_path: tuple[str, ...] = key(
        value_types.DIRECTORIES, "directories below the output root, in the order of QEMU's search"
    )


@dataclass(frozen=True, eq=False, repr=False)
class Verify:
    """What `romforge verify` proves of each ROM, besides that its structure is sound."""

    boot: tuple[str, ...] = key(
        value_types.FIRMWARES,
        "the firmwares to boot under, where the ROM has an image for it",
        value_types.FIRMWARES_ALL,
    )
    roms: tuple[str, ...] = key(
        value_types.MODES,
        "how QEMU gets the ROM: as its default ROM, or by romfile=",
        value_types.MODES_ALL,
    )
    network: tuple[str, ...] = key(
        value_types.NETWORKS,
        "the networks to boot UEFI firmware from; a PC BIOS boots from IPv4 alone",
        value_types.NETWORKS_ALL[:1],
    )
    start: tuple[str, ...] = key(
        value_types.STARTS,
        "architectures for which QEMU must start with a ROM that has no image for them",
        (),
    )
    migrate_from: tuple[str, ...] = key(
        value_types.SOURCES,
        'sources of older ROMs, or "lock"; guests that run with those must migrate',
        (),
    )
    snp: bool | None = key(
        value_types.FLAG,
        "whether to call the Simple Network Protocol of each EFI driver; default: of those built from a tree without a mark",
        None,
    )
    timeout: int = key(value_types.SECONDS, "seconds that a boot may take", 120)


@dataclass(frozen=True, eq=False, repr=False)
class Toolchain:
    """What compiles a tree, on this machine or on several."""

    launcher: tuple[str, ...] = key(
        value_types.LAUNCHER,
        "what runs the compiler: ccache, distcc, icecc, sccache, or another command",
        (),
    )
    jobs: int | str | None = key(
        value_types.JOBS,
        'jobs of all makes together, or "distcc" to ask `distcc -j`; default: all processors',
        None,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Spec:
    """A whole romspec.toml without fault; ``path`` is the file it was read from."""

    path: FilePath
    source: Mapping[str, Source]
    config: Mapping[str, Mapping[str, Header]]
    platform: Mapping[str, Platform]
    nic: Mapping[str, Nic]
    bucket: Mapping[str, Bucket]
    target: Mapping[str, Target]
    qemu: Mapping[str, Qemu]
    verify: Verify
    toolchain: Toolchain


# The sections of a spec whose tables have a name and keys; [config] is a level deeper.
SECTIONS: Mapping[str, type] = {
    "source": Source,
    "platform": Platform,
    "nic": Nic,
    "bucket": Bucket,
    "target": Target,
    "qemu": Qemu,
}
# What a source must have exactly one of, and the keys that each goes without.
_OF_TREES = ("fallback", "config", "make", "fallback_mark")
ORIGINS: Mapping[str, tuple[str, ...]] = {
    "tree": ("files", "sha256"),
    "roms": _OF_TREES,
    "package": _OF_TREES,
}
Names = Mapping[
    str, frozenset[str] | None
]  # of all tables by section, faulty ones included; None where the section is faulty


def firmware_of(name: str, platform: Platform) -> tuple[Arch, Literal["pcbios", "efi"]] | None:
    """The architecture and the firmware that a platform's BIN stands for; None where iPXE has no such BIN."""
    directory = bin_directory(name, platform)
    if not re.fullmatch(value_types.BINS, directory):
        return None
    parts = directory.split("-")
    arch = next((BY_NAME[part] for part in parts if part in BY_NAME), Arch.I386)
    return arch, "efi" if "efi" in parts else "pcbios"


def bin_directory(name: str, platform: Platform) -> str:
    """What iPXE calls the BIN directory of a platform."""
    return platform.bin or ("bin" if name == "pcbios" else f"bin-{name}")


def rom_path(name: str, target: Target, nic: str, ids: PciId) -> str:
    """The path of a NIC's ROM in a target, relative to the output root."""
    return os.path.normpath(f"{target.dir}/{expand_pattern(target.file, nic, ids, name)}")


def manifest_name(target: str) -> str:
    """The path of a target's manifest, relative to the output root."""
    return f"{target}.manifest.json"


def expand_pattern(pattern: str, nic: str, ids: PciId, target: str) -> str:
    """A file pattern with its placeholders filled in."""
    if "{" not in pattern:
        return pattern
    for name, value in {"nic": nic, "target": target, **ids.placeholders()}.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern
