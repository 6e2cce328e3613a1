# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan as doit tasks: the only module that knows doit.

What doit must not decide, it does not: whether a step is up to date is told by the step's own record (its digest,
and the state of each file it read and wrote), which doit keeps as the task's values. A task has no ``file_dep``:
doit would take their state when the task ends, and so believe an edit made while it ran. Actions are functions of
this module with frozen arguments, so that doit's worker processes can be spawned.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from doit.exceptions import TaskFailed
from doit.globals import Globals

from romforge import __version__, install, record, specfile
from romforge import plan as planning
from romforge.errors import RomforgeError
from romforge.plan import STATE, Fetch, Plan, Rom
from romforge.reporter import Reporter

Task = dict[str, Any]


class DoitReporter(Reporter):
    """The reporter, for doit as it is: its state may fail to be saved on a full disk."""

    def initialize(self, tasks: dict[str, Any], selected: list[str]) -> None:
        super().initialize(tasks, selected)
        close = Globals.dep_manager.close

        def close_or_say() -> None:
            try:
                close()
            except (OSError, sqlite3.Error) as error:
                self.say(f"doit's state was not saved: {error}; the next run does the work again")

        Globals.dep_manager.close = close_or_say


class Dodo:
    """What a dodo.py must hold: doit's configuration and the functions that make tasks."""

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out

    def members(self) -> dict[str, Any]:
        """The names to put into the module that doit loads."""
        return {"DOIT_CONFIG": self.config(), "task_romforge": self.task_romforge}

    def task_romforge(self) -> Iterator[Task]:
        """all tasks; in one maker, since doit looks up the source of each"""
        yield from self.sources()
        yield from self.roms()
        yield from self.targets()
        yield from self.nics()
        everything = [f"target:{name}" for name in self.plan.targets]
        yield {
            "basename": "all",
            "doc": "builds every target, those that are not built by default too",
            "actions": None,
            "task_dep": everything,
        }

    def config(self) -> dict[str, Any]:
        install.prepare(self.out)
        database = self.out / STATE / "doit.sqlite"
        _drop_broken(database)
        Reporter.plan, Reporter.out = self.plan, self.out
        return {
            "backend": "sqlite3",  # the one that a kill cannot leave half written
            "dep_file": str(database),
            "default_tasks": [f"target:{name}" for name in self.plan.default],
            "continue": True,
            "reporter": DoitReporter,
            "verbosity": 2,
            "cleandep": True,
        }

    def sources(self) -> Iterator[Task]:
        yield _group("source", "gets the ROM files of a package")
        for fetch in self.plan.fetches:
            yield self._task(fetch, f"ROM files of {fetch.package or fetch.deb}", [])

    def roms(self) -> Iterator[Task]:
        yield _group("rom", "builds one ROM file")
        fetches = {name: [fetch.task for fetch in self.plan.fetches_of(roms[0])] for name, roms in self.plan.targets.items() if roms}
        for rom in self.plan.roms():
            yield self._task(rom, f"for {rom.nic}", fetches[rom.target])

    def targets(self) -> Iterator[Task]:
        yield _group("target", "builds all ROMs of a target")
        for name, roms in self.plan.targets.items():
            task = _members("target", name, roms, f"{len(roms)} ROMs")
            yield task | {"targets": [str(self.out / install.manifest(name))], "clean": True}

    def nics(self) -> Iterator[Task]:
        yield _group("nic", "builds all ROMs of a NIC")
        nics: dict[str, list[Rom]] = {}
        for name in self.plan.default:
            for rom in self.plan.targets[name]:
                nics.setdefault(rom.nic, []).append(rom)
        for nic, roms in nics.items():
            yield _members("nic", nic, roms, f"{len(roms)} ROMs")

    def _task(self, step: Fetch | Rom, doc: str, needs: list[str]) -> Task:
        base, name = step.task.split(":", 1)
        targets = [str(self.out / step.path)] if isinstance(step, Rom) else []
        return {
            "basename": base,
            "name": name,
            "doc": doc,
            "actions": [(act, [step, self.out])],
            "uptodate": [(up_to_date, [digest(step), self.out])],
            "task_dep": needs,
            "targets": targets,
            "clean": [partial(_clean, self.out, step)],
        }


def act(step: Fetch | Rom, out: Path) -> dict[str, Any] | TaskFailed:
    """Runs a step for doit; its record becomes the task's values, an error of a person's making a failed task."""
    from romforge import build, combine, lock, prebuilt  # not needed where all is up to date

    try:
        lock.hold(out)
        done = prebuilt.fetch(step, out) if isinstance(step, Fetch) else build.build_rom(step, out)
    except RomforgeError as error:
        failed = TaskFailed(str(error))
        if isinstance(step, Rom):
            layout = error.layout if isinstance(error, combine.BucketError) else None
            failed.entry = build.failed_entry(step, str(error), layout)
        return failed
    return {"step": digest(step), **done}


def up_to_date(task: object, values: dict[str, Any], step: str, out: Path) -> bool:
    """Whether a step was done as it is now, and every file it read and wrote still has the same content."""
    return (
        values.get("step") == step
        and all(record.holds(f"{out}/{path}", state) for path, state in values["outputs"].items())
        and all(record.holds(path, state) for path, state in values["inputs"].items())
    )


def digest(step: Fetch | Rom) -> str:
    """Names a step and all it says; another version of romforge may do it differently, and so has other digests."""
    return hashlib.sha256(f"{__version__} {step!r}".encode()).hexdigest()


def _group(name: str, doc: str) -> Task:
    return {"basename": name, "name": None, "doc": doc}


def _members(base: str, name: str, roms: tuple[Rom, ...] | list[Rom], doc: str) -> Task:
    return {"basename": base, "name": name, "doc": doc, "actions": None, "task_dep": [rom.task for rom in roms]}


def _clean(out: Path, step: Fetch | Rom) -> None:
    if isinstance(step, Rom):
        install.remove(out, step.path)
        return
    import shutil

    shutil.rmtree(out / step.directory, ignore_errors=True)


def _drop_broken(database: Path) -> None:
    """Removes a state file that is none: it only saves work, and doit would stop with a traceback."""
    try:
        with database.open("rb") as file:
            start = file.read(16)
        if start and start != b"SQLite format 3\0":
            database.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RomforgeError(f"{database}: cannot be read: {error.strerror}; remove it, it only saves work") from None


def load(spec: Path, out: Path) -> Dodo:
    """The tasks of a spec; raises SpecError."""
    return Dodo(planning.make(specfile.load(spec, out)), out)


def run(dodo: Dodo, selection: list[str], jobs: int, as_json: bool) -> int:
    """Runs doit over the tasks; returns the exit status."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain

    parallel = ["-n", str(jobs), "-P", "thread"] if jobs > 1 else []
    DoitReporter.as_json = as_json
    try:
        status = DoitMain(ModuleTaskLoader(dodo.members()), config_filenames=()).run(["run", *parallel, *selection])
    except SystemExit as end:  # of the reporter
        return int(end.code or 0)
    return min(int(status or 0), 2)
