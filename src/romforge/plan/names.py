# SPDX-License-Identifier: GPL-2.0-or-later
"""The names by which every command, and doit, can be asked for parts of a plan.

A name is a task, or short for one: a card, a target, the path of a ROM in the output root, such a
path as the shell completes it, or the end of one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from romforge.base.errors import UsageError
from romforge.base.text import did_you_mean
from romforge.plan.steps import Plan, PlanStep

_ALL = "all"
_ROM, _NIC, _TARGET, _PROOF = "rom:", "nic:", "target:", "verify:"
HINT = "name a card, a ROM file, nic:NAME, target:NAME, rom:PATH or all"


class Names:
    """Finds the task that a name stands for.

    ``out`` is the output root, ``start`` the directory that the user's paths are relative to.
    With ``roms_only``, steps that build no ROM are refused. ``more`` are further names, which stand
    for themselves. ``similar`` are names that only a near miss shows, ``hint`` is the remedy.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        start: Path = Path(),
        *,
        roms_only: bool = False,
        more: Collection[str] = (),
        similar: Collection[str] = (),
        hint: str = HINT,
    ) -> None:
        self._out = out
        self._start = start
        self._roms_only = roms_only
        self._more = more
        self._similar = similar
        self._hint = hint
        self._roms = {rom.path: rom.task for rom in plan.roms()}
        self._nics = dict.fromkeys(rom.nic for rom in plan.roms())
        self._targets = list(plan.targets)
        steps: list[PlanStep] = [*plan.fetches, *plan.pinned, *plan.all_makes(), *plan.files]
        self._steps = {step.task for step in steps}
        self._tasks = {_ALL, *self._roms.values()}
        self._tasks.update(f"{_NIC}{nic}" for nic in self._nics)
        self._tasks.update(f"{_TARGET}{target}" for target in self._targets)

    def task_of(self, name: str) -> str:
        """The task, or one of ``more``; raises UsageError where there is none, or several."""
        if name in self._tasks or name in self._more:
            return name
        if name in self._steps:
            if self._roms_only:
                raise UsageError(f'"{name}" builds no ROM, which is needed here; {self._hint}')
            return name
        found = self._found(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f'"{name}" may be {" or ".join(found)}; write one of these')
        near_miss = did_you_mean(name, self._known(name))
        raise UsageError(f'the spec has no "{name}"{near_miss}; {self._hint}')

    def known_task(self, name: str) -> str | None:
        """The task of ROMs that a name stands for; None where there is none, or several."""
        if name in self._tasks:
            return name
        found = self._found(name)
        return found[0] if len(found) == 1 else None

    def _found(self, name: str) -> list[str]:
        """The tasks that a name may be short for, each once."""
        return list(dict.fromkeys(self._find(name)))

    def _find(self, name: str) -> Iterator[str]:
        """The tasks that a name is short for; a whole path of a ROM is meant before all else."""
        path = os.path.normpath(name.removeprefix(_ROM))
        for whole in (path, *self._paths_below_root(path)):
            if whole in self._roms:
                yield self._roms[whole]
                return
        if name in self._nics:
            yield f"{_NIC}{name}"
        if name in self._targets:
            yield f"{_TARGET}{name}"
        for rom, task in self._roms.items():
            if rom.endswith(f"/{path}"):
                yield task

    def _paths_below_root(self, path: str) -> Iterator[str]:
        """A path that leads into the output root, as it continues there; also by links."""
        for absolute in (os.path.abspath, os.path.realpath):
            relative = os.path.relpath(absolute(self._start / path), absolute(self._out))
            if not relative.startswith(os.pardir):
                yield relative

    def _known(self, name: str) -> list[str]:
        """The names of which a wrong one may be a near miss."""
        known = [*self._tasks, *self._nics, *self._targets, *self._roms]
        known += {os.path.basename(path) for path in self._roms}
        if not self._roms_only:
            known += self._steps
        for more in self._more:
            if name.startswith(_PROOF) or not more.startswith(_PROOF):  # proofs are many
                known.append(more)
        return sorted({*known, *self._similar})
