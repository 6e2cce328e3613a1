# SPDX-License-Identifier: GPL-2.0-or-later
"""Remembers which steps failed in the last run that tried them.

doit keeps what succeeded alone. Without this, a proof that failed would look like one that was
never done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from romforge.base import fingerprint, output_files
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import FileState
from romforge.engine.build_run import FAILURES, TaskError
from romforge.engine.step_digest import step_digest

if TYPE_CHECKING:
    from romforge.engine.step_digest import TaskStep


class Failure(NamedTuple):
    """A step that failed: its digest, why, and the ROM that was tried, where it is a proof.

    Of a proof there are also the seconds that it took, and the last lines of its guest's console.
    """

    step: str
    text: str
    rom: str | None = None
    state: FileState | None = None
    seconds: float = 0
    console: str = ""

    def is_current(self, step: TaskStep, out: Path) -> bool:
        """Whether the step is still the same, and so is the ROM that was tried."""
        if self.step != step_digest(step):
            return False
        if self.rom is None:
            return True
        return fingerprint.is_unchanged(str(out / self.rom), self.state)


def failure_of(step: TaskStep, error: TaskError, out: Path) -> Failure:
    """The failure of a step that was just tried."""
    rom = getattr(step, "rom", None)  # of a proof
    state = None
    if rom is not None:
        try:
            state = fingerprint.read_file(out / rom)[1]
        except RomforgeError:
            state = None  # there is no file
    return Failure(step_digest(step), error.text, rom, state, error.seconds, error.console)


def read_failures(out: Path) -> dict[str, Failure]:
    """The failures of the last runs, by task."""
    failures = {}
    stored = output_files.load_json(out, FAILURES) or {}
    for task, (step, text, rom, state, *seconds_and_console) in stored.items():
        failed_state = fingerprint.stored_state(state)
        failures[task] = Failure(step, text, rom, failed_state, *seconds_and_console)
    return failures


def update_failures(out: Path, failed: Mapping[str, Failure], done: Collection[str]) -> None:
    """Records what failed in a run, and forgets what was ``done``; both are by task.

    What the run did not try stays: a build has no proofs. Raises RomforgeError where the file
    cannot be written.
    """
    before = read_failures(out)
    after = {task: failure for task, failure in before.items() if task not in done}
    after.update(failed)
    if after != before:
        output_files.save_json(out, FAILURES, after)
