# SPDX-License-Identifier: GPL-2.0-or-later
"""doit's state in a file of ours: read whole or not at all, written by atomic replace.

doit's own files stop it with a traceback when they are damaged, or when the disk is full. So doit
is given a database that is empty and stays in memory, which is filled from our file when the tasks
are made, and our file is written when doit closes its database. The state only saves work: whatever
is wrong with it, the work is done again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from doit.globals import Globals

from romforge.base import output_files
from romforge.base.errors import RomforgeError
from romforge.base.output_files import STATE

STATE_FILE = f"{STATE}/state.json"
# A file that is never there: doit's JSON database then begins empty, and only its dump would write.
CONFIG = {"backend": "json", "dep_file": f"/dev/null/{STATE}"}
# A task with this value was not done, since the machine lacks what the value says. Its values have
# no digest of the step, so the next run tries again.
NOT_PROVABLE = "not_provable"
# doit's keys: what an action returned, and whether `doit ignore` named the task.
_KEYS = ("_values_:", "ignore:")

Tasks = dict[str, dict[str, Any]]


def adopt(out: Path, names: Iterable[str]) -> None:
    """Fills doit's database from the state of the output root, and takes over its writing.

    ``names`` are those of the tasks.
    """
    backend = Globals.dep_manager.backend
    before: Tasks = output_files.load_json(out, STATE_FILE) or {}
    for name, saved in before.items():
        for key, value in saved.items():
            backend.set(name, key, value)
    all_names = list(dict.fromkeys([*before, *names]))
    backend.dump = partial(_write, out, backend, all_names, before)


def _write(out: Path, backend: Any, names: list[str], before: Tasks) -> None:
    """Saves what the database holds now, unless that is what it began with."""
    tasks: Tasks = {}
    for name in names:
        saved = {}
        for key in _KEYS:
            value = backend.get(name, key)
            if value is not None:
                saved[key] = value
        if saved:
            tasks[name] = saved
    if tasks == before:
        return
    try:
        output_files.prepare_root(out)
        output_files.save_json(out, STATE_FILE, tasks)
    except RomforgeError as error:
        print(
            f"romforge: doit's state is not saved: {error}; the next run does the work again",
            file=sys.stderr,
        )
