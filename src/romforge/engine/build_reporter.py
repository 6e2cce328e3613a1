# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build shows and leaves: progress, failures, the size table, and the manifest of each target.

doit calls a reporter at each turn of a run, also when tasks fail and when it is interrupted; so it is here that the
manifest is written, which must say what was tried even then.
"""

from __future__ import annotations

import json
import os
import queue
import sys
from pathlib import Path
from typing import Any, ClassVar, TextIO

from romforge.base import jobserver, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.table import RED, encodable, paint, wants_colours
from romforge.base.text import plural
from romforge.engine import size_table, staleness
from romforge.engine.staleness import Demand
from romforge.plan.planner import Plan, Rom
from romforge.rom.manifest import holds_manifest, read_manifest
from romforge.spec.model import manifest_name


class WakingQueue(queue.Queue[Any]):
    """A queue whose ``get`` returns to the interpreter twice a second, so that ^C is always seen.

    Python handles a signal in the main thread alone, between two steps of the interpreter. A signal that arrives while
    that thread is about to wait for a lock does not end the wait: the build would go on until its next task is done.
    """

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block or timeout is not None:
            return super().get(block, timeout)
        while True:
            try:
                return super().get(timeout=0.5)
            except queue.Empty:
                continue


class Reporter:
    """A doit reporter; doit makes the instance, so the plan and the output root are set on the class."""

    desc = "romforge: progress, then the table of sizes"
    plan: ClassVar[Plan]
    out: ClassVar[Path]
    as_json: ClassVar[bool] = False  # print the entries instead of the table
    jobs: ClassVar[int | None] = None  # that the user asked for
    demand: ClassVar[Demand | None] = (
        None  # of the run, once it begins; workers that are forked then have it too
    )

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        self.outstream = outstream
        self.entries: dict[
            str, str
        ] = {}  # what the manifest says of each ROM, by its path: JSON, and seldom decoded
        self.bad: set[str] = set()  # the paths of those that failed
        self.sources: dict[str, dict[str, str]] = {}
        self.failed: list[str] = []
        self.told: set[str] = set()  # texts of failures
        self.done: list[Any] = []  # tasks
        self.removed: list[str] = []
        self.built = 0
        self.progress: Any = None

    def initialize(self, tasks: dict[str, Any], selected: list[str]) -> None:
        from doit.runner import MThreadRunner  # which has been imported by now where doit runs

        MThreadRunner.Queue = staticmethod(WakingQueue)
        self.total = sum(name.startswith("rom:") for name in tasks)
        try:
            output_lock.hold_lock(self.out)
        except RomforgeError as error:
            self.say(str(error))
            raise SystemExit(1) from None
        if self.plan.makes:
            Reporter.demand = staleness.stale_images(self.plan, self.out, closure(tasks, selected))
            self.sources.update(Reporter.demand.about)
            for text in Reporter.demand.told():
                self.say(text)
        if self._takes_long():
            local = jobserver.processors() if self.plan.may_distribute() else jobserver.MOST_JOBS
            jobserver.begin_pool(self.jobs, self._usual_jobs(), local)

    def _usual_jobs(self) -> int | None:
        """How many jobs the spec asks for; distcc is asked where there is something to make, and the user did not say."""
        jobs = self.plan.jobs
        if isinstance(jobs, int) or jobs is None:
            return jobs
        if self.jobs or not (self.demand and any(self.demand.wanted.values())):
            return None
        from romforge.sources.ipxe import launcher, toolchain

        try:
            return launcher.distcc_jobs(toolchain.make_environment(os.environ, ("distcc",)))
        except RomforgeError as error:
            self.say(f"{error}; so there is one for each processor", "")
            return None

    def _takes_long(self) -> bool:
        """Whether there is work for several processors."""
        return self.plan.takes_long()

    def execute_task(self, task: Any) -> None:
        wanted = self.demand.wanted.get(task.name) if self.demand else None
        if wanted and self.demand and task.name not in self.demand.refused:
            self.say(f"{task.name}: builds {plural(len(wanted), 'image')}", "")
        if task.actions and sys.stderr.isatty():
            self._show(task)

    def _show(self, task: Any) -> None:
        """Shows on a terminal which task has begun, and what makes say meanwhile."""
        if self.progress is None:
            from romforge.engine.progress import Progress

            self.progress = Progress(self.total)
        self.progress.update(task.name, len(self.done))

    def add_success(self, task: Any) -> None:
        self.built += task.name.startswith("rom:")
        if note := task.values.get("note"):
            self.say(f"{task.name}: {note}", "")
        self.done.append(task)

    def skip_uptodate(self, task: Any) -> None:
        self.done.append(task)  # doit restores its values after this call

    def add_failure(self, task: Any, fail: Any) -> None:
        self.failed.append(task.name)
        if task.name.startswith("rom:"):
            self.bad.add(_path(task))
            self.entries[_path(task)] = getattr(fail, "entry", None) or self._untried(
                _path(task), fail.message
            )
        if fail.get_name() == "UnmetDependency" or (
            self.demand and task.name in self.demand.refused
        ):
            return  # what it depends on has said why; or it was told before the run
        text = fail.message if fail.get_name() == "TaskFailed" else fail.get_msg()
        self.say(f"{task.name}: {text}" if text not in self.told else f"{task.name}: the same")
        self.told.add(text)

    def get_status(self, task: Any) -> None:
        pass

    def skip_ignore(self, task: Any) -> None:
        pass

    def teardown_task(self, task: Any) -> None:
        pass

    def cleanup_error(self, exception: Any) -> None:
        self.say(exception.get_msg())

    def runtime_error(self, message: str) -> None:
        self.failed.append(message)
        self.say(message)

    def complete_run(self) -> None:
        """Ends a run: manifests, table, and the exit status, which doit would set to 2 where a group's member failed."""
        if self.progress is not None:
            self.progress.stop()
        interrupted = sys.exc_info()[0]
        if interrupted is SystemExit:
            return
        if interrupted is KeyboardInterrupt:
            self._interrupt()
        for task in self.done:
            self._keep(task)
        try:
            self._write_manifests()
        except RomforgeError as error:
            self.failed.append("manifest")
            self.say(str(error))
        lines = self._json() if self.as_json else self._table()
        self.outstream.write(encodable("".join(f"{line}\n" for line in lines), self.outstream))
        output_lock.release_lock(self.out)
        if interrupted is KeyboardInterrupt:
            self.say("interrupted")
            raise SystemExit(130)
        if self.failed and interrupted is None:
            raise SystemExit(1)

    def _interrupt(self) -> None:
        """Stops what is at work in other processes."""
        if self.demand:
            from romforge.sources.ipxe import gnu_make

            gnu_make.interrupt_makes()

    def _keep(self, task: Any) -> None:
        if entry := task.values.get("entry"):
            self.entries[_path(task)] = entry
        elif "about" in task.values:
            self.sources[task.name.split(":", 1)[1]] = task.values["about"]

    def say(self, text: str, tint: str = RED) -> None:
        """Tells something on standard error, above the progress."""
        first, *rest = text.split("\n")
        if self.progress is not None:
            self.progress.stop()
        lines = [
            f"{paint('romforge:', tint, bool(tint) and wants_colours(sys.stderr))} {first}",
            *rest,
        ]
        sys.stderr.write(
            "".join(f"{line}\n" for line in lines)
        )  # at once, since others may speak too
        if self.progress is not None:
            self.progress.start()

    def _write_manifests(self) -> None:
        """Writes the manifest of each target of which this run looked at a ROM, and drops files no longer asked for."""
        wanted = {rom.path for rom in self.plan.roms()}
        for name, roms in self.plan.targets.items():
            entries = [self.entries[rom.path] for rom in roms if rom.path in self.entries]
            if not entries or holds_manifest(self.out, name, self._manifest(name, roms, entries)):
                continue
            spec, before = read_manifest(self.out, name)
            for path in self.bad & self.entries.keys() & before.keys():
                self._keep_stale(path, before[path])
            entries = [
                self.entries.get(rom.path) or json.dumps(before[rom.path])
                for rom in roms
                if rom.path in self.entries or rom.path in before
            ]
            if spec == self.plan.spec:  # another spec's files are none of ours
                gone = before.keys() - wanted
                self.removed += [
                    path
                    for path in gone
                    if output_files.remove_if_unchanged(self.out, path, _left(before[path]))
                ]
            output_files.write_output(
                self.out, manifest_name(name), self._manifest(name, roms, entries)
            )

    def _untried(self, path: str, failed: str) -> str:
        """The entry of a ROM that was not tried, since what it depends on failed."""
        from romforge.rom import build

        step = next(rom for rom in self.plan.roms() if rom.path == path)
        return build.failed_entry(step, f"not tried: {failed} failed")

    def _keep_stale(self, path: str, old: dict[str, Any]) -> None:
        """Notes in the entry of a ROM that failed what an earlier build left in its place."""
        if left := _left(old):
            self.entries[path] = json.dumps(json.loads(self.entries[path]) | {"stale_sha256": left})

    def _manifest(self, name: str, roms: tuple[Rom, ...], entries: list[str]) -> bytes:
        """The text of a manifest: JSON, a ROM to a line."""
        used = {pick.source for pick in roms[0].picks}
        sources = {source: about for source, about in self.sources.items() if source in used}
        head = f'{{"target": {json.dumps(name)}, "spec": {json.dumps(self.plan.spec)}, "sources": {json.dumps(sources)}, "roms": [\n'
        return (head + ",\n".join(entries) + "\n]}\n").encode()

    def _json(self) -> list[str]:
        return ["[", ",\n".join(self.entries.values()), "]"]

    def _table(self) -> list[str]:
        """The table of sizes and the line that sums up the run."""
        entries = {
            rom.path: self.entries[rom.path] for rom in self.plan.roms() if rom.path in self.entries
        }
        changes = (
            size_table.since_lock(self.plan, entries) if self.built else {}
        )  # a run that built nothing must not take longer
        lines = size_table.size_table_lines(
            entries, self.bad, changes, wants_colours(self.outstream)
        )
        good = len(self.entries) - len(self.bad)
        lines += [f"removed {path}, which the spec no longer asks for" for path in self.removed]
        verdict = f"{len(self.bad)} failed, " if self.bad else ""
        lines.append(f"{verdict}{self.built} built, {good - self.built} up to date, in {self.out}")
        return lines


def closure(tasks: dict[str, Any], selected: list[str]) -> set[str]:
    """The tasks that were selected, and all that they depend on."""
    found: set[str] = set()
    left = list(selected)
    while left:
        name = left.pop()
        if name not in found and name in tasks:
            found.add(name)
            left += tasks[name].task_dep
    return found


def _path(task: Any) -> str:
    """The path of the ROM that a task builds."""
    return str(task.name).removeprefix("rom:")


def _left(entry: dict[str, Any]) -> str | None:
    """The sha256 of the file that a build left in a ROM's place, though its own may have failed."""
    return entry.get("sha256") or entry.get("stale_sha256")
