# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan as doit tasks.

doit does not decide whether a step is up to date: the step's own record does. The record has the
digest of the step, and the state of each file that it read and wrote; doit keeps it as the task's
values. A task has no ``file_dep``: doit would take the state of an input when the task ends, and so
believe an edit made meanwhile. Actions are functions of this module, so that doit's worker
processes can be spawned.
"""

from __future__ import annotations

import inspect
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit.exceptions import TaskFailed

from romforge.base import fingerprint, jobserver, output_files, output_lock
from romforge.base.errors import RomforgeError, describe_os_error
from romforge.base.fingerprint import BuildRecord
from romforge.base.text import plural, relative_path
from romforge.engine import doit_state, staleness
from romforge.engine.build_reporter import ROM_GROUP, Reporter
from romforge.engine.build_run import LOCK_CHECK, BuildRun
from romforge.engine.step_digest import step_digest
from romforge.plan.steps import (
    BootFileCopy,
    Fetch,
    PinnedTree,
    Plan,
    Rom,
    TreeBuild,
    distinct_requests,
)
from romforge.sources.ipxe import nic_drivers
from romforge.spec import loader
from romforge.spec.model import manifest_name

if TYPE_CHECKING:
    from romforge.engine.step_digest import TaskStep
    from romforge.rom.assembly import BucketError
    from romforge.verify.cases import Proof

Task = dict[str, Any]  # in the form in which doit takes tasks


class TaskGraph:
    """What a dodo.py must hold: doit's configuration and the maker of the tasks.

    ``every`` tells whether a task may be requested by name. A plain doit runs the default targets,
    and tasks that only a name can reach would cost it more than all else. ``proofs`` are those to
    make tasks of, ``baselines`` the packages with older ROMs that these need. ``run`` is the one
    run of these tasks.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        every: bool,
        proofs: Sequence[Proof] = (),
        baselines: Sequence[Fetch] = (),
    ) -> None:
        self.plan = plan
        self.out = out
        self.every = every
        self.proofs = proofs
        self.baselines = baselines
        self.run = BuildRun(plan, out, requested_jobs(sys.argv[1:]), proofs)
        self._targets = {
            name: roms for name, roms in plan.targets.items() if every or name in plan.default
        }

    def members(self) -> dict[str, Any]:
        """The names to put into the module that doit loads."""
        return {"DOIT_CONFIG": self.config(), "task_romforge": self.task_romforge}

    def task_romforge(self) -> Iterator[Task]:
        """all tasks; in one maker, since doit looks up the source of each"""
        steps = *self.plan.steps(), *self.baselines, *self.proofs
        doit_state.adopt(self.out, [step.task for step in steps])
        yield from self._source_tasks()
        yield from self._make_tasks()
        yield from self._rom_tasks()
        yield from self._file_tasks()
        yield from self._target_tasks()
        if self.every:
            yield from self._nic_tasks()
            yield {
                "basename": "all",
                "doc": "builds every target",
                "actions": None,
                "task_dep": [
                    *(f"target:{name}" for name in self.plan.targets),
                    *(file.task for file in self.plan.files),
                ],
            }
            yield {
                "basename": LOCK_CHECK,
                "doc": "compares the default targets with the lock",
                "actions": [(check_lock, [self.plan, self.out])],
                "task_dep": self._default_tasks(),
            }
        if self.proofs:
            yield from self._proof_tasks()

    def config(self) -> dict[str, Any]:
        """doit's configuration.

        Raises RomforgeError where ROMs would be written over their sources.
        """
        output_files.require_apart(self.out, *self.plan.directories())
        reporter: type[Reporter] = Reporter
        if self.proofs:
            from romforge.engine.verify_reporter import ProofReporter

            reporter = ProofReporter
        config = {
            **doit_state.CONFIG,
            "default_tasks": self._default_tasks(),
            "continue": True,
            "reporter": reporter,
            "verbosity": 2,
        }
        if self.plan.takes_long() or self.proofs:
            config |= {"num_process": self._threads(), "par_type": "thread"}
        return config

    def _default_tasks(self) -> list[str]:
        files = [file.task for file in self.plan.files if file.default]
        return [*(f"target:{name}" for name in self.plan.default), *files]

    def _threads(self) -> int:
        """How many tasks run at once, in threads: what takes long is make, in other processes.

        A make that other machines compile for may leave this one idle. A doit with nothing that
        takes long is quicker without threads.
        """
        threads = jobserver.wanted_jobs(os.environ)
        if self.plan.may_distribute():
            threads += len(self.plan.all_makes())
        return threads

    def _source_tasks(self) -> Iterator[Task]:
        yield _group("source", "gets the ROM files of a package, or a tree")
        for fetch in (*self.plan.fetches, *self.baselines):
            task = self._task(fetch)
            task["doc"] = f"ROM files of {fetch.package or fetch.deb}"
            task["clean"] = [(clean_source, [self.out, fetch.directory])]
            yield task
        for pinned in self.plan.pinned:
            task = self._task(pinned)
            task["doc"] = f"the tree {pinned.pin} of {pinned.url}"
            task["clean"] = [(clean_source, [self.out, os.path.dirname(pinned.directory)])]
            task["uptodate"] = [False]  # it looks for itself, and is asked for by name alone
            yield task

    def _make_tasks(self) -> Iterator[Task]:
        if self.plan.all_makes():
            yield _group("make", "builds the images of a platform in a source tree")
        for make in self.plan.all_makes():
            task = self._task(make)
            task["doc"] = f"{make.bin} of {make.trees[0].path}"
            task["clean"] = [(clean_source, [self.out, make.directory])]
            task["uptodate"] = [(is_make_up_to_date, [make, self.run])]
            yield task

    def _rom_tasks(self) -> Iterator[Task]:
        group = _group(ROM_GROUP, "builds one ROM file")
        group["meta"] = {"run": self.run}  # doit makes the reporter, which finds the run here
        yield group
        for roms in self._targets.values():
            needs_by_requests = {}
            for requests in distinct_requests(roms):
                needs_by_requests[id(requests)] = self.plan.needs_of(requests)
            for rom in roms:
                needs = needs_by_requests[id(rom.requests)]
                task = self._task(rom)
                task |= {"task_dep": needs, "targets": [f"{self.out}/{rom.path}"], "clean": True}
                yield task

    def _file_tasks(self) -> Iterator[Task]:
        files = [file for file in self.plan.files if self.every or file.default]
        if files:
            yield _group("image", "builds a file of iPXE that is no ROM")
        for file in files:
            task = self._task(file)
            task["doc"] = f"{file.path}: {file.goal}"
            task |= {"task_dep": [file.make], "targets": [f"{self.out}/{file.path}"], "clean": True}
            yield task

    def _target_tasks(self) -> Iterator[Task]:
        yield _group("target", "builds all ROMs of a target")
        for name, roms in self._targets.items():
            paths = [rom.path for rom in roms]
            task = _members("target", name, roms)
            task["targets"] = [f"{self.out}/{manifest_name(name)}"]
            task["clean"] = [(clean_target, [self.out, name, paths])]
            yield task

    def _nic_tasks(self) -> Iterator[Task]:
        yield _group("nic", "builds the ROMs of a NIC in the default targets")
        for nic, roms in self.plan.nics().items():
            yield _members("nic", nic, roms)

    def _proof_tasks(self) -> Iterator[Task]:
        yield _group("verify", "proves ROMs in QEMU")
        for proof in self.proofs:
            task = self._task(proof)
            task |= {"task_dep": list(proof.needs), "doc": f"{proof.kind} of {proof.nic}"}
            yield task

    def _task(self, step: TaskStep) -> Task:
        base, name = step.task.split(":", 1)
        return {
            "basename": base,
            "name": name,
            "actions": [(run_step, [step, self.run])],
            "uptodate": [(is_up_to_date, [step_digest(step), self.out])],
        }


def run_step(step: TaskStep, run: BuildRun) -> dict[str, Any] | TaskFailed:
    """Runs a step for doit; its record becomes the task's values.

    A RomforgeError becomes a failed task, with the entry for the manifest if the step builds a ROM.
    So does a file that the system refuses, as where the disk is full.
    """
    try:
        output_lock.hold_lock(run.out)
        if isinstance(step, TreeBuild):
            note = _run_make(step, run)
            values: dict[str, Any] = {"step": step_digest(step)}
            return values | {"note": note} if note else values
        if isinstance(step, PinnedTree):
            return {"step": step_digest(step), "source": _get_tree(step, run)}
        if not isinstance(step, (Fetch, Rom, BootFileCopy)):
            return _run_proof(step, run.out)
        record = _run_recorded(step, run.out)
    except RomforgeError as error:
        return _failed(step, error, run)
    except OSError as error:
        return _failed(step, RomforgeError(describe_os_error(error)), run)
    return record.to_values(step_digest(step), run.out)


def _run_recorded(step: Fetch | Rom | BootFileCopy, out: Path) -> BuildRecord:
    """Runs a step that records the files it read and wrote; raises RomforgeError."""
    # The modules are imported here, since a run in which all is up to date does without them.
    if isinstance(step, Fetch):
        from romforge.sources import debian_package

        return debian_package.fetch_package(step, out)
    if isinstance(step, BootFileCopy):
        from romforge.rom import boot_file

        return boot_file.install_boot_file(step, out)
    from romforge.rom import build

    return build.build_rom(step, out)


def _get_tree(step: PinnedTree, run: BuildRun) -> dict[str, str]:
    """Gets a tree; returns what a manifest says of it. Raises RomforgeError.

    A commit that the lock has for a tag holds, although the tag may have moved.
    """
    from romforge.rom import lock_format
    from romforge.sources import pinned_tree

    return pinned_tree.get_tree(step, run.out, lock_format.locked_revision(run.plan, step.source))


def _run_proof(proof: Proof, out: Path) -> dict[str, Any]:
    """Does a proof, and returns the task's values; raises RomforgeError where it failed.

    What this machine cannot prove is no failure, but is not done either.
    """
    from romforge.verify import boot, runner

    try:
        record = runner.run_proof(proof, out)
    except boot.NotProvable as lack:
        return {doit_state.NOT_PROVABLE: str(lack)}
    return record.to_values(step_digest(proof), out)


def _failed(step: TaskStep, error: RomforgeError, run: BuildRun) -> TaskFailed:
    if not isinstance(step, Rom):
        failure = TaskFailed(str(error))
        failure.seconds = getattr(error, "seconds", 0)  # of a proof
        failure.console = getattr(error, "console", "")
        return failure
    from romforge.rom import assembly, build

    layout = None
    text = str(error)
    if isinstance(error, assembly.BucketError):
        layout = error.layout
        text = str(error.with_remedies(_size_remedies(step, error, run)))
        if any(request.make for request in step.requests):
            text += f"\n  next: `romforge why {shlex.quote(step.path)}` lists what fills it"
    failure = TaskFailed(text)
    failure.entry = build.failed_entry(step, text, layout)
    return failure


def _size_remedies(step: Rom, error: BucketError, run: BuildRun) -> list[str]:
    """What would make a ROM small enough; looked for once for each of iPXE's names of images.

    To read a link takes seconds. In a set of hundreds of ROMs that are all too large, the remedies
    of the first few say it all.
    """
    if not run.may_explain(step.goal):
        return []
    from romforge.analysis import size_remedies

    return size_remedies.size_remedies(run.plan, step, error, run.out)


def _run_make(step: TreeBuild, run: BuildRun) -> str | None:
    """Builds what the run wants of a platform; returns what to report of it.

    An image that failed fails its ROM, and so no other. Raises RomforgeError where all images
    failed, or no ROM of the run would report the failure.
    """
    from romforge.sources.ipxe import image_build, source_tree

    demand = run.demand_of(step.task)
    refusal = demand.refused.get(step.task)
    if refusal:
        raise RomforgeError(refusal)
    goals = list(demand.wanted[step.task])
    errors = image_build.build_images(step, run.out, goals, demand.spec)
    all_failed = errors.keys() == set(demand.goals.get(step.task, ()))
    if errors and (all_failed or step.task in demand.alone):
        raise RomforgeError("\n".join(dict.fromkeys(errors.values())))
    return source_tree.recorded_link_plan(step, run.out).reason


def check_lock(plan: Plan, out: Path) -> TaskFailed | None:
    """Compares the default targets' ROMs with the lock.

    Faults make a failed task, other changes are printed.
    """
    from romforge.rom import lock_format

    try:
        spec = loader.load_spec(Path(plan.spec))
        changes = lock_format.compare_build_with_lock(spec, plan, out, None)
        lock = lock_format.lock_path(spec.path)
        others = lock_format.source_changes(lock_format.read_lock(lock), plan, out)
    except RomforgeError as error:
        return TaskFailed(str(error))
    for text in others:
        print(f"the lock is of another source: {text}")
    faults = []
    for change in changes:
        line = f"{change.path}: {change.text}"
        if change.fault:
            faults.append(line)
        elif not change.not_built:
            print(line)
    if not faults:
        return None
    remedy = f"if all is intended, write {lock.name} again: `{_lock_command(spec.path, out)}`"
    return TaskFailed("\n  ".join(["what is built differs from the lock:", *faults, remedy]))


def _lock_command(spec: Path, out: Path) -> str:
    """The command that writes the lock, as it can be typed where doit runs.

    That may be in a source package, with a romforge that is not installed.
    """
    command = ["romforge"]
    if shutil.which("romforge") is None:
        package = relative_path(str(Path(__file__).resolve().parents[2]))
        command = [f"PYTHONPATH={shlex.quote(package)}", "python3", "-m", "romforge"]
    words = ["lock", "--spec", relative_path(str(spec)), "--out", relative_path(str(out))]
    return " ".join([*command, *map(shlex.quote, words)])


def is_make_up_to_date(task: Any, values: dict[str, Any], step: TreeBuild, run: BuildRun) -> bool:
    """Whether all that the run wants of a platform is built."""
    _prepare(task, run.out)
    demand = run.demand_of(step.task)
    return bool(values) and step.task not in demand.refused and not demand.wanted[step.task]


def is_up_to_date(task: Any, values: dict[str, Any], digest: str, out: Path) -> bool:
    """Whether a step was done as it is now, and its files have the same content."""
    _prepare(task, out)
    return fingerprint.why_out_of_date(values, digest, out) is None


def _prepare(task: Any, out: Path) -> None:
    with suppress(RomforgeError):  # doit's own reporters take no lock, and workers cannot
        output_lock.hold_lock(out)
    task.value_savers.append(partial(_keep_values_alone, task))


# doit asks for these at every task
is_up_to_date.__signature__ = inspect.signature(is_up_to_date)  # type: ignore[attr-defined]
is_make_up_to_date.__signature__ = inspect.signature(is_make_up_to_date)  # type: ignore[attr-defined]


def _keep_values_alone(task: Any) -> dict[str, Any]:
    """doit would save an action's dictionary twice, as values and as result.

    Called before it saves.
    """
    task.result = None
    return {}


def clean_source(out: Path, directory: str) -> None:
    """Removes what was fetched or built there; the next build does it again."""
    shutil.rmtree(out / directory, ignore_errors=True)


def clean_target(out: Path, name: str, roms: list[str]) -> None:
    """Removes a target's ROMs and its manifest."""
    for path in (*roms, manifest_name(name)):
        output_files.remove_output(out, path)


def _group(name: str, doc: str) -> Task:
    return {"basename": name, "name": None, "doc": doc}


def _members(base: str, name: str, roms: Sequence[Rom]) -> Task:
    """A task that stands for ROMs."""
    return {
        "basename": base,
        "name": name,
        "doc": plural(len(roms), "ROM"),
        "actions": None,
        "task_dep": [rom.task for rom in roms],
    }


def load_tasks(
    spec_path: Path, out: Path, tree: str | None, every: bool = True, verify: str | None = None
) -> TaskGraph:
    """The tasks of a spec; with ``every`` also those that only a name can reach.

    ``verify`` adds proofs: those of the "default" targets, "all", or their negative "controls".
    Raises SpecError.
    """
    spec = loader.load_spec(spec_path, out)
    plan = nic_drivers.make_buildable_plan(spec, tree, out)
    if not verify:
        return TaskGraph(plan, out, every)
    from romforge.verify import cases, corruptions

    proofs = cases.make_proofs(spec, plan, staleness.replaced_sources(plan, out))
    if verify == "default":
        paths: set[str] = set()
        for name in plan.default:
            paths.update(rom.path for rom in plan.targets[name])
        proofs = tuple(proof for proof in proofs if proof.rom in paths)
    if verify == "controls":
        proofs = tuple(corruptions.add_controls(proofs))
    return TaskGraph(plan, out, every, proofs, cases.baseline_fetches(spec, plan))


def requested_jobs(arguments: list[str]) -> int | None:
    """The number of jobs that a command line requests of doit, which passes it on to nobody.

    >>> requested_jobs(["run", "-n", "4"]), requested_jobs(["--process=2"]), requested_jobs([])
    (4, 2, None)
    """
    jobs = None
    words = iter(arguments)
    for word in words:
        if word in ("-n", "--process"):
            number = next(words, "")
        elif word.startswith("--process="):
            number = word.removeprefix("--process=")
        elif word.startswith("-n"):
            number = word.removeprefix("-n")
        else:
            continue
        if number.isdecimal():
            jobs = int(number) or None
    return jobs


def run_tasks(graph: TaskGraph, selection: list[str], jobs: int | None) -> int:
    """Runs doit over the tasks; returns the exit status."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain

    graph.run.jobs = jobs
    arguments = ["run"]
    if jobs:
        arguments += ["-n", str(jobs if jobs > 1 else 0), "-P", "thread"]
    loader_of_graph = ModuleTaskLoader(graph.members())
    try:
        status = DoitMain(loader_of_graph, config_filenames=()).run([*arguments, *selection])
    except SystemExit as end:  # of the reporter
        return int(end.code or 0)
    return min(int(status or 0), 2)
