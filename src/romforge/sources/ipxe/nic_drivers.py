# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the driver of a NIC in an iPXE tree, and whether it can only use port I/O.

iPXE can access the I/O space of the PCI bus on x86 alone. Elsewhere a driver that needs it builds
and links, but never finds its device. So its images are left out of ROMs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base import fingerprint, output_files
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import FileState
from romforge.base.output_files import STATE
from romforge.base.text import join_words, plural
from romforge.plan import planner
from romforge.plan.image_requests import TreeRequest
from romforge.plan.steps import Plan, TreeBuild
from romforge.spec.model import Spec

_CACHE = f"{STATE}/drivers.json"  # below the output root
_CACHE_VERSION = 1


class Driver(NamedTuple):
    """The source of a driver, below ``src``, and how often it uses port I/O.

    ``port_io`` is 0 for a driver that can also use memory-mapped registers.
    """

    source: str
    port_io: int


class _Cached(NamedTuple):
    """What an earlier run found for a goal, and the states of the sources that it read."""

    drivers: list[Driver]
    states: list[FileState]


def make_buildable_plan(spec: Spec, tree: str | None, out: Path) -> Plan:
    """The plan of a spec, without the images that cannot work for their NICs.

    ``tree`` is an iPXE source tree to build in place of the first that the spec names.
    """
    plan = planner.make_plan(spec, tree)
    return planner.without_impossible_images(plan, _port_io_reasons(plan, out))


def _port_io_reasons(plan: Plan, out: Path) -> dict[tuple[str, str], str]:
    """Why drivers need port I/O, by source and iPXE's name of the image.

    Only images for platforms without port I/O are examined. Of a tree that is missing, nothing is
    known; the build reports that.
    """
    goals_by_source: dict[str, dict[str, None]] = {}
    for rom in plan.roms():
        for request in rom.requests:
            if isinstance(request, TreeRequest) and not request.kind.has_port_io:
                goals_by_source.setdefault(request.source, {})[rom.goal] = None
    reasons = {}
    for source, goals in goals_by_source.items():
        build = next(make for make in plan.makes if make.source == source)
        for goal, drivers in _find_drivers(build, list(goals), out).items():
            if drivers and all(driver.port_io for driver in drivers):
                reasons[source, goal] = _describe(drivers)
    return reasons


def _describe(drivers: list[Driver]) -> str:
    sources = join_words(dict.fromkeys(driver.source for driver in drivers))
    uses = plural(sum(driver.port_io for driver in drivers), "use")
    return f"{sources} needs port I/O ({uses}), which iPXE has on x86 alone"


def _find_drivers(build: TreeBuild, goals: list[str], out: Path) -> dict[str, list[Driver]]:
    """The drivers of each goal, from the last run where their sources are unchanged."""
    from romforge.sources.ipxe import source_tree  # a spec without trees does without

    try:
        src = source_tree.locate_tree(build, out).src
    except RomforgeError:
        return {}
    cached = _read_cache(out, src)
    found = {}
    missing = []
    for goal in goals:
        known = cached.get(goal)
        if known and _is_current(src, known):
            found[goal] = known.drivers
        else:
            missing.append(goal)
    if missing:
        scanned = _scan_tree(src, missing)
        found |= {goal: entry.drivers for goal, entry in scanned.items()}
        _write_cache(out, src, cached | scanned)
    return found


def _is_current(src: Path, known: _Cached) -> bool:
    pairs = zip(known.drivers, known.states)
    return all(fingerprint.is_unchanged(str(src / driver.source), state) for driver, state in pairs)


def _scan_tree(src: Path, goals: list[str]) -> dict[str, _Cached]:
    """The drivers of each goal that has any, found in the sources below ``drivers``."""
    from romforge.sources.ipxe import pci_drivers  # not needed where nothing has changed

    devices: dict[tuple[int, int], list[str]] = {}
    names: dict[str, list[str]] = {}
    for path, content in pci_drivers.driver_sources(src):
        names.setdefault(Path(path).stem, []).append(path)
        for device in pci_drivers.devices_of(content):
            devices.setdefault(device.ids, []).append(path)
            names.setdefault(device.name, []).append(path)
    scanned = {}
    for goal in goals:
        sources: dict[str, None] = {}
        for part in goal.split("--"):
            ids = re.fullmatch(r"([0-9a-f]{4})([0-9a-f]{4})", part)
            if ids:
                sources |= dict.fromkeys(devices.get((int(ids[1], 16), int(ids[2], 16)), ()))
            else:
                sources |= dict.fromkeys(names.get(part, ()))
        entry = _examine(src, list(sources))
        if entry.drivers:
            scanned[goal] = entry
    return scanned


def _examine(src: Path, sources: list[str]) -> _Cached:
    from romforge.sources.ipxe import pci_drivers

    drivers = []
    states = []
    for source in sources:
        content, state = fingerprint.read_file(src / source)
        drivers.append(Driver(source, pci_drivers.count_port_io(content)))
        states.append(state)
    return _Cached(drivers, states)


def _read_cache(out: Path, src: Path) -> dict[str, _Cached]:
    """What an earlier run found in a tree; nothing where that cannot be read."""
    try:
        return dict(_parse_goals(_read_trees(out).get(str(src), {})))
    except (ValueError, TypeError, AttributeError):
        return {}


def _read_trees(out: Path) -> dict[str, Any]:
    """What earlier runs found in all trees, as it was stored; nothing where it cannot be read."""
    try:
        stored = json.loads((out / _CACHE).read_bytes())
        if stored["version"] != _CACHE_VERSION:
            return {}
        return dict(stored["trees"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _parse_goals(goals: Mapping[str, Any]) -> Iterator[tuple[str, _Cached]]:
    for goal, drivers in goals.items():
        cached = _Cached([], [])
        for source, port_io, stored in drivers:
            state = fingerprint.stored_state(stored)
            assert state is not None
            cached.drivers.append(Driver(str(source), int(port_io)))
            cached.states.append(state)
        yield goal, cached


def _write_cache(out: Path, src: Path, goals: Mapping[str, _Cached]) -> None:
    """Writes what was found, if a build has made the directory of romforge's state."""
    place = out / _CACHE
    if not place.parent.is_dir():
        return
    entries: dict[str, list[list[Any]]] = {}
    for goal, cached in goals.items():
        entries[goal] = []
        for driver, state in zip(cached.drivers, cached.states):
            entries[goal].append([driver.source, driver.port_io, list(state)])
    trees = _read_trees(out) | {str(src): entries}  # a spec may have several
    content = {"version": _CACHE_VERSION, "trees": trees}
    with suppress(RomforgeError):  # a directory that cannot be written costs time alone
        output_files.replace_file(place, json.dumps(content).encode())
