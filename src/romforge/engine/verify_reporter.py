# SPDX-License-Identifier: GPL-2.0-or-later
"""What `verify` shows and leaves: a matrix of ROMs and proofs while it runs and at its end, JSON, and JUnit's XML."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from romforge.base import output_files
from romforge.base.table import BOLD, DIM, RED, Column, paint, render_table, wants_colours
from romforge.engine.build_reporter import Reporter
from romforge.verify.cases import Proof

_PREFIX = "verify:"
PASSED, FAILED, NOT_RUN, RUNNING = "passed", "failed", "not run", "running"


class Outcome(NamedTuple):
    """Of a proof: its state, what was seen or went wrong, seconds, whether that was in an earlier run, and its calls."""

    state: str
    text: str = ""
    seconds: float = 0
    before: bool = False
    calls: Sequence[Sequence[Any]] = ()  # of a network interface: name, status, what came of it

    def cell(self) -> str:
        """A few characters for the matrix."""
        if self.state == PASSED:
            return "ok before" if self.before else f"ok {self.seconds:.1f} s"
        return {FAILED: "FAILED", NOT_RUN: "not run", RUNNING: "…"}[self.state]


class Matrix(Reporter):
    """The reporter of a run with proofs; ``junit`` is a file to write."""

    desc = "romforge: the proofs of each ROM"
    proofs: ClassVar[Sequence[Proof]] = ()
    junit: ClassVar[Path | None] = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.outcomes: dict[str, Outcome] = {}
        self.selected: list[Proof] = []

    def initialize(self, tasks: dict[str, Any], selected: list[str]) -> None:
        from romforge.engine.build_reporter import closure

        wanted = closure(tasks, selected)
        self.selected = [proof for proof in self.proofs if proof.task in wanted]
        super().initialize(tasks, selected)

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

    def add_success(self, task: Any) -> None:
        super().add_success(task)
        if task.name.startswith(_PREFIX):
            self.outcomes[task.name] = _outcome(task, before=False)

    def add_failure(self, task: Any, fail: Any) -> None:
        if task.name.startswith(_PREFIX):
            unmet = fail.get_name() == "UnmetDependency"
            text = (
                fail.message
                if fail.get_name() in ("TaskFailed", "UnmetDependency")
                else fail.get_msg()
            )
            self.outcomes[task.name] = (
                Outcome(NOT_RUN, f"not run: {text} failed") if unmet else Outcome(FAILED, text)
            )
        super().add_failure(task, fail)

    def complete_run(self) -> None:
        for task in self.done:
            if task.name.startswith(_PREFIX) and task.name not in self.outcomes:
                self.outcomes[task.name] = _outcome(task, before=True)
        if self.junit and sys.exc_info()[0] is None:
            output_files.replace_file(self.junit, _junit(self._rows()))
        super().complete_run()

    def _interrupt(self) -> None:
        super()._interrupt()
        from romforge.verify import qemu

        qemu.interrupt_guests()

    def _rows(self) -> list[dict[str, Any]]:
        found = []
        for proof in self.selected:
            outcome = self.outcomes.get(proof.task) or Outcome(NOT_RUN)
            row = {
                "rom": proof.rom,
                "nic": proof.nic,
                "column": proof.column,
                "kind": proof.kind,
                "control": proof.control,
            }
            row |= outcome._asdict()
            if not outcome.calls:
                del row["calls"]
            found.append(row)
        return found

    def _json(self) -> list[str]:
        return [json.dumps(self._rows(), indent=1)]

    def _table(self) -> list[str]:
        states = [row["state"] for row in self._rows()]
        before = sum(row["before"] for row in self._rows())
        told = [f"{states.count(FAILED)} failed"] if FAILED in states else []
        told += [f"{states.count(NOT_RUN)} not run"] if NOT_RUN in states else []
        told += [f"{states.count(PASSED) - before} proven", f"{before} proven before"]
        sizes = super()._table() if self.built or self.bad else []
        return [*sizes[:-1], *self.lines(), f"{', '.join(told)}, in {self.out}"]

    def lines(self) -> list[str]:
        """The matrix: a line for each ROM, a column for each kind of proof; of controls a line each."""
        if any(proof.control for proof in self.selected):
            titles = ["file", "proof", "control", ""]
            rows = [
                [proof.rom, proof.column, proof.control, self._cell(proof)]
                for proof in self.selected
            ]
        else:
            columns = list(dict.fromkeys(proof.column for proof in self.selected))
            titles = ["file", *columns]
            by_rom: dict[str, dict[str, str]] = {}
            for proof in self.selected:
                by_rom.setdefault(proof.rom, {})[proof.column] = self._cell(proof)
            rows = [
                [rom, *(cells.get(column, "-") for column in columns)]
                for rom, cells in by_rom.items()
            ]
        colour = wants_colours(self.outstream)
        lines = render_table([Column(title) for title in titles], rows) if rows else []
        lines[:2] = [paint(lines[0], BOLD, colour), paint(lines[1], DIM, colour)] if lines else []
        return [paint(line, RED, colour and "FAILED" in line) for line in lines]

    def _cell(self, proof: Proof) -> str:
        return self.outcomes.get(proof.task, Outcome(NOT_RUN)).cell()


def _outcome(task: Any, before: bool) -> Outcome:
    proof = json.loads(task.values["proof"])
    return Outcome(PASSED, proof["seen"], proof["seconds"], before, proof.get("calls", ()))


def _junit(rows: list[dict[str, Any]]) -> bytes:
    """The outcomes as JUnit's XML, a test case each."""
    from xml.etree import ElementTree

    count = {state: str(sum(row["state"] == state for row in rows)) for state in (FAILED, NOT_RUN)}
    suite = ElementTree.Element(
        "testsuite",
        name="romforge verify",
        tests=str(len(rows)),
        failures=count[FAILED],
        errors=count[NOT_RUN],
    )
    for row in rows:
        name = f"{row['column']}: {row['control']}" if row["control"] else row["column"]
        case = ElementTree.SubElement(
            suite, "testcase", classname=row["rom"], name=name, time=f"{row['seconds']:.2f}"
        )
        if row["state"] in (FAILED, NOT_RUN):
            text = "".join(one if one.isprintable() or one == "\n" else "?" for one in row["text"])
            kind = "failure" if row["state"] == FAILED else "error"
            ElementTree.SubElement(case, kind, message=text.partition("\n")[0]).text = text
        else:
            ElementTree.SubElement(case, "system-out").text = row["text"]
    ElementTree.indent(suite)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"
