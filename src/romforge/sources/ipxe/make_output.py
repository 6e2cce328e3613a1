# SPDX-License-Identifier: GPL-2.0-or-later
"""What make's output says of a failure: which target failed, and the words of the tool that failed.

Make runs several recipes at once, so their output is mixed. With ``-Oline`` it prints what one
command said in one piece, followed by its own line with three stars:

      [BUILD] bin/a.o
      [BUILD] bin/b.o
    core/a.c:3:1: warning: …
    core/b.c:7:3: error: …
    make: *** [Makefile:9: bin/b.o] Error 1

So the words between the last progress line and the stars are those of the command that failed, and
perhaps of others that ended just before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MOST_LINES = 7  # of a tool's words

_PROGRESS = re.compile(r"\s*\[[A-Z0-9_-]+\](?: |$)")
# Make's comings and goings, and what it does after an error. With -O, "Deleting file" comes before
# the words of the tool that failed.
_OTHER_WORDS_OF_MAKE = re.compile(
    r"make(?:\[\d+\])?: (?:(?:Entering|Leaving) directory |Target .* not remade |warning: "
    r"|\*\*\* Deleting file |\*\*\* Waiting for unfinished jobs)"
)
# A compiler launcher speaks of its servers before it compiles on this machine.
_LAUNCHER = re.compile(r"(?:distcc|ICECC|icecc|ccache|sccache)(?:\[\d+\])?[: ]")
_STARS = re.compile(r"(?:make(?:\[\d+\])?|[^\s:]+:\d+): \*\*\* (?P<text>.*)")
_RECIPE_FAILED = re.compile(r"\[[^\]]*?(?P<target>[^\s:\]]+)\] ")
_NO_RULE = re.compile(r"No rule to make target ['`](?P<target>[^']+)'")

_KIND = r"(?:fatal )?(?P<kind>error|warning|note)"
_MESSAGE = re.compile(rf"[^\s:][^:]*(?::\d+)*: {_KIND}: ", re.IGNORECASE)
_CONTEXT = re.compile(
    r"In file included from |\s+from |In function |\s+inlined from "
    r"|\S.*: (?:In function|in function|At top level|Assembler messages:)"
)
_SOURCE_LINE = re.compile(r"\s*\d* \| ")
_WARNINGS_ARE_ERRORS = re.compile(r"(?:being treated|treating warnings) as errors|\[-Werror")


class Failure(NamedTuple):
    """The target that failed first (empty where make names none), and the lines that say why."""

    target: str
    lines: tuple[str, ...]


def first_failure(output: str) -> Failure:
    """The first failure in the output of a make; of an output without stars, its last words."""
    block: list[str] = []
    launcher: list[str] = []
    for line in map(str.rstrip, output.splitlines()):
        if _PROGRESS.match(line):
            block = []
        elif not line or _OTHER_WORDS_OF_MAKE.match(line):
            continue
        elif _LAUNCHER.match(line):
            launcher.append(line)
        elif stars := _STARS.match(line):
            return _failure(block or launcher, line, stars["text"])
        else:
            block.append(line)
    return Failure("", tuple(block or launcher))


def _failure(block: list[str], line: str, stars: str) -> Failure:
    """The failure that make reports by ``line``, which is shown where no command said why."""
    if match := _RECIPE_FAILED.match(stars):
        return Failure(match["target"], tuple(block or [line]))
    no_rule = _NO_RULE.match(stars)
    target = no_rule["target"] if no_rule else ""
    return Failure(target, (*block[-MOST_LINES + 1 :], line))


class Message(NamedTuple):
    """A message of a compiler, an assembler or a linker, or one line of another tool.

    ``context`` are the lines before it that say where (``In function …``), ``more`` the source
    line, notes and other lines below it. ``kind`` is ``error``, ``warning``, or empty.
    """

    kind: str
    context: tuple[str, ...]
    line: str
    more: tuple[str, ...] = ()

    def source_lines(self) -> tuple[str, ...]:
        """The line of the source that a compiler shows, and the marks under it."""
        below = [line for line in self.more if _SOURCE_LINE.match(line)]
        return tuple(below[:2])


def messages(lines: Sequence[str]) -> list[Message]:
    """Puts the lines of each message together; a note belongs to the message before it."""
    found: list[Message] = []
    context: list[str] = []
    for line in lines:
        match = _MESSAGE.match(line)
        kind = match["kind"].lower() if match else ""
        below = kind == "note" or (not kind and line[0].isspace())
        if _CONTEXT.match(line):
            context.append(line)
        elif below and found:
            last = found[-1]
            found[-1] = last._replace(more=(*last.more, *context, line))
            context = []
        else:
            found.append(Message(kind, tuple(context), line))
            context = []
    return found + [Message("", (), line) for line in context]


def stopped_by_warnings(lines: Sequence[str]) -> bool:
    """Whether warnings that were made errors are all that stopped a command."""
    errors = [message.line for message in messages(lines) if message.kind == "error"]
    true_errors = [line for line in errors if not _WARNINGS_ARE_ERRORS.search(line)]
    return not true_errors and any(_WARNINGS_ARE_ERRORS.search(line) for line in lines)


def shorten(lines: Sequence[str]) -> list[str]:
    """At most MOST_LINES lines that tell the cause.

    Repeated messages go first (distcc compiles again here what failed elsewhere), and warnings
    that stopped nothing, which may be another command's. Then go details, such as notes, and what
    is in the middle.
    """
    told = list(dict.fromkeys(messages(lines)))
    others = [message for message in told if message.kind != "warning"]
    if not all(_WARNINGS_ARE_ERRORS.search(message.line) for message in others):
        told = others
    forms = [
        [line for message in told for line in (*message.context, message.line, *message.more)],
        [line for message in told for line in (message.line, *message.source_lines())],
        [message.line for message in told],
    ]
    for form in forms:
        if len(form) <= MOST_LINES:
            return form
    form = forms[-1]
    tail = MOST_LINES // 2
    head = MOST_LINES - tail - 1
    left_out = len(form) - head - tail
    return [*form[:head], f"… {left_out} more lines in the log …", *form[-tail:]]
