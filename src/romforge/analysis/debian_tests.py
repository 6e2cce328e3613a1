# SPDX-License-Identifier: GPL-2.0-or-later
"""Which autopkgtest of a Debian source package boots which ROMs, and with which packages.

The format of debian/tests/control is that of autopkgtest's README.package-tests.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from romforge.analysis.debian_source import (
    BUILD_FIELDS,
    DebianSource,
    Finding,
    broken_file,
    is_native,
)
from romforge.base.arch import BY_MACHINE, BY_NAME, Arch, tools_package
from romforge.base.control_file import ControlError, Paragraph, read_control, read_lines
from romforge.base.image_kind import ImageKind
from romforge.base.located import Severity
from romforge.base.text import join_words
from romforge.plan.names import Names
from romforge.plan.steps import Plan
from romforge.spec.model import Spec
from romforge.verify.qemu import MACHINES

Owners = Mapping[str, tuple[str, ...]]  # the binary packages of each file
_SELECTION = re.compile(r"(?:target|nic|rom|verify):")
_PROOF = "verify:"
_ARGUMENTS = ("$@", "$*", "${@}", "${*}")  # of a script
_MOST_WORDS = 10_000  # that are looked up in a script
_VERIFY = re.compile(r"\b(?:romforge|doit)\b.*?\sverify\b(.*)")


class BootNeed(NamedTuple):
    """What a boot of an image needs: Debian packages of QEMU, of which one will do, and firmware.

    ``arch`` is iPXE's name of the architecture, or pcbios.
    """

    arch: str
    qemu: tuple[str, ...]
    firmware: str | None

    def missing(self, packages: Collection[str]) -> list[str]:
        """The packages to add to some, so that the image boots."""
        missing = []
        if self.firmware and self.firmware not in packages:
            missing.append(self.firmware)
        if "qemu-system" not in packages and not any(one in packages for one in self.qemu):
            missing.append(self.qemu[0])
        return missing


@dataclass(frozen=True)
class PackageTest:
    """A test: its paragraph, the ROMs that it boots, and the packages that are installed for it.

    ``known`` is False where the ROMs are in variables of a script.
    """

    name: str
    paragraph: Paragraph
    roms: frozenset[str]
    packages: frozenset[str]
    known: bool

    @property
    def line(self) -> int:
        """The line of its Depends, or its first."""
        depends = self.paragraph.fields.get("depends")
        return depends.line if depends else self.paragraph.line


def find_test_faults(source: DebianSource, spec: Spec, plan: Plan, owners: Owners) -> list[Finding]:
    """Targets that no test boots, and packages that a test lacks.

    ``owners`` has all ROMs. The packages need not be there yet.
    """
    bootable = {name: needs for name in plan.targets if (needs := boot_needs(plan, name))}
    file = source.directory / "tests/control"
    if not bootable:
        return []
    if not os.path.lexists(file):
        message = f"there is no {file}, so no autopkgtest boots the ROMs of the packages"
        remedy = f"write {file}:\n  Test-Command: romforge verify all"
        names = _needed_packages(bootable.values())
        remedy += f"\n  Depends: {', '.join(['@', *names])}\n  Restrictions: allow-stderr"
        return [Finding(source.control, source.source.line, (), "error", message, remedy)]
    findings: list[Finding] = []
    try:
        tests = list(_read_tests(source, plan, file, findings))
    except ControlError as error:
        return [broken_file(file, error)]
    lacking: dict[int, _Lack] = {}  # by the test's line
    for target, needs in bootable.items():
        paths = {rom.path for rom in plan.targets[target]}
        booting = [test for test in tests if test.roms & paths]
        if booting:
            _add_lacking(lacking, booting, target, needs, _owners_of(plan, owners, target))
        else:
            findings.append(_untested(source, spec, plan, owners, tests, target))
    findings += [_lacking_finding(file, lack) for lack in lacking.values()]
    return findings


def boot_needs(plan: Plan, target: str) -> list[BootNeed]:
    """What proofs of a target's images need; none for architectures that romforge cannot boot."""
    kinds: dict[ImageKind, None] = {}
    for rom in plan.targets[target]:
        kinds |= dict.fromkeys(request.kind for request in rom.requests)
    needs = [_boot_need(kind) for kind in kinds]
    return [need for need in needs if need]


def _boot_need(kind: ImageKind) -> BootNeed | None:
    if kind.is_legacy:
        return BootNeed("pcbios", tuple(MACHINES[Arch.X86_64].packages), None)
    machine = MACHINES.get(BY_MACHINE[kind.machine]) if kind.machine in BY_MACHINE else None
    if machine is None:
        return None
    arch = BY_MACHINE[kind.machine]
    return BootNeed(arch.ipxe_name, tuple(machine.packages), machine.firmware)


def _needed_packages(needs: Collection[Sequence[BootNeed]]) -> list[str]:
    """The packages of QEMU, of firmware and of compilers for proofs, in alphabetical order."""
    names: set[str] = set()
    for one in needs:
        for need in one:
            names.update(need.missing(()))
    return sorted(names)


# Reading the tests


def _read_tests(
    source: DebianSource, plan: Plan, file: Path, findings: list[Finding]
) -> Iterator[PackageTest]:
    """The tests of the control file; adds to the findings what is wrong with single ones."""
    names = Names(plan, Path(), roms_only=True)
    paragraphs = read_control(file)
    if not paragraphs:
        raise ControlError(1, "this file has no test", "write a paragraph with Test-Command")
    for paragraph in paragraphs:
        command = paragraph.text("test-command")
        scripts = paragraph.text("tests").replace(",", " ").split()
        if bool(command) == bool(scripts):
            message = "this paragraph has neither Tests nor Test-Command, or both"
            raise ControlError(paragraph.line, message, "write one of them")
        packages = _packages_of_test(source, paragraph)
        directory = paragraph.text("tests-directory") or "debian/tests"
        if command:
            name = _name_of_test(paragraph, command)
            findings += _unknown_selections(file, paragraph, command, names)
            roms, known = _roms_of_command(source, plan, names, command)
            yield PackageTest(name, paragraph, roms, packages, known)
        for script in scripts:
            path = source.directory.parent / directory / script
            if not _is_script(path):
                message = f"there is no {path}"
                remedy = f"write it, or remove {script} from Tests"
                line = paragraph.fields["tests"].line
                findings.append(Finding(file, line, (), "error", message, remedy))
                continue
            roms, known = _roms_of_texts(plan, names, [], _script_text(path))
            yield PackageTest(script, paragraph, roms, packages, known)


def _name_of_test(paragraph: Paragraph, command: str) -> str:
    named = re.search(r"\btest-name=([^\s,]+)", paragraph.text("features"))
    return named[1] if named else f'"{" ".join(command.split())}"'


def _packages_of_test(source: DebianSource, paragraph: Paragraph) -> frozenset[str]:
    """What is installed for a test: its Depends, and of this source also what those depend on."""
    own = source.packages()
    waiting = ["@"]
    if "depends" in paragraph.fields:
        waiting = [one.name for one in paragraph.relations("depends")]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name == "@":
            waiting += own
        elif name == "@builddeps@":
            for field in BUILD_FIELDS:
                waiting += [one.name for one in source.source.relations(field)]
        elif name in own:
            waiting += [one.name for one in own[name].relations("depends")]
    return frozenset(found)


def _words(text: str) -> list[str]:
    """The words of a shell command; the quotes are ignored where they are not balanced."""
    try:
        return shlex.split(text)
    except ValueError:
        return re.findall(r"[^\s'\"]+", text)


def _unknown_selections(
    file: Path, paragraph: Paragraph, command: str, names: Names
) -> Iterator[Finding]:
    """Words of a command that name what the spec does not have, or has no more."""
    for word in _words(command):
        is_plain = not re.search(r"[$*?\[]", word)
        is_name = _SELECTION.match(word) and is_plain and not word.startswith(_PROOF)
        if is_name and names.known_task(word) is None:
            line = paragraph.fields["test-command"].line
            message = f'the spec has no "{word}"'
            remedy = "name one of its targets, or remove the word"
            yield Finding(file, line, (), "error", message, remedy)


def _roms_of_command(
    source: DebianSource, plan: Plan, names: Names, command: str
) -> tuple[frozenset[str], bool]:
    """The ROMs that a command boots, by its words and those of the scripts of the package in it."""
    top = os.path.realpath(source.directory.parent)
    words = _words(command)
    text = command
    for word in words:
        path = Path(top, word)
        if "/" in word and _is_script(path) and path.resolve().is_relative_to(top):
            text += "\n" + _script_text(path)
    return _roms_of_texts(plan, names, words, text)


def _is_script(path: Path) -> bool:
    """Whether there is a file; a path may be too long to be one, or have what no path has."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _script_text(path: Path) -> str:
    """A script without its comments, each command in one line; empty for what is no text."""
    try:
        lines = read_lines(path)
    except ControlError:
        return ""
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return text.replace("\\\n", " ")


def _roms_of_texts(
    plan: Plan, names: Names, words: Sequence[str], text: str
) -> tuple[frozenset[str], bool]:
    """The ROMs that words and a text select, and whether these are all that a test boots.

    Without a selection, a `verify` proves the default targets.
    """
    candidates = dict.fromkeys(words)
    variable = False
    verifies = False
    for line in text.splitlines():
        of_line = re.split(r"[\s'\"`;|&()<>]+", line)
        run = _VERIFY.search(line)
        if run:
            verifies = True
            rest = run[1].split()
            variable |= any("$" in one and one.strip("'\"") not in _ARGUMENTS for one in rest)
        is_ours = "romforge" in line or "doit" in line
        candidates.update(dict.fromkeys(one for one in of_line if is_ours or _SELECTION.match(one)))
    roms = _selected_roms(plan, names, list(candidates)[:_MOST_WORDS])
    selects = any(map(_SELECTION.match, candidates))  # if only what the spec does not have
    if roms or variable or selects or not verifies:
        return frozenset(roms), bool(roms) or not variable
    return frozenset(rom.path for rom in plan.selected([])), True


def _selected_roms(plan: Plan, names: Names, words: Sequence[str]) -> set[str]:
    """The paths of the ROMs that any of the words selects."""
    paths: set[str] = set()
    tasks = []
    for word in words:
        if word.startswith(_PROOF):
            paths.update(rom.path for rom in plan.roms() if word.startswith(f"{_PROOF}{rom.path}:"))
        elif word and (task := names.known_task(word)):
            tasks.append(task)
    if tasks:
        paths.update(rom.path for rom in plan.selected(tasks))
    return paths


# What is missing


@dataclass
class _Lack:
    """The packages that a test lacks for some of its targets."""

    test: PackageTest
    targets: list[str]
    packages: list[str]


def _owners_of(plan: Plan, owners: Owners, target: str) -> tuple[str, ...]:
    """The binary packages of a target's ROMs, by the first of these."""
    return owners[plan.targets[target][0].path]


def _add_lacking(
    lacking: dict[int, _Lack],
    booting: Sequence[PackageTest],
    target: str,
    needs: Sequence[BootNeed],
    owners: Collection[str],
) -> None:
    """Notes what the tests that boot a target lack: for each image, one of them must have all."""
    for need in needs:
        best: tuple[PackageTest, list[str]] | None = None
        for test in booting:
            missing = need.missing(test.packages)
            if not test.packages.intersection(owners):
                missing.insert(0, next(iter(owners)))
            if best is None or len(missing) < len(best[1]):
                best = test, missing
        if best is None or not best[1]:
            continue
        test, missing = best
        lack = lacking.setdefault(test.line, _Lack(test, [], []))
        lack.packages += [one for one in missing if one not in lack.packages]
        if target not in lack.targets:
            lack.targets.append(target)


def _lacking_finding(file: Path, lack: _Lack) -> Finding:
    targets = join_words(f"target:{target}" for target in lack.targets)
    packages = ", ".join(lack.packages)
    message = f"{lack.test.name} boots {targets} without {packages}"
    depends = lack.test.paragraph.text("depends").rstrip(", \n") or "@"
    remedy = f"add to its Depends, behind {depends.split()[-1]}:\n  , {packages}"
    return Finding(file, lack.test.line, ("target", lack.targets[0]), "error", message, remedy)


def _untested(
    source: DebianSource,
    spec: Spec,
    plan: Plan,
    owners: Owners,
    tests: Sequence[PackageTest],
    target: str,
) -> Finding:
    """The finding for a target that no test boots, with a paragraph like that of another test."""
    unknown = [test for test in tests if not test.known]
    message = f"no autopkgtest boots a ROM of target:{target}"
    if unknown:
        message += f", unless {join_words(test.name for test in unknown)} does by a variable"
    model = next((test for test in reversed(tests) if test.roms), None)
    remedy = "add a paragraph:"
    for line in _paragraph_for(source, spec, plan, owners, model, target):
        remedy += f"\n  {line}"
    file = source.directory / "tests/control"
    last = tests[-1].paragraph.line if tests else 1
    severity: Severity = "warning" if unknown else "error"
    return Finding(file, last, ("target", target), severity, message, remedy)


def _paragraph_for(
    source: DebianSource,
    spec: Spec,
    plan: Plan,
    owners: Owners,
    model: PackageTest | None,
    target: str,
) -> Iterator[str]:
    """The lines of a test of a target. What the model needs besides is kept."""
    needs = boot_needs(plan, target)
    wanted = set(_needed_packages([needs]))
    for name in spec.verify.start:
        machine = MACHINES.get(BY_NAME[name])
        if machine:
            wanted.add(machine.packages[0])
    for need in needs:
        arch = BY_NAME.get(need.arch)
        if arch and not is_native(arch):
            wanted.add(tools_package("gcc", arch.triplet))
    if model:
        wanted.update(_other_packages(source, model))
    command = _command_for(model, target)
    owner = _owners_of(plan, owners, target)[0]
    yield f"Test-Command: {command}"
    yield f"Depends: {', '.join([owner, *sorted(wanted)])}"
    restrictions = model.paragraph.text("restrictions") if model else "allow-stderr"
    if restrictions:
        yield f"Restrictions: {' '.join(restrictions.split())}"


def _command_for(model: PackageTest | None, target: str) -> str:
    """The command of a test, with one target in place of its selections."""
    words = shlex.split("romforge verify")
    if model and "test-command" in model.paragraph.fields:
        words = _words(model.paragraph.text("test-command"))
    kept = [word for word in words if not _SELECTION.match(word) and word != "all"]
    return " ".join([*kept, f"target:{target}"])


def _other_packages(source: DebianSource, model: PackageTest) -> Iterator[str]:
    """The packages of a test that have to do with no architecture, nor with the ROMs."""
    of_arch = {machine.firmware for machine in MACHINES.values()}
    for relation in model.paragraph.relations("depends"):
        name = relation.name
        is_tool = name.startswith(("gcc", "g++", "qemu-system", "@", "$"))
        if not is_tool and name not in of_arch and name not in source.packages():
            yield name
