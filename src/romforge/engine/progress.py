# SPDX-License-Identifier: GPL-2.0-or-later
"""The bar on a terminal while a build is at work, the matrix while ROMs are proven.

Imported only where there is a terminal, since rich takes its time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from romforge.rom import compression_cache
from romforge.sources.ipxe import gnu_make


def _terminal() -> Console:
    """The terminal itself: while tasks run, doit replaces ``sys.stderr``."""
    return Console(file=sys.__stderr__)


class _Doing(ProgressColumn):
    """What the makes that run say, and how far compression has come."""

    max_refresh = 0.2  # seconds

    def render(self, task: Task) -> Text:
        return Text(
            f"{gnu_make.progress_line()} {compression_cache.compressing_line()}".strip(),
            style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )


class Progress:
    """A bar over ``total`` ROMs."""

    def __init__(self, total: int) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Doing()
        self.bar = Bar(
            *columns,
            console=_terminal(),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.task = self.bar.add_task("", total=total)
        self.bar.start()

    def update(self, name: str, completed: int) -> None:
        self.bar.update(self.task, description=escape(name), completed=completed)

    def start(self) -> None:
        self.bar.start()

    def stop(self) -> None:
        self.bar.stop()


class Board:
    """Lines that change while proofs run; ``lines`` gives them as they are now, with colours."""

    def __init__(self, lines: Callable[[], list[str]]) -> None:
        self.lines = lines
        self.start()

    def _text(self) -> Text:
        text = Text.from_ansi("\n".join(self.lines()))
        text.no_wrap, text.overflow = True, "crop"
        return text

    def update(self, name: str, completed: int) -> None:
        """Nothing to tell it: it looks itself."""

    def start(self) -> None:
        self.live = Live(
            get_renderable=self._text,
            console=_terminal(),
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.live.start()

    def stop(self) -> None:
        self.live.stop()
