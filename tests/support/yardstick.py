# SPDX-License-Identifier: GPL-2.0-or-later
"""How much work something is: its processor time, in that of other work which is done beside it.

Such a ratio is much the same on a fast machine and on a slow one, idle or not. What has a limit in
seconds is a measure of ``bench/seconds.py``.
"""

from __future__ import annotations

import resource
from collections.abc import Callable


def loop() -> int:
    """Work for the interpreter: reads lists, bytes and a dictionary, and adds small integers."""
    data = bytes(index * 7919 >> 5 & 255 for index in range(4096))
    last: dict[bytes, int] = {}
    costs, total = [0] * 4097, 0
    for turn in range(8):
        for place in range(4094, -1, -1):
            best = costs[place + 1] + data[place]
            for length in range(2, 6):
                if (other := costs[min(place + length, 4096)] + (data[place] + turn & 63)) < best:
                    best = other
            costs[place] = best
            key = data[place : place + 3]
            total += last.get(key, 0)
            last[key] = place
    return total


def spent(action: Callable[[], object]) -> float:
    """The processor time of an action: of this process, and of its children that ended."""
    before = _used()
    action()
    return _used() - before


def _used() -> float:
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in both)


def ratio(
    action: Callable[[], object],
    beside: Callable[[], object] = loop,
    *,
    enough: float,
    rounds: int = 5,
) -> float:
    """What an action takes, over what the work beside it takes.

    The least of each, in turn; once that is little enough, there are no more rounds.
    """
    actions: list[float] = []
    others: list[float] = []
    for _ in range(rounds):
        others.append(spent(beside))
        actions.append(spent(action))
        others.append(spent(beside))
        if min(actions) <= enough * min(others):
            break
    return min(actions) / min(others)
