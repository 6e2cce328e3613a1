# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds images in a platform's working tree by one make, checks and records them."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from romforge.base import fingerprint
from romforge.base.errors import RomforgeError
from romforge.formats import ld_map
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import (
    build_failure,
    dependencies,
    gnu_make,
    launcher,
    link_check,
    make_output,
    make_rules,
    preparation,
    source_tree,
    toolchain,
    tree_record,
)
from romforge.sources.ipxe.dependencies import DependencyFiles
from romforge.sources.ipxe.gnu_make import Killed
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan
from romforge.sources.ipxe.source_tree import Tree, Trees, linked_file, linked_medium
from romforge.sources.ipxe.tree_record import ImageRecord, TreeRecord

_DOWNGRADE = "EFI_DOWNGRADE_UX"


def build_images(
    step: TreeBuild, out: Path, goals: list[str], spec: Path | None = None
) -> dict[str, str]:
    """Builds images of a platform by one make; returns what is wrong, by goal.

    An image that fails does not keep others from being built. Raises RomforgeError where the
    platform's tools or the tree are missing, or make was killed.
    """
    with gnu_make.build():
        toolchain.require_tools(step)
        tree = Trees(out).of(step)
        record = preparation.prepare_worktree(step, out, tree, spec)
        errors: dict[str, str] = {}
        if goals:
            errors = _Build(step, out, tree, record, spec).run(goals)
        for goal in goals:
            record.errors.pop(goal, None)
        record.errors |= errors
        record.ended = time.time_ns()
        tree_record.save_record(step, out, record)
    if gnu_make.interrupted():
        raise KeyboardInterrupt
    return errors


class _Build:
    """One build of a platform: its working tree, its record, and the log that its makes share."""

    def __init__(
        self, step: TreeBuild, out: Path, tree: Tree, record: TreeRecord, spec: Path | None
    ) -> None:
        self.step = step
        self.spec = spec
        self.out = out
        self.tree = tree
        self.record = record
        self.src = out / step.directory / "src"
        self.bin = self.src / step.bin
        self.log = out / step.directory / source_tree.LOG
        self.errors: dict[str, str] = {}
        self.began = time.time_ns()

    def run(self, goals: list[str]) -> dict[str, str]:
        """Runs make, and again without the goals at which it stopped.

        Returns what is wrong, by goal.
        """
        for goal in goals:
            _remove(self.step, self.src, goal)
            self.record.goals.pop(goal, None)
        self.log.write_bytes(b"")
        fresh = not self.bin.is_dir()
        unknown = fresh or self.record.downgraded is None
        if unknown and not self._learn_configuration(goals, fresh):
            return self.errors
        plan = source_tree.link_plan(self.step, self.record.files, self.record.downgraded)
        left_out = dict.fromkeys(goals, plan.left_out)
        while left_out:
            if not self._make(list(left_out), plan, left_out):
                break
            built = [goal for goal in left_out if goal not in self.errors]
            left_out = self._check(built, plan, left_out)
            for goal in left_out:
                _remove(self.step, self.src, goal)
        return self.errors

    def _variables(self) -> list[str]:
        return variables(self.step, self.tree, self.src)

    def _learn_configuration(self, goals: list[str], fresh: bool) -> bool:
        """Has make find out what the configuration defines; tells whether that went well.

        In a fresh BIN directory make also writes its lists of what it was told, and empty local
        headers. Made beforehand and given the right times, they spare it the second run of every
        dependency step: see ``_settle_times``.
        """
        _make_local_headers(self.step, self.src, self.record.files)
        make_rules.write_rules(self.src, LinkPlan(), {}, self.step.bin)
        words = [*self._variables(), "NEED_DEPS=", make_rules.MACROS_GOAL]
        words.append(f"BIN={self.step.bin}")
        status, output = self._run(words)
        if gnu_make.interrupted():
            self.errors |= dict.fromkeys(goals, "interrupted")
            return False
        if status:
            self._fail(words, status, output, goals)
            return False
        self.record.downgraded = bool(make_rules.configuration_defines(self.bin, _DOWNGRADE))
        if fresh:
            _settle_times(self.src, self.bin)
        return True

    def _make(
        self, goals: list[str], plan: LinkPlan, left_out: Mapping[str, tuple[LeftOut, ...]]
    ) -> bool:
        """Builds the goals, but for those at which make stops; tells whether it finished."""
        linked = {linked_file(self.step, goal): groups for goal, groups in left_out.items()}
        make_rules.write_rules(self.src, plan, linked, self.step.bin)
        compiled_again = False
        while True:
            remaining = [goal for goal in goals if goal not in self.errors]
            if not remaining:
                return False
            words = self._variables()
            words += [f"{self.step.bin}/{self.step.file_of(goal)}" for goal in remaining]
            status, output = self._run(words)
            if gnu_make.interrupted():
                drop_halves(self.bin, self.began)
                self.errors |= dict.fromkeys(remaining, "interrupted")
                return False
            if status:
                dependencies.drop_unfinished(self.bin, self.began)
                self._fail(words, status, output, remaining)
                continue
            lost = dependencies.drop_incomplete(self.bin, self.began)
            if not lost:
                return True
            if compiled_again:
                raise Killed(
                    f"the dependency file of {lost[0]} was not written to its end:"
                    " was the compiler killed?"
                )
            self._compile_again(lost, remaining)
            compiled_again = True

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
        """Runs make; returns its exit status and what it printed.

        Raises Killed where the disk is full.
        """
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
        if culprit:
            self.errors[culprit] = text
        else:
            self.errors |= dict.fromkeys(goals, text)

    def _check(
        self, goals: list[str], plan: LinkPlan, left_out: Mapping[str, tuple[LeftOut, ...]]
    ) -> dict[str, tuple[LeftOut, ...]]:
        """Checks each image that was built, and records it.

        Returns those that must be linked again with less left out, since they need what was left
        out.
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
        """What make recorded of each object.

        Trees before 2.0 record nothing of the version object.
        """
        records = DependencyFiles(self.bin)
        if dependencies.VERSION_OBJECT not in records.paths():
            path = self.bin / "deps" / "core" / "version.c.d"
            words = self._variables()
            self._run([*words, "NEED_DEPS=", f"{self.step.bin}/deps/core/version.c.d"])
            records = DependencyFiles(self.bin)
            records.files(dependencies.VERSION_OBJECT)  # reads the file
            path.unlink(missing_ok=True)  # which make would not keep up to date
        return records

    def _record(
        self,
        goal: str,
        place: Path,
        plan: LinkPlan,
        groups: tuple[LeftOut, ...],
        records: DependencyFiles,
    ) -> list[LeftOut]:
        """Checks an image and records it, or returns the groups that it needs though left out."""
        linked = self.bin / linked_file(self.step, goal)
        if not linked.exists():
            self._record_made_of_others(goal, place)
            return []
        link = link_check.read_map(linked.with_name(f"{linked.name}.map"))
        objects = [name for name in link.objects() if not make_rules.is_stub_object(name)]
        files = _object_files(link, self.src)
        needed = link_check.find_needed_groups(link, groups, linked, files)
        if needed:
            return needed
        stems = link_check.object_stems(objects)
        if self.step.media:
            link_check.check_link(self.step, plan, make_rules.read_roots(linked), stems)
        data, _ = fingerprint.read_file(place)
        sources = sorted({link_check.stem(name) for name in objects})
        left_out: list[str] = []
        for group in groups:
            left_out += group.objects
        self.record.goals[goal] = ImageRecord(
            state=fingerprint.stamp(place, data),
            objects=sources,
            uses=records.of_link(sources),
            left_out=left_out,
        )
        return []

    def _record_made_of_others(self, goal: str, place: Path) -> None:
        """Records a file that is not linked, such as an image of a disk: it depends on all files.

        Raises RomforgeError if it is not there.
        """
        data, _ = fingerprint.read_file(place)
        state = fingerprint.stamp(place, data)
        self.record.goals[goal] = ImageRecord(state=state, objects=[], uses=None, left_out=[])


def _object_files(link: ld_map.LinkMap, src: Path) -> list[Path]:
    """The object files of a link; those of an archive lie beside it."""
    members = dict.fromkeys(one.object for one in link.kept)
    return [src / ld_map.object_file(member) for member in members]


def _make_local_headers(step: TreeBuild, src: Path, files: Collection[str]) -> None:
    """Makes the empty local headers that make would make, one for each configuration header."""
    for name in source_tree.config_headers(files):
        headers = [src / "config/local" / f"{name}.h"]
        if step.config:
            headers.append(src / "config/local" / step.config / f"{name}.h")
        for header in headers:
            if not header.exists():
                header.parent.mkdir(parents=True, exist_ok=True)
                header.touch()


def _settle_times(src: Path, bin_directory: Path) -> None:
    """Gives makefiles, make's lists and headers times in this order, in an empty BIN directory.

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
    """Runs make with our rules and the platform's launcher; returns its exit status.

    Raises Killed.
    """
    launcher.write_launcher(step.launcher, src)
    arguments = [*make_rules.rules_arguments(), *words]
    return gnu_make.run_make(arguments, src, log, step.launcher, name=step.task)


def variables(step: TreeBuild, tree: Tree, directory: Path) -> list[str]:
    """The variables of a platform, as arguments ``NAME=VALUE`` of a make in a directory."""
    pairs = source_tree.compile_variables(step, directory)
    pairs += source_tree.version_variables(step, tree)
    if step.config:
        pairs.append(("CONFIG", step.config))
    cross = toolchain.cross_prefix(step)
    if cross:
        pairs.append(("CROSS_COMPILE", cross))
    if step.launcher:  # the last value that make gets of a variable counts
        compiler = dict(step.variables).get("CC", "$(CROSS_COMPILE)gcc")
        pairs.append(("CC", launcher.launched_compiler(compiler)))
    for variable, files in step.files:
        pairs.append((variable, ",".join(source_tree.embedded_places(variable, files))))
    if step.debug:
        pairs.append(("DEBUG", ",".join(step.debug)))
    return [f"{name}={value}" for name, value in pairs]


def stages(step: TreeBuild, directory: Path, goal: str) -> list[Path]:
    """An image and all its stages in a BIN directory."""
    paths: list[Path] = []
    if not step.media:
        for pattern in (goal, f"{goal}.*", f"version.{goal}*"):
            paths += directory.glob(pattern)
        return paths
    for medium in sorted({step.media, linked_medium(step)}):
        name = f"{goal}.{medium}"
        for pattern in (name, f"{name}.*", f"version.{name}*"):
            paths += directory.glob(pattern)
    return paths


def _remove(step: TreeBuild, src: Path, goal: str) -> None:
    """Removes an image with all its stages: make would not miss a stage alone."""
    for path in stages(step, src / step.bin, goal):
        path.unlink()


def _culprit(step: TreeBuild, goals: list[str], target: str) -> str | None:
    """The goal that a target of make is a stage of.

    None where it is something that all goals need.
    """
    name = target.rpartition("/")[2].removeprefix("version.")
    for goal in goals:
        if not step.media:
            if name == goal or name.startswith(f"{goal}."):
                return goal
            continue
        if any(
            name == f"{goal}.{media}" or name.startswith(f"{goal}.{media}.")
            for media in (step.media, linked_medium(step))
        ):
            return goal
    return None


def drop_halves(directory: Path, began: int) -> None:
    """Removes what an interrupted make wrote, except objects.

    The compiler removes an object itself when it is stopped. Lists of what make was told stay: make
    compares them, and all that depends on one would be compiled again.
    """
    for path in directory.rglob("*"):
        if (
            path.suffix not in (".o", ".d", ".list")
            and path.is_file()
            and path.stat().st_mtime_ns >= began
        ):
            path.unlink()
    dependencies.drop_unfinished(directory, began)
