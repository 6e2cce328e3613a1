# SPDX-License-Identifier: GPL-2.0-or-later
"""What would make a ROM small enough: objects to leave out, and options of the configuration.

The images of the ROM are linked already, so the savings are estimated from their links. Whether a
ROM fits without these is for a build to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from romforge.analysis import image_sizes, suggestions
from romforge.analysis.image_sizes import LinkedImage, ObjectFiles
from romforge.base.errors import RomforgeError
from romforge.base.text import join_words
from romforge.plan.steps import Plan, Rom, TreeBuild
from romforge.rom.assembly import BucketError
from romforge.sources.ipxe import config_options, link_check, source_tree

_SHOWN = 6  # remedies in one message
_SHOWN_OBJECTS = 3  # of an option
_COMPRESSED_OPTIONS = 40  # each costs a compression of the whole image
_INTERFACE = "efi_snp"  # the driver's network interface, which it always needs


class Remedy(NamedTuple):
    """A change of the spec, and the estimated bytes that an image loses by it.

    ``objects`` leave the links of ``platforms``.
    """

    saves: int
    change: str
    platforms: tuple[str, ...]
    objects: tuple[str, ...]

    @property
    def text(self) -> str:
        objects, platforms = _list_names(self.objects), join_words(self.platforms)
        saving = f"which saves about {self.saves:,} bytes"
        return f"{self.change} leaves {objects} out of {platforms}, {saving}"


def size_remedies(plan: Plan, rom: Rom, error: BucketError, out: Path) -> list[str]:
    """What would take most off a ROM that is too large, the largest saving first.

    Empty if the ROM is not too large, or no image of it comes from a tree. An image whose link
    cannot be read gets no remedies, since the error of the ROM is what matters.
    """
    if not error.over:
        return []
    sizes = {entry["name"]: entry["size"] for entry in error.layout}
    builds = {build.task: build for build in plan.makes}
    files = ObjectFiles()
    remedies: list[Remedy] = []
    for request in rom.requests:
        build = builds.get(request.make or "")
        if build is None or request.platform not in sizes:
            continue
        size = sizes[request.platform]
        try:
            remedies += _remedies_of_image(build, rom.goal, size, out, files)
        except (RomforgeError, OSError):
            continue
    merged = _merge_changes(remedies)
    merged.sort(key=lambda remedy: (-remedy.saves, remedy.text))
    return [remedy.text for remedy in merged[:_SHOWN]]


def _merge_changes(remedies: Iterable[Remedy]) -> list[Remedy]:
    """The remedies with one of each change: an option may be that of several platforms.

    Of two changes by which a platform loses the same objects, the first is kept.
    """
    by_change: dict[str, Remedy] = {}
    for remedy in remedies:
        earlier = by_change.get(remedy.change)
        by_change[remedy.change] = _joined(earlier, remedy) if earlier else remedy
    by_effect: dict[tuple[tuple[str, ...], tuple[str, ...]], Remedy] = {}
    for remedy in by_change.values():
        by_effect.setdefault((remedy.platforms, remedy.objects), remedy)
    return list(by_effect.values())


def _joined(one: Remedy, other: Remedy) -> Remedy:
    """Two remedies of the same change, for different platforms."""
    objects = dict.fromkeys([*one.objects, *other.objects])
    platforms = (*one.platforms, *other.platforms)
    return Remedy(one.saves + other.saves, one.change, platforms, tuple(objects))


def _remedies_of_image(
    build: TreeBuild, goal: str, size: int, out: Path, files: ObjectFiles
) -> Iterator[Remedy]:
    """The options to undefine for an image of ``size`` bytes, and the objects to leave out."""
    link_plan = source_tree.recorded_link_plan(build, out)
    link = image_sizes.read_image_link(build, out, goal, link_plan, files)
    yield from _option_remedies(build, size, out, link)
    for candidate in suggestions.suggest(build, link_plan, link, size).candidates:
        if candidate.possible:
            change = f"`{candidate.line}` in [platform.{build.platform}]"
            objects = tuple(sorted([*candidate.objects, *candidate.with_it]))
            yield Remedy(candidate.saves, change, (build.platform,), objects)


def _option_remedies(build: TreeBuild, size: int, out: Path, link: LinkedImage) -> Iterator[Remedy]:
    """The options of the configuration without which the link would lose objects."""
    src = out / build.directory / "src"
    everything = link.graph.reached()
    effects = []
    for macro, objects in _objects_by_option(src, link).items():
        leaving = link.leaving(everything, objects)
        if _INTERFACE not in map(link_check.stem, leaving.objects):
            effects.append((macro, leaving))
    effects.sort(key=lambda effect: -effect[1].size)
    for macro, leaving in effects[:_COMPRESSED_OPTIONS]:
        saving = image_sizes.compressed_saving(link, size, leaving.places)
        if saving > 0:
            table = f"[config.{build.config or 'NAME'}.{_header_of(macro, src)}]"
            change = f'`undef = ["{macro}"]` in {table}'
            yield Remedy(saving, change, (build.platform,), leaving.objects)


def _objects_by_option(src: Path, link: LinkedImage) -> dict[str, tuple[str, ...]]:
    """The objects of a link that are there only since an option requires them, by its macro."""
    options = config_options.read_options(src)
    referrers = link.graph.referrers()
    by_macro: dict[str, list[str]] = {}
    for name in link.graph.objects:
        required = options.get(link_check.stem(name))
        if not required or not all(each.startswith("config") for each in referrers[name]):
            continue
        for option in required:
            by_macro.setdefault(option.macro, []).append(name)
    return {macro: tuple(objects) for macro, objects in by_macro.items()}


def _header_of(macro: str, src: Path) -> str:
    """The header of the configuration that knows a macro: "general" if none does."""
    pattern = re.compile(
        rf"^[ \t/]*#[ \t]*(?:define|undef)[ \t]+{re.escape(macro)}\b", re.MULTILINE
    )
    for path in sorted((src / "config").glob("*.h")):
        if pattern.search(path.read_text(errors="replace")):
            return path.stem
    return "general"


def _list_names(names: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    every = list(names)
    if len(every) <= _SHOWN_OBJECTS:
        return join_words(every)
    return f"{', '.join(every[:_SHOWN_OBJECTS])} and {len(every) - _SHOWN_OBJECTS} more"
