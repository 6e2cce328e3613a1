# SPDX-License-Identifier: GPL-2.0-or-later
"""From the spec to steps: a pure function, which opens no file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from romforge.base import shipped_files
from romforge.base.arch import Arch
from romforge.base.image_kind import LEGACY, ImageKind
from romforge.base.output_files import STATE
from romforge.plan.image_requests import (
    ImageRequest,
    ImpossibleImage,
    RomFileRequest,
    StubRequest,
    TreeRequest,
)
from romforge.plan.steps import (
    BootFileCopy,
    Fetch,
    PinnedTree,
    Plan,
    Rom,
    Signing,
    StripOptions,
    TreeBuild,
    TreePlace,
    distinct_requests,
)
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
    boot_file_source,
    firmware_of,
    images_of,
    rom_path,
)

# Where ROMs lie: in a directory of ROMs, in Debian's and Ubuntu's ipxe-qemu, in that of bookworm,
# and in Fedora's ipxe-roms-qemu.
_DIRECTORIES = (
    "",
    "usr/share/qemu/",
    "usr/lib/ipxe/qemu/",
    "usr/share/ipxe.efi/",
    "usr/share/ipxe/",
)
_FILES_SUFFIX = "-files"  # of a working tree in which files that are no ROMs are built
_FILES = ("efi-{nic}.rom", "pxe-{nic}.rom", "{nic}.rom", "{vendor}{device}.rom")
DEFAULT_FILES = tuple(directory + file for directory in _DIRECTORIES for file in _FILES)


def make_plan(spec: Spec, tree: str | None = None) -> Plan:
    """The plan of a checked spec.

    ``tree`` is an iPXE source tree to build in place of the first that the spec names.
    """
    targets = {name: tuple(_roms(spec, name, target)) for name, target in spec.target.items()}
    used: set[str | None] = set()
    for roms in targets.values():
        for requests in distinct_requests(roms):
            used.update(request.source for request in requests)
    files = tuple(_boot_files(spec))
    used.update(file.source for file in files)
    sources = {name: source for name, source in spec.source.items() if name in used}
    fetches = [fetch_step(spec, name, source) for name, source in sources.items()]
    pinned = [pinned_tree(spec, name, source) for name, source in sources.items()]
    return Plan(
        spec=os.path.abspath(spec.path),
        fetches=tuple(step for step in fetches if step),
        makes=tuple(_makes(spec, targets, tree)),
        targets=targets,
        default=tuple(name for name, target in spec.target.items() if target.default),
        jobs=spec.toolchain.jobs,
        pinned=tuple(step for step in pinned if step),
        files=files,
        file_makes=tuple(_file_makes(spec, files, tree)),
    )


def without_impossible_images(plan: Plan, reasons: Mapping[tuple[str, str], str]) -> Plan:
    """The plan without images of drivers that need port I/O, for platforms that have none.

    ``reasons`` says of a source and one of iPXE's names of images why its driver needs port I/O. A
    ROM that would have no image left gets a stub, since QEMU requires the file.
    """
    if not reasons:
        return plan
    targets = {}
    for name, roms in plan.targets.items():
        shared: dict[tuple[ImageRequest, ...], tuple[ImageRequest, ...]] = {}
        targets[name] = tuple(_possible(rom, reasons, shared) for rom in roms)
    wanted: set[tuple[str | None, str]] = set()
    for roms in targets.values():
        for rom in roms:
            wanted.update((request.make, rom.goal) for request in rom.requests)
    makes = []
    for make in plan.makes:
        goals = tuple(goal for goal in make.goals if (make.task, goal) in wanted)
        if goals:
            makes.append(make._replace(goals=goals))
    return plan._replace(makes=tuple(makes), targets=targets)


def _possible(
    rom: Rom,
    reasons: Mapping[tuple[str, str], str],
    shared: dict[tuple[ImageRequest, ...], tuple[ImageRequest, ...]],
) -> Rom:
    """The ROM without the images that cannot work. ``shared`` are the tuples in use."""
    possible: list[ImageRequest] = []
    impossible = []
    for request in rom.requests:
        reason = None
        if isinstance(request, TreeRequest) and not request.kind.has_port_io:
            reason = reasons.get((request.source, rom.goal))
        if reason is None:
            possible.append(request)
        else:
            impossible.append(ImpossibleImage(request.platform, request.kind, reason))
    if not impossible:
        return rom
    requests = tuple(possible or [StubRequest()])
    platforms = {request.platform for request in requests}
    return rom._replace(
        requests=shared.setdefault(requests, requests),
        fit=tuple(platform for platform in rom.fit if platform in platforms),
        impossible=tuple(impossible),
    )


def fetch_step(spec: Spec, name: str, source: Source) -> Fetch | None:
    """The step that gets the ROMs of a source; None where they are there."""
    if not source.package and not _is_deb(source):
        return None
    deb = _beside(spec, source.roms) if source.roms else None
    return Fetch(name, source.package, deb, source.sha256, source_root(spec, name, source))


def pinned_tree(spec: Spec, name: str, source: Source) -> PinnedTree | None:
    """The step that gets the tree of a source; None for a source that pins none."""
    url = source.git or source.archive
    if url is None:
        return None
    signers = _beside(spec, source.signers) if source.signers else None
    pin = source.rev or source.sha256
    assert pin is not None  # the spec was checked
    directory = f"{source_directory(name)}/{pin.replace('/', '%')}"
    return PinnedTree(name, _url(spec, url), source.rev, signers, source.sha256, directory)


def _url(spec: Spec, url: str) -> str:
    """A URL, or the absolute path of a repository or an archive that lies beside the spec.

    ``HOST:PATH``, which ssh understands, is a URL; a path with a colon begins with ``./``.
    """
    before_colon, colon, _ = url.partition(":")
    if colon and "/" not in before_colon:
        return url
    return _beside(spec, url)


def source_directory(name: str) -> str:
    """Where all is kept that was got of a source, relative to the output root."""
    return f"{STATE}/source/{name}"


def _is_deb(source: Source) -> bool:
    return source.roms is not None and source.roms.endswith(".deb")


def source_root(spec: Spec, name: str, source: Source) -> str:
    """Where the ROMs of a source lie: absolute, or relative to the output root."""
    if source.roms is None or _is_deb(source):
        return source_directory(name)
    return _beside(spec, source.roms)


def _beside(spec: Spec, path: str) -> str:
    """A path of the spec, which is relative to the spec's directory."""
    return shipped_files.resolve_path(path, spec.path.parent)


def _roms(spec: Spec, name: str, target: Target) -> Iterator[Rom]:
    bucket = spec.bucket[target.bucket] if target.bucket else None
    sign = None
    if target.sign:
        sign = Signing(_beside(spec, target.sign.key), _beside(spec, target.sign.certificate))
    requests_by_images: dict[tuple[str, ...], tuple[ImageRequest, ...]] = {}
    nics = spec.nic if target.nics is None else target.nics
    for nic_name in nics:
        nic = spec.nic[nic_name]
        images = images_of(nic, target)
        if images not in requests_by_images:
            requests = tuple(_request(spec, target, platform) for platform in images)
            requests_by_images[images] = requests
        fit = target.fit if nic.fit is None else nic.fit
        yield Rom(
            path=rom_path(name, target, nic_name, nic.id),
            target=name,
            nic=nic_name,
            ids=nic.id,
            goal=nic.goal or nic.id.goal,
            accept_ids=nic.accept_ids,
            fix_ids=target.fix_ids,
            requests=requests_by_images[images],
            bucket=bucket.size if bucket else None,
            pad=bucket.pad if bucket else False,
            level=target.level,
            fit=tuple(platform for platform in fit if platform in images),
            limit=target.limit,
            sign=sign,
        )


def _request(spec: Spec, target: Target, platform_name: str) -> ImageRequest:
    """What a target asks for under the name of a platform."""
    if platform_name == STUB:
        return StubRequest()
    platform = spec.platform[platform_name]
    arch, firmware = _firmware(platform_name, platform)
    kind = ImageKind(LEGACY) if firmware == "pcbios" else ImageKind.efi(arch)
    source_name = platform.source or target.source or next(iter(spec.source))
    source = spec.source[source_name]
    may_compress = not kind.is_legacy and target.level != "stored"
    if not source.is_tree:
        again = target.recompress or platform.recompress
        root = source_root(spec, source_name, source)
        files = source.files or DEFAULT_FILES
        compress = may_compress and again
        return RomFileRequest(platform_name, kind, compress, source_name, root, files)
    directory = _working_tree(spec, source_name, platform_name)
    root = f"{directory}/src/{bin_directory(platform_name, platform)}"
    file = f"{{goal}}.{_media(spec, platform_name)}"
    return TreeRequest(platform_name, kind, may_compress, source_name, root, file)


def _firmware(name: str, platform: Platform) -> tuple[Arch, str]:
    """The architecture and the firmware of a platform of a checked spec, which has no others."""
    firmware = firmware_of(name, platform)
    assert firmware is not None
    return firmware


def _makes(
    spec: Spec, targets: Mapping[str, tuple[Rom, ...]], tree: str | None
) -> Iterator[TreeBuild]:
    """One make for each platform of a tree that any target takes images from."""
    goals: dict[tuple[str, str], dict[str, None]] = {}
    for roms in targets.values():
        for rom in roms:
            for request in rom.requests:
                if isinstance(request, TreeRequest):
                    goals.setdefault((request.source, request.platform), {})[rom.goal] = None
    first = next((name for name, source in spec.source.items() if source.is_tree), None)
    for (source, platform), names in goals.items():
        yield _make(spec, source, platform, tuple(names), tree if source == first else None)


def _boot_files(spec: Spec) -> Iterator[BootFileCopy]:
    for name, image in spec.image.items():
        platform = spec.platform[image.platform]
        source = boot_file_source(spec, platform)
        assert source is not None  # the spec was checked
        directory = _working_tree(spec, source, image.platform) + _FILES_SUFFIX
        yield BootFileCopy(
            name=name,
            path=image.path,
            platform=image.platform,
            source=source,
            goal=image.goal,
            make=f"make:{source}/{image.platform}/files",
            root=f"{directory}/src/{bin_directory(image.platform, platform)}",
            default=image.default,
        )


def _file_makes(
    spec: Spec, files: tuple[BootFileCopy, ...], tree: str | None
) -> Iterator[TreeBuild]:
    """One make for each platform of which there are files."""
    goals: dict[tuple[str, str], dict[str, None]] = {}
    for file in files:
        goals.setdefault((file.source, file.platform), {})[file.goal] = None
    first = next((name for name, source in spec.source.items() if source.is_tree), None)
    for (source, platform), names in goals.items():
        make = _make(spec, source, platform, tuple(names), tree if source == first else None)
        yield make._replace(
            directory=make.directory + _FILES_SUFFIX,
            media="",
            strip=StripOptions("none"),
            require=(),
        )


def _make(
    spec: Spec, source_name: str, name: str, goals: tuple[str, ...], tree: str | None
) -> TreeBuild:
    source = spec.source[source_name]
    platform = spec.platform[name]
    arch, _ = _firmware(name, platform)
    config = platform.config or source.config
    strip = platform.strip or Strip()
    by_name = {variable.name: variable for variable in (*source.make, *platform.make)}
    variables = sorted(by_name.items())
    return TreeBuild(
        source=source_name,
        platform=name,
        trees=(TreePlace(tree, "override"),) if tree else tuple(tree_places(spec, source_name)),
        directory=_working_tree(spec, source_name, name),
        bin=bin_directory(name, platform),
        media=_media(spec, name),
        arch=arch.ipxe_name,
        cross=platform.cross,
        config=config,
        headers=_headers(spec, config),
        variables=tuple((name, variable.value) for name, variable in variables),
        from_environment=tuple(
            (name, variable.environment) for name, variable in variables if variable.environment
        ),
        files=tuple(_files_of_make(spec, platform)),
        debug=platform.debug,
        strip=StripOptions(strip.strength, strip.drop, strip.keep, platform.leave_out),
        require=platform.require,
        launcher=_launcher(spec, platform),
        goals=goals,
    )


def tree_places(spec: Spec, name: str) -> Iterator[TreePlace]:
    """Where the tree of a source may lie; the first that is there is built."""
    source = spec.source[name]
    pinned = pinned_tree(spec, name, source)
    if pinned:
        yield TreePlace(pinned.directory, "pinned")
    if source.tree:
        yield TreePlace(_beside(spec, source.tree), "tree")
    if source.fallback:
        yield TreePlace(_beside(spec, source.fallback), "fallback")


def _files_of_make(spec: Spec, platform: Platform) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The variables of make that name files, with the files."""
    variables = {"EMBED": platform.embed, "TRUST": platform.trust, "CERT": platform.cert}
    for variable, files in variables.items():
        if files:
            yield variable, tuple(_beside(spec, file) for file in files)


def _headers(spec: Spec, config: str | None) -> Pairs:
    """The text of each header that the spec adds to a configuration; the tree may have more."""
    if config is None:
        return ()
    tables = spec.config.get(config, {})
    files = spec.header_files.get(config, {})
    headers = []
    for name in dict.fromkeys([*files, *tables]):
        text = files[name].text if name in files else ""
        if text and not text.endswith("\n"):
            text += "\n"
        headers.append((name, text + (_header(tables[name]) if name in tables else "")))
    return tuple(headers)


def _launcher(spec: Spec, platform: Platform) -> tuple[str, ...]:
    """The command of the launcher, which is relative to the spec's directory if it is a path."""
    words = spec.toolchain.launcher if platform.launcher is None else platform.launcher
    if words and "/" in words[0]:
        return (_beside(spec, words[0]), *words[1:])
    return words


def _working_tree(spec: Spec, source: str, platform: str) -> str:
    """Where a platform is built with a configuration, relative to the output root."""
    config = spec.platform[platform].config or spec.source[source].config
    name = f"with-{config}" if config else "plain"
    return f"{STATE}/tree/{source}/{platform}/{name}"


def _media(spec: Spec, platform: str) -> str:
    """The medium that make builds: the end of the image's name."""
    table = spec.platform[platform]
    _, firmware = _firmware(platform, table)
    return table.media or ("rom" if firmware == "pcbios" else "efidrv")


def _header(header: Header) -> str:
    """The text of a local configuration header.

    A macro that iPXE's own headers define must be undefined first.
    """
    lines = ["/* Written by romforge from the spec: a change made here is lost. */"]
    names = *header.undef, *header.define, *(name for name, _ in header.set)
    lines += [f"#undef {name}" for name in names]
    lines += [f"#define {name}" for name in header.define]
    lines += [f"#define {name} {value}" for name, value in header.set]
    return "\n".join([*lines, ""])
