# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion of a command line, from the parser and the spec.

The scripts in ``shells`` run ``romforge __complete SHELL WORD…``, whose last word is the one at the
cursor. The first line of the answer is a kind: ``words``, ``files`` or ``directories``. After
``words``, they follow, one on a line. The shell itself lists files and directories.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import plural
from romforge.cli import bash_words, common
from romforge.cli.common import COMMAND, SELECTION, SOURCE

if TYPE_CHECKING:
    from romforge.plan.steps import Fetch, PinnedTree, Plan, Rom
    from romforge.spec.model import Spec
    from romforge.verify.cases import Proof

_WORDS, _FILES, _DIRECTORIES = "words", "files", "directories"
_DIRECTORY, _SET = "DIR", "[NAME=]SET"  # metavars
_FILE_OR_NAME = "ROM", "OLD", "NEW"  # metavars of a file, or of ROMs of the spec
_WHY_ARGUMENTS = "what", "image"  # arguments of `why`: a selection, or an image
# Commands that select ROMs, but not the steps before them.
_ROMS_ONLY = "verify", "lock", "inspect", "split", "lookup", "compat"


class Candidates(NamedTuple):
    """What may be at the cursor.

    Either words, each with a description; or files or directories. These follow the first ``skip``
    characters of the word at the cursor.
    """

    kind: str
    words: dict[str, str]
    skip: int = 0


_NOTHING = Candidates(_WORDS, {})


class _Position:
    """Where the cursor is, by the words before it."""

    def __init__(self, parser: argparse.ArgumentParser, root: argparse.ArgumentParser) -> None:
        self.parser = parser
        self.root = root  # the parser of `romforge` itself
        self.values: dict[str, str] = {}  # of the options that are given
        self.pending: argparse.Action | None = None  # the option whose value comes next
        self.positionals = [action for action in parser._actions if not action.option_strings]
        self.options_ended = False  # by --

    @property
    def command(self) -> str:
        return self.parser.prog.rpartition(" ")[2]

    def options(self) -> dict[str, argparse.Action]:
        """All options of the command, by their names."""
        options = {}
        for action in self.parser._actions:
            for name in action.option_strings:
                options[name] = action
        return options

    def read_option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        option = self.options().get(name)
        if option is None:
            return
        self.values[option.dest] = value
        if option.nargs != 0 and not equals:
            self.pending = option

    def drop_optional_value(self, word: str) -> None:
        """Expects no value any more where the option may do without, and another one follows."""
        if self.pending and self.pending.nargs == "?" and word.startswith("-"):
            self.pending = None


def completion_script(shell: str) -> str:
    """The script that makes a shell complete the command line."""
    return (Path(__file__).parent / "shells" / f"romforge.{shell}").read_text()


def answer_completion(parser: argparse.ArgumentParser, shell: str, *words: str) -> int:
    """Prints what may be at the cursor, or nothing if that is unknown; returns 0."""
    if shell == "zsh":
        lines = _answer_zsh(find_completions(parser, words))
    elif shell == "fish":
        lines = _answer_fish(find_completions(parser, words))
    else:
        line = bash_words.read_line(words)
        lines = _answer_bash(find_completions(parser, line.words), line)
    for text in lines:
        print(text)
    return 0


def _answer_bash(candidates: Candidates, line: bash_words.BashLine) -> list[str]:
    typed = line.words[-1]
    lines = []
    for word in candidates.words:
        if word.isprintable() and word.startswith(typed):
            lines.append(bash_words.quote_word(word[len(line.kept) :], line.quote))
    return _with_kind(candidates, candidates.kind, lines)


def _answer_zsh(candidates: Candidates) -> list[str]:
    lines = []
    for word, description in candidates.words.items():
        if word.isprintable():
            escaped = re.sub(r"([\\:])", r"\\\1", word)
            lines.append(f"{escaped}:{description}" if description else escaped)
    kind = candidates.kind
    if kind == _FILES:
        kind = f"{kind} {candidates.skip}"
    return _with_kind(candidates, kind, lines)


def _answer_fish(candidates: Candidates) -> list[str]:
    lines = []
    for word, description in candidates.words.items():
        if word.isprintable():
            lines.append(f"{word}\t{description}")
    return _with_kind(candidates, candidates.kind, lines)


def _with_kind(candidates: Candidates, kind: str, lines: list[str]) -> list[str]:
    if candidates.kind == _WORDS and not lines:
        return []
    return [kind, *lines]


def find_completions(parser: argparse.ArgumentParser, words: Sequence[str]) -> Candidates:
    """What may be in the place of the last word."""
    *before, word = words
    position = _read_words(parser, before)
    if position is None:
        return _NOTHING
    position.drop_optional_value(word)
    if position.pending:
        return _values(position, position.pending, word)
    if word.startswith("-") and not position.options_ended:
        return _complete_option(position, word)
    if position.positionals:
        return _values(position, position.positionals[0], word)
    if position.options_ended:
        return _NOTHING
    return Candidates(_WORDS, _unused_options(position))


def _read_words(parser: argparse.ArgumentParser, words: Sequence[str]) -> _Position | None:
    """Reads words as argparse would; None where there is no such command."""
    position = _Position(parser, parser)
    for word in words:
        position.drop_optional_value(word)
        if position.pending:
            position.values[position.pending.dest] = word
            position.pending = None
        elif word == "--" and not position.options_ended:
            position.options_ended = True
        elif word.startswith("-") and not position.options_ended:
            position.read_option(word)
        elif position.positionals:
            positional = position.positionals[0]
            if isinstance(positional, argparse._SubParsersAction):
                if word not in positional.choices:
                    return None
                position = _Position(positional.choices[word], parser)
            elif positional.nargs not in ("*", "+"):
                position.positionals.pop(0)
    return position


def _complete_option(position: _Position, word: str) -> Candidates:
    """The name of an option, or its value behind a ``=``."""
    name, equals, _ = word.partition("=")
    if not equals:
        return Candidates(_WORDS, _unused_options(position))
    option = position.options().get(name)
    if option is None or option.nargs == 0:
        return _NOTHING
    return _values(position, option, word, prefix=f"{name}=")


def _unused_options(position: _Position) -> dict[str, str]:
    """The options that may still be given, each with its help."""
    used = set(position.values)
    for action in position.parser._actions:
        if isinstance(action, argparse._AppendAction):  # may be repeated
            used.discard(action.dest)
    for group in position.parser._mutually_exclusive_groups:
        alternatives = {action.dest for action in group._group_actions}
        if alternatives & used:
            used |= alternatives
    unused = {}
    for name, option in position.options().items():
        if option.dest not in used:
            unused[name] = option.help or ""
    return unused


def _values(
    position: _Position, action: argparse.Action, word: str, prefix: str = ""
) -> Candidates:
    """The values of an argument. ``prefix`` is the option before the value in the same word."""
    if action.metavar == _DIRECTORY:
        return Candidates(_DIRECTORIES, {}, len(prefix))
    if action.metavar == _SET:
        end_of_name = word.rfind("=", len(prefix)) + 1
        return Candidates(_FILES, {}, max(len(prefix), end_of_name))
    if action.type is Path:
        return Candidates(_FILES, {}, len(prefix))
    if action.metavar in _FILE_OR_NAME:
        names = _names_of_no_file(position, word)
        return Candidates(_WORDS, names) if names else Candidates(_FILES, {})
    words = {}
    for value, description in _words(position, action, word.removeprefix(prefix)).items():
        words[prefix + value] = description
    return Candidates(_WORDS, words)


def _words(position: _Position, action: argparse.Action, word: str) -> dict[str, str]:
    """The values of an argument that is no file, each with a description."""
    if action.metavar == SELECTION:
        return _selections(position, word)
    if action.dest in _WHY_ARGUMENTS:
        return _selections(position, word) | _images(position)
    if isinstance(action, argparse._SubParsersAction):
        return {choice.dest: choice.help or "" for choice in action._choices_actions}
    if action.metavar == SOURCE:
        return _sources(position)
    if action.metavar == COMMAND:
        return dict.fromkeys(_known_commands(position), "")
    return dict.fromkeys(action.choices or (), "")


def _known_commands(position: _Position) -> list[str]:
    """The commands that another command takes: `schema` those with --json, `help` all."""
    commands = common.subparsers(position.root)
    if position.command == "help":
        return list(commands)
    return [name for name, command in commands.items() if common.has_json(command)]


def _load_plan(position: _Position) -> tuple[Spec, Plan] | None:
    """The spec of this command line, and its plan; None where it is wrong or missing."""
    from romforge.plan import planner
    from romforge.spec import loader

    path = position.values.get("spec") or position.parser.get_default("spec")
    try:
        spec = loader.load_spec(Path(path).expanduser(), complete=False)
    except RomforgeError:
        return None
    return spec, planner.make_plan(spec)


def _selections(position: _Position, word: str) -> dict[str, str]:
    """What a command may select, each with a description."""
    loaded = _load_plan(position)
    if loaded is None:
        return {}
    spec, plan = loaded
    selections = {"all": "every target"}
    selections.update(_selected_roms(spec, plan))
    if position.command not in _ROMS_ONLY:
        selections.update(_selected_steps(plan))
    if word:  # without it, a list of all would have each ROM several times
        selections.update(_short_names(spec, plan))
        for rom in plan.roms():
            selections[rom.path] = _describe_rom(rom)
            selections[_path_as_typed(position, rom, word)] = _describe_rom(rom)
    if position.command == "verify" and word and _may_be_proof(word):
        out = _output_root(position)
        for proof in _proofs(spec, plan, out, with_controls="controls" in position.values):
            selections[proof.task] = proof.kind
    return selections


def _names_of_no_file(position: _Position, word: str) -> dict[str, str]:
    """The names of ROMs that begin with a word, unless files do."""
    if not word or glob.glob(glob.escape(os.path.expanduser(word)) + "*"):
        return {}
    found = {}
    for name, description in _selections(position, word).items():
        if name.startswith(word):
            found[name] = description
    return found


def _short_names(spec: Spec, plan: Plan) -> Iterator[tuple[str, str]]:
    """The names of cards, targets and ROM files without what shows their kind, if it is clear."""
    counts = Counter([*plan.nics(), *plan.targets])
    counts.update(os.path.basename(rom.path) for rom in plan.roms())
    for nic in plan.nics():
        if counts[nic] == 1:
            yield nic, f"ROMs of {spec.nic[nic].id}"
    for target, roms in plan.targets.items():
        if counts[target] == 1:
            yield target, f"{plural(len(roms), 'ROM')} in {spec.target[target].dir}"
    for rom in plan.roms():
        name = os.path.basename(rom.path)
        if counts[name] == 1:
            yield name, _describe_rom(rom)


def _output_root(position: _Position) -> Path:
    """The output root of this command line."""
    return Path(position.values.get("out") or position.parser.get_default("out")).expanduser()


def _path_as_typed(position: _Position, rom: Rom, word: str) -> str:
    """The path of a ROM from the current directory, or an absolute one if the word is."""
    out = _output_root(position)
    if os.path.isabs(word):
        return os.path.abspath(out / rom.path)
    dot = "./" if word.startswith("./") else ""
    return f"{dot}{out / rom.path}"


def _selected_roms(spec: Spec, plan: Plan) -> Iterator[tuple[str, str]]:
    for nic in plan.nics():
        yield f"nic:{nic}", f"ROMs of {spec.nic[nic].id}"
    for target, roms in plan.targets.items():
        yield f"target:{target}", f"{plural(len(roms), 'ROM')} in {spec.target[target].dir}"
    for rom in plan.roms():
        yield rom.task, _describe_rom(rom)


def _describe_rom(rom: Rom) -> str:
    return " + ".join(request.platform for request in rom.requests)


def _selected_steps(plan: Plan) -> Iterator[tuple[str, str]]:
    for make in plan.all_makes():
        yield make.task, f"the images of {make.bin}"
    for file in plan.files:
        yield file.task, f"{file.goal} as {file.path}"
    for fetch in plan.fetches:
        yield fetch.task, f"the ROM files of {fetch.package or fetch.deb}"
    for pinned in plan.pinned:
        yield pinned.task, f"the tree {pinned.pin} of {pinned.url}"


def _sources(position: _Position) -> dict[str, str]:
    """The sources that `get` or `update` takes, each with a description."""
    loaded = _load_plan(position)
    if loaded is None:
        return {}
    spec, plan = loaded
    if position.command == "update":
        return {name: table.git for name, table in spec.source.items() if table.git}
    steps: list[Fetch | PinnedTree] = [*plan.fetches, *plan.pinned]
    return {step.source: step.task for step in steps}


def _may_be_proof(word: str) -> bool:
    """Proofs are many, so they are listed only where a word begins as their names do."""
    return word.startswith("verify:") or "verify:".startswith(word)


def _proofs(spec: Spec, plan: Plan, out: Path, with_controls: bool) -> Sequence[Proof]:
    from romforge.engine import staleness
    from romforge.verify import cases, corruptions

    proofs = cases.make_proofs(spec, plan, staleness.replaced_sources(plan, out))
    return corruptions.add_controls(proofs) if with_controls else proofs


def _images(position: _Position) -> dict[str, str]:
    """The images that `why` can explain, each with a description."""
    loaded = _load_plan(position)
    if loaded is None:
        return {}
    _, plan = loaded
    images = {}
    for make in plan.makes:
        for goal in make.goals:
            images[f"{make.platform}/{goal}"] = f"{make.bin}/{goal}.{make.media}"
    return images
