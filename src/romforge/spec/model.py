# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of romspec.toml as frozen dataclasses.

The manual page romspec(5), docs/spec-reference.md and the JSON Schema are generated from them.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Literal

from romforge.base.arch import BY_NAME, Arch
from romforge.base.pci_id import PciId
from romforge.spec import value_types
from romforge.spec.fields import key
from romforge.spec.header_files import HeaderFile
from romforge.spec.value_types import Variable

LOCK = "lock"  # in verify.migrate_from: the sizes of ROMs in romspec.lock
STUB = "stub"  # in the images of a target: an image without code
HEADERS = "headers"  # the key of [config.NAME] that is a directory, and no table of a header
Pairs = tuple[tuple[str, str], ...]


def _read_strength(value: object) -> Strip:
    return Strip(value_types.STRENGTH.read(value))


@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """Where images come from: an iPXE tree, existing ROMs, or a Debian package of ROMs.

    A tree is a directory, or is pinned: a commit of a git repository, or an archive of a digest.
    `romforge get` gets a pinned tree into the output root. A build never does.
    """

    git: str | None = key(
        value_types.TEXT, "the URL or the directory of a git repository with an iPXE tree", None
    )
    rev: str | None = key(
        value_types.REVISION,
        "the commit of git to build, or a tag that one of the signers signed",
        None,
    )
    signers: str | None = key(
        value_types.TEXT,
        "a file with the keys that may sign rev: OpenPGP keys in ASCII armour, or an"
        " allowed_signers file of ssh-keygen; a rev without such a signature is refused",
        None,
    )
    archive: str | None = key(
        value_types.TEXT, "the URL or the file of a tar archive with an iPXE tree", None
    )
    tree: str | None = key(
        value_types.TEXT,
        "the directory of an iPXE source tree; with git or archive, the tree to build until"
        " `romforge get`; IPXE_SRC=DIR overrides the first source of the spec that has a tree",
        None,
    )
    fallback: str | None = key(
        value_types.TEXT,
        "the tree to build where the others of the source do not exist; romforge:minipxe is the"
        " miniature of iPXE that comes with romforge, and boots nothing",
        None,
    )
    roms: str | None = key(
        value_types.TEXT, "a directory of ROM files, or a .deb that contains them", None
    )
    package: str | None = key(
        value_types.PACKAGE, "a Debian package of ROM files, downloaded by apt", None
    )
    files: tuple[str, ...] | None = key(
        value_types.FILE_LIST,
        "the paths in roms or package to try for the ROM of a NIC, in this order;"
        " default: the paths that distributions use",
        None,
    )
    sha256: str | None = key(
        value_types.SHA256, "the digest that the archive or the .deb must have", None
    )
    config: str | None = key(
        value_types.TEXT,
        "the configuration to build with: one of the tree, such as qemu,"
        " or a [config.NAME.HEADER] of the spec",
        None,
    )
    make: tuple[Variable, ...] = key(
        value_types.MAKE_VARIABLES,
        "variables to pass to make; a value may come from the environment",
        (),
    )
    mark: str | None = key(
        value_types.MARK,
        "text on the console that shows that an image runs, for images that boot nothing",
        None,
    )
    fallback_mark: str | None = key(
        value_types.MARK, "the same for images of the fallback tree", None
    )

    @property
    def is_tree(self) -> bool:
        """Whether images are built from a source tree."""
        return bool(self.git or self.archive or self.tree)


@dataclass(frozen=True, eq=False, repr=False)
class Header:
    """Changes to one header of iPXE's configuration, such as general.h.

    A table [config.NAME] without headers stands for a configuration of the tree. With the key
    headers = "DIR", it also has the files DIR/HEADER.h as they are; what the tables of the spec say
    comes after them.
    """

    define: tuple[str, ...] = key(value_types.MACROS, "macros to define", ())
    undef: tuple[str, ...] = key(value_types.MACROS, "macros to undefine", ())
    set: Pairs = key(value_types.VARIABLES, "macros to define with a value", ())


@dataclass(frozen=True, eq=False, repr=False)
class Strip:
    """What to leave out when the drivers of a platform are linked."""

    strength: str = key(
        value_types.STRENGTH,
        'how much to leave out of EFI drivers: "none", "safe" or "minimal"',
        "safe",
    )
    drop: tuple[str, ...] = key(
        value_types.SYMBOLS,
        "root symbols of the link to leave out, in addition to those of the strength",
        (),
    )
    keep: tuple[str, ...] = key(
        value_types.SYMBOLS,
        "root symbols to link although the strength leaves them out, or the tree has no such root",
        (),
    )


@dataclass(frozen=True, eq=False, repr=False)
class Platform:
    """An architecture and its firmware: pcbios, x86_64-efi, arm64-efi and so on.

    iPXE calls it a BIN.
    """

    bin: str | None = key(
        value_types.BIN,
        'the name of iPXE\'s BIN directory; default: "bin-NAME", for pcbios "bin"',
        None,
    )
    media: str | None = key(
        value_types.MEDIA,
        'the medium that make builds; default: "rom" for pcbios, "efidrv" for EFI; "mrom" is for a '
        "legacy image of more than 127.5 KiB, on a card with a memory BAR as large as the ROM",
        None,
    )
    cross: str | None = key(
        value_types.TEXT,
        'the prefix of the toolchain, such as "aarch64-linux-gnu-";'
        " default: none, or the one of Debian's cross compiler",
        None,
    )
    source: str | None = key(
        value_types.TEXT, "the source of the images; default: the source of the target", None
    )
    config: str | None = key(
        value_types.TEXT, "the configuration to build with, instead of the source's", None
    )
    make: tuple[Variable, ...] = key(
        value_types.MAKE_VARIABLES, "variables to pass to make, in addition to the source's", ()
    )
    strip: Strip | None = key(
        value_types.STRENGTH_OR_TABLE._replace(table=Strip, read=_read_strength),
        'what to leave out of EFI drivers: "none", "safe" (the default), "minimal", or a table',
        None,
    )
    leave_out: tuple[str, ...] = key(
        value_types.NAMES,
        "objects that must not be in any image, by the names of their source files, such as aoe",
        (),
    )
    require: tuple[str, ...] = key(
        value_types.NAMES, "objects that must be in every image, such as efi_snp", ()
    )
    recompress: bool = key(
        value_types.FLAG,
        "whether to compress the EFI images of existing ROMs again, if that makes them smaller",
        False,
    )
    embed: tuple[str, ...] = key(
        value_types.PATHS, "files to embed, such as a script; make's variable EMBED", ()
    )
    trust: tuple[str, ...] = key(
        value_types.CERTIFICATES, "certificates to trust; make's variable TRUST", ()
    )
    cert: tuple[str, ...] = key(
        value_types.CERTIFICATES, "certificates to embed; make's variable CERT", ()
    )
    launcher: tuple[str, ...] | None = key(
        value_types.LAUNCHER,
        "the command that runs the compiler, instead of the one of [toolchain]",
        None,
    )
    debug: tuple[str, ...] = key(
        value_types.OBJECTS,
        "objects with debug messages; make's variable DEBUG",
        (),
    )


@dataclass(frozen=True, eq=False, repr=False)
class Nic:
    """A network device of QEMU. NAME replaces {nic} in file names."""

    id: PciId = key(value_types.ID, "vendor and device ID that the ROM must have")
    goal: str | None = key(
        value_types.GOAL,
        "iPXE's name of the image: a ROM, a driver, or IDs; default: the digits of id",
        None,
    )
    accept_ids: tuple[PciId, ...] = key(
        value_types.IDS, "other IDs that existing images may have", ()
    )
    device: str | None = key(
        value_types.DEVICE,
        "the argument of QEMU's option -device; default: the device with these IDs",
        None,
    )
    images: tuple[str, ...] | None = key(
        value_types.PLATFORMS,
        "the platforms whose images the NIC's ROMs contain, in this order, as far as a target has"
        " them; default: those of the target",
        None,
    )
    fit: tuple[str, ...] | None = key(
        value_types.PLATFORMS,
        "the platforms whose images are dropped where they do not fit, instead of the target's",
        None,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Bucket:
    """The size of a ROM as QEMU sees it, a power of two."""

    size: int = key(value_types.SIZE, "the size of the ROM")
    pad: bool = key(value_types.FLAG, "whether to pad the file to this size with 0xff bytes", True)


@dataclass(frozen=True, eq=False, repr=False)
class Sign:
    """The key that signs the EFI drivers of a target, for Secure Boot."""

    certificate: str = key(
        value_types.TEXT, "the file of the key's certificate in PEM, which firmware has in db"
    )
    # The last field, since it hides the function.
    key: str = key(value_types.TEXT, "the file of the private key, RSA in PEM without a password")


@dataclass(frozen=True, eq=False, repr=False)
class Target:
    """A set of ROM files in one directory."""

    dir: str = key(value_types.DIRECTORY, "the directory, relative to the output root")
    file: str = key(
        value_types.FILE_PATTERN,
        "the pattern of the file names, in which {nic}, {vendor}, {device} and {target} are"
        " replaced",
    )
    images: tuple[str, ...] = key(
        value_types.PLATFORMS, "the platforms whose images each ROM contains, in this order"
    )
    nics: tuple[str, ...] | None = key(
        value_types.NICS, 'the NICs to build a ROM for; "*" for all', None
    )
    bucket: str | None = key(value_types.TEXT, "the bucket that each ROM must fit", None)
    limit: int | None = key(
        value_types.LIMIT,
        "the most bytes that each file may have, beside the bucket or without one; any size, not"
        " only a power of two",
        None,
    )
    sign: Sign | None = key(
        value_types.SIGN_TABLE._replace(table=Sign),
        "the key to sign the EFI drivers with, for Secure Boot: a table; default: no signature",
        None,
    )
    source: str | None = key(
        value_types.TEXT,
        "the source of images whose platform has no source; default: the only source",
        None,
    )
    fix_ids: bool = key(
        value_types.FLAG,
        "whether to write the NIC's IDs into every image; a device list that lacks them becomes a "
        "list of the NIC alone",
        False,
    )
    level: str = key(
        value_types.LEVEL,
        "how hard to compress EFI images that are built from a tree or compressed again",
        "default",
    )
    recompress: bool = key(
        value_types.FLAG,
        "whether to compress the EFI images of existing ROMs again, if that makes them smaller",
        False,
    )
    default: bool = key(
        value_types.FLAG, "whether doit builds the target if none is selected", True
    )
    growth: int | None = key(
        value_types.AMOUNT,
        "by how many bytes a ROM may grow compared with the lock; default: any number",
        None,
    )
    bucket_changed_in: str | None = key(
        value_types.TEXT,
        "the version in which the bucket changed, and the reason; guests cannot migrate across it",
        None,
    )
    fit: tuple[str, ...] = key(
        value_types.PLATFORMS,
        "the platforms whose images are dropped, in this order, until the others fit the bucket and"
        " the limit; default: a ROM that does not fit is an error",
        (),
    )
    machines: tuple[str, ...] | None = key(
        value_types.MACHINE_TYPES,
        "patterns of the QEMU machine types whose guests use this set;"
        " default: those of no other target",
        None,
    )


@dataclass(frozen=True, eq=False, repr=False)
class BootFile:
    """A file of iPXE that is no option ROM, such as ipxe.lkrn, undionly.kpxe, ipxe.efi or ipxe.iso.

    It is what iPXE's makefiles make, with nothing left out. It has no bucket.
    """

    platform: str = key(value_types.TEXT, "the platform to build it for, which has a source tree")
    goal: str = key(value_types.BOOT_FILE, "iPXE's name of the file, in its BIN directory")
    dir: str = key(value_types.DIRECTORY, "the directory, relative to the output root")
    file: str | None = key(value_types.DIRECTORY, "the name of the file; default: the goal", None)
    default: bool = key(
        value_types.FLAG, "whether a build without a selection builds the file", True
    )

    @property
    def path(self) -> str:
        """The path of the file, relative to the output root."""
        return os.path.normpath(f"{self.dir}/{self.file or self.goal}")


@dataclass(frozen=True, eq=False, repr=False)
class Qemu:
    """Where the QEMU of an architecture looks for ROMs.

    `romforge compat` uses it, and `romforge lookup` if this QEMU is not installed.
    """

    firmware_path: tuple[str, ...] = key(
        value_types.DIRECTORIES,
        "directories below the output root, in the order in which QEMU searches them",
    )


@dataclass(frozen=True, eq=False, repr=False)
class Verify:
    """What `romforge verify` tests of each ROM, in addition to its structure."""

    boot: tuple[str, ...] = key(
        value_types.FIRMWARES,
        "the firmwares to boot with, each if the ROM has an image for it",
        value_types.FIRMWARES_ALL,
    )
    roms: tuple[str, ...] = key(
        value_types.MODES,
        "how QEMU finds the ROM: as the default ROM of the device, or by romfile=",
        value_types.MODES_ALL,
    )
    network: tuple[str, ...] = key(
        value_types.NETWORKS,
        "the networks from which UEFI firmware boots; a PC BIOS boots from IPv4 only",
        value_types.NETWORKS_ALL[:1],
    )
    start: tuple[str, ...] = key(
        value_types.STARTS,
        "architectures whose QEMU must start with a ROM that has no image for them",
        (),
    )
    migrate_from: tuple[str, ...] = key(
        value_types.SOURCES,
        'sources of older ROMs, or "lock"; a guest with an older ROM must migrate to the new one',
        (),
    )
    migrate_on: tuple[str, ...] | None = key(
        value_types.MACHINES,
        "QEMU's machines on which guests migrate: pc, q35, or the machine virt of an architecture;"
        " default: those for which the ROM has an image",
        None,
    )
    snp: bool | None = key(
        value_types.FLAG,
        "whether programs of romforge use the Simple Network Protocol of each EFI driver;"
        " default: only of drivers that are built from a tree without a mark",
        None,
    )
    timeout: int = key(value_types.SECONDS, "the time limit of a boot, in seconds", 120)


@dataclass(frozen=True, eq=False, repr=False)
class Toolchain:
    """How a tree is compiled, on this machine or on several."""

    launcher: tuple[str, ...] = key(
        value_types.LAUNCHER,
        "the command that runs the compiler: ccache, distcc, icecc, sccache, or another",
        (),
    )
    jobs: int | str | None = key(
        value_types.JOBS,
        'the number of jobs of all makes together, or "distcc" for the number that `distcc -j`'
        " prints; default: the number of processors",
        None,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Spec:
    """A whole romspec.toml without problems; ``path`` is the file it was read from."""

    path: FilePath
    source: Mapping[str, Source]
    config: Mapping[str, Mapping[str, Header]]
    platform: Mapping[str, Platform]
    nic: Mapping[str, Nic]
    bucket: Mapping[str, Bucket]
    target: Mapping[str, Target]
    image: Mapping[str, BootFile]
    qemu: Mapping[str, Qemu]
    verify: Verify
    toolchain: Toolchain
    header_files: Mapping[str, Mapping[str, HeaderFile]]  # by configuration and header


# The sections [SECTION.NAME]. A table of [config] is one level deeper: [config.NAME.HEADER].
SECTIONS: Mapping[str, type] = {
    "source": Source,
    "platform": Platform,
    "nic": Nic,
    "bucket": Bucket,
    "target": Target,
    "image": BootFile,
    "qemu": Qemu,
}
_TREE_KEYS = ("rev", "signers", "fallback", "config", "make", "fallback_mark")
# A source has exactly one of these keys, except that tree may be beside git or archive. Each
# excludes others.
ORIGINS: Mapping[str, tuple[str, ...]] = {
    "git": ("archive", "files", "sha256"),
    "archive": ("git", "rev", "signers", "files"),
    "tree": ("git", "archive", "rev", "signers", "files", "sha256"),
    "roms": _TREE_KEYS,
    "package": _TREE_KEYS,
}
# What an origin needs: a URL alone does not say what is there.
PINS: Mapping[str, str] = {"git": "rev", "archive": "sha256"}
# The names of all tables by section, including tables with problems; None for a section that is
# not a table.
Names = Mapping[str, frozenset[str] | None]


def firmware_of(name: str, platform: Platform) -> tuple[Arch, Literal["pcbios", "efi"]] | None:
    """The architecture and firmware of a platform's BIN directory; None if iPXE has no such BIN.

    >>> firmware_of("arm64-efi", Platform()) == (Arch.ARM64, "efi")
    True
    """
    directory = bin_directory(name, platform)
    if not re.fullmatch(value_types.BINS, directory):
        return None
    parts = directory.split("-")
    firmware: Literal["pcbios", "efi"] = "efi" if "efi" in parts else "pcbios"
    for part in parts:
        if part in BY_NAME:
            return BY_NAME[part], firmware
    return Arch.I386, firmware


def boot_file_source(spec: Spec, platform: Platform) -> str | None:
    """The source of the files of a platform that are no ROMs: its own, or the first with a tree."""
    if platform.source is not None:
        return platform.source
    return next((name for name, source in spec.source.items() if source.is_tree), None)


def bin_directory(name: str, platform: Platform) -> str:
    """The name of iPXE's BIN directory for a platform."""
    if platform.bin:
        return platform.bin
    return "bin" if name == "pcbios" else f"bin-{name}"


def serves(target: Target, machine_types: Iterable[str]) -> bool:
    """Whether a target names one of these machine types; False for a target without machines.

    >>> serves(Target("d", "f", (), machines=("pc-*-6.*",)), ["pc-i440fx-6.2"])
    True
    """
    for pattern in target.machines or ():
        if any(fnmatch.fnmatchcase(name, pattern) for name in machine_types):
            return True
    return False


def rom_path(name: str, target: Target, nic: str, ids: PciId) -> str:
    """The path of a NIC's ROM in a target, relative to the output root."""
    return os.path.normpath(f"{target.dir}/{expand_pattern(target.file, nic, ids, name)}")


def images_of(nic: Nic, target: Target) -> tuple[str, ...]:
    """The platforms whose images a NIC's ROM in a target contains, in their order.

    >>> nic = Nic(PciId(0x8086, 0x100E), images=("arm64-efi", "pcbios"))
    >>> images_of(nic, Target("roms", "{nic}.rom", images=("pcbios", "x86_64-efi")))
    ('pcbios',)
    """
    if nic.images is None:
        return target.images
    return tuple(platform for platform in nic.images if platform in target.images)


def migration_column(source: str, machine: str) -> str:
    """The name of the proof that a guest with a source's ROM migrates on one of QEMU's machines."""
    if machine == value_types.MACHINES_ALL[0]:
        return f"from-{source}"
    return f"from-{source}-{machine}"


IMAGES_MANIFEST = "images.json"  # of files that are no ROMs, relative to the output root


def manifest_name(target: str) -> str:
    """The path of a target's manifest, relative to the output root."""
    return f"{target}.manifest.json"


def expand_pattern(pattern: str, nic: str, ids: PciId, target: str) -> str:
    """A file pattern with its placeholders replaced."""
    if "{" not in pattern:
        return pattern
    for name, value in {"nic": nic, "target": target, **ids.placeholders()}.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern
