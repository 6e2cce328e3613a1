# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of doit over a plan. It owns the output root's lock, the pool of jobs, and the manifests.

The reporter tells it what becomes of the tasks. It writes the manifests also when tasks fail, and
when the run is interrupted: they must say what was tried.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from romforge.base import jobserver, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.output_files import STATE
from romforge.engine import staleness
from romforge.engine.staleness import Demand
from romforge.plan.steps import Plan, Rom
from romforge.rom import manifest
from romforge.rom.manifest import RomEntry, SourceFacts, holds_manifest, read_manifest
from romforge.spec.model import IMAGES_MANIFEST, manifest_name

if TYPE_CHECKING:
    from romforge.verify.cases import Proof

FAILURES = f"{STATE}/failures.json"  # below the output root: what failed in the last runs
LOCK_CHECK = "lock_check"  # the task that compares what is built with the lock
_MOST_EXPLAINED = 3  # ROMs that are too large


class TaskError(NamedTuple):
    """Why a task failed; of a proof also its seconds, and the last lines of its guest's console."""

    text: str
    seconds: float = 0
    console: str = ""


class BuildRun:
    """What the tasks of one run share; the actions of tasks have it as an argument.

    ``proofs`` are those that the run may do. ``as_json`` asks for JSON in place of a table,
    ``quiet`` for neither a table nor progress. ``junit`` is a file for the outcomes of proofs.
    ``strict`` makes a run fail if this machine cannot do one of its proofs. ``entries`` are what
    the manifests will say of each ROM, by its path: JSON, which is seldom decoded. ``got`` is what
    they will say of the sources whose tasks were in the run. ``failed`` are the paths of the ROMs
    that failed, ``removed`` those of files that the spec no longer asks for.
    """

    def __init__(
        self, plan: Plan, out: Path, jobs: int | None = None, proofs: Sequence[Proof] = ()
    ) -> None:
        self.plan = plan
        self.out = out
        self.jobs = jobs
        self.proofs = proofs
        self.as_json = False
        self.quiet = False
        self.junit: Path | None = None
        self.strict = False
        self.demand: Demand | None = None
        self.entries: dict[str, str] = {}
        self.failed: set[str] = set()
        self.removed: list[str] = []
        self.done_tasks: set[str] = set()
        self._errors: dict[str, TaskError] = {}  # of tasks that failed
        self.files: dict[str, str] = {}  # entries of files that are no ROMs, by name
        self.got: dict[str, SourceFacts] = {}
        self._sources: dict[str, SourceFacts] = {}
        self._explained: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process that is spawned gets: no worker writes a manifest."""
        blank = BuildRun(self.plan, self.out, self.jobs)
        blank.demand = self.demand
        return dict(vars(blank))

    def may_explain(self, goal: str) -> bool:
        """Whether to look for what would make a ROM small enough, which takes seconds.

        Only for the first few ROMs of a run, and once for each of iPXE's names of images.
        """
        if goal in self._explained or len(self._explained) == _MOST_EXPLAINED:
            return False
        self._explained.add(goal)
        return True

    def begin(self, tasks: set[str], takes_long: bool, report: Callable[[str], None]) -> None:
        """Takes the lock, finds out what to build in source trees, and begins the pool of jobs.

        ``tasks`` are those of the run. Raises Busy where another run holds the lock.
        """
        output_lock.hold_lock(self.out)
        self._require_trees_alone(tasks)
        if LOCK_CHECK in tasks:
            self._require_locked_paths()
        if self.plan.all_makes():
            self.demand = staleness.stale_images(self.plan, self.out, tasks)
            self._sources.update(self.demand.sources)
            for message in self.demand.messages():
                report(message)
            for note in staleness.configuration_notes(self.plan, self.demand, self.out):
                report(note)
        if takes_long:
            local = jobserver.MOST_JOBS
            if self.plan.may_distribute():
                local = jobserver.processors()
            jobserver.begin_pool(self.jobs, self._usual_jobs(report), local)

    def _require_trees_alone(self, tasks: set[str]) -> None:
        """Raises RomforgeError for a run that gets a tree and builds the source's images.

        What is to be built depends on the tree, and was planned before the run.
        """
        for pinned in self.plan.pinned:
            makes = [make.task for make in self.plan.all_makes() if make.source == pinned.source]
            there = (self.out / pinned.directory).exists()
            if pinned.task in tasks and not there and not tasks.isdisjoint(makes):
                raise RomforgeError(
                    f"{pinned.task} gets a tree that the run would build; get it in a run of its"
                    f" own: `romforge get {pinned.source}`, then run the same again"
                )

    def _require_locked_paths(self) -> None:
        """Raises RomforgeError if the lock has other ROMs than the spec: no build mends that."""
        from romforge.rom import lock_format
        from romforge.spec import loader

        spec = loader.load_spec(Path(self.plan.spec))
        changes = lock_format.compare_paths_with_lock(spec, self.plan)
        if changes:
            lines = [f"{change.path}: {change.text}" for change in changes]
            remedy = "nothing was built; build these ROMs and run `romforge lock`"
            raise RomforgeError("\n  ".join(["the lock is of another spec:", *lines, remedy]))

    def _usual_jobs(self, report: Callable[[str], None]) -> int | None:
        """How many jobs the spec asks for. distcc is asked where there is something to make."""
        jobs = self.plan.jobs
        if isinstance(jobs, int) or jobs is None:
            return jobs
        if self.jobs or self.demand is None or not any(self.demand.wanted.values()):
            return None
        from romforge.sources.ipxe import launcher, toolchain

        try:
            return launcher.distcc_jobs(toolchain.make_environment(os.environ, ("distcc",)))
        except RomforgeError as error:
            report(f"{error}; so there is one job for each processor")
            return None

    def demand_of(self, task: str) -> Demand:
        """What the run wants of a platform's make.

        Under another reporter than ours, or in a worker that was spawned, that is all the platform
        has.
        """
        if self.demand is not None:
            return self.demand
        makes = tuple(make for make in self.plan.all_makes() if make.task == task)
        plan = Plan("", (), makes, {}, ())
        return staleness.stale_images(plan, self.out, {task})

    def is_refused(self, task: str) -> bool:
        """Whether the run has reported already that a make cannot be run."""
        return self.demand is not None and task in self.demand.refused

    def add_failure(self, path: str, entry: str | None, message: str) -> None:
        """Notes a ROM that failed; without an ``entry``, because something it depends on did."""
        self.failed.add(path)
        self.entries[path] = entry or self._entry_of_untried(path, message)

    def add_task_failure(self, task: str, error: TaskError) -> None:
        """Notes why a task failed that was tried, for later runs to tell."""
        self._errors[task] = error

    def add_done(self, task: str, values: Mapping[str, Any]) -> None:
        """Notes a task that succeeded or was up to date.

        ``values`` are those that doit keeps of it.
        """
        self.done_tasks.add(task)
        kind, _, name = task.partition(":")
        if "entry" in values and kind == "image":
            self.files[name] = values["entry"]
        elif "entry" in values:
            self.entries[name] = values["entry"]
        elif kind == "source" and "source" in values:
            self.got[name] = values["source"]
            self._sources.setdefault(name, values["source"])

    def trees(self) -> dict[str, SourceFacts]:
        """What the manifests say of the trees that the run's images are built from."""
        return dict(self.demand.sources) if self.demand else {}

    def _entry_of_untried(self, path: str, failed: str) -> str:
        from romforge.base.text import in_a_line, join_words
        from romforge.rom import build

        step = next(rom for rom in self.plan.roms() if rom.path == path)
        tasks = failed.split()
        message = f"not tried, since {join_words(tasks)} failed"
        errors = [self._errors[task].text for task in tasks if task in self._errors]
        if errors:
            message += f": {in_a_line(errors[0])}"
        return build.failed_entry(step, message)

    def write_manifests(self) -> None:
        """Writes the manifest of each target of which this run looked at a ROM.

        Removes files that the spec no longer asks for. Raises RomforgeError.
        """
        self._write_files_manifest()
        wanted = {rom.path for rom in self.plan.roms()}
        for name, roms in self.plan.targets.items():
            entries = [self.entries[rom.path] for rom in roms if rom.path in self.entries]
            if not entries or holds_manifest(self.out, name, self._manifest(name, roms, entries)):
                continue
            before = read_manifest(self.out, name)
            for path in self.failed & self.entries.keys() & before.roms.keys():
                self._keep_stale(path, before.roms[path])
            if before.spec == self.plan.spec:  # the files of another spec are not ours to remove
                self._remove(before.roms, before.roms.keys() - wanted)
            data = self._manifest(name, roms, self._all_entries(roms, before.roms))
            output_files.write_output(self.out, manifest_name(name), data)

    def _write_files_manifest(self) -> None:
        """Writes what is built of the files that are no ROMs, also by earlier runs."""
        before = manifest.read_boot_files(self.out)
        if not self.files and (self.plan.files or not before):
            return
        entries = {}
        for file in self.plan.files:
            text = self.files.get(file.name)
            entry = json.loads(text) if text else before.get(file.path)
            if entry:
                entries[file.path] = entry
        wanted = {file.path for file in self.plan.files} | {rom.path for rom in self.plan.roms()}
        is_ours = manifest.boot_files_spec(self.out) == self.plan.spec
        if not is_ours and not self.plan.files:
            return  # the files of another spec are not ours to remove
        for path, entry in before.items():
            if is_ours and path not in wanted:
                digest = entry["sha256"]
                if output_files.remove_if_unchanged(self.out, path, digest):
                    self.removed.append(path)
        used = {file.source for file in self.plan.files}
        sources = manifest.read_boot_file_sources(self.out) | self._sources
        sources = {name: source for name, source in sources.items() if name in used}
        data = manifest.boot_files_text(self.plan.spec, list(entries.values()), sources)
        output_files.write_output(self.out, IMAGES_MANIFEST, data)

    def _all_entries(self, roms: tuple[Rom, ...], before: Mapping[str, RomEntry]) -> list[str]:
        """The entries of a target: those of this run, else those of an earlier one."""
        entries = []
        for rom in roms:
            if rom.path in self.entries:
                entries.append(self.entries[rom.path])
            elif rom.path in before:
                entries.append(manifest.entry_text(before[rom.path]))
        return entries

    def _remove(self, entries: Mapping[str, RomEntry], paths: Collection[str]) -> None:
        """Removes files of earlier builds, unless somebody else has changed them."""
        for path in paths:
            if output_files.remove_if_unchanged(self.out, path, _left_behind(entries[path])):
                self.removed.append(path)

    def _keep_stale(self, path: str, before: RomEntry) -> None:
        """Notes in the entry of a ROM that failed what an earlier build left in its place."""
        digest = _left_behind(before)
        if digest:
            entry = json.loads(self.entries[path])
            self.entries[path] = json.dumps(entry | {"stale_sha256": digest})

    def _manifest(self, name: str, roms: tuple[Rom, ...], entries: list[str]) -> bytes:
        """The text of a target's manifest."""
        used = {request.source for request in roms[0].requests}
        sources = {source: what for source, what in self._sources.items() if source in used}
        return manifest.manifest_text(name, self.plan.spec, sources, entries)

    def write_failures(self) -> None:
        """Records which steps failed, for later runs to tell. Raises RomforgeError."""
        if not self._errors and not (self.out / FAILURES).exists():
            return  # the usual case
        from romforge.engine import failures

        failed = {}
        for step in (*self.plan.steps(), *self.proofs):
            if step.task in self._errors:
                failed[step.task] = failures.failure_of(step, self._errors[step.task], self.out)
        failures.update_failures(self.out, failed, self.done_tasks)

    def end(self) -> None:
        """Gives the lock back."""
        output_lock.release_lock(self.out)


def _left_behind(entry: RomEntry) -> str | None:
    """The sha256 of the file that a build left in a ROM's place, though its own may have failed."""
    return entry.get("sha256") or entry.get("stale_sha256")
