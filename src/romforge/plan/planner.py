# SPDX-License-Identifier: GPL-2.0-or-later
"""From the spec to steps: a pure function, and frozen steps that say all they depend on but the files' content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.output_files import STATE
from romforge.base.pci_id import PciId
from romforge.spec.model import (
    STUB,
    Header,
    Pairs,
    Platform,
    Source,
    Spec,
    Strip,
    Target,
    bin_directory,
    firmware_of,
    rom_path,
)

# Where ROMs lie in a directory, in Debian's and Ubuntu's ipxe-qemu, in bookworm's, and in Fedora's ipxe-roms-qemu.
_DIRECTORIES = (
    "",
    "usr/share/qemu/",
    "usr/lib/ipxe/qemu/",
    "usr/share/ipxe.efi/",
    "usr/share/ipxe/",
)
_FILES = ("efi-{nic}.rom", "pxe-{nic}.rom", "{nic}.rom", "{vendor}{device}.rom")
DEFAULT_FILES = tuple(directory + file for directory in _DIRECTORIES for file in _FILES)


class Fetch(NamedTuple):
    """Gets ROM files out of a package or a .deb into ``directory``, relative to the output root."""

    source: str
    package: str | None
    deb: str | None  # absolute path
    sha256: str | None
    directory: str

    @property
    def task(self) -> str:
        return f"source:{self.source}"


class StripOptions(NamedTuple):
    """What the spec says of leaving things out of a platform's links.

    ``strength`` is "none", "safe" or "minimal"; ``drop`` and ``keep`` are roots of the link,
    ``leave_out`` objects by the names of their sources.
    """

    strength: str = "safe"
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


class TreeBuild(NamedTuple):
    """Builds the images of a platform with a tree's own makefiles, in a working tree of its own.

    Paths are absolute, but ``directory``, which is relative to the output root. Configuration headers are the text of
    each ``config/local/CONFIG/NAME.h``.
    """

    source: str
    platform: str
    trees: tuple[str, ...]  # the first that is there is built
    directory: str
    bin: str
    media: str
    arch: str
    cross: str | None
    config: str | None
    headers: Pairs
    variables: Pairs
    files: tuple[tuple[str, tuple[str, ...]], ...]  # EMBED, TRUST, CERT
    debug: tuple[str, ...]
    strip: StripOptions
    require: tuple[str, ...]
    launcher: tuple[str, ...]  # which runs the compiler, and changes nothing of what it makes
    goals: tuple[str, ...]  # the names of all images that any target wants

    @property
    def task(self) -> str:
        return f"make:{self.source}/{self.platform}"

    @property
    def legacy(self) -> bool:
        return not self.media.startswith("efi")


class ImageRequest(NamedTuple):
    """The image of a platform: the first of ``files`` below ``root`` that holds one of this code type and machine."""

    platform: str
    legacy: bool
    machine: int  # of an EFI image
    source: str
    make: str  # the task that builds it in a tree; empty where it is taken from existing ROMs
    root: str  # absolute, or relative to the output root where a step fills it
    files: tuple[str, ...]  # patterns
    compress: bool  # an EFI image's driver, where that makes it smaller

    @property
    def stub(self) -> bool:
        """Whether it is no platform's, but a stub, which is in no source."""
        return not self.source


class Rom(NamedTuple):
    """One ROM file: which images, which IDs, which bucket. Sizes are bytes."""

    path: str  # relative to the output root
    target: str
    nic: str
    ids: PciId
    goal: str  # iPXE's name of the image
    accept_ids: tuple[PciId, ...]
    fix_ids: bool
    picks: tuple[ImageRequest, ...]
    bucket: int | None
    pad: bool
    level: str  # of compression

    @property
    def task(self) -> str:
        return f"rom:{self.path}"


PlanStep = Fetch | TreeBuild | Rom


class Plan(NamedTuple):
    """All steps: those that get images, and the ROMs of each target in the spec's order; ``default`` ones are built unasked."""

    spec: str  # absolute path of the spec
    fetches: tuple[Fetch, ...]
    makes: tuple[TreeBuild, ...]
    targets: dict[str, tuple[Rom, ...]]
    default: tuple[str, ...]
    jobs: int | str | None = None  # of all makes together, or "distcc", which knows

    def roms(self) -> Iterator[Rom]:
        for roms in self.targets.values():
            yield from roms

    def steps(self) -> Iterator[PlanStep]:
        yield from self.fetches
        yield from self.makes
        yield from self.roms()

    def nics(self) -> dict[str, list[Rom]]:
        """What building a NIC means: its ROMs in the default targets, or where it is in none of these, in all."""
        usual = {rom.nic for name in self.default for rom in self.targets[name]}
        found: dict[str, list[Rom]] = {}
        for rom in self.roms():
            if rom.target in self.default or rom.nic not in usual:
                found.setdefault(rom.nic, []).append(rom)
        return found

    def selected(self, tasks: Sequence[str]) -> list[Rom]:
        """The ROMs that tasks stand for: target:, nic:, rom: or all; those of the default targets where none is given."""
        given = set(tasks or [f"target:{name}" for name in self.default])
        if "all" in given:
            return list(self.roms())
        given.update(
            rom.task for nic, roms in self.nics().items() if f"nic:{nic}" in given for rom in roms
        )
        return [rom for rom in self.roms() if {rom.task, f"target:{rom.target}"} & given]

    def directories(self) -> tuple[set[str], set[str]]:
        """Those that ROMs are written to, relative to the output root, and those outside it that they are read from."""
        picks = {
            pick
            for roms in self.targets.values()
            for rom in roms[:1]
            for pick in rom.picks
            if os.path.isabs(pick.root)
        }
        sources = {f"{pick.root}/{os.path.dirname(file)}" for pick in picks for file in pick.files}
        return {os.path.dirname(rom.path) for rom in self.roms()}, sources

    def takes_long(self) -> bool:
        """Whether there is work for several processors."""
        return bool(self.makes) or any(
            pick.compress
            for roms in self.targets.values()
            for rom in roms[:1]
            for pick in rom.picks
        )

    def may_distribute(self) -> bool:
        """Whether more jobs may be run than this machine has processors, since others compile too, or nobody does."""
        return self.jobs is not None or any(make.launcher for make in self.makes)

    def needs_of(self, rom: Rom) -> list[str]:
        """The tasks that must be done before the ROM can be built."""
        needed = {pick.make or f"source:{pick.source}" for pick in rom.picks if not pick.stub}
        return [step.task for step in self.steps() if step.task in needed]


def make_plan(spec: Spec, tree: str | None = None) -> Plan:
    """The plan of a checked spec; ``tree`` is an iPXE source tree to take for the first that the spec names."""
    targets = {name: tuple(_roms(spec, name, target)) for name, target in spec.target.items()}
    used = {pick.source for roms in targets.values() for rom in roms[:1] for pick in rom.picks}
    fetches = [
        found
        for name, source in spec.source.items()
        if name in used and (found := fetch_step(spec, name, source))
    ]
    default = tuple(name for name, target in spec.target.items() if target.default)
    return Plan(
        os.path.abspath(spec.path),
        tuple(fetches),
        tuple(_makes(spec, targets, tree)),
        targets,
        default,
        spec.toolchain.jobs,
    )


def fetch_step(spec: Spec, name: str, source: Source) -> Fetch | None:
    """The step that gets the ROMs of a source; None where they are there."""
    if not source.package and not _is_deb(source):
        return None
    deb = _beside(spec, source.roms) if source.roms else None
    return Fetch(name, source.package, deb, source.sha256, source_root(spec, name, source))


def _is_deb(source: Source) -> bool:
    return source.roms is not None and source.roms.endswith(".deb")


def source_root(spec: Spec, name: str, source: Source) -> str:
    """Where the ROMs of a source lie: absolute, or relative to the output root."""
    return (
        f"{STATE}/source/{name}"
        if source.roms is None or _is_deb(source)
        else _beside(spec, source.roms)
    )


def _beside(spec: Spec, path: str) -> str:
    """A path of the spec, which is relative to the spec's directory."""
    return os.path.abspath(spec.path.parent / Path(path).expanduser())


def _roms(spec: Spec, name: str, target: Target) -> Iterator[Rom]:
    bucket = spec.bucket[target.bucket] if target.bucket else None
    size, pad = (bucket.size, bucket.pad) if bucket else (None, False)
    picks = tuple(_pick(spec, target, platform) for platform in target.images)
    for nic_name in spec.nic if target.nics is None else target.nics:
        nic = spec.nic[nic_name]
        path = rom_path(name, target, nic_name, nic.id)
        goal = nic.goal or nic.id.goal
        yield Rom(
            path,
            name,
            nic_name,
            nic.id,
            goal,
            nic.accept_ids,
            target.fix_ids,
            picks,
            size,
            pad,
            target.level,
        )


def _pick(spec: Spec, target: Target, platform: str) -> ImageRequest:
    if platform == STUB:
        return ImageRequest(STUB, False, 0, "", "", "", (), False)
    kind = firmware_of(platform, spec.platform[platform])
    assert kind is not None  # a checked spec has no other
    arch, firmware_name = kind
    name = spec.platform[platform].source or target.source or next(iter(spec.source))
    source, legacy = spec.source[name], firmware_name == "pcbios"
    if source.tree is None:
        again = (
            not legacy
            and target.level != "stored"
            and (target.recompress or spec.platform[platform].recompress)
        )
        return ImageRequest(
            platform,
            legacy,
            arch.machine,
            name,
            "",
            source_root(spec, name, source),
            source.files or DEFAULT_FILES,
            again,
        )
    where, file = _working_tree(spec, name, platform), f"{{goal}}.{_media(spec, platform)}"
    built = f"{where}/src/{bin_directory(platform, spec.platform[platform])}"
    compress = not legacy and target.level != "stored"
    return ImageRequest(
        platform, legacy, arch.machine, name, f"make:{name}/{platform}", built, (file,), compress
    )


def _makes(
    spec: Spec, targets: Mapping[str, tuple[Rom, ...]], tree: str | None
) -> Iterator[TreeBuild]:
    """One make for each platform of a tree that any target takes images of."""
    goals: dict[tuple[str, str], dict[str, None]] = {}
    for roms in targets.values():
        for pick in roms[0].picks if roms else ():
            if pick.make:
                goals.setdefault((pick.source, pick.platform), {}).update(
                    dict.fromkeys(rom.goal for rom in roms)
                )
    first = next((name for name, source in spec.source.items() if source.tree), None)
    for (source, platform), names in goals.items():
        yield _make(spec, source, platform, tuple(names), tree if source == first else None)


def _make(
    spec: Spec, source_name: str, name: str, goals: tuple[str, ...], tree: str | None
) -> TreeBuild:
    source, platform = spec.source[source_name], spec.platform[name]
    kind = firmware_of(name, platform)
    assert kind is not None  # a checked spec has no other
    assert source.tree is not None  # nor is this called for one
    config = platform.config or source.config
    strip = platform.strip or Strip()
    return TreeBuild(
        source=source_name,
        platform=name,
        trees=(tree,)
        if tree
        else tuple(_beside(spec, one) for one in (source.tree, source.fallback) if one),
        directory=_working_tree(spec, source_name, name),
        bin=bin_directory(name, platform),
        media=_media(spec, name),
        arch=kind[0].ipxe_name,
        cross=platform.cross,
        config=config,
        headers=_headers(spec, config),
        variables=tuple(sorted({**dict(source.make), **dict(platform.make)}.items())),
        files=tuple(
            (variable, tuple(_beside(spec, file) for file in files))
            for variable, files in (
                ("EMBED", platform.embed),
                ("TRUST", platform.trust),
                ("CERT", platform.cert),
            )
            if files
        ),
        debug=platform.debug,
        strip=StripOptions(strip.strength, strip.drop, strip.keep, platform.leave_out),
        require=platform.require,
        launcher=_launcher(spec, platform),
        goals=goals,
    )


def _headers(spec: Spec, config: str | None) -> Pairs:
    """The text of each header that the spec adds to a configuration; the tree may have more of its own."""
    tables = spec.config.get(config, {}) if config else {}
    return tuple((header, _header(table)) for header, table in tables.items())


def _launcher(spec: Spec, platform: Platform) -> tuple[str, ...]:
    """The command of the launcher, which is relative to the spec's directory if it is a path."""
    words = spec.toolchain.launcher if platform.launcher is None else platform.launcher
    return (_beside(spec, words[0]), *words[1:]) if words and "/" in words[0] else words


def _working_tree(spec: Spec, source: str, platform: str) -> str:
    """Where a platform is built, relative to the output root; for each configuration another place."""
    config = spec.platform[platform].config or spec.source[source].config
    return f"{STATE}/tree/{source}/{platform}/{'with-' + config if config else 'plain'}"


def _media(spec: Spec, platform: str) -> str:
    kind = firmware_of(platform, spec.platform[platform])
    return spec.platform[platform].media or ("rom" if kind and kind[1] == "pcbios" else "efidrv")


def _header(header: Header) -> str:
    """The text of a local configuration header; a macro that iPXE's own headers define must be undefined first."""
    lines = [
        f"#undef {name}"
        for name in (*header.undef, *header.define, *(name for name, _ in header.set))
    ]
    lines += [f"#define {name}" for name in header.define] + [
        f"#define {name} {value}" for name, value in header.set
    ]
    return "\n".join(
        ["/* Written by romforge from the spec: a change made here is lost. */", *lines, ""]
    )
