# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan as doit tasks; with ``doit_state``, which keeps doit's state, the only module that knows doit.

What doit must not decide, it does not: whether a step is up to date is told by the step's own record (its digest,
and the state of each file it read and wrote), which doit keeps as the task's values. A task has no ``file_dep``:
doit would take their state when the task ends, and so believe an edit made while it ran. Actions are functions of
this module with frozen arguments, so that doit's worker processes can be spawned.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from doit.exceptions import TaskFailed

from romforge import __version__
from romforge.base import fingerprint, jobserver, output_files, output_lock
from romforge.base.errors import RomforgeError
from romforge.base.text import plural
from romforge.engine import doit_state, staleness
from romforge.engine.build_reporter import Reporter
from romforge.engine.staleness import Demand
from romforge.plan import planner
from romforge.plan.planner import Fetch, Plan, Rom, TreeBuild
from romforge.plan.planner import PlanStep as Built
from romforge.spec import loader
from romforge.spec.model import manifest_name
from romforge.verify.cases import Proof

Task = dict[str, Any]
TaskStep = Built | Proof
_RECORDS = 4  # to count up where a step of the same version would record something else


class Dodo:
    """What a dodo.py must hold: doit's configuration and the maker of the tasks.

    ``every`` tells whether a task may be asked for by name; a plain doit runs the default targets, and what only
    a name can reach would cost it more than all else. ``proofs`` are those to make tasks of.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        every: bool,
        proofs: Sequence[Proof] = (),
        olds: Sequence[Fetch] = (),
    ) -> None:
        self.plan, self.out, self.every, self.proofs, self.olds = plan, out, every, proofs, olds
        self.wanted = {
            name: roms for name, roms in plan.targets.items() if every or name in plan.default
        }

    def members(self) -> dict[str, Any]:
        """The names to put into the module that doit loads."""
        return {"DOIT_CONFIG": self.config(), "task_romforge": self.task_romforge}

    def task_romforge(self) -> Iterator[Task]:
        """all tasks; in one maker, since doit looks up the source of each"""
        doit_state.adopt(
            self.out, [step.task for step in (*self.plan.steps(), *self.olds, *self.proofs)]
        )
        yield from self.sources()
        yield from self.makes()
        yield from self.roms()
        yield from self.targets()
        if self.every:
            yield from self.nics()
            everything = [f"target:{name}" for name in self.plan.targets]
            yield {
                "basename": "all",
                "doc": "builds every target",
                "actions": None,
                "task_dep": everything,
            }
            usual = [f"target:{name}" for name in self.plan.default]
            lock = {
                "basename": "lock_check",
                "doc": "compares the default targets with the lock",
                "task_dep": usual,
            }
            yield lock | {"actions": [(check_lock, [self.plan, self.out])]}
        if self.proofs:
            yield from self.verifications()

    def config(self) -> dict[str, Any]:
        output_files.require_apart(self.out, *self.plan.directories())
        Reporter.plan, Reporter.out, Reporter.jobs = self.plan, self.out, asked_jobs(sys.argv[1:])
        reporter: type[Reporter] = Reporter
        if self.proofs:
            from romforge.engine.verify_reporter import Matrix

            reporter, Matrix.proofs = Matrix, self.proofs
        return {
            **doit_state.CONFIG,
            "default_tasks": [f"target:{name}" for name in self.plan.default],
            "continue": True,
            "reporter": reporter,
            "verbosity": 2,
            **(
                {"num_process": self._threads(), "par_type": "thread"}
                if self.plan.takes_long() or self.proofs
                else {}
            ),
        }

    def _threads(self) -> int:
        """How many tasks to run at once, by threads, since what takes long is make; a doit that makes nothing is quicker without.

        A make that other machines work for may leave this one idle.
        """
        return jobserver.wanted_jobs(os.environ) + (
            len(self.plan.makes) if self.plan.may_distribute() else 0
        )

    def sources(self) -> Iterator[Task]:
        yield _group("source", "gets the ROM files of a package")
        for fetch in (*self.plan.fetches, *self.olds):
            clean = [(clean_source, [self.out, fetch.directory])]
            yield self._task(fetch) | {
                "doc": f"ROM files of {fetch.package or fetch.deb}",
                "clean": clean,
            }

    def makes(self) -> Iterator[Task]:
        if self.plan.makes:
            yield _group("make", "builds the images of a platform in a source tree")
        for make in self.plan.makes:
            clean = [(clean_source, [self.out, make.directory])]
            uptodate = [(make_up_to_date, [make, self.out])]
            yield self._task(make) | {
                "doc": f"{make.bin} of {make.trees[0]}",
                "clean": clean,
                "uptodate": uptodate,
            }

    def roms(self) -> Iterator[Task]:
        yield _group("rom", "builds one ROM file")
        for roms in self.wanted.values():
            needs = self.plan.needs_of(roms[0]) if roms else []
            for rom in roms:
                yield self._task(rom) | {
                    "task_dep": needs,
                    "targets": [f"{self.out}/{rom.path}"],
                    "clean": True,
                }

    def targets(self) -> Iterator[Task]:
        yield _group("target", "builds all ROMs of a target")
        for name, roms in self.wanted.items():
            clean = [(clean_target, [self.out, name, [rom.path for rom in roms]])]
            yield _members("target", name, roms) | {
                "targets": [f"{self.out}/{manifest_name(name)}"],
                "clean": clean,
            }

    def nics(self) -> Iterator[Task]:
        yield _group("nic", "builds the ROMs of a NIC in the default targets")
        for nic, made in self.plan.nics().items():
            yield _members("nic", nic, made)

    def verifications(self) -> Iterator[Task]:
        yield _group("verify", "proves ROMs in QEMU")
        for proof in self.proofs:
            yield self._task(proof) | {
                "task_dep": list(proof.needs),
                "doc": f"{proof.kind} of {proof.nic}",
            }

    def _task(self, step: TaskStep) -> Task:
        base, name = step.task.split(":", 1)
        return {
            "basename": base,
            "name": name,
            "actions": [(run_step, [step, self.out])],
            "uptodate": [(up_to_date, [digest(step), self.out])],
        }


def run_step(step: TaskStep, out: Path) -> dict[str, Any] | TaskFailed:
    """Runs a step for doit; its record becomes the task's values, an error of a person's making a failed task."""
    from romforge.rom import assembly, build
    from romforge.sources import rom_files  # not needed where all is up to date

    try:
        output_lock.hold_lock(out)
        if isinstance(step, TreeBuild):
            done = _make(step, out)
        elif isinstance(step, Proof):
            from romforge.verify import runner

            done = runner.run_proof(step, out)
        else:
            done = (
                rom_files.fetch_package(step, out)
                if isinstance(step, Fetch)
                else build.build_rom(step, out)
            )
    except RomforgeError as error:
        failed = TaskFailed(str(error))
        if isinstance(step, Rom):
            layout = error.layout if isinstance(error, assembly.BucketError) else None
            failed.entry = build.failed_entry(step, str(error), layout)
        return failed
    if "inputs" in done:
        done["inputs"] = fingerprint.relative_to_root(out, done["inputs"])
    return {"step": digest(step), **done}


def _make(step: TreeBuild, out: Path) -> dict[str, Any]:
    """Builds what the run wants of a platform; raises RomforgeError where it cannot, or no ROM would tell what failed."""
    from romforge.sources.ipxe import image_build

    demand = _demand(step, out)
    if text := demand.refused.get(step.task):
        raise RomforgeError(text)
    errors = image_build.build_images(step, out, list(demand.wanted[step.task]), demand.spec)
    if errors and (
        step.task in demand.alone or errors.keys() == demand.goals.get(step.task, {}).keys()
    ):
        raise RomforgeError("\n".join(dict.fromkeys(errors.values())))
    from romforge.sources.ipxe import source_tree

    reason = source_tree.recorded_link_plan(step, out).reason
    return {"note": reason} if reason else {}


def _demand(step: TreeBuild, out: Path) -> Demand:
    """What the run wants; under another reporter than ours, or in a worker that was spawned, all that the platform has."""
    return Reporter.demand or staleness.stale_images(
        Plan("", (), (step,), {}, ()), out, {step.task}
    )


def check_lock(plan: Plan, out: Path) -> TaskFailed | None:
    """Compares the default targets' ROMs with the lock; faults make a failed task, other changes are printed."""
    from romforge.rom import lock_format

    try:
        changes = lock_format.compare_build_with_lock(
            loader.load_spec(Path(plan.spec)), plan, out, None
        )
    except RomforgeError as error:
        return TaskFailed(str(error))
    unasked = {
        rom.path
        for rom in plan.roms()
        if rom.target not in plan.default and not (out / rom.path).exists()
    }
    for one in changes:
        if not one.fault:
            print(f"{one.path}: {one.text}")
    faults = [f"{one.path}: {one.text}" for one in changes if one.fault and one.path not in unasked]
    return (
        TaskFailed("\n  ".join(["what is built is not what is locked:", *faults]))
        if faults
        else None
    )


def make_up_to_date(task: Any, values: dict[str, Any], step: TreeBuild, out: Path) -> bool:
    """Whether all that the run wants of a platform is built."""
    _before(task, out)
    found = _demand(step, out)
    return bool(values) and step.task not in found.refused and not found.wanted[step.task]


def up_to_date(task: Any, values: dict[str, Any], step: str, out: Path) -> bool:
    """Whether a step was done as it is now, and every file it read and wrote still has the same content."""
    _before(task, out)
    return not fingerprint.why_out_of_date(values, step, out)


def _before(task: Any, out: Path) -> None:
    with suppress(
        RomforgeError
    ):  # a reporter of doit's own takes no lock, and workers cannot; only a build needs it
        output_lock.hold_lock(out)
    task.value_savers.append(partial(_keep_values_alone, task))


# doit asks for these at every task
up_to_date.__signature__ = inspect.signature(up_to_date)  # type: ignore[attr-defined]
make_up_to_date.__signature__ = inspect.signature(make_up_to_date)  # type: ignore[attr-defined]


def _keep_values_alone(task: Any) -> dict[str, Any]:
    """doit would save an action's dictionary twice, as values and as result; called before it saves."""
    task.result = None
    return {}


def digest(step: TaskStep) -> str:
    """Names a step and all it says; another version of romforge may do it differently, and so has other digests."""
    return hashlib.sha256(f"{__version__} {_RECORDS} {step!r}".encode()).hexdigest()


def clean_source(out: Path, directory: str) -> None:
    """Forgets what was fetched, which the next build then fetches anew."""
    shutil.rmtree(out / directory, ignore_errors=True)


def clean_target(out: Path, name: str, roms: list[str]) -> None:
    """Removes a target's ROMs and its manifest."""
    for path in (*roms, manifest_name(name)):
        output_files.remove_output(out, path)


def _group(name: str, doc: str) -> Task:
    return {"basename": name, "name": None, "doc": doc}


def _members(base: str, name: str, roms: tuple[Rom, ...] | list[Rom]) -> Task:
    doc = plural(len(roms), "ROM")
    return {
        "basename": base,
        "name": name,
        "doc": doc,
        "actions": None,
        "task_dep": [rom.task for rom in roms],
    }


def load_tasks(
    spec: Path, out: Path, tree: str | None, every: bool = True, verify: str = ""
) -> Dodo:
    """The tasks of a spec, or those of a plain doit; raises SpecError.

    With them come, if asked for, the proofs of "default" targets, those of "all", or their negative "controls".
    """
    read = loader.load_spec(spec, out)
    plan = planner.make_plan(read, tree)
    if not verify:
        return Dodo(plan, out, every)
    from romforge.verify import cases, corruptions

    made = cases.make_proofs(read, plan, staleness.replaced(plan))
    if verify == "default":
        usual = {rom.path for name in plan.default for rom in plan.targets[name]}
        made = tuple(proof for proof in made if proof.rom in usual)
    return Dodo(
        plan,
        out,
        every,
        corruptions.add_controls(made) if verify == "controls" else made,
        cases.baseline_fetches(read, plan),
    )


def asked_jobs(arguments: list[str]) -> int | None:
    """The number of jobs that a command line asks doit for, which tells it to nobody; None where it does not."""
    words = iter(arguments)
    found = None
    for word in words:
        number = (
            next(words, "")
            if word in ("-n", "--process")
            else word.removeprefix("--process=").removeprefix("-n")
        )
        if word.startswith(("-n", "--process")) and number.isdecimal():
            found = int(number) or None
    return found


def reasons_to_build(plan: Plan, out: Path) -> dict[str, str]:
    """For each task that a doit of all would run, the reason in words."""
    saved = output_files.load_json(out, doit_state.STATE_FILE) or {}
    found = {}
    wanted = staleness.stale_images(plan, out, {step.task for step in plan.steps()})
    for step in plan.steps():
        if isinstance(step, TreeBuild):
            told = [
                f"{goal}.{step.media}: {text}"
                for goal, text in wanted.wanted.get(step.task, {}).items()
            ]
            reason = wanted.refused.get(step.task) or "\n".join(told)
        else:
            reason = fingerprint.why_out_of_date(
                saved.get(step.task, {}).get("_values_:") or {}, digest(step), out
            )
        if isinstance(step, Rom) and not reason:
            images = (
                (pick.platform, wanted.wanted.get(pick.make, {}).get(step.goal))
                for pick in step.picks
            )
            reason = next(
                (f"its image {platform}: {text}" for platform, text in images if text), ""
            )
        if reason:
            found[step.task] = reason
    return found


def proven(dodo: Dodo) -> list[tuple[Proof, str, str]]:
    """For each proof whether it holds, in a word or two, and what was seen when it was done last."""
    saved = output_files.load_json(dodo.out, doit_state.STATE_FILE) or {}
    found = []
    for proof in dodo.proofs:
        values = saved.get(proof.task, {}).get("_values_:") or {}
        done = "proof" in values
        verdict = (
            "not proven"
            if not done
            else "out of date"
            if fingerprint.why_out_of_date(values, digest(proof), dodo.out)
            else "proven"
        )
        found.append((proof, verdict, json.loads(values["proof"])["seen"] if done else ""))
    return found


def run_tasks(dodo: Dodo, selection: list[str], jobs: int | None, as_json: bool) -> int:
    """Runs doit over the tasks; returns the exit status."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain

    parallel = ["-n", str(jobs if jobs > 1 else 0), "-P", "thread"] if jobs else []
    members = dodo.members()
    Reporter.as_json, Reporter.jobs = as_json, jobs
    try:
        status = DoitMain(ModuleTaskLoader(members), config_filenames=()).run(
            ["run", *parallel, *selection]
        )
    except SystemExit as end:  # of the reporter
        return int(end.code or 0)
    return min(int(status or 0), 2)
