# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds images in a platform's working tree by one make, checks what came of it, and hands images to ROMs."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from romforge.base import fingerprint
from romforge.base.arch import machine_name
from romforge.base.errors import FormatError, RomforgeError
from romforge.base.fingerprint import FileState
from romforge.formats import efi_image, ld_map, option_rom, rom_check
from romforge.plan.planner import ImageRequest, Rom, TreeBuild
from romforge.sources import rom_files
from romforge.sources.image import SourceImage
from romforge.sources.ipxe import (
    build_failure,
    dependencies,
    gnu_make,
    launcher,
    link_check,
    make_output,
    make_rules,
    source_tree,
    toolchain,
)
from romforge.sources.ipxe.dependencies import DependencyFiles
from romforge.sources.ipxe.gnu_make import Killed
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan
from romforge.sources.ipxe.source_tree import Tree, Trees, linked_medium

_DOWNGRADE = "EFI_DOWNGRADE_UX"


def build_images(
    step: TreeBuild, out: Path, goals: list[str], spec: Path | None = None
) -> dict[str, str]:
    """Builds images of a platform by one make; returns what is wrong, by goal, which keeps no other from being built.

    Raises RomforgeError where the platform's tools or the tree are missing, or make was killed.
    """
    with gnu_make.build():
        toolchain.require_tools(step)
        tree = Trees(out).of(step)
        found = source_tree.prepare_worktree(step, out, tree)
        errors = _Build(step, out, tree, found, spec).run(goals) if goals else {}
        kept = {goal: text for goal, text in found["errors"].items() if goal not in goals}
        found["errors"] = kept | errors
        found["ended"] = time.time_ns()
        source_tree.save_record(step, out, found)
    if gnu_make.interrupted():
        raise KeyboardInterrupt
    return errors


class _Build:
    """One build of a platform: its working tree, its record, and the log that its makes share."""

    def __init__(
        self, step: TreeBuild, out: Path, tree: Tree, found: dict[str, Any], spec: Path | None
    ) -> None:
        self.step = step
        self.spec = spec
        self.out = out
        self.tree = tree
        self.found = found
        self.src = out / step.directory / "src"
        self.bin = self.src / step.bin
        self.log = out / step.directory / source_tree.LOG
        self.errors: dict[str, str] = {}
        self.began = time.time_ns()

    def run(self, goals: list[str]) -> dict[str, str]:
        """Runs make, again without those goals at which it stopped; returns what is wrong, by goal."""
        for goal in goals:
            _remove(self.step, self.src, goal)
            self.found["goals"].pop(goal, None)
        self.log.write_bytes(b"")
        fresh = not self.bin.is_dir()
        unknown = fresh or self.found["downgraded"] is None
        if unknown and not self._learn_configuration(goals, fresh):
            return self.errors
        plan = source_tree.link_plan(self.step, self.found["files"], self.found["downgraded"])
        left_out = dict.fromkeys(goals, plan.left_out)
        while left_out:
            if not self._make(list(left_out), plan, left_out):
                break
            built = [goal for goal in left_out if goal not in self.errors]
            left_out = self._check(built, plan, left_out)
            for goal in left_out:
                _remove(self.step, self.src, goal)
        return self.errors

    def _learn_configuration(self, goals: list[str], fresh: bool) -> bool:
        """Has make find out what the configuration defines; tells whether that went well.

        In a fresh BIN directory make also writes its lists of what it was told, and empty local
        headers. Made beforehand and given the right times, they spare it the second run of every
        dependency step: see ``_settle_times``.
        """
        _make_local_headers(self.step, self.src, self.found["files"])
        make_rules.write_rules(self.src, LinkPlan(), {}, self.step.bin)
        words = [*variables(self.step, self.tree), "NEED_DEPS=", make_rules.MACROS_GOAL]
        words.append(f"BIN={self.step.bin}")
        status, output = self._run(words)
        if gnu_make.interrupted():
            self.errors |= dict.fromkeys(goals, "interrupted")
            return False
        if status:
            self._fail(words, status, output, goals)
            return False
        self.found["downgraded"] = bool(make_rules.configuration_defines(self.bin, _DOWNGRADE))
        if fresh:
            _settle_times(self.src, self.bin)
        return True

    def _make(
        self, goals: list[str], plan: LinkPlan, left_out: Mapping[str, tuple[LeftOut, ...]]
    ) -> bool:
        """Builds the goals, but for those at which make stops; tells whether it came to its end."""
        medium = linked_medium(self.step)
        stages = {f"{goal}.{medium}.tmp": groups for goal, groups in left_out.items()}
        make_rules.write_rules(self.src, plan, stages, self.step.bin)
        were_lost = False
        while left := [goal for goal in goals if goal not in self.errors]:
            words = variables(self.step, self.tree)
            words += [f"{self.step.bin}/{goal}.{self.step.media}" for goal in left]
            status, output = self._run(words)
            if gnu_make.interrupted():
                drop_halves(self.bin, self.began)
                self.errors |= dict.fromkeys(left, "interrupted")
                return False
            if status == 0:
                lost = dependencies.drop_incomplete(self.bin, self.began)
                if not lost:
                    return True
                if were_lost:
                    raise Killed(
                        f"what {lost[0]} is made of was not written to its end: was the compiler killed?"
                    )
                were_lost = True
                self._compile_again(lost, left)
                continue
            dependencies.drop_unfinished(self.bin, self.began)
            self._fail(words, status, output, left)
        return False

    def _compile_again(self, sources: list[str], goals: list[str]) -> None:
        """Removes the objects of sources whose dependency file was lost, and the images.

        Make wrote that file through a pipe and did not see that the compiler was killed. So it did
        not know what the object depends on, and may have kept an old one.
        """
        for source in sources:
            stem = Path(source).stem
            for path in (self.bin / f"{stem}.o", *self.bin.glob(f"{stem}.dbg*.o")):
                path.unlink(missing_ok=True)
        for goal in goals:
            _remove(self.step, self.src, goal)

    def _run(self, words: list[str]) -> tuple[int, str]:
        """Runs make; returns its exit status and what it printed. Raises Killed where the disk is full."""
        before = self.log.stat().st_size
        status = run_make_for(self.step, words, self.src, self.log)
        output = self.log.read_bytes()[before:].decode(errors="replace")
        if status:
            free = build_failure.free_space(self.src)
            if build_failure.disk_is_full(output, free):
                work = self.out / self.step.directory
                raise Killed(build_failure.explain_full_disk(output, work, free))
        return status, output

    def _fail(self, words: list[str], status: int, output: str, goals: list[str]) -> None:
        """Notes why make failed: for the goal at which it stopped, or for all."""
        command = gnu_make.command_to_paste([*make_rules.rules_arguments(), *words], self.src)
        facts = build_failure.facts_of(
            self.step, self.tree.src, self.src, self.log, goals, command, self.spec
        )
        text = build_failure.explain(output, status, facts)
        culprit = _culprit(self.step, goals, make_output.first_failure(output).target)
        self.errors |= {culprit: text} if culprit else dict.fromkeys(goals, text)

    def _check(
        self, goals: list[str], plan: LinkPlan, left_out: Mapping[str, tuple[LeftOut, ...]]
    ) -> dict[str, tuple[LeftOut, ...]]:
        """Looks at each image that was built and records it.

        Returns those that must be linked again with less left out, since they need what was.
        """
        again = {}
        records = self._dependencies()
        for goal in goals:
            place = source_tree.image_path(self.step, self.out, goal)
            try:
                needed = self._record(goal, place, plan, left_out[goal], records)
            except RomforgeError as error:
                self.errors[goal] = f"{place.name}: {error}"
                _remove(self.step, self.src, goal)
                continue
            if needed:
                again[goal] = tuple(group for group in left_out[goal] if group not in needed)
        return again

    def _dependencies(self) -> DependencyFiles:
        """What make recorded of each object. Trees before 2.0 record nothing of the version object."""
        records = DependencyFiles(self.bin)
        if dependencies.VERSION_OBJECT not in records.paths():
            path = self.bin / "deps" / "core" / "version.c.d"
            words = variables(self.step, self.tree)
            self._run([*words, "NEED_DEPS=", f"{self.step.bin}/deps/core/version.c.d"])
            records = DependencyFiles(self.bin)
            records.files(
                dependencies.VERSION_OBJECT
            )  # reads it, since make would not keep it up to date
            path.unlink(missing_ok=True)
        return records

    def _record(
        self,
        goal: str,
        place: Path,
        plan: LinkPlan,
        groups: tuple[LeftOut, ...],
        records: DependencyFiles,
    ) -> list[LeftOut]:
        """Checks an image and records it; returns the groups that it needs though they were left out."""
        linked = self.bin / f"{goal}.{linked_medium(self.step)}.tmp"
        link = link_check.read_map(linked.with_name(f"{linked.name}.map"))
        objects = [name for name in link.objects() if not make_rules.is_stub_object(name)]
        files = _object_files(link, self.src)
        needed = link_check.find_needed_groups(link, groups, linked, files)
        if needed:
            return needed
        stems = link_check.object_stems(objects)
        link_check.check_link(self.step, plan, make_rules.read_roots(linked), stems)
        data, _ = fingerprint.read_file(place)
        sources = sorted({link_check.stem(name) for name in objects})
        self.found["goals"][goal] = {
            "state": fingerprint.stamp(place, data),
            "objects": sources,
            "uses": records.of_link(sources),
            "left_out": [name for group in groups for name in group.objects],
            "why": None,
        }
        return []


def _object_files(link: ld_map.LinkMap, src: Path) -> list[Path]:
    """The object files of a link; those of an archive lie beside it."""
    members = dict.fromkeys(one.object for one in link.kept)
    return [src / ld_map.object_file(member) for member in members]


def _make_local_headers(step: TreeBuild, src: Path, files: Collection[str]) -> None:
    """Makes the empty local headers that make would make, one for each configuration header."""
    for name in source_tree.config_headers(files):
        for directory in [
            "config/local",
            *([f"config/local/{step.config}"] if step.config else []),
        ]:
            header = src / directory / f"{name}.h"
            if not header.exists():
                header.parent.mkdir(parents=True, exist_ok=True)
                header.touch()


def _settle_times(src: Path, bin_directory: Path) -> None:
    """Gives makefiles, make's lists and headers times in this order, in a BIN directory with no object.

    The lists depend on the makefiles, some headers on the lists, and all dependency files on the
    headers. Where one of the first two is newer than the next, make finds every dependency file out
    of date right after it wrote it.
    """
    probe = bin_directory / ".romforge.clock"
    probe.write_bytes(b"")
    written = probe.stat().st_mtime
    os.utime(probe)
    if probe.stat().st_mtime - written > 60:
        return  # a clock that is faked for us alone: times that we set would lie in the future
    makefiles, headers = [], []
    for path in src.rglob("*"):
        if path.suffix == ".h":
            headers.append(path)
        elif path.name.startswith("Makefile") or path.name in (".echocheck", ".toolcheck"):
            makefiles.append(path)
    for path in (*makefiles, *bin_directory.glob(".*.list"), *headers):
        os.utime(path)


def run_make_for(step: TreeBuild, words: list[str], src: Path, log: Path) -> int:
    """Runs make with our rules and the platform's launcher; returns its exit status. Raises Killed."""
    launcher.write_launcher(step.launcher, src)
    return gnu_make.run_make([*make_rules.rules_arguments(), *words], src, log, step.launcher)


def variables(step: TreeBuild, tree: Tree) -> list[str]:
    """What make is told of the platform."""
    pairs = source_tree.compile_variables(step) + source_tree.version_variables(step, tree)
    words = [f"{name}={value}" for name, value in pairs]
    words += [f"CONFIG={step.config}"] if step.config else []
    words += [f"CROSS_COMPILE={cross}"] if (cross := toolchain.cross_prefix(step)) else []
    if step.launcher:  # make's last word on a variable counts
        words += [
            f"CC={launcher.launched_compiler(dict(step.variables).get('CC', '$(CROSS_COMPILE)gcc'))}"
        ]
    words += [
        f"{variable}={','.join(source_tree.embedded_places(variable, files))}"
        for variable, files in step.files
    ]
    return words + ([f"DEBUG={','.join(step.debug)}"] if step.debug else [])


def stages(step: TreeBuild, directory: Path, goal: str) -> list[Path]:
    """An image and all its stages in a BIN directory."""
    media = sorted({step.media, linked_medium(step)})
    return [
        path
        for one in media
        for pattern in (f"{goal}.{one}", f"{goal}.{one}.*", f"version.{goal}.{one}*")
        for path in directory.glob(pattern)
    ]


def _remove(step: TreeBuild, src: Path, goal: str) -> None:
    """Removes an image with all its stages: make would not miss a stage alone."""
    for path in stages(step, src / step.bin, goal):
        path.unlink()


def _culprit(step: TreeBuild, goals: list[str], target: str) -> str | None:
    """The goal that a target of make is a stage of; None where it is something that all goals need."""
    name = target.rpartition("/")[2].removeprefix("version.")
    for goal in goals:
        if any(
            name == f"{goal}.{media}" or name.startswith(f"{goal}.{media}.")
            for media in (step.media, linked_medium(step))
        ):
            return goal
    return None


def drop_halves(directory: Path, began: int) -> None:
    """Removes what an interrupted make wrote, but for objects, which the compiler removes itself when it is stopped.

    Lists of what make was told stay: make compares them, and all that depends on one would be compiled again.
    """
    for path in directory.rglob("*"):
        if (
            path.suffix not in (".o", ".d", ".list")
            and path.is_file()
            and path.stat().st_mtime_ns >= began
        ):
            path.unlink()
    dependencies.drop_unfinished(directory, began)


def take_image(
    pick: ImageRequest, rom: Rom, out: Path
) -> tuple[SourceImage, dict[str, FileState | None]]:
    """The image that a platform's make left for a ROM, and the state of its file; raises RomforgeError where it is not sound."""
    name = pick.files[0].format(goal=rom.goal)
    path = out / pick.root / name
    if not path.is_file():
        raise RomforgeError(f"{pick.make}: {source_tree.error_of(pick, out, rom.goal)}")
    data, state = rom_files.read_rom(path)
    try:
        image = (
            data
            if data[:2] == option_rom.SIGNATURE.to_bytes(2, "little")
            else efi_image.wrap_driver(data, rom.ids)
        )
        rom_check.require_sound(image, str(path))
        found_image = option_rom.parse_rom(image).images[0]
    except FormatError as error:
        raise RomforgeError(f"{path}: {error}") from None
    if not pick.legacy and found_image.machine != pick.machine:
        raise RomforgeError(
            f"{path}: is for {machine_name(found_image.machine)}, and the platform {pick.platform} for {machine_name(pick.machine)}"
        )
    driver = None if image is data else data
    return SourceImage(found_image, pick.platform, f"{pick.source}: {name}", driver), {
        str(path): state
    }
