# SPDX-License-Identifier: GPL-2.0-or-later
"""What no key of a spec can tell alone: names that nothing bears, paths that clash or leave the output root."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from pathlib import PurePosixPath

from romforge.errors import listing, near
from romforge.keys import Path, Problem, show
from romforge.spec import Names, Spec, Target, expand, firmware

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}|[{}]")
_PLACEHOLDERS = ("nic", "vendor", "device", "target")


def check(spec: Spec, names: Names, out: FilePath | None) -> Iterator[Problem]:
    """All problems between the tables of a spec; ``names`` are the names of all tables, the faulty ones included."""
    yield from _sources(spec, names)
    yield from _platforms(spec, names)
    for name, target in spec.target.items():
        yield from _target(spec, names, name, target, out)
    yield from _duplicates(spec)


def _sources(spec: Spec, names: Names) -> Iterator[Problem]:
    for name, source in spec.source.items():
        path: Path = ("source", name)
        given = [one for one in ("tree", "roms", "package") if getattr(source, one) is not None]
        if len(given) != 1:
            yield Problem(path, f'{listing(given)} given; write one of "tree", "roms" and "package"')
        if source.config is not None:
            yield from _known(names, "config", source.config, (*path, "config"))
        for index, pattern in enumerate(source.files or ()):
            yield from _pattern(pattern, (*path, "files", index), "the source")


def _platforms(spec: Spec, names: Names) -> Iterator[Problem]:
    for name, platform in spec.platform.items():
        path: Path = ("platform", name)
        if firmware(name, platform) is None:
            right = 'write bin = "bin" for the PC BIOS, or "bin-ARCH-efi" with an architecture of iPXE\'s'
            where, wrong = ((*path, "bin"), platform.bin) if platform.bin else (path, f"bin-{name}")
            yield Problem(where, f"iPXE has no BIN directory {show(wrong)}; {right}")
        for section in ("source", "config"):
            if (value := getattr(platform, section)) is not None:
                yield from _known(names, section, value, (*path, section))


def _target(spec: Spec, names: Names, name: str, target: Target, out: FilePath | None) -> Iterator[Problem]:
    path: Path = ("target", name)
    yield from _known_list(names, "platform", target.images, (*path, "images"))
    if not target.images:
        yield Problem((*path, "images"), "no image; name at least one platform")
    yield from _known_list(names, "nic", target.nics or (), (*path, "nics"))
    if target.bucket is not None:
        yield from _known(names, "bucket", target.bucket, (*path, "bucket"))
    if target.source is not None:
        yield from _known(names, "source", target.source, (*path, "source"))
    elif len(names.get("source", ())) != 1 and not all(spec.platform[one].source for one in target.images if one in spec.platform):
        sources = names.get("source", ())
        wrong = f"the images may come from {listing(sorted(sources))}" if sources else "there is no [source.NAME]"
        yield Problem(path, f'{wrong}; write source = "NAME" here or in the platforms')
    yield from _pattern(target.file, (*path, "file"), "the output root")
    yield from _leaving(target.dir, (*path, "dir"), "the output root")
    if out is not None:
        root, place = os.path.realpath(out), os.path.realpath(out / target.dir)
        if not _leaving_reason(target.dir) and os.path.commonpath((root, place)) != root:
            yield Problem((*path, "dir"), f"leaves the output root by a symbolic link to {place}; remove the link")


def _known_list(names: Names, section: str, given: tuple[str, ...], path: Path) -> Iterator[Problem]:
    for index, one in enumerate(given):
        yield from _known(names, section, one, (*path, index))
        if one in given[:index]:
            yield Problem((*path, index), f'"{one}" is listed twice; once is enough')


def _known(names: Names, section: str, name: str, path: Path) -> Iterator[Problem]:
    known = names.get(section, frozenset())
    if name not in known:
        right = f"known are {listing(sorted(known))}" if 0 < len(known) <= 12 else f"write a [{section}.{name}]"
        yield Problem(path, f"there is no {section} {show(name)}{near(name, known)}; {right}")


def _pattern(pattern: str, path: Path, root: str) -> Iterator[Problem]:
    for match in _PLACEHOLDER.finditer(pattern):
        if match[1] not in _PLACEHOLDERS:
            right = f"known are {listing('{' + one + '}' for one in _PLACEHOLDERS)}"
            yield Problem(path, f"{match[0]} is no placeholder{near(match[1] or '', _PLACEHOLDERS)}; {right}")
    yield from _leaving(pattern, path, root)


def _leaving(given: str, path: Path, root: str) -> Iterator[Problem]:
    if reason := _leaving_reason(given):
        yield Problem(path, f"{show(given)} {reason}; write a relative path that stays below {root}")


def _leaving_reason(given: str) -> str:
    if given.startswith("/"):
        return "is absolute"
    if ".." in PurePosixPath(given).parts:
        return "goes up by .."
    if PurePosixPath(given).parts[:1] == (".romforge",):
        return "is where romforge keeps its state"
    return "holds a line break" if "\n" in given else ""


def _duplicates(spec: Spec) -> Iterator[Problem]:
    """Output paths that two ROMs would have, told once for each pair of targets."""
    seen: dict[str, tuple[str, str]] = {}
    told: set[tuple[str, str]] = set()
    for name, target in spec.target.items():
        for nic in spec.nic if target.nics is None else target.nics:
            if nic not in spec.nic or spec.nic[nic].id is None:
                continue
            path = os.path.normpath(f"{target.dir}/{expand(target.file, nic, spec.nic[nic].id, name)}")
            other = seen.setdefault(path, (name, nic))
            if other != (name, nic) and (name, other[0]) not in told:
                told.add((name, other[0]))
                whose = f"that of {other[1]}" if other[0] == name else f"target.{other[0]}"
                yield Problem(("target", name, "file"), f"gives {path} for {nic}, and so does {whose}; use another pattern or dir")
