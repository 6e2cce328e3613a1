# SPDX-License-Identifier: GPL-2.0-or-later
"""The bar on a terminal while a build is at work, the matrix while ROMs are proven.

Imported only where there is a terminal, since rich takes its time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from romforge.rom import compression_cache
from romforge.sources.ipxe import gnu_make


def _terminal() -> Console:
    """The terminal itself: while tasks run, doit replaces ``sys.stderr``."""
    return Console(file=sys.__stderr__)


def activity_lines() -> list[str]:
    """What takes long and is going on: a line for each make, and one for compression."""
    lines = gnu_make.progress_lines()
    compressing = compression_cache.compressing_line()
    return [*lines, compressing] if compressing else lines


def _live(render: Callable[[], RenderableType]) -> Live:
    live = Live(
        get_renderable=render,
        console=_terminal(),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live


class Progress:
    """A bar over ``total`` ROMs, and a line for each make that runs."""

    def __init__(self, total: int) -> None:
        self.bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self.task = self.bar.add_task("", total=total)
        self.start()

    def _shown(self) -> Group:
        lines = []
        for line in activity_lines():
            lines.append(Text(line, style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(self.bar.get_renderable(), *lines)

    def update(self, name: str, roms: int) -> None:
        self.bar.update(self.task, description=escape(name), completed=roms)

    def start(self) -> None:
        self.live = _live(self._shown)

    def stop(self) -> None:
        self.live.stop()


class Board:
    """Lines that change while proofs run; ``lines`` gives them as they are now, with colours."""

    def __init__(self, lines: Callable[[], list[str]]) -> None:
        self.lines = lines
        self.start()

    def _text(self) -> Text:
        text = Text.from_ansi("\n".join(self.lines()))
        text.no_wrap, text.overflow = True, "crop"
        return text

    def update(self, name: str, roms: int) -> None:
        """Nothing to tell it: it looks itself."""

    def start(self) -> None:
        self.live = _live(self._text)

    def stop(self) -> None:
        self.live.stop()
