# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of a plan.

They are frozen, and each says all that it depends on, except the content of files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from romforge.base.image_kind import ImageKind
from romforge.base.pci_id import PciId
from romforge.plan.image_requests import ImageRequest, ImpossibleImage, RomFileRequest

if TYPE_CHECKING:
    from romforge.spec.model import Pairs


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


class PinnedTree(NamedTuple):
    """Gets a source tree from elsewhere into ``directory``, relative to the output root.

    ``url`` is a URL, or an absolute path. Of a git repository, ``rev`` is the commit or the tag,
    and ``signers`` the absolute path of the keys that may have signed it. An archive has a
    ``sha256`` in their place.
    """

    source: str
    url: str
    rev: str | None
    signers: str | None
    sha256: str | None
    directory: str

    @property
    def task(self) -> str:
        return f"source:{self.source}"

    @property
    def pin(self) -> str:
        """What the spec says the tree is: a commit, a tag, or the digest of an archive."""
        return self.rev or f"sha256:{self.sha256}"


class TreePlace(NamedTuple):
    """A place where a source tree may lie: absolute, or relative to the output root.

    ``kind`` is "override" for the tree that IPXE_SRC names, "pinned" for one that `romforge get`
    gets, "tree" or "fallback".
    """

    path: str
    kind: str


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

    Paths are absolute, except ``directory``, which is relative to the output root, and those of
    ``trees``. ``headers`` are the texts of configuration headers, ``config/local/CONFIG/NAME.h``,
    by NAME. Without a ``media``, goals are names of files, and nothing is left out of them.
    """

    source: str
    platform: str
    trees: tuple[TreePlace, ...]  # the first that is there is built
    directory: str
    bin: str
    media: str
    arch: str
    cross: str | None
    config: str | None
    headers: Pairs
    variables: Pairs
    from_environment: Pairs  # which of the variables came from which of the environment
    files: tuple[tuple[str, tuple[str, ...]], ...]  # EMBED, TRUST, CERT
    debug: tuple[str, ...]
    strip: StripOptions
    require: tuple[str, ...]
    launcher: tuple[str, ...]  # which runs the compiler, and changes nothing of what it makes
    goals: tuple[str, ...]  # the names of all images that any target wants

    @property
    def task(self) -> str:
        name = f"make:{self.source}/{self.platform}"
        return name if self.media else f"{name}/files"

    @property
    def legacy(self) -> bool:
        return "efi" not in self.bin.split("-")

    def file_of(self, goal: str) -> str:
        """The name of the file that make builds for a goal: ``8086100e.rom``."""
        return f"{goal}.{self.media}" if self.media else goal


class BootFileCopy(NamedTuple):
    """Installs a file that make built and that is no ROM. Paths are relative to the output root.

    ``make`` is the task that builds ``goal``, in the BIN directory ``root``.
    """

    name: str
    path: str
    platform: str
    source: str
    goal: str
    make: str
    root: str
    default: bool

    @property
    def task(self) -> str:
        return f"image:{self.name}"


class Signing(NamedTuple):
    """The files of the key that signs drivers and of its certificate. Paths are absolute."""

    key: str
    certificate: str


class Rom(NamedTuple):
    """One ROM file: which images, which IDs, which bucket. Sizes are bytes.

    ``limit`` is the most that the file may have. ``fit`` are the platforms whose images may be
    dropped, in this order, until the others fit the bucket and the limit. ``impossible`` are images
    that the spec lists, and that could not work.
    """

    path: str  # relative to the output root
    target: str
    nic: str
    ids: PciId
    goal: str  # iPXE's name of the image
    accept_ids: tuple[PciId, ...]
    fix_ids: bool
    requests: tuple[ImageRequest, ...]
    bucket: int | None
    pad: bool
    level: str  # of compression
    fit: tuple[str, ...] = ()
    impossible: tuple[ImpossibleImage, ...] = ()
    limit: int | None = None
    sign: Signing | None = None  # of the EFI drivers

    @property
    def task(self) -> str:
        return f"rom:{self.path}"

    @property
    def capacity(self) -> int | None:
        """The most bytes that the images may have together; None for any number."""
        sizes = [size for size in (self.bucket, self.limit) if size is not None]
        return min(sizes, default=None)

    @property
    def droppable(self) -> tuple[ImageKind, ...]:
        """The kinds of the images that may be dropped, in the order of ``fit``."""
        kinds = {request.platform: request.kind for request in self.requests}
        return tuple(kinds[platform] for platform in self.fit)


PlanStep = Fetch | PinnedTree | TreeBuild | Rom | BootFileCopy


def distinct_requests(roms: Sequence[Rom]) -> list[tuple[ImageRequest, ...]]:
    """What the ROMs of a target ask their sources for; ROMs that ask for the same share a tuple."""
    by_identity = {id(rom.requests): rom.requests for rom in roms}
    return list(by_identity.values())


class Plan(NamedTuple):
    """All steps of a spec: those that get images, and the ROMs of each target in the spec's order.

    ``default`` names the targets that are built where no other is requested. No step needs one of
    ``pinned``: they run only where they are requested by name.
    """

    spec: str  # absolute path of the spec
    fetches: tuple[Fetch, ...]
    makes: tuple[TreeBuild, ...]
    targets: dict[str, tuple[Rom, ...]]
    default: tuple[str, ...]
    jobs: int | str | None = None  # of all makes together, or "distcc", which knows
    pinned: tuple[PinnedTree, ...] = ()
    files: tuple[BootFileCopy, ...] = ()
    file_makes: tuple[TreeBuild, ...] = ()  # which build these files

    def roms(self) -> Iterator[Rom]:
        for roms in self.targets.values():
            yield from roms

    def steps(self) -> Iterator[PlanStep]:
        yield from self.fetches
        yield from self.pinned
        yield from self.all_makes()
        yield from self.roms()
        yield from self.files

    def all_makes(self) -> tuple[TreeBuild, ...]:
        """The makes of ROMs' images, and those of files that are no ROMs."""
        return (*self.makes, *self.file_makes)

    def nics(self) -> dict[str, list[Rom]]:
        """The ROMs of each NIC: those in the default targets, or in all if none of these has it."""
        in_default: set[str] = set()
        for name in self.default:
            in_default.update(rom.nic for rom in self.targets[name])
        by_nic: dict[str, list[Rom]] = {}
        for rom in self.roms():
            if rom.target in self.default or rom.nic not in in_default:
                by_nic.setdefault(rom.nic, []).append(rom)
        return by_nic

    def selected(self, tasks: Sequence[str]) -> list[Rom]:
        """The ROMs that tasks stand for: ``target:``, ``nic:``, ``rom:`` or ``all``.

        Without tasks, those of the default targets.
        """
        selection = set(tasks or [f"target:{name}" for name in self.default])
        if "all" in selection:
            return list(self.roms())
        for nic, roms in self.nics().items():
            if f"nic:{nic}" in selection:
                selection.update(rom.task for rom in roms)
        return [
            rom
            for rom in self.roms()
            if rom.task in selection or f"target:{rom.target}" in selection
        ]

    def selected_files(self, tasks: Sequence[str]) -> list[BootFileCopy]:
        """The files that are no ROMs and that tasks stand for: ``image:`` or ``all``.

        Without tasks, those that are default.
        """
        if not tasks:
            return [step for step in self.files if step.default]
        return [step for step in self.files if "all" in tasks or step.task in tasks]

    def directories(self) -> tuple[set[str], set[str]]:
        """The directories that ROMs are written to, and those outside the output root to read.

        The former are relative to the output root.
        """
        sources: set[str] = set()
        for request in self._requests():
            if isinstance(request, RomFileRequest) and os.path.isabs(request.root):
                sources.update(f"{request.root}/{os.path.dirname(file)}" for file in request.files)
        return {os.path.dirname(rom.path) for rom in self.roms()}, sources

    def _requests(self) -> set[ImageRequest]:
        """What the ROMs ask their sources for."""
        requests: set[ImageRequest] = set()
        for roms in self.targets.values():
            for requests_of_rom in distinct_requests(roms):
                requests.update(requests_of_rom)
        return requests

    def takes_long(self) -> bool:
        """Whether there is work for several processors."""
        return bool(self.all_makes()) or any(request.compress for request in self._requests())

    def may_distribute(self) -> bool:
        """Whether more jobs may run than this machine has processors.

        Other machines may compile, or a cache may have what would be compiled.
        """
        return self.jobs is not None or any(make.launcher for make in self.all_makes())

    def needs_of(self, requests: Sequence[ImageRequest]) -> list[str]:
        """The tasks that must be done before images can be taken."""
        needed = {request.needs for request in requests}
        return [step.task for step in self.steps() if step.task in needed]
