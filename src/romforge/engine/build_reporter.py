# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build shows: progress, failures, and the table of sizes.

doit calls a reporter at each turn of a run, also when tasks fail and when it is interrupted. The
reporter passes on to the ``BuildRun`` what became of each task.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from romforge.base import shipped_files
from romforge.base.errors import RomforgeError
from romforge.base.table import (
    RED,
    Column,
    encodable,
    paint,
    render_table,
    terminal_width,
    wants_colours,
)
from romforge.base.text import plural, relative_path, shorten_digests
from romforge.engine import size_table
from romforge.engine.build_run import TaskError

if TYPE_CHECKING:
    from romforge.engine.build_run import BuildRun
    from romforge.rom.manifest import SourceFacts

ROM_GROUP = "rom"
_ROM = f"{ROM_GROUP}:"  # begins the names of tasks that build ROMs
_FILE = "image:"  # and of those that install other files


class WakingQueue(queue.Queue[Any]):
    """A queue whose ``get`` returns to the interpreter twice a second, so that ^C is always seen.

    Python handles a signal in the main thread alone, between two steps of the interpreter. A signal
    that arrives while that thread is about to wait for a lock does not end the wait: the build
    would go on until its next task is done.
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
    """A doit reporter of one run, which it finds in the metadata of the task ``rom``."""

    desc = "romforge: progress, then the table of sizes"
    run: BuildRun

    def __init__(self, outstream: TextIO, _options: dict[str, Any]) -> None:
        self.outstream = outstream or sys.stdout  # doit keeps the stream that was closed at first
        self.total = 0  # ROMs
        self.built = 0
        self.built_files = 0
        self.failed: list[str] = []  # tasks
        self.done: list[Any] = []  # tasks
        self.progress: Any = None
        self.heartbeat: Any = None  # where there is no terminal
        self._beginning = threading.Lock()
        self._reported: set[str] = set()  # texts of failures

    def initialize(self, tasks: dict[str, Any], selected: list[str]) -> None:
        from doit.runner import MThreadRunner  # doit has imported it by now

        MThreadRunner.Queue = staticmethod(WakingQueue)
        self.run = tasks[ROM_GROUP].meta["run"]
        self.total = sum(name.startswith(_ROM) for name in tasks)
        try:
            self.run.begin(closure(tasks, selected), self._takes_long(), self.say)
        except RomforgeError as error:
            self.say(str(error))
            if self.run.as_json:
                from romforge.base import json_document

                document = json_document.error_document(error)
                self.outstream.write(json_document.to_text(document) + "\n")
            raise SystemExit(1) from None

    def _takes_long(self) -> bool:
        """Whether there is work for several processors."""
        return self.run.plan.takes_long()

    def execute_task(self, task: Any) -> None:
        demand = self.run.demand
        if demand and demand.wanted.get(task.name) and task.name not in demand.refused:
            count = plural(len(demand.wanted[task.name]), "image")
            self.say(f"{task.name}: builds {count}", "")
        if not task.actions or self.run.quiet:
            return
        if sys.stderr.isatty():
            self._show(task)
        elif self._takes_long():
            self._begin_heartbeat()

    def _begin_heartbeat(self) -> None:
        """Begins it once: threads that each begin a task call this at the same time."""
        from romforge.engine.heartbeat import Heartbeat

        with self._beginning:
            if self.heartbeat is None:
                self.heartbeat = Heartbeat(self._activity)

    def _show(self, task: Any) -> None:
        """Shows on a terminal which task has begun, and what makes print meanwhile."""
        if self.progress is None:
            from romforge.engine.progress import Progress

            self.progress = Progress(self.total)
        roms = sum(done.name.startswith(_ROM) for done in self.done)
        self.progress.update(task.name, roms)

    def _activity(self) -> list[str]:
        """What is going on, for the heartbeat."""
        from romforge.engine import progress

        return progress.activity_lines()

    def _tell_done(self, task: Any) -> None:
        """Says in a log that a step is done; a terminal shows that anyway."""
        if self.heartbeat is not None and task.name.startswith(_ROM):
            path = task.name.removeprefix(_ROM)
            self.heartbeat.tell(f"built {path} ({self.built} of at most {self.total} ROMs)")

    def add_success(self, task: Any) -> None:
        self.built += task.name.startswith(_ROM)
        self.built_files += task.name.startswith(_FILE)
        self._tell_done(task)
        note = task.values.get("note")
        if note:
            self.say(f"{task.name}: {note}", "")
        self.done.append(task)

    def skip_uptodate(self, task: Any) -> None:
        self.done.append(task)  # doit restores its values after this call

    def add_failure(self, task: Any, fail: Any) -> None:
        self.failed.append(task.name)
        if task.name.startswith(_ROM):
            path = task.name.removeprefix(_ROM)
            self.run.add_failure(path, getattr(fail, "entry", None), fail.message)
        if fail.get_name() == "UnmetDependency" or self.run.is_refused(task.name):
            return  # reported already, by the task it depends on or before the run
        message = fail.message if fail.get_name() == "TaskFailed" else fail.get_msg()
        seconds, console = getattr(fail, "seconds", 0), getattr(fail, "console", "")  # of a proof
        self.run.add_task_failure(task.name, TaskError(message, seconds, console))
        if message in self._reported:
            self.say(f"{task.name}: the same")
        else:
            self.say(f"{task.name}: {message}")
        self._reported.add(message)

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
        """Ends a run: manifests, table, and exit status.

        doit would give 2 where a group's member failed; that is 1 here.
        """
        if self.progress is not None:
            self.progress.stop()
            self.progress = None  # what is said from here on must not begin it again
        if self.heartbeat is not None:
            self.heartbeat.stop()
        exception = sys.exc_info()[0]
        if exception is SystemExit:
            return
        if exception is KeyboardInterrupt:
            self._interrupt()
        for task in self.done:
            self.run.add_done(task.name, task.values)
        try:
            self.run.write_manifests()
            if exception is None:  # what an interrupt ends has not failed
                self.run.write_failures()
        except RomforgeError as error:
            self.failed.append("manifest")
            self.say(str(error))
        text = "".join(f"{line}\n" for line in self._result())
        self.outstream.write(encodable(text, self.outstream))
        self.run.end()
        if exception is KeyboardInterrupt:
            self.say("interrupted")
            raise SystemExit(130)
        if self.failed and exception is None:
            raise SystemExit(1)

    def _result(self) -> list[str]:
        """The lines that a run prints at its end."""
        if self.run.as_json:
            return self._json()
        return [] if self.run.quiet else self._table()

    def _interrupt(self) -> None:
        """Stops what other processes are doing for this run."""
        if self.run.demand:
            from romforge.sources.ipxe import gnu_make

            gnu_make.interrupt_makes()

    def say(self, message: str, colour: str = RED) -> None:
        """Prints a message on standard error, above the progress.

        One without a colour is no problem, and a quiet run does not say it.
        """
        if self.run.quiet and not colour:
            return
        if self.progress is not None:
            self.progress.stop()
        first, *rest = message.split("\n")
        painted = paint("romforge:", colour, bool(colour) and wants_colours(sys.stderr))
        lines = [f"{painted} {first}", *rest]
        # In one call, since other processes may print too.
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        if self.progress is not None:
            self.progress.start()

    def _json(self) -> list[str]:
        """The entries of the manifests, in the order of the spec, which are JSON already."""
        from romforge.base.json_document import FORMAT

        entries = self.run.entries
        rows = [entries[rom.path] for rom in self.run.plan.roms() if rom.path in entries]
        sources = json.dumps({**self.run.trees(), **self.run.got})
        names = [file.name for file in self.run.plan.files if file.name in self.run.files]
        files = ", ".join(self.run.files[name] for name in names)
        head = f'{{"format": {FORMAT}, "sources": {sources}, "files": [{files}], "roms": ['
        return [head, ",\n".join(rows), "]}"]

    def _table(self) -> list[str]:
        """The table of sizes, and the line that sums up the run."""
        run = self.run
        entries = {
            rom.path: run.entries[rom.path] for rom in run.plan.roms() if rom.path in run.entries
        }
        changes: dict[str, str] = {}
        if self.built:  # a run that built nothing must not take longer
            changes = size_table.since_lock(run.plan, entries)
        colour = wants_colours(self.outstream)
        lines = size_table.size_table_lines(entries, run.failed, changes, colour)
        lines += _file_lines(run)
        lines += [f"removed {path}, which the spec no longer asks for" for path in run.removed]
        done = self.built + self.built_files
        up_to_date = len(run.entries) - len(run.failed) + len(run.files) - done
        failed = len(run.failed) + sum(name.startswith(_FILE) for name in self.failed)
        if not entries and run.got:
            return [*lines, *_got_lines(run.got)]
        counts = [f"{done} built", f"{up_to_date} up to date", f"in {run.out}"]
        if failed:
            counts.insert(0, f"{failed} failed")
        counts += map(_tree_words, run.trees().items())
        lines.append(", ".join(counts))
        return lines


def _file_lines(run: BuildRun) -> list[str]:
    """The files that are no ROMs, with their bytes."""
    names = [file.name for file in run.plan.files if file.name in run.files]
    if not names:
        return []
    columns = [Column("file", is_path=True), Column("what"), Column("bytes", right=True)]
    rows = []
    for name in names:
        entry = json.loads(run.files[name])
        what = f"{entry['goal']} of {entry['platform']}"
        rows.append([entry["file"], what, f"{entry['size']:,}"])
    return render_table(columns, rows, terminal_width())


def _got_lines(got: Mapping[str, SourceFacts]) -> list[str]:
    """What a run got that built nothing: a line for each source."""
    lines = []
    for name, source in got.items():
        what = source.get("revision") or source.get("deb", "")
        lines.append(f"got {name}: {what}")
        if "tree" in source:
            lines.append(f"  in {relative_path(source['tree'])}")
    return lines


def _tree_words(tree: tuple[str, SourceFacts]) -> str:
    """Which tree of a source was built: ``ipxe is pinned 12798ec29aa8``."""
    name, source = tree
    if source["kind"] == "pinned":
        return f"{name} is the pinned {shorten_digests(source['revision'])}"
    path = shipped_files.shown_path(source["tree"])
    return f"{name} is {path}" + (", the fallback" if source["kind"] == "fallback" else "")


def closure(tasks: dict[str, Any], selected: list[str]) -> set[str]:
    """The tasks that were selected, and all that they depend on."""
    names: set[str] = set()
    remaining = list(selected)
    while remaining:
        name = remaining.pop()
        if name not in names and name in tasks:
            names.add(name)
            remaining += tasks[name].task_dep
    return names
