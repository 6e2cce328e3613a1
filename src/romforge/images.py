# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds images in a platform's working tree by one make, checks what came of it, and hands images to ROMs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from romforge import efirom, faults, gnumake, ipxe, launcher, linking, pcirom, prebuilt, record, toolchain
from romforge.arch import machine_name
from romforge.combine import Part
from romforge.errors import FormatError, RomforgeError
from romforge.gnumake import Killed
from romforge.ipxe import Tree, Trees
from romforge.plan import Make, Pick, Rom
from romforge.record import State

_NO_SPACE = "No space left on device"
_LITTLE = 64 << 10  # bytes, of which no make goes far


def build(step: Make, out: Path, goals: list[str]) -> dict[str, str]:
    """Builds images of a platform by one make; returns what is wrong, by goal, which keeps no other from being built.

    Raises RomforgeError where the platform's tools or the tree are missing, or make was killed.
    """
    with gnumake.build():
        toolchain.require(step)
        tree = Trees(out).of(step)
        found = ipxe.prepare(step, out, tree)
        errors = _make(step, out, tree, found, goals) if goals else {}
        found["errors"] = {goal: text for goal, text in (found["errors"] | errors).items() if goal in errors or goal not in goals}
        found["ended"] = time.time_ns()
        ipxe.save(step, out, found)
    if gnumake.interrupted():
        raise KeyboardInterrupt
    return errors


def _make(step: Make, out: Path, tree: Tree, found: dict[str, Any], goals: list[str]) -> dict[str, str]:
    """Runs make, again without those goals at which it stopped; returns what is wrong, by goal."""
    src, log = out / step.directory / "src", out / step.directory / ipxe.LOG
    drop = linking.dropped(step, tree.src)
    for goal in goals:
        _remove(step, src, goal)
        found["goals"].pop(goal, None)
    log.write_bytes(b"")
    errors: dict[str, str] = {}
    began = time.time_ns()
    while left := [goal for goal in goals if goal not in errors]:
        words = _words(step, drop, left)
        before = log.stat().st_size
        status = run(step, words, src, log)
        output = log.read_bytes()[before:].decode(errors="replace")
        if status and (_NO_SPACE in output or "***" not in output or _free(src) < _LITTLE):  # make says of each failure with stars
            raise Killed(f"{out / step.directory}: {_NO_SPACE.lower()}; make room, and the next build of this platform begins anew")
        if gnumake.interrupted():
            _drop_halves(src / step.bin, began)
            return errors | dict.fromkeys(left, "interrupted")
        if status == 0:
            told = linking.told_roots(log.read_text(errors="replace"))  # an image that was linked before another failed told it then
            return errors | _check(step, out, found, drop, left, output, told)
        _drop_unfinished(src / step.bin, began)
        text = _failure(words, src, log, status, output)
        culprit = _culprit(step, left, gnumake.failed_target(output))
        errors |= {culprit: text} if culprit else dict.fromkeys(left, text)
    return errors


def run(step: Make, words: list[str], src: Path, log: Path) -> int:
    """Runs make with the platform's launcher; returns its exit status. Raises Killed."""
    launcher.write(step.launcher, src)
    return gnumake.run(words, src, log, step.launcher)


def _words(step: Make, drop: tuple[str, ...], goals: list[str]) -> list[str]:
    """The words for make: variables, and each goal with its list of files used."""
    words = variables(step) + linking.flags(step, drop)
    words += [f"{step.bin}/{goal}.{step.media}" for goal in goals]
    return words + [f"{step.bin}/{goal}.{linked(step)}.deps" for goal in goals]


def variables(step: Make) -> list[str]:
    """What make is told of the platform, but for the roots of links."""
    words = [f"{name}={value}" for name, value in step.variables]
    words += [f"CONFIG={step.config}"] if step.config else []
    words += [f"CROSS_COMPILE={cross}"] if (cross := toolchain.prefix(step)) else []
    if step.launcher:  # make's last word on a variable counts
        words += [f"CC={launcher.compiler(dict(step.variables).get('CC', '$(CROSS_COMPILE)gcc'))}"]
    words += [f"{variable}={','.join(ipxe.embedded_places(variable, files))}" for variable, files in step.files]
    return words + ([f"DEBUG={','.join(step.debug)}"] if step.debug else [])


def linked(step: Make) -> str:
    """The medium that is linked for the platform's."""
    return "efidrv" if step.media == "efirom" else step.media


def stages(step: Make, directory: Path, goal: str) -> list[Path]:
    """An image and all its stages in a BIN directory."""
    media = sorted({step.media, linked(step)})
    return [
        path
        for one in media
        for pattern in (f"{goal}.{one}", f"{goal}.{one}.*", f"version.{goal}.{one}*")
        for path in directory.glob(pattern)
    ]


def _remove(step: Make, src: Path, goal: str) -> None:
    """Removes an image with all its stages: make would not miss a stage alone."""
    for path in stages(step, src / step.bin, goal):
        path.unlink()


def _culprit(step: Make, goals: list[str], target: str) -> str | None:
    """The goal that a target of make is a stage of; None where it is something that all goals need."""
    name = target.rpartition("/")[2].removeprefix("version.")
    for goal in goals:
        if any(name == f"{goal}.{media}" or name.startswith(f"{goal}.{media}.") for media in (step.media, linked(step))):
            return goal
    return None


def _failure(words: list[str], src: Path, log: Path, status: int, output: str) -> str:
    """What a person must know of a make that failed."""
    said = gnumake.first_error(output)
    if not gnumake.is_told(output):  # its words may have found no room
        said.append(f"no tool said why; is there space left on the device? {_free(src):,} bytes are free")
    told = "\n".join(f"  {line}" for line in said)
    return f"make ended with status {status}:\n{told}\n  to see it again: {gnumake.to_paste(words, src)}\n  the whole log: {log}"


def _free(directory: Path) -> int:
    """Bytes that are left where a directory lies; 0 where no more files can be made."""
    free = os.statvfs(directory)
    return free.f_bavail * free.f_frsize if free.f_favail or not free.f_files else 0


def _drop_halves(directory: Path, began: int) -> None:
    """Removes what an interrupted make wrote, but for objects, which the compiler removes itself when it is stopped.

    Lists of what make was told stay: make compares them, and all that depends on one would be compiled again.
    """
    for path in directory.rglob("*"):
        if path.suffix not in (".o", ".d", ".list") and path.is_file() and path.stat().st_mtime_ns >= began:
            path.unlink()
    _drop_unfinished(directory, began)


def _drop_unfinished(directory: Path, began: int) -> None:
    """Removes lists of dependencies that a compiler wrote before it failed; half a one would stop every later make.

    An object is written behind its list: one that is older is not of that list, and nothing would say what it depends on.
    """
    for path in directory.rglob("*.d"):
        written, compiled = path.stat().st_mtime_ns, path.with_suffix(".o")
        if written >= began and not (compiled.exists() and compiled.stat().st_mtime_ns >= written):
            path.unlink()
            compiled.unlink(missing_ok=True)


def _check(
    step: Make, out: Path, found: dict[str, Any], drop: tuple[str, ...], goals: list[str], output: str, told: linking.Told
) -> dict[str, str]:
    """Looks at each image that was built and at its map, and records it; returns what is wrong, by goal."""
    errors = {}
    known = found["files"].keys() | found["headers"].keys()
    src = out / step.directory / "src"
    version = linking.version_files(src, known)
    for goal in goals:
        place, stage = ipxe.product(step, out, goal), f"{step.bin}/{goal}.{linked(step)}.tmp"
        try:
            objects = linking.object_stems(linking.read_map(src / f"{stage}.map").objects())
            linking.check(step, drop, told.get(stage), objects)
            used = linking.uses(output, objects, known)
            data, _ = record.read(place)
            state = record.settled(place, data)
            found["goals"][goal] = {"state": state, "uses": None if used is None else sorted(version.union(used)), "why": None}
        except RomforgeError as error:
            errors[goal] = f"{place.name}: {error}"
            _remove(step, src, goal)
    return errors


def take(pick: Pick, rom: Rom, out: Path) -> tuple[Part, dict[str, State | None]]:
    """The image that a platform's make left for a ROM, and the state of its file; raises RomforgeError where it is not sound."""
    name = pick.files[0].format(goal=rom.goal)
    path = out / pick.root / name
    if not path.is_file():
        raise RomforgeError(f"{pick.make}: {ipxe.error_of(pick, out, rom.goal)}")
    data, state = prebuilt.read_rom(path)
    try:
        image = data if data[:2] == pcirom.SIGNATURE.to_bytes(2, "little") else efirom.wrap(data, rom.ids)
        faults.require_sound(image, str(path))
        found_image = pcirom.parse_rom(image).images[0]
    except FormatError as error:
        raise RomforgeError(f"{path}: {error}") from None
    if not pick.legacy and found_image.machine != pick.machine:
        raise RomforgeError(
            f"{path}: is for {machine_name(found_image.machine)}, and the platform {pick.platform} for {machine_name(pick.machine)}"
        )
    driver = None if image is data else data
    return Part(found_image, pick.platform, f"{pick.source}: {name}", driver), {str(path): state}
