# SPDX-License-Identifier: GPL-2.0-or-later
"""Lets a doit's command line name tasks as romforge's commands do, and tells near misses alike."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doit.cmd_base import NamespaceTaskLoader

from romforge.base.errors import UsageError
from romforge.engine.tasks import TaskGraph
from romforge.plan.names import Names


def accept_names(graph: TaskGraph, start: Path, commands: Sequence[str]) -> None:
    """Makes this doit replace short names on its command line by those of tasks.

    A doit gives a dodo.py no part in reading its command line, so the method is replaced by which
    it loads tasks: that has the words which doit took for tasks, and the command. ``start`` is
    where the user started doit. ``commands`` are romforge's, which are no tasks.
    """
    load = NamespaceTaskLoader.load_tasks

    def load_tasks(loader: Any, cmd: Any, pos_args: list[str]) -> Any:
        if cmd.outstream is None:  # it took a standard output that is closed, before the dodo.py
            cmd.outstream = sys.stdout
        tasks = load(loader, cmd, pos_args)
        try:
            # In place, since the command has this list.
            names = _Words(graph, start, loader.cmd_names, tasks)
            pos_args[:] = [names.task_of(word, commands) for word in pos_args]
        except UsageError as error:
            print(f"romforge: {error}", file=sys.stderr)
            raise SystemExit(error.exit_status) from None
        return tasks

    NamespaceTaskLoader.load_tasks = load_tasks


class _Words:
    """The words of a command line of doit, and the tasks that they stand for."""

    def __init__(
        self, graph: TaskGraph, start: Path, doit_commands: Sequence[str], tasks: Sequence[Any]
    ) -> None:
        self._known = {task.name for task in tasks}
        self._targets: set[str] = set()
        for task in tasks:
            self._targets.update(task.targets)
        self._names = Names(graph.plan, graph.out, start, more=self._known, similar=doit_commands)

    def task_of(self, word: str, commands: Sequence[str]) -> str:
        """The task; raises UsageError. Patterns, and files that doit knows, are left to doit."""
        if "*" in word:
            return word
        if word in self._targets and not word.endswith(".rom"):
            return word
        if word in commands and word not in self._known:
            raise UsageError(f'"{word}" is a command of romforge; run `romforge {word}`')
        return self._names.task_of(word)
