# SPDX-License-Identifier: GPL-2.0-or-later
"""What no key of a spec can tell alone: names that nothing bears, paths that clash or leave the output root."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from pathlib import PurePosixPath

from romforge.base.arch import BY_NAME
from romforge.base.text import join_words
from romforge.spec.fields import Path, Problem, show
from romforge.spec.model import (
    LOCK,
    ORIGINS,
    STUB,
    Header,
    Names,
    Pairs,
    Platform,
    Source,
    Spec,
    Target,
    firmware_of,
    manifest_name,
    rom_path,
)

_PLACEHOLDERS = ("nic", "vendor", "device", "target")
_FEW = 12  # names that an error lists
# Variables of make that have a key of their own, which does more than the variable would.
_HAVE_KEYS = {
    "BIN": "bin in the platform",
    "CONFIG": "config in the source or the platform",
    "CROSS_COMPILE": "cross in the platform",
    "EMBED": "embed in the platform",
    "TRUST": "trust in the platform",
    "CERT": "cert in the platform",
    "DEBUG": "debug in the platform",
    "TGT_LD_FLAGS": "strip in the platform",
    "MAKEFLAGS": "`--jobs`",
    "SOURCE_DATE_EPOCH": "the environment variable",
}


def check_spec(spec: Spec, names: Names, out: FilePath | None) -> Iterator[Problem]:
    """All problems between the tables of a spec; ``names`` are the names of all tables, the faulty ones included."""
    for name, source in spec.source.items():
        yield from _source(names, name, source)
    for name, headers in spec.config.items():
        for header, table in headers.items():
            yield from _header(table, ("config", name, header))
    for name, platform in spec.platform.items():
        yield from _platform(names, name, platform)
    if spec.target and names.get("source") == frozenset():
        yield Problem(
            (),
            "there is no source of images",
            'write a [source.NAME], such as [source.debian] with package = "ipxe-qemu"',
        )
    pathless = set()  # targets whose paths are told to be wrong, and so clash for no other reason
    for name, target in spec.target.items():
        for problem in _target(spec, names, name, target, out):
            yield problem
            if problem.path[2:] in (("dir",), ("file",)):
                pathless.add(name)
    yield from _duplicates(spec, pathless)
    yield from _verify(spec, names)


def _verify(spec: Spec, names: Names) -> Iterator[Problem]:
    path: Path = ("verify", "migrate_from")
    yield from _known_list(names, "source", spec.verify.migrate_from, path)
    for name in spec.qemu:
        if name not in BY_NAME:
            yield Problem(
                ("qemu", name),
                f"{show(name)} is no architecture",
                f"known are {join_words(BY_NAME)}",
                name,
                BY_NAME,
            )
    for index, name in enumerate(spec.verify.migrate_from):
        if name in spec.source and spec.source[name].tree:
            yield Problem(
                (*path, index),
                f"the source {name} is a tree, and older ROMs exist",
                "name a source with roms or package",
            )


def _source(names: Names, name: str, source: Source) -> Iterator[Problem]:
    path: Path = ("source", name)
    if name == LOCK:
        yield Problem(
            path,
            f"{show(LOCK)} stands for romspec.lock, and so is no source's name",
            "give it another",
        )
    given = [one for one in ORIGINS if getattr(source, one) is not None]
    if len(given) != 1:
        what = f"holds {join_words(given)}" if given else "does not say where images come from"
        yield Problem(path, what, "write exactly one of tree, roms and package")
    else:
        for one in ORIGINS[given[0]]:
            if getattr(source, one):
                which = "existing ROMs" if given == ["tree"] else "a tree, which is built"
                yield Problem(
                    (*path, one), f"is for {which}, and this source has {given[0]}", "leave it out"
                )
    yield from _make(source.make, path)
    for place in ("tree", "fallback", "roms"):
        yield from _home(getattr(source, place) or "", (*path, place))
    if source.sha256 and source.roms and not source.roms.endswith(".deb"):
        yield Problem(
            (*path, "sha256"),
            "is that of a .deb, and roms names none",
            "leave it out, or name a .deb",
        )
    for index, pattern in enumerate(source.files or ()):
        yield from _pattern(pattern, (*path, "files", index))
        yield from _leaving(pattern, (*path, "files", index), "the source")


def _platform(names: Names, name: str, platform: Platform) -> Iterator[Problem]:
    path: Path = ("platform", name)
    if name == STUB:
        yield Problem(
            path,
            f"{show(STUB)} stands for an image with no code, and so is no platform's name",
            "give it another",
        )
    kind = firmware_of(name, platform)
    if kind is None:
        right = f'write bin = "bin" for the PC BIOS, or "bin-ARCH-efi" where ARCH is one of {join_words(BY_NAME)}'
        where, wrong = ((*path, "bin"), platform.bin) if platform.bin else (path, f"bin-{name}")
        known = [
            "bin",
            *(f"bin-{arch}-pcbios" for arch in ("i386", "x86_64")),
            *(f"bin-{arch}-efi" for arch in BY_NAME),
        ]
        yield Problem(where, f"iPXE has no BIN directory {show(wrong)}", right, wrong, known)
    elif platform.media and platform.media.startswith("efi") != (kind[1] == "efi"):
        right = 'write "efidrv" or "efirom"' if kind[1] == "efi" else 'write "rom" or "mrom"'
        yield Problem(
            (*path, "media"), f"{show(platform.media)} is not what iPXE builds for {kind[1]}", right
        )
    if platform.source is not None:
        yield from _known(names, "source", platform.source, (*path, "source"))
    yield from _make(platform.make, path)
    yield from _leave_out(platform, path)
    for kind_of_file in ("embed", "trust", "cert"):
        for index, file in enumerate(getattr(platform, kind_of_file)):
            yield from _embedded(file, (*path, kind_of_file, index))
    for index, root in enumerate(platform.strip.drop if platform.strip else ()):
        if platform.strip and root in platform.strip.keep:
            yield Problem(
                (*path, "strip", "drop", index),
                f"{show(root)} is to be dropped and to be kept",
                "leave it out of one of the lists",
            )


def _leave_out(platform: Platform, path: Path) -> Iterator[Problem]:
    """Objects that are both to be left out and required."""
    for index, name in enumerate(platform.leave_out):
        if name in platform.require:
            yield Problem(
                (*path, "leave_out", index),
                f"{show(name)} is required as well",
                "leave it out of one of the lists",
            )


def _embedded(file: str, path: Path) -> Iterator[Problem]:
    yield from _home(file, path)
    name = os.path.basename(os.path.normpath(file))
    if name in ("", ".", ".."):
        yield Problem(path, f"{show(file)} names a directory", "name a file")
    elif not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
        yield Problem(
            path,
            f"{show(name)} is no name that make takes",
            "give the file one of letters, digits and _ . + -",
        )


def _home(given: str, path: Path) -> Iterator[Problem]:
    if given.startswith("~") and os.path.expanduser(given) == given:
        yield Problem(
            path,
            f"{show(given)} begins with the home of a user that is not known",
            "write the whole path",
        )


def _header(header: Header, path: Path) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    places = [(name, "define") for name in header.define] + [
        (name, "undef") for name in header.undef
    ]
    for name, place in [*places, *((name, "set") for name, _ in header.set)]:
        if seen.setdefault(name, place) != place:
            yield Problem(
                (*path, place), f"{name} is in {seen[name]} as well", "leave it out of one of them"
            )
    for name, value in header.set:
        if value.endswith("\\"):
            yield Problem(
                (*path, "set", name),
                "ends with a \\, which joins the next line to it",
                "end it with something else",
            )


def _make(variables: Pairs, path: Path) -> Iterator[Problem]:
    for variable, _ in variables:
        if variable in _HAVE_KEYS:
            yield Problem(
                (*path, "make", variable), "is not for make alone", f"use {_HAVE_KEYS[variable]}"
            )


def _target(
    spec: Spec, names: Names, name: str, target: Target, out: FilePath | None
) -> Iterator[Problem]:
    path: Path = ("target", name)
    yield from _known_list(names, "platform", target.images, (*path, "images"))
    if not target.images:
        yield Problem((*path, "images"), "the list is empty", "name at least one platform")
    yield from _known_list(names, "nic", target.nics or (), (*path, "nics"))
    if target.bucket is not None:
        yield from _known(names, "bucket", target.bucket, (*path, "bucket"))
    if target.source is not None:
        yield from _known(names, "source", target.source, (*path, "source"))
    elif len(sources := names.get("source") or ()) > 1:
        unsaid = [
            one
            for one in target.images
            if one in spec.platform and spec.platform[one].source is None
        ]
        what = f"the images of {join_words(unsaid)} may come from {join_words(sorted(sources))}"
        yield from (
            [Problem(path, what, 'write source = "NAME" here, or in each platform')]
            if unsaid
            else []
        )
    if target.recompress and target.level == "stored":
        yield Problem(
            (*path, "recompress"), 'goes with another level than "stored"', "leave one of them out"
        )
    yield from _output(target.dir, (*path, "dir"))
    if "{" in target.dir or "}" in target.dir:
        yield Problem(
            (*path, "dir"),
            "{ and } are filled in in file alone",
            'write file = "{nic}/NAME" for a directory of each NIC',
        )
    yield from _output(target.file, (*path, "file"))
    yield from _pattern(target.file, (*path, "file"))
    if target.file.endswith(("/", "/.")) or target.file == ".":
        yield Problem(
            (*path, "file"),
            f"{show(target.file)} names a directory",
            "let it end in the name of a file",
        )
    if out is not None:
        root, place = os.path.realpath(out), os.path.realpath(out / target.dir)
        if not _leaving_reason(target.dir) and os.path.commonpath((root, place)) != root:
            yield Problem(
                (*path, "dir"),
                f"leaves the output root by a symbolic link to {place}",
                "remove the link",
            )


def _known_list(
    names: Names, section: str, given: tuple[str, ...], path: Path
) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, one in enumerate(given):
        yield from _known(names, section, one, (*path, index))
        if one in seen:
            yield Problem((*path, index), f"{show(one)} is listed twice", "once is enough")
        seen.add(one)


def _known(names: Names, section: str, name: str, path: Path) -> Iterator[Problem]:
    known = names.get(section, frozenset())
    if (
        known is not None
        and name not in known
        and (section, name) not in (("platform", STUB), ("source", LOCK))
    ):
        few = 0 < len(known) <= _FEW
        right = (
            f"known {'is' if len(known) == 1 else 'are'} {join_words(sorted(known))}"
            if few
            else f"write a [{section}.NAME{'.HEADER' if section == 'config' else ''}] for it"
        )
        yield Problem(path, f"there is no {section} {show(name)}", right, name, known)


def _pattern(pattern: str, path: Path) -> Iterator[Problem]:
    if "{" not in pattern and "}" not in pattern:
        return
    for match in re.finditer(r"\{([^{}]*)\}|[{}]", pattern):
        if match[1] not in _PLACEHOLDERS:
            right = f"placeholders are {join_words('{' + one + '}' for one in _PLACEHOLDERS)}"
            wrong = (
                f"has a stray {match[0]}"
                if match[1] is None
                else f"{show(match[0])[1:-1]} is no placeholder"
            )
            yield Problem(path, wrong, right, (match[1] or "").lower(), _PLACEHOLDERS)


def _output(given: str, path: Path) -> Iterator[Problem]:
    yield from _leaving(given, path, "the output root")
    for sign in "=*":
        if sign in given:
            yield Problem(
                path,
                f"{show(given)} holds {sign}, which doit gives a meaning in the names of tasks",
                "use another character",
            )


def _leaving(given: str, path: Path, root: str) -> Iterator[Problem]:
    if reason := _leaving_reason(given):
        right = (
            "leave it out"
            if reason.startswith("holds")
            else f"write a relative path that stays below {root}"
        )
        yield Problem(path, f"{show(given)} {reason}", right)


def _leaving_reason(given: str) -> str:
    if given.startswith("/"):
        return "is absolute"
    if ".." in PurePosixPath(given).parts:
        return "goes up by .."
    if PurePosixPath(given).parts[:1] == (".romforge",):
        return "is where romforge keeps its state"
    return (
        ""
        if all(one >= " " for one in given)
        else "holds a line break or another control character"
    )


def _duplicates(spec: Spec, pathless: set[str]) -> Iterator[Problem]:
    """Output paths that two ROMs would have, told once for each pair of targets."""
    seen: dict[str, tuple[str, str]] = {}
    told: set[tuple[str, str]] = set()
    right = "use another pattern or another dir"
    for name, target in spec.target.items():
        if name in pathless or not (target.dir and target.file):
            continue
        for nic in spec.nic if target.nics is None else target.nics:
            if nic not in spec.nic or spec.nic[nic].id is None:
                continue  # told already
            path = rom_path(name, target, nic, spec.nic[nic].id)
            other = seen.setdefault(path, (name, nic))
            if other != (name, nic) and (name, other[0]) not in told:
                told.add((name, other[0]))
                whose = f"for {other[1]} too" if other[0] == name else f"so does target.{other[0]}"
                yield Problem(
                    ("target", name, "file"), f"gives {show(path)} for {nic}, and {whose}", right
                )
    directories = dict.fromkeys([path.rpartition("/")[0] for path in seen])
    for above in [os.path.dirname(directory) for directory in directories]:
        while above and above not in directories:
            directories[above] = None
            above = os.path.dirname(above)  # noqa: PLW2901  (it climbs)
    manifests = {manifest_name(name) for name in spec.target}
    for path in sorted(manifests & (seen.keys() | directories.keys())):
        name = next(
            target
            for place, (target, _) in seen.items()
            if place == path or place.startswith(f"{path}/")
        )
        yield Problem(
            ("target", name, "file"), f"gives {show(path)}, which is a target's manifest", right
        )
    for path in sorted(directories.keys() & seen.keys()):
        name, nic = seen[path]
        yield Problem(
            ("target", name, "file"),
            f"gives {show(path)} for {nic}, where other ROMs need a directory",
            right,
        )
