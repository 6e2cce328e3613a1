# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the cause of a failure in make's output: the target and the message of the tool.

Make runs several recipes at once, so their output is mixed. With ``-Oline`` make prints the output
of each command in one piece. If a command fails, make's own line with three stars follows:

      [BUILD] bin/a.o
      [BUILD] bin/b.o
    core/a.c:3:1: warning: …
    core/b.c:7:3: error: …
    make: *** [Makefile:9: bin/b.o] Error 1

The lines between the last progress line and the stars therefore belong to the command that failed,
and possibly to commands that ended just before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MOST_LINES = 7  # of a tool's output that are shown

_PROGRESS = re.compile(r"\s*\[[A-Z0-9_-]+\](?: |$)")
# Lines of make that do not report a failure. With -O, "Deleting file" comes before the output of
# the tool that failed.
_OTHER_LINES_OF_MAKE = re.compile(
    r"make(?:\[\d+\])?: (?:(?:Entering|Leaving) directory |Target .* not remade |warning: "
    r"|\*\*\* Deleting file |\*\*\* Waiting for unfinished jobs)"
)
# A compiler launcher reports on its servers before it compiles on this machine.
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
    """The target that failed first, and the lines that say why.

    ``target`` is empty where make names none.
    """

    target: str
    lines: tuple[str, ...]


def first_failure(output: str) -> Failure:
    """The first failure in the output of a make; without a line with stars, the last lines."""
    block: list[str] = []
    launcher: list[str] = []
    for line in map(str.rstrip, output.splitlines()):
        if _PROGRESS.match(line):
            block = []
        elif not line or _OTHER_LINES_OF_MAKE.match(line):
            continue
        elif _LAUNCHER.match(line):
            launcher.append(line)
        elif stars := _STARS.match(line):
            return _failure(block or launcher, line, stars["text"])
        else:
            block.append(line)
    return Failure("", tuple(block or launcher))


def _failure(block: list[str], line: str, stars: str) -> Failure:
    """The failure that make reports in ``line``; ``stars`` is its text behind the stars."""
    if match := _RECIPE_FAILED.match(stars):
        return Failure(match["target"], tuple(block or [line]))
    lines = (*block[-MOST_LINES + 1 :], line)
    if match := _NO_RULE.match(stars):
        return Failure(match["target"], lines)
    return Failure("", lines)


class Message(NamedTuple):
    """A message of a compiler, an assembler or a linker, or one line of another tool.

    ``context`` has the lines before the message that say where it occurs (``In function …``).
    ``details`` has the source line, notes and other lines below it.
    """

    kind: str | None  # "error" or "warning"
    context: tuple[str, ...]
    line: str
    details: tuple[str, ...] = ()

    def source_lines(self) -> tuple[str, ...]:
        """The source line that a compiler shows, and the marks under it."""
        lines = [line for line in self.details if _SOURCE_LINE.match(line)]
        return tuple(lines[:2])


def parse_messages(lines: Sequence[str]) -> list[Message]:
    """Groups lines into messages; a note belongs to the message before it."""
    messages: list[Message] = []
    context: list[str] = []
    for line in lines:
        match = _MESSAGE.match(line)
        kind = match["kind"].lower() if match else None
        is_detail = kind == "note" or (kind is None and line[0].isspace())
        if _CONTEXT.match(line):
            context.append(line)
        elif is_detail and messages:
            last = messages[-1]
            messages[-1] = last._replace(details=(*last.details, *context, line))
            context = []
        else:
            messages.append(Message(kind, tuple(context), line))
            context = []
    return messages + [Message(None, (), line) for line in context]


def stopped_by_warnings(lines: Sequence[str]) -> bool:
    """Whether a command failed only because warnings are treated as errors."""
    if not any(_WARNINGS_ARE_ERRORS.search(line) for line in lines):
        return False
    for message in parse_messages(lines):
        if message.kind == "error" and not _WARNINGS_ARE_ERRORS.search(message.line):
            return False
    return True


def shorten(lines: Sequence[str]) -> list[str]:
    """At most MOST_LINES lines that show the cause.

    Repeated messages are dropped first: distcc compiles again here what failed elsewhere. Then
    warnings that stopped nothing, which may be another command's. Then details, such as notes.
    Last, the messages in the middle.
    """
    messages = _without_harmless_warnings(list(dict.fromkeys(parse_messages(lines))))
    complete: list[str] = []
    with_source: list[str] = []
    for message in messages:
        complete += [*message.context, message.line, *message.details]
        with_source += [message.line, *message.source_lines()]
    first_lines = [message.line for message in messages]
    for form in (complete, with_source, first_lines):
        if len(form) <= MOST_LINES:
            return form
    return _without_middle(first_lines)


def _without_harmless_warnings(messages: list[Message]) -> list[Message]:
    """The messages without warnings, if another message is an error in its own right."""
    others = [message for message in messages if message.kind != "warning"]
    if all(_WARNINGS_ARE_ERRORS.search(message.line) for message in others):
        return messages
    return others


def _without_middle(lines: list[str]) -> list[str]:
    """The first and the last of more than MOST_LINES lines, and the number of those left out."""
    tail = MOST_LINES // 2
    head = MOST_LINES - tail - 1
    left_out = len(lines) - head - tail
    return [*lines[:head], f"… {left_out} more lines in the log …", *lines[-tail:]]
