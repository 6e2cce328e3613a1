# SPDX-License-Identifier: GPL-2.0-or-later
"""What `verify` shows and leaves: a matrix of ROMs and proofs, JSON, and JUnit's XML."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypedDict, cast

from romforge.base import json_document
from romforge.base.json_document import FORMAT, Document
from romforge.base.junit import Case, State, write_junit
from romforge.base.table import (
    BOLD,
    DIM,
    RED,
    Column,
    paint,
    render_table,
    terminal_width,
    wants_colours,
)
from romforge.base.text import plural
from romforge.engine import doit_state
from romforge.engine.build_reporter import Reporter, closure
from romforge.verify.cases import Proof

_PREFIX = "verify:"
PASSED, FAILED, NOT_RUN, RUNNING = "passed", "failed", "not run", "running"
NOT_PROVABLE = "not provable here"  # the machine lacks what the proof needs
_JUNIT: dict[str, State] = {FAILED: "failure", NOT_RUN: "error", NOT_PROVABLE: "skipped"}
_CELLS = {FAILED: "FAILED", NOT_RUN: "not run", RUNNING: "…", NOT_PROVABLE: "not provable"}


class Outcome(NamedTuple):
    """The outcome of a proof: its state, what was seen or went wrong, and seconds.

    ``before`` tells that it is of an earlier run. ``calls`` are those of a network interface: name,
    status, and what was seen.
    """

    state: str
    text: str = ""
    seconds: float = 0
    before: bool = False
    calls: Sequence[Sequence[Any]] = ()

    def cell(self) -> str:
        """A few characters for the matrix."""
        if self.state == PASSED:
            return "ok before" if self.before else f"ok {self.seconds:.1f} s"
        return _CELLS[self.state]


class _ProofFacts(TypedDict):
    """What is known of each proof."""

    rom: str
    nic: str
    column: str
    kind: str
    control: str
    state: str
    text: str
    seconds: float
    before: bool


class ProofRow(_ProofFacts, total=False):
    """A proof: its ROM, its column of the matrix, and its outcome.

    ``state`` is "passed", "failed", "not run" or "not provable here". ``before`` tells that it is
    of an earlier run. ``calls`` are those of a network interface: name, status, what was seen.
    """

    calls: Sequence[Sequence[str | int]]


class VerifyDocument(Document):
    """What `verify --json` prints: the selected proofs, in the order of the spec."""

    proofs: list[ProofRow]


class ProofReporter(Reporter):
    """The reporter of a run with proofs."""

    desc = "romforge: the proofs of each ROM"

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self.outcomes: dict[str, Outcome] = {}
        self.selected: list[Proof] = []
        self.consoles: dict[str, str] = {}  # their ends, of proofs that failed

    def initialize(self, tasks: dict[str, Any], selected: list[str]) -> None:
        super().initialize(tasks, selected)
        names = closure(tasks, selected)
        self.selected = [proof for proof in self.run.proofs if proof.task in names]

    def _takes_long(self) -> bool:
        return True

    def execute_task(self, task: Any) -> None:
        if task.name.startswith(_PREFIX):
            self.outcomes[task.name] = Outcome(RUNNING)
        super().execute_task(task)

    def _show(self, task: Any) -> None:
        if self.progress is None:
            from romforge.engine.progress import Board

            self.progress = Board(self.lines)

    def _activity(self) -> list[str]:
        running = [name for name, one in self.outcomes.items() if one.state == RUNNING]
        return [*super()._activity(), *running]

    def _tell_done(self, task: Any) -> None:
        super()._tell_done(task)
        if self.heartbeat is not None and task.name.startswith(_PREFIX):
            count = len(self.outcomes)
            self.heartbeat.tell(f"{task.name}: done ({count} of {len(self.selected)} proofs)")

    def add_success(self, task: Any) -> None:
        super().add_success(task)
        if not task.name.startswith(_PREFIX):
            return
        outcome = _outcome(task, before=False)
        self.outcomes[task.name] = outcome
        if outcome.state == NOT_PROVABLE and self.run.strict:
            self.failed.append(task.name)

    def add_failure(self, task: Any, fail: Any) -> None:
        if task.name.startswith(_PREFIX):
            self.outcomes[task.name] = _failure(fail)
            self.consoles[task.name] = getattr(fail, "console", "")
        super().add_failure(task, fail)

    def complete_run(self) -> None:
        for task in self.done:
            if task.name.startswith(_PREFIX) and task.name not in self.outcomes:
                self.outcomes[task.name] = _outcome(task, before=True)
        if sys.exc_info()[0] is None and self.run.junit:
            self._write_junit(self.run.junit)
        super().complete_run()

    def _write_junit(self, path: Path) -> None:
        cases = []
        for proof, row in zip(self.selected, self._rows()):
            cases.append(_junit_case(row, self.consoles.get(proof.task, "")))
        write_junit(path, "romforge verify", cases)

    def _interrupt(self) -> None:
        super()._interrupt()
        from romforge.verify import qemu

        qemu.interrupt_guests()

    def _rows(self) -> list[dict[str, Any]]:
        rows = []
        for proof in self.selected:
            outcome = self.outcomes.get(proof.task) or Outcome(NOT_RUN)
            row: dict[str, Any] = {
                "rom": proof.rom,
                "nic": proof.nic,
                "column": proof.column,
                "kind": proof.kind,
                "control": proof.control or "",
                **outcome._asdict(),
            }
            if not outcome.calls:
                del row["calls"]
            rows.append(row)
        return rows

    def _json(self) -> list[str]:
        document = VerifyDocument(format=FORMAT, proofs=cast("list[ProofRow]", self._rows()))
        return [json_document.to_text(document)]

    def _table(self) -> list[str]:
        states = [row["state"] for row in self._rows()]
        before = sum(row["before"] for row in self._rows())
        counts = [
            f"{states.count(state)} {state}"
            for state in (FAILED, NOT_RUN, NOT_PROVABLE)
            if state in states
        ]
        counts += [f"{states.count(PASSED) - before} proven", f"{before} proven before"]
        lines = [*self.lines(), *self._lacks(), f"{', '.join(counts)}, in {self.run.out}"]
        if self.built or self.run.failed:
            sizes = super()._table()
            lines = [*sizes[:-1], *lines]
        return lines

    def _lacks(self) -> list[str]:
        """What this machine lacks: a line for each reason, with the number of proofs."""
        reasons = Counter(row["text"] for row in self._rows() if row["state"] == NOT_PROVABLE)
        lines = []
        for reason, count in reasons.items():
            lines.append(f"{plural(count, 'proof')} not provable here: {reason}")
        return lines

    def lines(self) -> list[str]:
        """The matrix: a line for each ROM, a column for each kind of proof.

        A line for each control.
        """
        if any(proof.control for proof in self.selected):
            titles = ["file", "proof", "control", ""]
            rows = [
                [proof.rom, proof.column, proof.control or "", self._cell(proof)]
                for proof in self.selected
            ]
        else:
            titles, rows = self._matrix()
        if not rows:
            return []
        colour = wants_colours(self.outstream)
        columns = [Column(title, is_path=title == "file") for title in titles]
        title, rule, *lines = render_table(columns, rows, terminal_width(self.outstream))
        painted = [paint(title, BOLD, colour), paint(rule, DIM, colour)]
        painted += [paint(line, RED, colour and "FAILED" in line) for line in lines]
        return painted

    def _matrix(self) -> tuple[list[str], list[list[str]]]:
        """The titles, and a row for each ROM."""
        columns = list(dict.fromkeys(proof.column for proof in self.selected))
        cells_by_rom: dict[str, dict[str, str]] = {}
        for proof in self.selected:
            cells_by_rom.setdefault(proof.rom, {})[proof.column] = self._cell(proof)
        rows = []
        for rom, cells in cells_by_rom.items():
            rows.append([rom, *(cells.get(column, "-") for column in columns)])
        return ["file", *columns], rows

    def _cell(self, proof: Proof) -> str:
        return self.outcomes.get(proof.task, Outcome(NOT_RUN)).cell()


def _failure(fail: Any) -> Outcome:
    """The outcome of a proof that failed, or was not run since something it depends on failed."""
    if fail.get_name() == "UnmetDependency":
        return Outcome(NOT_RUN, f"not run: {fail.message} failed")
    if fail.get_name() == "TaskFailed":
        return Outcome(FAILED, fail.message, getattr(fail, "seconds", 0))
    return Outcome(FAILED, fail.get_msg())


def _outcome(task: Any, before: bool) -> Outcome:
    lack = task.values.get(doit_state.NOT_PROVABLE)
    if lack is not None:
        return Outcome(NOT_PROVABLE, lack)
    proof = json.loads(task.values["proof"])
    return Outcome(PASSED, proof["seen"], proof["seconds"], before, proof.get("calls", ()))


def _junit_case(row: dict[str, Any], console: str) -> Case:
    """A proof as a test case, with the end of its guest's console."""
    name = f"{row['column']}: {row['control']}" if row["control"] else row["column"]
    state = _JUNIT.get(row["state"], "passed")
    return Case(row["rom"], name, state, row["text"], row["seconds"], console)
