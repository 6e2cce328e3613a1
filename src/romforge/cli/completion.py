# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion of a command line: what may come next, from the parser and the spec, and how each shell is told.

The scripts in ``shells`` ask ``romforge __complete SHELL WORD…``, whose last word is the one at the cursor. It prints a kind
(``words``, ``files`` or ``directories``; the latter two are left to the shell), and then words, one a line.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import plural

if TYPE_CHECKING:
    from romforge.plan.planner import Plan
    from romforge.spec.model import Spec

_WORDS, _FILES, _DIRECTORIES = "words", "files", "directories"
_SELECTION, _SETS = "SELECTION", "[NAME=]SET"  # metavars of the parser
_OF_WHY = "what", "image"  # arguments
_OF_ROMS = "verify", "lock"  # commands whose selections are ROMs, and no steps before these
_SPECIAL = re.compile(r"([^\w@%+/.,:=^-])")  # to a bash outside quotes
_DOUBLE = re.compile(r'([\\"$`])')  # within "


class Found(NamedTuple):
    """What may come next: words, each with what it is, or files behind the first ``skip`` characters."""

    kind: str
    words: dict[str, str]
    skip: int = 0


class _Before(NamedTuple):
    """What the words before the cursor say."""

    parser: argparse.ArgumentParser
    given: dict[str, str]  # the values of options, by name
    open: argparse.Action | None  # the option whose value comes next
    rest: list[argparse.Action]  # positional arguments that are still wanted
    ended: bool  # by --


def completion_script(shell: str) -> str:
    """The script that makes a shell ask us."""
    return (Path(__file__).parent / "shells" / f"romforge.{shell}").read_text()


def answer_completion(parser: argparse.ArgumentParser, shell: str, *given: str) -> int:
    """Prints what may come next, if anything may."""
    line, keep, quote = _joined(given) if shell == "bash" else (given, "", "")
    found = find_completions(parser, line)
    words = [
        word
        for word in found.words
        if word.isprintable() and (shell != "bash" or word.startswith(line[-1]))
    ]
    if words or found.kind != _WORDS:
        print(found.kind, *([found.skip] if found.kind == _FILES and shell == "zsh" else []))
    for word in words:
        about = found.words[word]
        if shell == "zsh":
            print(re.sub(r"([\\:])", r"\\\1", word) + (f":{about}" if about else ""))
        elif shell == "fish":
            print(f"{word}\t{about}")
        else:
            print(_quoted(word[len(keep) :], quote))
    return 0


def find_completions(parser: argparse.ArgumentParser, words: Sequence[str]) -> Found:
    """What may come in the place of the last word."""
    *before, word = words
    read = _read(parser, before)
    if not read:
        return Found(_WORDS, {})
    if read.open:
        return _values(read, read.open, word)
    if word.startswith("-") and not read.ended:
        name, equals, _ = word.partition("=")
        option = _options(read.parser).get(name)
        if equals:
            return (
                _values(read, option, word, f"{name}=")
                if option and option.nargs != 0
                else Found(_WORDS, {})
            )
        return Found(_WORDS, _unused(read))
    if read.rest:
        return _values(read, read.rest[0], word)
    return Found(_WORDS, {} if read.ended else _unused(read))


def _read(parser: argparse.ArgumentParser, words: Sequence[str]) -> _Before | None:
    """Reads the words before the cursor as argparse would; None where there is no such command."""
    read = _Before(parser, {}, None, _positionals(parser), False)
    for word in words:
        if read.open:
            read.given[read.open.dest] = word
            read = read._replace(open=None)
        elif word == "--" and not read.ended:
            read = read._replace(ended=True)
        elif word.startswith("-") and not read.ended:
            name, equals, value = word.partition("=")
            if option := _options(read.parser).get(name):
                read.given[option.dest] = value
                read = read._replace(open=option if option.nargs != 0 and not equals else None)
        elif read.rest and isinstance(read.rest[0], argparse._SubParsersAction):
            command = read.rest[0].choices.get(word)
            if not command:
                return None
            read = _Before(command, {}, None, _positionals(command), False)
        elif read.rest and read.rest[0].nargs not in ("*", "+"):
            read = read._replace(rest=read.rest[1:])
    return read


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {name: action for action in parser._actions for name in action.option_strings}


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _unused(read: _Before) -> dict[str, str]:
    """The options that may still be given."""
    spent = {
        name for name in read.given if not isinstance(_by_dest(read)[name], argparse._AppendAction)
    }
    for group in read.parser._mutually_exclusive_groups:
        names = {action.dest for action in group._group_actions}
        spent |= names if names & spent else set()
    return {
        name: action.help or ""
        for name, action in _options(read.parser).items()
        if action.dest not in spent
    }


def _by_dest(read: _Before) -> dict[str, argparse.Action]:
    return {action.dest: action for action in read.parser._actions}


def _values(read: _Before, action: argparse.Action, word: str, prefix: str = "") -> Found:
    """The values of an argument, each behind ``prefix``."""
    if action.metavar == _SELECTION or action.dest in _OF_WHY:
        names = _images(read) if action.dest in _OF_WHY else _selections(read, word)
        return Found(_WORDS, {prefix + name: about for name, about in names.items()})
    if action.metavar == "DIR":
        return Found(_DIRECTORIES, {}, len(prefix))
    if action.metavar == _SETS:
        return Found(
            _FILES,
            {},
            len(prefix)
            + len(word[len(prefix) :].rpartition("=")[0])
            + ("=" in word[len(prefix) :]),
        )
    if action.type is Path:
        return Found(_FILES, {}, len(prefix))
    if isinstance(action, argparse._SubParsersAction):
        return Found(_WORDS, {one.dest: one.help or "" for one in action._choices_actions})
    return Found(_WORDS, {f"{prefix}{choice}": "" for choice in action.choices or ()})


def _planned(read: _Before) -> tuple[Spec, Plan] | None:
    """The spec at hand, and its plan; None where it is wrong or missing."""
    from romforge.plan import planner
    from romforge.spec import loader

    path = Path(read.given.get("spec") or read.parser.get_default("spec")).expanduser()
    try:
        spec = loader.load_spec(path)
    except RomforgeError:
        return None
    return spec, planner.make_plan(spec)


def _selections(read: _Before, word: str) -> dict[str, str]:
    """What the spec has to select, for a command."""
    planned = _planned(read)
    if not planned:
        return {}
    command, (spec, plan) = read.parser.prog.rpartition(" ")[2], planned
    found = {"all": "every target"} | dict(_tasks(spec, plan, steps=command not in _OF_ROMS))
    if word:  # the paths alone are the same again
        found |= {rom.path: found[rom.task] for rom in plan.roms()}
    if (
        command == "verify" and word and ("verify:".startswith(word) or word.startswith("verify:"))
    ):  # there are many
        found |= _proofs(spec, plan, controls="controls" in read.given)
    return found


def _images(read: _Before) -> dict[str, str]:
    """The ROMs and images that `why` tells of."""
    planned = _planned(read)
    if not planned:
        return {}
    roms = {rom.path: " + ".join(pick.platform for pick in rom.picks) for rom in planned[1].roms()}
    return roms | {
        f"{make.platform}/{goal}": f"{make.bin}/{goal}.{make.media}"
        for make in planned[1].makes
        for goal in make.goals
    }


def _tasks(spec: Spec, plan: Plan, steps: bool) -> Iterator[tuple[str, str]]:
    for nic in plan.nics():
        yield f"nic:{nic}", f"ROMs of {spec.nic[nic].id}"
    for target, roms in plan.targets.items():
        yield (
            f"target:{target}",
            f"{plural(len(roms), 'ROM')} in {spec.target[target].dir}",
        )
    for rom in plan.roms():
        yield rom.task, " + ".join(pick.platform for pick in rom.picks)
    if steps:
        yield from ((make.task, f"the images of {make.bin}") for make in plan.makes)
        yield from (
            (fetch.task, f"the ROM files of {fetch.package or fetch.deb}") for fetch in plan.fetches
        )


def _proofs(spec: Spec, plan: Plan, controls: bool) -> dict[str, str]:
    from romforge.engine import staleness
    from romforge.verify import cases, corruptions

    made: Sequence[Any] = cases.make_proofs(spec, plan, staleness.replaced_sources(plan))
    return {
        proof.task: proof.kind for proof in (corruptions.add_controls(made) if controls else made)
    }


def _joined(parts: Sequence[str]) -> tuple[list[str], str, str]:
    """The words of a bash, which breaks them at : and =; what of the last one bash keeps, and the quote that is open in it."""
    raw: list[str] = []
    for part in parts:
        if raw and (re.fullmatch("[:=]+", part) or raw[-1].endswith((":", "="))):
            raw[-1] += part
        else:
            raw.append(part)
    word, quote = _unquoted(raw[-1])
    broken = "" if re.fullmatch("[:=]+", parts[-1]) else parts[-1]
    keep, _ = _unquoted(raw[-1][: len(raw[-1]) - len(broken)])
    return [*(_unquoted(one)[0] for one in raw[:-1]), word], keep, quote


def _unquoted(raw: str) -> tuple[str, str]:
    """What a word of a shell means, and the quote that is open at its end."""
    text, quote, rest = "", "", iter(raw)
    for one in rest:
        if one == quote or (not quote and one in "'\""):
            quote = "" if quote else one
        elif one == "\\" and quote != "'":
            following = next(rest, "")
            text += following if not quote or following in '\\"$`' else one + following
        else:
            text += one
    return text, quote


def _quoted(text: str, quote: str) -> str:
    """A text as it must stand in a bash's command line, behind an open quote."""
    if quote == "'":
        return text.replace("'", "'\\''")
    return (_DOUBLE if quote else _SPECIAL).sub(r"\\\1", text)
