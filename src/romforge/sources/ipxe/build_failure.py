# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person reads when a make of an iPXE tree failed; known causes come with a hint.

The cause comes last, and is short:

    make ended with status 2 at bin/acpi.o
      the whole log: out/.romforge/tree/ipxe/pcbios/plain/make.log
      to see it again: cd out/… && make -j2 …
      core/acpi.c:191:11: error: array subscript … [-Werror=array-bounds]
      cc1: all warnings being treated as errors
      hint: … set make = { NO_WERROR = 1 } in [source.ipxe] (romspec.toml:3)

A hint is added to the tool's words, and never takes their place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import did_you_mean, join_words
from romforge.formats import ld_map
from romforge.plan.planner import TreeBuild
from romforge.sources.ipxe import config_options, make_output
from romforge.sources.ipxe.config_options import Option
from romforge.sources.ipxe.make_output import Failure
from romforge.spec import loader
from romforge.spec.fields import Path as KeyPath

_LONGEST_LINE = 300  # characters
_LISTED = 5  # objects or options in one hint
_NEAREST = 3  # IDs

_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_HARDLY_ANY = 64 << 10  # bytes; they may not do for make's own last words

_BLOCK = 512  # bytes
_MOST_BLOCKS = 0xFF  # the size of a legacy image is one byte of its header, at offset 2
_TOO_LARGE = re.compile(
    r"Add (?P<base>-?[0-9a-fx]+)\+(?P<blocks>[0-9a-fx]+) at 0x2 overflows 1-byte"
)
_NOT_IN_FILE = (".bss", ".stack", "COMMON", ".debug", ".comment", ".stab", ".note")  # sections

_UNDEFINED = re.compile(r"(?:undefined (?:symbol|reference to)|required symbol) [`'‘]obj_(\w+)['’]")
_BIOS_CODE = re.compile(
    r"\.(?:text|data|bss)16\b|\b_(?:textdata|text16_memsz|data16_memsz)\b|R_\w+_16\b"
)
_IN_ARCHIVE = re.compile(r"\.a\(([^()\s]+)\.o\)")

_GIT_MISSING = re.compile(r"\bgit: (?:not found|command not found|No such file or directory)")
_GIT_REFUSES = re.compile(r"detected dubious ownership|unsafe repository")
_NO_COMMIT = re.compile(r"Unable to determine git commit ID")


class Facts(NamedTuple):
    """What the make that failed was asked to do, and where."""

    source: str  # the spec's names of the source and the platform
    platform: str
    goals: tuple[str, ...]  # iPXE's names of the images
    media: str
    bin: str
    legacy: bool
    variables: Mapping[str, str]  # that the spec sets for make
    config: str | None
    headers: Mapping[str, str]  # the configuration headers that the spec writes, by name
    tree: Path  # the src directory that the working tree is a copy of
    src: Path  # of the working tree
    log: Path
    command: str  # to paste, to see the error again
    free: int  # bytes, on the working tree's file system
    spec: Path | None = None


def facts_of(
    step: TreeBuild,
    tree: Path,
    src: Path,
    log: Path,
    goals: Sequence[str],
    command: str,
    spec: Path | None = None,
) -> Facts:
    """The facts of a platform's make."""
    return Facts(
        source=step.source,
        platform=step.platform,
        goals=tuple(goals),
        media=step.media,
        bin=step.bin,
        legacy=step.legacy,
        variables=dict(step.variables),
        config=step.config,
        headers=dict(step.headers),
        tree=tree,
        src=src,
        log=log,
        command=command,
        free=free_space(src),
        spec=spec,
    )


def explain(output: str, status: int, facts: Facts) -> str:
    """What a person must know of a make that failed; ``output`` is that of this run alone."""
    failure = make_output.first_failure(output)
    at = f" at {failure.target}" if failure.target else ""
    text = [f"make ended with status {status}{at}"]
    text.append(f"the whole log: {facts.log}")
    text.append(f"to see it again: {facts.command}")
    text += [line[:_LONGEST_LINE] for line in make_output.shorten(failure.lines)]
    text += [f"hint: {hint}" for hint in hints(output, failure, facts)]
    return "\n  ".join(text)


# Whether the disk is full


def free_space(directory: Path) -> int:
    """The bytes that are left where a directory lies; 0 where no more files can be made."""
    state = os.statvfs(directory)
    no_inodes = state.f_files and not state.f_favail
    return 0 if no_inodes else state.f_bavail * state.f_frsize


def disk_is_full(output: str, free: int) -> bool:
    """Whether a make failed for want of space.

    A tool says so, or there is no space now. Make always ends its output with stars; where they
    are missing and little is free, the log had no room for them.
    """
    if _NO_SPACE.search(output) or free == 0:
        return True
    return "***" not in output and free < _HARDLY_ANY


def explain_full_disk(output: str, work: Path, free: int) -> str:
    """What a person must know of a make that failed for want of space."""
    text = f"{work}: no space left on device ({free:,} bytes are free); "
    text += "make room, and the next build of this platform begins anew"
    for line in output.splitlines():
        if _NO_SPACE.search(line):
            return f"{text}\n  {line.strip()[:_LONGEST_LINE]}"
    return text


# Hints


def hints(output: str, failure: Failure, facts: Facts) -> list[str]:
    """What to do about a failure whose cause is known; none where it is not."""
    facts = facts._replace(goals=_goals_of(failure, facts))
    words = "\n".join(failure.lines)
    found = [
        *_fatal_warning(failure, facts),
        *_unknown_driver(words, facts),
        *_legacy_too_large(words, facts),
        *_option_without_object(words, facts),
        *_bios_option(words, facts),
        *_no_version(output, facts),
    ]
    if "***" not in output:
        found.append(f"the log ends without make's last words; {facts.free:,} bytes are free there")
    return found


def _goals_of(failure: Failure, facts: Facts) -> tuple[str, ...]:
    """The goals that the failed target is a stage of; all of them where it is of none."""
    name = failure.target.rpartition("/")[2].removeprefix("version.")
    return tuple(goal for goal in facts.goals if name.startswith(f"{goal}.")) or facts.goals


def _fatal_warning(failure: Failure, facts: Facts) -> Iterator[str]:
    """A compiler or assembler that is newer than the tree has a new warning."""
    if "NO_WERROR" in facts.variables or not make_output.stopped_by_warnings(failure.lines):
        return
    source = _place(facts, ("source", facts.source))
    problem = "a warning stopped the build, as of a compiler that is newer than the tree"
    yield f"{problem}; set make = {{ NO_WERROR = 1 }} in {source}"


# A device or driver that the tree does not have


class Device(NamedTuple):
    """A device that a tree has a driver for; ``ids`` are eight hex digits, or empty."""

    name: str
    ids: str
    driver: str


def read_devices(rom_defs: Path) -> list[Device]:
    """The devices of a tree, from BIN/.rom.defs, which its makefiles write; none without it."""
    try:
        text = rom_defs.read_text(errors="replace")
    except OSError:
        return []
    values = dict(re.findall(r"^(\w+_\S+) :?= (?:0x)?(\S+)$", text, re.MULTILINE))
    devices = []
    for variable, driver in values.items():
        if variable.startswith("DRIVER_"):
            name = variable.removeprefix("DRIVER_")
            ids = values.get(f"PCI_VENDOR_{name}", "") + values.get(f"PCI_DEVICE_{name}", "")
            devices.append(Device(name, ids.lower(), driver))
    return devices


def _unknown_driver(words: str, facts: Facts) -> Iterator[str]:
    """An image was asked for by IDs, or by a driver's name, that the tree does not have."""
    elements = _elements(facts.goals)
    for symbol in dict.fromkeys(_UNDEFINED.findall(words)):
        if symbol not in elements:
            continue
        element, goal = elements[symbol]
        nic = _nic(goal, facts)
        devices = read_devices(facts.src / facts.bin / ".rom.defs")
        if re.fullmatch("[0-9a-f]{8}", element):
            yield _unknown_id(element, nic, devices)
        else:
            yield _unknown_name(element, nic, devices)


def _elements(goals: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The devices and drivers that goals join by ``--``, each with its goal, by their symbols."""
    found = {}
    for goal in goals:
        for element in goal.split("--"):
            found[element.replace("-", "_")] = element, goal
    return found


def _nic(goal: str, facts: Facts) -> str:
    """The table of the spec that a goal comes from."""
    if facts.spec:
        try:
            nics = loader.load_spec(facts.spec).nic
        except RomforgeError:  # the spec changed meanwhile
            nics = {}
        for name, nic in nics.items():
            if goal == (nic.goal or nic.id.goal):
                return _place(facts, ("nic", name))
    return "[nic.NAME]"


def _unknown_id(ids: str, nic: str, devices: Iterable[Device]) -> str:
    vendor, device = ids[:4], int(ids[4:], 16)
    siblings = [one for one in devices if one.ids[:4] == vendor and one.name == one.ids]
    siblings.sort(key=lambda one: abs(int(one.ids[4:], 16) - device))
    problem = f"this tree has no driver for the PCI ID {vendor}:{ids[4:]}"
    if not siblings:
        return f"{problem}, nor for any of vendor {vendor}; correct id, or set goal, in {nic}"
    nearest = [f"{one.ids[:4]}:{one.ids[4:]} ({one.driver})" for one in siblings[:_NEAREST]]
    remedy = f"correct id in {nic}, or set goal there, such as"
    return f'{problem}; the nearest are {join_words(nearest)}; {remedy} goal = "{siblings[0].name}"'


def _unknown_name(name: str, nic: str, devices: Iterable[Device]) -> str:
    known = {word for device in devices for word in (device.name, device.driver)}
    problem = f"this tree has no driver or device {name}"
    return f"{problem}{did_you_mean(name, known)}; correct goal in {nic}"


# A legacy image that is too large


def _legacy_too_large(words: str, facts: Facts) -> Iterator[str]:
    """The tool that writes a legacy image's size into its header says that it does not fit."""
    match = _TOO_LARGE.search(words)
    if not match:
        return
    size = (int(match["base"], 16) + int(match["blocks"], 16)) * _BLOCK
    limit = _MOST_BLOCKS * _BLOCK
    platform = _place(facts, ("platform", facts.platform))
    yield (
        f"the legacy image has {size:,} bytes, and its header can state {limit:,} (127.5 KiB) "
        f"at most; leave options out of its configuration, or set media = "
        f'"mrom" in {platform}'
    )
    for goal in facts.goals[:1]:
        yield from _largest_objects(goal, facts)


def _largest_objects(goal: str, facts: Facts) -> Iterator[str]:
    """The objects that a link took most bytes of, and the options that asked for them."""
    read = _read_map(goal, facts)
    if not read:
        return
    sizes: dict[str, int] = {}
    for section in read.kept:
        in_file = not section.name.startswith(_NOT_IN_FILE)
        if in_file and not section.output.startswith(_NOT_IN_FILE):
            name = ld_map.object_name(section.object)
            sizes[name] = sizes.get(name, 0) + section.size
    options = config_options.read_options(facts.src)
    asked = config_options.askers(read.included)
    shown = []
    for name in sorted(sizes, key=lambda name: -sizes[name])[:_LISTED]:
        behind = _defined(config_options.options_behind(name, asked, options), facts)
        macros = " or ".join(option.macro for option in behind)
        shown.append(f"{name} {sizes[name]:,}" + (f" ({macros})" if macros else ""))
    if shown:
        heading = (
            "its largest objects, in bytes before compression, and the option that asked first"
        )
        yield f"{heading}: {', '.join(shown)}"


def _read_map(goal: str, facts: Facts) -> ld_map.LinkMap | None:
    """The map of an image's link; that of a link that failed ends with the included objects."""
    linked = "efidrv" if facts.media == "efirom" else facts.media
    path = facts.src / facts.bin / f"{goal}.{linked}.tmp.map"
    try:
        return ld_map.parse_map(
            path.read_text(errors="replace") + "\nLinker script and memory map\n"
        )
    except (OSError, RomforgeError):
        return None


# Options that the platform cannot have


def _option_without_object(words: str, facts: Facts) -> Iterator[str]:
    """An option asks for an object that is not built for the platform, such as for arm64."""
    goals = _elements(facts.goals)
    options = config_options.read_options(facts.src)
    missing = [name for name in dict.fromkeys(_UNDEFINED.findall(words)) if name not in goals]
    for name in missing[:_LISTED]:
        if name in options:
            option = _named(_defined(options[name], facts), facts)
            file = config_options.find_source(name, facts.src)
            reason = f"{file} is not built for it" if file else f"the tree has no {name}"
            yield f"{option} is not for the platform {facts.platform}: {reason}"


def _bios_option(words: str, facts: Facts) -> Iterator[str]:
    """An option brings code of the BIOS into an EFI image of x86, where it cannot be linked."""
    if facts.legacy or not _BIOS_CODE.search(words):
        return
    for goal in facts.goals[:1]:
        read = _read_map(goal, facts)
        if not read:
            continue
        options = config_options.read_options(facts.src)
        asked = config_options.askers(read.included)
        brought: dict[str, list[str]] = {}
        for name in dict.fromkeys(_IN_ARCHIVE.findall(words)):
            behind = _defined(config_options.options_behind(name, asked, options), facts)
            if behind:
                brought.setdefault(_named(behind, facts), []).append(f"{name}.o")
        for option, objects in brought.items():
            shown = join_words(objects[:_LISTED])
            yield f"{option} is for BIOS alone, not for {facts.platform}: it brings in {shown}"


def _defined(options: Sequence[Option], facts: Facts) -> list[Option]:
    """Those of an object's options of which a definition is known; all where none is."""
    unique = list({option.macro: option for option in options}.values())
    defined = [option for option in unique if _definition(option.macro, facts)]
    return defined or unique


def _definition(macro: str, facts: Facts) -> str:
    """Where a macro is defined: the spec's table, or a header of the tree; empty if unknown."""
    for header, text in facts.headers.items():
        if config_options.defines(macro).search(text):
            return _place(facts, ("config", facts.config or "", header))
    return config_options.find_definition(macro, facts.src, facts.config)


def _named(options: Sequence[Option], facts: Facts) -> str:
    """Options in words: ``PXE_STACK, defined in [config.qemu.general] (romspec.toml:12),``."""
    texts = []
    for option in options:
        where = _definition(option.macro, facts)
        reason = f"defined in {where}" if where else f"see {option.place}"
        texts.append(f"{option.macro}, {reason},")
    return " or ".join(texts)


# The version, which the tree's makefiles take from git


def _no_version(output: str, facts: Facts) -> Iterator[str]:
    """The makefile got no version from git; what fails is the compilation of core/version.c."""
    for line in map(str.strip, output.splitlines()):
        if _GIT_MISSING.search(line):
            yield f"the tree's version comes from git ({line}); install the Debian package git"
            return
        if _GIT_REFUSES.search(line):
            remedy = f"git config --global --add safe.directory {facts.tree.parent}"
            yield f"the tree's version comes from git ({line}); run {remedy}"
            return
        if _NO_COMMIT.search(line):
            source = _place(facts, ("source", facts.source))
            yield (
                "the tree's makefile looks for the commit where a git worktree does not have it; "
                f'set make = {{ GITVERSION = "…" }} in {source} to what git rev-parse HEAD prints'
            )
            return


# Places in the spec


def _place(facts: Facts, key: KeyPath) -> str:
    """A table of the spec with its line: ``[source.ipxe] (romspec.toml:12)``."""
    table = f"[{'.'.join(str(part) for part in key)}]"
    line = loader.line_of(facts.spec, key) if facts.spec else None
    return f"{table} ({facts.spec.name}:{line})" if facts.spec and line else table


def require_embedded(step: TreeBuild, spec: Path | None) -> None:
    """Raises RomforgeError where a file of embed, trust or cert cannot be read, with its line."""
    problems = []
    for variable, files in step.files:
        for index, file in enumerate(files):
            try:
                with Path(file).open("rb"):
                    pass
            except OSError as error:
                key = ("platform", step.platform, variable.lower(), index)
                text = f"{file}: cannot be read: {error.strerror}"
                problems.append(loader.point_to(spec, key, text))
    if problems:
        raise RomforgeError("\n".join(problems))
