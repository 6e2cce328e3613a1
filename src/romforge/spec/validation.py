# SPDX-License-Identifier: GPL-2.0-or-later
"""Problems that no value has alone: names that are not declared, paths that clash."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import NamedTuple

from romforge.base import shipped_files
from romforge.base.arch import BY_NAME
from romforge.base.text import did_you_mean, format_size, join_words
from romforge.spec.fields import Path, Problem, show
from romforge.spec.model import (
    LOCK,
    ORIGINS,
    PINS,
    STUB,
    Header,
    Names,
    Nic,
    Platform,
    Source,
    Spec,
    Target,
    boot_file_source,
    firmware_of,
    images_of,
    manifest_name,
    migration_column,
    rom_path,
)
from romforge.spec.value_types import COMMIT, MACHINES_ALL, Variable

_PLACEHOLDERS = ("nic", "vendor", "device", "target")
_MOST_LISTED = 12  # names in a hint
_TARGET_HINT = (
    'write a [target.NAME], such as [target.qemu] with dir = "usr/share/qemu",'
    ' file = "efi-{nic}.rom" and images = ["PLATFORM"]'
)
_NIC_HINT = (
    'write a [nic.NAME], such as [nic.e1000] with id = "8086:100e";'
    " `romforge nics` lists QEMU's with their IDs"
)
# Variables of make that must not be set as such, and what to use instead: it does more.
_INSTEAD_OF_VARIABLE = {
    "BIN": "bin in the platform",
    "CONFIG": "config in the source or the platform",
    "CROSS_COMPILE": "cross in the platform",
    "EMBED": "embed in the platform",
    "TRUST": "trust in the platform",
    "CERT": "cert in the platform",
    "DEBUG": "debug in the platform",
    "TGT_LD_FLAGS": "strip in the platform",
    "MAKEFLAGS": "the option `--jobs`",
    "SOURCE_DATE_EPOCH": "the environment variable of this name",
}


class _PlannedRom(NamedTuple):
    """The ROM that a target and a NIC stand for."""

    target: str
    nic: str


def check_spec(spec: Spec, names: Names, out: FilePath | None) -> Iterator[Problem]:
    """All problems between the tables of a spec.

    ``names`` are the names of all tables, including those with problems. With the output root
    ``out``, directories must not leave it by a symbolic link.
    """
    for name, source in spec.source.items():
        yield from _check_source(name, source)
    for name, headers in spec.config.items():
        for header_name, header in headers.items():
            yield from _check_header(header, ("config", name, header_name))
    for name, platform in spec.platform.items():
        yield from _check_platform(names, name, platform)
    for name, nic in spec.nic.items():
        yield from _check_nic(names, name, nic)
    if spec.target and names.get("source") == frozenset():
        hint = 'write a [source.NAME], such as [source.debian] with package = "ipxe-qemu"'
        yield Problem((), "there is no source of images", hint)
    faulty = set()  # targets with a problem of their paths; they are not checked for clashes
    for name, target in spec.target.items():
        for problem in _check_target(spec, names, name, target, out):
            yield problem
            if problem.path[2:] in (("dir",), ("file",)):
                faulty.add(name)
    yield from _check_clashes(spec, faulty)
    yield from _check_boot_files(spec, names, out)
    yield from _check_verify(spec, names)


def check_roms(spec: Spec) -> Iterator[Problem]:
    """What keeps a spec from standing for any ROM: no target, no NIC, or a target of no NIC."""
    if not spec.target and not spec.image:
        message = "there is no target, so there is nothing to build"
        yield Problem(("target",), message, _TARGET_HINT)
    if not spec.nic and (spec.target or not spec.image):
        message = "there is no NIC, so there is no ROM to build"
        yield Problem(("nic",), message, _NIC_HINT)
    for name, target in spec.target.items():
        if target.nics == ():
            message = "the list is empty, so the target has no ROM"
            path = ("target", name, "nics")
            yield Problem(path, message, 'name at least one NIC, or write "*" for all')


def _check_verify(spec: Spec, names: Names) -> Iterator[Problem]:
    path: Path = ("verify", "migrate_from")
    yield from _check_references(names, "source", spec.verify.migrate_from, path)
    for name in spec.qemu:
        if name not in BY_NAME:
            message = f"{show(name)} is not a known architecture"
            hint = f"known are {join_words(BY_NAME)}"
            yield Problem(("qemu", name), message, hint, name, BY_NAME)
    for index, name in enumerate(spec.verify.migrate_from):
        if name in spec.source and spec.source[name].is_tree:
            message = f"the source {name} is an iPXE tree, not a set of older ROMs"
            yield Problem((*path, index), message, "name a source with roms or package")
    yield from _check_migration_columns(spec.verify.migrate_from, path)


def _check_migration_columns(sources: tuple[str, ...], path: Path) -> Iterator[Problem]:
    """Proofs of migrations must have different names."""
    owners = {}
    for name in sources:
        for machine in MACHINES_ALL[1:]:
            owners[migration_column(name, machine)] = name, machine
    for index, name in enumerate(sources):
        column = migration_column(name, MACHINES_ALL[0])
        if column in owners:
            other, machine = owners[column]
            message = f"{column} is also the name of the proof of {other} on {machine}"
            yield Problem((*path, index), message, f"rename the source {name}")


def _check_source(name: str, source: Source) -> Iterator[Problem]:
    path: Path = ("source", name)
    if name == LOCK:
        message = f"{show(LOCK)} is reserved for romspec.lock"
        yield Problem(path, message, "use another name")
    yield from _check_origin(source, path)
    yield from _check_pin(source, path)
    yield from _check_make(source.make, path)
    for key in ("git", "archive", "signers", "tree", "fallback", "roms"):
        yield from _check_home(getattr(source, key) or "", (*path, key))
        yield from _check_shipped(getattr(source, key) or "", (*path, key))
    if source.sha256 and source.roms and not source.roms.endswith(".deb"):
        message = "is the digest of a .deb, but roms is not one"
        yield Problem((*path, "sha256"), message, "remove it, or name a .deb")
    for index, pattern in enumerate(source.files or ()):
        yield from _check_pattern(pattern, (*path, "files", index))
        yield from _check_relative(pattern, (*path, "files", index), "the source")


def _check_origin(source: Source, path: Path) -> Iterator[Problem]:
    """A source must have one origin, and none of the keys that this origin excludes."""
    origins = [key for key in ORIGINS if getattr(source, key) is not None]
    if origins in (["git", "tree"], ["archive", "tree"]):
        origins = origins[:1]  # the tree is what to build until `romforge get`
    if len(origins) != 1:
        message = "does not state where images come from"
        if origins:
            message = f"has {join_words(origins)}"
        yield Problem(path, message, f"write exactly one of {join_words(ORIGINS)}")
        return
    origin = origins[0]
    for key in ORIGINS[origin]:
        if getattr(source, key):
            message = f"is only for {_users_of(key)}, but this source has {origin}"
            yield Problem((*path, key), message, "remove it")


def _users_of(key: str) -> str:
    """The origins that a key of a source is for."""
    origins = [origin for origin, excluded in ORIGINS.items() if key not in excluded]
    if len(origins) == 1:
        return origins[0]
    if "roms" not in origins:
        return "trees"
    return "archives and existing ROMs" if "archive" in origins else "existing ROMs"


def _check_pin(source: Source, path: Path) -> Iterator[Problem]:
    """A pinned tree must say which it is: by content, or by who signed it."""
    for origin, pin in PINS.items():
        if getattr(source, origin) is not None and getattr(source, pin) is None:
            message = f"has no {pin}, so that it is not known which tree is meant"
            hint = "write rev = COMMIT" if origin == "git" else "write the digest of the archive"
            yield Problem((*path, origin), message, hint)
    if source.git and source.git.startswith("-"):
        yield Problem((*path, "git"), "begins with a -", "write a URL or a directory")
    if source.archive and source.archive.startswith("-"):
        yield Problem((*path, "archive"), "begins with a -", "write a URL or a file")
    if source.rev and not source.signers and not re.fullmatch(COMMIT, source.rev):
        message = f"{show(source.rev)} is a tag, which may be moved"
        hint = (
            "write the commit, or name the keys of those who sign tags in signers;"
            f" the commit is what `git ls-remote URL '{source.rev}^{{}}' {source.rev}` prints first"
        )
        yield Problem((*path, "rev"), message, hint)


def _check_platform(names: Names, name: str, platform: Platform) -> Iterator[Problem]:
    path: Path = ("platform", name)
    if name == STUB:
        message = f"{show(STUB)} is reserved for an image without code"
        yield Problem(path, message, "use another name")
    yield from _check_bin(name, platform, path)
    if platform.source is not None:
        yield from _check_reference(names, "source", platform.source, (*path, "source"))
    yield from _check_make(platform.make, path)
    for index, object_name in enumerate(platform.leave_out):
        if object_name in platform.require:
            message = f"{show(object_name)} is in require too"
            yield Problem((*path, "leave_out", index), message, "remove it from one of the lists")
    for key in ("embed", "trust", "cert"):
        for index, file in enumerate(getattr(platform, key)):
            yield from _check_file_for_make(file, (*path, key, index))
    if platform.strip:
        for index, root in enumerate(platform.strip.drop):
            if root in platform.strip.keep:
                message = f"{show(root)} is in keep too"
                drop = (*path, "strip", "drop", index)
                yield Problem(drop, message, "remove it from one of the lists")


def _check_bin(name: str, platform: Platform, path: Path) -> Iterator[Problem]:
    """iPXE must have the BIN directory, and must build the medium in it."""
    target = firmware_of(name, platform)
    if target is None:
        yield _unknown_bin(name, platform, path)
        return
    _, firmware = target
    if platform.media and platform.media.startswith("efi") != (firmware == "efi"):
        message = f"iPXE does not build {show(platform.media)} for {firmware}"
        hint = 'write "rom" or "mrom"'
        if firmware == "efi":
            hint = 'write "efidrv" or "efirom"'
        yield Problem((*path, "media"), message, hint)


def _unknown_bin(name: str, platform: Platform, path: Path) -> Problem:
    directory = f"bin-{name}"
    if platform.bin:
        directory = platform.bin
        path = (*path, "bin")
    known = ["bin", "bin-i386-pcbios", "bin-x86_64-pcbios"]
    known += [f"bin-{arch}-efi" for arch in BY_NAME]
    hint = (
        'write bin = "bin" for the PC BIOS, or bin = "bin-ARCH-efi",'
        f" where ARCH is one of {join_words(BY_NAME)}"
    )
    message = f"iPXE has no BIN directory {show(directory)}"
    return Problem(path, message, hint, directory, known)


def _check_file_for_make(file: str, path: Path) -> Iterator[Problem]:
    """iPXE's makefiles split lists of files at spaces and commas."""
    yield from _check_home(file, path)
    name = os.path.basename(os.path.normpath(file))
    if name in ("", ".", ".."):
        yield Problem(path, f"{show(file)} is a directory", "name a file")
    elif not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
        message = f"make cannot use the file name {show(name)}"
        hint = "use a name of letters, digits and _ . + -"
        yield Problem(path, message, hint)


def _check_home(path_of_file: str, path: Path) -> Iterator[Problem]:
    if path_of_file.startswith("~") and os.path.expanduser(path_of_file) == path_of_file:
        message = f"{show(path_of_file)} begins with the home directory of an unknown user"
        yield Problem(path, message, "write the whole path")


def _check_shipped(name: str, path: Path) -> Iterator[Problem]:
    """A path that begins with ``romforge:`` is a tree that comes with romforge."""
    trees = list(shipped_files.TREES)
    if name.startswith(shipped_files.PREFIX) and name not in trees:
        message = f"romforge has no tree {show(name)}{did_you_mean(name, trees)}"
        yield Problem(path, message, f"it has {join_words(trees)}")


def _check_header(header: Header, path: Path) -> Iterator[Problem]:
    """No macro may be in two keys, and no value may continue in the next line of the header."""
    uses = [(macro, "define") for macro in header.define]
    uses += [(macro, "undef") for macro in header.undef]
    uses += [(macro, "set") for macro, _ in header.set]
    first_keys: dict[str, str] = {}
    for macro, key in uses:
        first = first_keys.setdefault(macro, key)
        if first != key:
            yield Problem((*path, key), f"{macro} is in {first} too", "remove it from one of them")
    for macro, value in header.set:
        if value.endswith("\\"):
            message = "ends in a \\, which joins the next line to it"
            yield Problem((*path, "set", macro), message, "let it end in something else")


def _check_make(variables: Iterable[Variable], path: Path) -> Iterator[Problem]:
    for variable, _, _ in variables:
        if variable in _INSTEAD_OF_VARIABLE:
            hint = f"use {_INSTEAD_OF_VARIABLE[variable]}"
            yield Problem((*path, "make", variable), "must not be set as a variable", hint)


def _check_target(
    spec: Spec, names: Names, name: str, target: Target, out: FilePath | None
) -> Iterator[Problem]:
    path: Path = ("target", name)
    yield from _check_references(names, "platform", target.images, (*path, "images"))
    if not target.images:
        yield Problem((*path, "images"), "the list is empty", "name at least one platform")
    yield from _check_references(names, "nic", target.nics or (), (*path, "nics"))
    if target.bucket is not None:
        yield from _check_reference(names, "bucket", target.bucket, (*path, "bucket"))
    yield from _check_limit(spec, target, path)
    yield from _check_fit_of_target(names, target, path)
    yield from _check_sign(spec, target, path)
    yield from _check_images_of_nics(spec, target, path)
    yield from _check_source_of_target(spec, names, target, path)
    if target.recompress and target.level == "stored":
        message = 'cannot be used with the level "stored"'
        yield Problem((*path, "recompress"), message, "remove one of them")
    yield from _check_output_path(target.dir, (*path, "dir"))
    if "{" in target.dir or "}" in target.dir:
        message = "{ and } are only allowed in file"
        hint = 'write file = "{nic}/NAME" for a directory of each NIC'
        yield Problem((*path, "dir"), message, hint)
    yield from _check_output_path(target.file, (*path, "file"))
    yield from _check_pattern(target.file, (*path, "file"))
    if target.file.endswith(("/", "/.")) or target.file == ".":
        message = f"{show(target.file)} is a directory"
        yield Problem((*path, "file"), message, "let it end in the name of a file")
    if out is not None and _reason_outside(target.dir) is None:
        yield from _check_links(target.dir, out, (*path, "dir"))


def _rom_owners(spec: Spec) -> dict[str, str]:
    """The target of each ROM, by its path; not of NICs and targets with problems."""
    owners = {}
    for name, target in spec.target.items():
        for nic_name in spec.nic if target.nics is None else target.nics:
            nic = spec.nic.get(nic_name)
            if nic is not None and nic.id is not None:
                owners[rom_path(name, target, nic_name, nic.id)] = f"target {name}"
    return owners


def _check_boot_files(spec: Spec, names: Names, out: FilePath | None) -> Iterator[Problem]:
    """Each file must be of a platform with a tree, and have a path of its own."""
    owners = _rom_owners(spec) if spec.image else {}
    for name, image in spec.image.items():
        path: Path = ("image", name)
        yield from _check_reference(names, "platform", image.platform, (*path, "platform"))
        yield from _check_output_path(image.dir, (*path, "dir"))
        if image.file is not None:
            yield from _check_output_path(image.file, (*path, "file"))
        if image.path in owners:
            message = f"{image.path} is also written by the {owners[image.path]}"
            yield Problem(path, message, "write another dir or file")
        owners.setdefault(image.path, f"image {name}")
        if out is not None and _reason_outside(image.dir) is None:
            yield from _check_links(image.dir, out, (*path, "dir"))
        platform = spec.platform.get(image.platform)
        source = spec.source.get(boot_file_source(spec, platform) or "") if platform else None
        if platform and (source is None or not source.is_tree):
            message = f"the platform {show(image.platform)} has no source tree"
            hint = "write source = NAME of a source with git, archive or tree in the platform"
            yield Problem((*path, "platform"), message, hint)


def _check_limit(spec: Spec, target: Target, path: Path) -> Iterator[Problem]:
    """A limit must leave room for a file of its bucket, and must be less than the bucket allows."""
    bucket = spec.bucket.get(target.bucket or "")
    if target.limit is None or bucket is None or not bucket.size:
        return
    limit, size = format_size(target.limit), format_size(bucket.size)
    place = (*path, "limit")
    if target.limit > bucket.size:
        message = f"{limit} is more than the bucket {show(target.bucket)} of {size} allows"
        yield Problem(place, message, "remove the limit, or name a larger bucket")
    elif bucket.pad and target.limit < bucket.size:
        message = f"the bucket {show(target.bucket)} pads each file to {size}, more than {limit}"
        hint = f"write pad = false in [bucket.{target.bucket}], or name a smaller bucket"
        yield Problem(place, message, hint)
    elif target.limit <= bucket.size // 2:
        message = f"a file of at most {limit} is too small for the bucket of {size}"
        yield Problem(place, message, "name a smaller bucket, or none")


def _check_fit_of_target(names: Names, target: Target, path: Path) -> Iterator[Problem]:
    """What may be dropped must be in the target, beside something that stays, and have a limit."""
    if not target.fit:
        return
    if target.bucket is None and target.limit is None:
        message = "needs a bucket or a limit that the ROM must fit"
        hint = 'write bucket = "NAME" or limit = "SIZE", or remove it'
        yield Problem((*path, "fit"), message, hint)
    for index, name in enumerate(target.fit):
        if name in target.fit[:index]:
            yield Problem((*path, "fit", index), f"{show(name)} is listed twice", "list it once")
        elif name not in target.images:
            message = f"{show(name)} is not in images"
            hint = f"its images are {join_words(target.images)}"
            misspelt = name if name not in (names.get("platform") or ()) else None
            yield Problem((*path, "fit", index), message, hint, misspelt, target.images)
    if set(target.images) <= set(target.fit):
        message = "lists all images, so nothing would be left"
        yield Problem((*path, "fit"), message, "remove the image that matters most")


def _check_sign(spec: Spec, target: Target, path: Path) -> Iterator[Problem]:
    """Only a driver that romforge wraps itself can be signed before that."""
    if target.sign is None:
        return
    for key in ("key", "certificate"):
        yield from _check_home(getattr(target.sign, key), (*path, "sign", key))
    drivers = 0
    for name in target.images:
        platform = spec.platform.get(name)
        firmware = firmware_of(name, platform) if platform else None
        if platform is None or firmware is None or firmware[1] != "efi":
            continue
        drivers += 1
        source_name = platform.source or target.source or next(iter(spec.source), None)
        source = spec.source.get(source_name or "")
        if source and not source.is_tree:
            message = f"the driver of {name} comes from existing ROMs, and cannot be signed"
            hint = "take it from a tree, or leave it out of this target"
            yield Problem((*path, "sign"), message, hint)
        elif platform.media not in (None, "efidrv"):
            message = f"the tree itself wraps the driver of {name}, so it cannot be signed before"
            hint = f'remove media = "{platform.media}" from [platform.{name}]'
            yield Problem((*path, "sign"), message, hint)
    if not drivers:
        message = "there is no EFI driver to sign among the images"
        yield Problem((*path, "sign"), message, "remove it, or list a platform of EFI in images")


def _check_images_of_nics(spec: Spec, target: Target, path: Path) -> Iterator[Problem]:
    """Each NIC of a target must have one of its images."""
    for index, name in enumerate(target.nics or ()):
        nic = spec.nic.get(name)
        if nic and target.images and not images_of(nic, target):
            yield Problem((*path, "nics", index), *_no_image(name, target))
    if target.nics is not None:
        return
    for name, nic in spec.nic.items():
        if target.images and not images_of(nic, target):
            yield Problem((*path, "images"), *_no_image(name, target))


def _no_image(nic: str, target: Target) -> tuple[str, str]:
    message = f"nic.{nic} has images, and none of {join_words(target.images)}"
    return message, "list the NICs of this target in nics, or change the images of the NIC"


def _check_nic(names: Names, name: str, nic: Nic) -> Iterator[Problem]:
    path: Path = ("nic", name)
    for key in ("images", "fit"):
        yield from _check_references(names, "platform", getattr(nic, key) or (), (*path, key))
    if nic.images == ():
        yield Problem((*path, "images"), "the list is empty", "name at least one platform")
    if nic.images and nic.fit and set(nic.images) <= set(nic.fit):
        message = "lists all images, so nothing would be left"
        yield Problem((*path, "fit"), message, "remove the image that matters most")


def _check_source_of_target(
    spec: Spec, names: Names, target: Target, path: Path
) -> Iterator[Problem]:
    """If there are several sources, the target or each of its platforms must name one."""
    if target.source is not None:
        yield from _check_reference(names, "source", target.source, (*path, "source"))
        return
    sources = names.get("source") or ()
    if len(sources) < 2:
        return
    ambiguous = []
    for name in target.images:
        if name in spec.platform and spec.platform[name].source is None:
            ambiguous.append(name)
    if ambiguous:
        choices = join_words(sorted(sources))
        message = f"the images of {join_words(ambiguous)} may come from {choices}"
        yield Problem(path, message, 'write source = "NAME" here, or in each platform')


def _check_links(directory: str, out: FilePath, path: Path) -> Iterator[Problem]:
    root = os.path.realpath(out)
    real = os.path.realpath(out / directory)
    if os.path.commonpath((root, real)) != root:
        message = f"leaves the output root by a symbolic link to {real}"
        yield Problem(path, message, "remove the link")


def _check_references(
    names: Names, section: str, references: tuple[str, ...], path: Path
) -> Iterator[Problem]:
    """Each name of a list must be declared, and be there once."""
    earlier: set[str] = set()
    for index, name in enumerate(references):
        yield from _check_reference(names, section, name, (*path, index))
        if name in earlier:
            yield Problem((*path, index), f"{show(name)} is listed twice", "list it once")
        earlier.add(name)


def _check_reference(names: Names, section: str, name: str, path: Path) -> Iterator[Problem]:
    """A name must be that of a table in a section, unless it is a reserved one."""
    known = names.get(section, frozenset())
    if known is None or name in known or (section, name) in (("platform", STUB), ("source", LOCK)):
        return
    hint = f"write a [{section}.NAME] for it"
    if 0 < len(known) <= _MOST_LISTED:
        verb = "is" if len(known) == 1 else "are"
        hint = f"known {verb} {join_words(sorted(known))}"
    yield Problem(path, f"there is no {section} {show(name)}", hint, name, known)


def _check_pattern(pattern: str, path: Path) -> Iterator[Problem]:
    if "{" not in pattern and "}" not in pattern:
        return
    hint = f"placeholders are {join_words(f'{{{name}}}' for name in _PLACEHOLDERS)}"
    for match in re.finditer(r"\{([^{}]*)\}|[{}]", pattern):
        name = match[1]
        if name is None:
            yield Problem(path, f"has a stray {match[0]}", hint)
        elif name not in _PLACEHOLDERS:
            message = f"{show(match[0])[1:-1]} is not a placeholder"
            yield Problem(path, message, hint, name.lower(), _PLACEHOLDERS)


def _check_output_path(path_of_file: str, path: Path) -> Iterator[Problem]:
    yield from _check_relative(path_of_file, path, "the output root")
    for sign in "=*":
        if sign in path_of_file:
            message = f"{show(path_of_file)} contains {sign}, which is special in doit's task names"
            yield Problem(path, message, "use another character")


def _check_relative(path_of_file: str, path: Path, root: str) -> Iterator[Problem]:
    reason = _reason_outside(path_of_file)
    if reason is not None:
        hint = f"write a relative path that stays below {root}"
        yield Problem(path, f"{show(path_of_file)} {reason}", hint)
    elif any(character < " " for character in path_of_file):
        message = f"{show(path_of_file)} contains a line break or another control character"
        yield Problem(path, message, "remove it")


def _reason_outside(path_of_file: str) -> str | None:
    """Why a path is not one below the output root or a source, as the rest of a sentence."""
    if path_of_file.startswith("/"):
        return "is absolute"
    parts = PurePosixPath(path_of_file).parts
    if ".." in parts:
        return "goes up with .."
    if parts[:1] == (".romforge",):
        return "is in the directory of romforge's state"
    return None


def _check_clashes(spec: Spec, faulty: set[str]) -> Iterator[Problem]:
    """No ROM may have the path of another ROM, of a directory of ROMs, or of a manifest.

    The targets in ``faulty`` are left out.
    """
    hint = "use another pattern or another dir"
    roms: dict[str, _PlannedRom] = {}
    reported: set[tuple[str, str]] = set()  # pairs of targets
    for path, rom in _rom_paths(spec, faulty):
        other = roms.setdefault(path, rom)
        if other == rom or (rom.target, other.target) in reported:
            continue
        reported.add((rom.target, other.target))
        clash = f"so does target.{other.target}"
        if other.target == rom.target:
            clash = f"for {other.nic} too"
        message = f"gives {show(path)} for {rom.nic}, and {clash}"
        yield Problem(("target", rom.target, "file"), message, hint)
    directories = _directories_above(roms)
    manifests = {manifest_name(name) for name in spec.target}
    for path in sorted(manifests & (roms.keys() | directories)):
        message = f"gives {show(path)}, which is the manifest of a target"
        yield Problem(("target", _first_target_at(path, roms), "file"), message, hint)
    for path in sorted(directories & roms.keys()):
        rom = roms[path]
        message = f"gives {show(path)} for {rom.nic}, but other ROMs need a directory there"
        yield Problem(("target", rom.target, "file"), message, hint)


def _rom_paths(spec: Spec, faulty: set[str]) -> Iterator[tuple[str, _PlannedRom]]:
    """The path of each ROM, relative to the output root."""
    for name, target in spec.target.items():
        if name in faulty or not (target.dir and target.file):
            continue
        for nic in spec.nic if target.nics is None else target.nics:
            if nic in spec.nic and spec.nic[nic].id is not None:  # else it has been reported
                path = rom_path(name, target, nic, spec.nic[nic].id)
                yield path, _PlannedRom(name, nic)


def _directories_above(paths: Iterable[str]) -> set[str]:
    """The directories of files, and the directories above these."""
    directories = {path.rpartition("/")[0] for path in paths}
    for directory in list(directories):
        above = os.path.dirname(directory)
        while above not in directories:
            directories.add(above)
            above = os.path.dirname(above)
    return directories


def _first_target_at(path: str, roms: Mapping[str, _PlannedRom]) -> str:
    """The first target with a ROM at a path or below it, of which there is one."""
    for place, rom in roms.items():
        if place == path or place.startswith(f"{path}/"):
            return rom.target
    raise AssertionError(path)
