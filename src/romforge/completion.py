# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion for shells: what may come next on a command line, from the parser and the spec at hand.

``romforge completion SHELL`` prints a script that asks ``romforge complete`` at every TAB, which answers in lines: the first is
``words``, ``files`` or ``directories``, the others are words. So all that is known of commands is known here, and once.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from romforge import plan as planning
from romforge import specfile

_BASH = r"""# completion of romforge for bash
_romforge() {
  local IFS=$'\n' answer word=${COMP_WORDS[COMP_CWORD]} typed prefix one
  mapfile -t answer < <(romforge complete --line "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  COMPREPLY=()
  case ${answer[0]} in
    files) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")) ;;
    directories) compopt -o filenames; COMPREPLY=($(compgen -d -- "$word")) ;;
    words*)
      typed=${answer[0]#words }
      # bash breaks words at colons and equals signs: it wants the rest behind the last of these alone
      case $word in : | =) word= ;; esac
      prefix=${typed%"$word"}
      for one in "${answer[@]:1}"; do COMPREPLY+=("$(printf %q "${one#"$prefix"}")"); done ;;
  esac
}
complete -F _romforge romforge
"""
_ZSH = r"""#compdef romforge
# completion of romforge for zsh
_romforge() {
  local -a answer
  answer=("${(@f)$(romforge complete -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
  case $answer[1] in
    files) _files ;;
    directories) _files -/ ;;
    words*) shift answer; compadd -- "${answer[@]}" ;;
  esac
}
if [[ $funcstack[1] == _romforge ]]; then _romforge "$@"; else compdef _romforge romforge; fi
"""
_FISH = r"""# completion of romforge for fish
function __romforge_complete
    set -l answer (romforge complete -- (commandline -opc) (commandline -ct) 2>/dev/null)
    switch "$answer[1]"
        case files directories
            __fish_complete_path (commandline -ct)
        case 'words*'
            printf '%s\n' $answer[2..-1]
    end
end
complete -c romforge -f -a '(__romforge_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


class Answer(NamedTuple):
    """What may come next: ``words``, or files or directories, which the shell knows best."""

    kind: str
    words: tuple[str, ...] = ()


def complete(arguments: list[str], parser: argparse.ArgumentParser, spec: Path) -> list[str]:
    """The lines of an answer for ``--line LINE``, or ``-- WORD…``, the last of which is to be completed; none where there is none.

    ``spec`` is the spec at hand, where the line names no other. Raises RomforgeError where it is wrong.
    """
    words = split(arguments[1]) if arguments[:1] == ["--line"] else arguments[1:]
    while words and (match := re.fullmatch(r"(\w+)=(.*)", words[0], re.DOTALL)):  # variables that are set for the command
        spec = Path(match[2]) if match[1] == "ROMSPEC" else spec
        words = words[1:]
    if len(words) < 2:
        return []
    answer = _answer(words[1:-1], words[-1], parser, spec)
    found = sorted({word for word in answer.words if word.startswith(words[-1]) and "\n" not in word})
    return [f"words {words[-1]}", *found] if answer.kind == "words" else [answer.kind]


def split(line: str) -> list[str]:
    """A line, as far as it is typed, as the words that a shell makes of it; the last may be empty."""
    for end in ("", "'", '"'):
        try:
            words = shlex.split(line + end)
        except ValueError:
            continue  # a quote that is still open
        return words if words and not (end == "" and line[-1:].isspace() and not line.endswith("\\ ")) else [*words, ""]
    return []


def _answer(before: list[str], word: str, parser: argparse.ArgumentParser, spec: Path) -> Answer:
    """What may come behind ``before``, where ``word`` begins."""
    commands = _commands(parser)
    name = next((one for one in before if not one.startswith("-")), None)
    if name is None:
        return Answer("words", (*commands, *_options(parser)))
    if name not in commands:
        return Answer("words")
    command, given = commands[name], before[before.index(name) + 1 :]
    spec = _named(given) or spec
    option, _, value = word.partition("=")
    if value or word.endswith("="):
        return _prefixed(_values(_option(command, option), spec, name), f"{option}=")
    if given and (waiting := _option(command, given[-1])) and waiting.nargs != 0:
        return _values(waiting, spec, name)
    if word.startswith("-"):
        repeated = {text for action in command._actions if isinstance(action, argparse._AppendAction) for text in action.option_strings}
        return Answer("words", tuple(text for text in _options(command) if text in repeated or text not in given))
    return _values(_positional(command, given), spec, name)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def _options(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """The options of a command, each in its longest form."""
    return tuple(max(action.option_strings, key=len) for action in parser._actions if action.option_strings)


def _option(parser: argparse.ArgumentParser, text: str) -> argparse.Action | None:
    return next((action for action in parser._actions if text in action.option_strings), None)


def _positional(command: argparse.ArgumentParser, given: list[str]) -> argparse.Action | None:
    """The positional argument that comes next: the first that has none yet, or the last, if it takes many."""
    actions = [action for action in command._actions if not action.option_strings]
    taken = len(list(_plain(command, given)))
    if taken < len(actions):
        return actions[taken]
    return actions[-1] if actions and actions[-1].nargs in ("*", "+") else None


def _plain(command: argparse.ArgumentParser, given: list[str]) -> Iterator[str]:
    """The words that are neither options nor their values."""
    words = iter(given)
    for word in words:
        if not word.startswith("-"):
            yield word
        elif (action := _option(command, word)) and action.nargs != 0:
            next(words, None)


def _values(action: argparse.Action | None, spec: Path, command: str) -> Answer:
    """What an option or a positional argument takes."""
    if action is None:
        return Answer("words")
    if action.choices:
        return Answer("words", tuple(map(str, action.choices)))
    if action.dest in ("selection", "what", "image"):
        return Answer("words", tuple(_names(spec, action.dest, command)))
    if action.type is Path or action.dest == "against":
        return Answer("directories" if action.metavar == "DIR" else "files")
    return Answer("words")


def _prefixed(answer: Answer, prefix: str) -> Answer:
    """The same behind ``--option=``; file names, which only a shell can complete, are left to the other form."""
    return Answer("words", tuple(prefix + word for word in answer.words))


def _named(given: list[str]) -> Path | None:
    """The spec that a line names."""
    named = [word.partition("=")[2] for word in given if word.startswith("--spec=")]
    named += [value for option, value in pairwise(given) if option == "--spec"]
    return Path(named[-1]) if named else None


def _names(spec: Path, dest: str, command: str) -> Iterator[str]:
    """What may be selected of a spec; ROMs and images for `why`."""
    found = planning.make(specfile.load(spec))
    if dest != "selection":
        yield from (rom.path for rom in found.roms())
        yield from (f"{make.platform}/{goal}" for make in found.makes for goal in make.goals)
        return
    yield "all"
    yield from (f"nic:{rom.nic}" for rom in found.roms())
    yield from (f"target:{name}" for name in found.targets)
    if command in ("build", "stripped"):
        yield from (step.task for step in found.steps())
    else:
        yield from (rom.task for rom in found.roms())
