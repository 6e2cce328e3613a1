# SPDX-License-Identifier: GPL-2.0-or-later
"""The error message for a failed make of an iPXE tree, with hints for known causes.

The message is short, and the cause comes last:

    make ended with status 2 at bin/acpi.o
      the whole log: out/.romforge/tree/ipxe/pcbios/plain/make.log
      to see it again: cd out/… && make -j2 …
      core/acpi.c:191:11: error: array subscript … [-Werror=array-bounds]
      cc1: all warnings being treated as errors
      hint: … set make = { NO_WERROR = 1 } in [source.ipxe] (romspec.toml:3)

A hint is added to the tool's own message and never replaces it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import AGAIN, LOG, did_you_mean, join_words
from romforge.formats import ld_map
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import config_options, make_output
from romforge.sources.ipxe.config_options import Option
from romforge.sources.ipxe.make_output import Failure
from romforge.spec import loader
from romforge.spec.fields import Path as KeyPath
from romforge.spec.fields import Problem

_LONGEST_LINE = 300  # characters
_LISTED = 5  # objects or options in one hint
_NEAREST = 3  # IDs

# GNU ar and objcopy report a copy that ended early, with the error code of no error.
_SHORT_COPY = r"unable to copy file '.*'; reason: Success"
_NO_SPACE = re.compile(rf"No space left on device|Disk quota exceeded|{_SHORT_COPY}")
_LITTLE_SPACE = 64 << 10  # bytes; less may not have sufficed for make's last lines

_BLOCK = 512  # bytes
_MOST_BLOCKS = 0xFF  # the size is one byte at offset 2 of the ROM header
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

_ROM_VARIABLE = re.compile(r"^(\w+_\S+) :?= (?:0x)?(\S+)$", re.MULTILINE)
_PCI_ID = re.compile("[0-9a-f]{8}")  # vendor and device


class Facts(NamedTuple):
    """What is known of a make that failed: the platform, the goals and the places."""

    source: str  # the name of the source in the spec
    platform: str  # the name of the platform in the spec
    goals: tuple[str, ...]  # iPXE's names of the images
    media: str
    bin: str
    legacy: bool
    variables: Mapping[str, str]  # that the spec sets for make
    config: str | None
    headers: Mapping[str, str]  # the configuration headers that the spec writes, by name
    tree: Path  # the src directory that the working tree is a copy of
    src: Path  # the src directory of the working tree
    log: Path
    command: str  # to paste into a shell, to see the error again
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
    """The error message for a failed make; ``output`` is what this run printed, and no other."""
    failure = make_output.first_failure(output)
    summary = f"make ended with status {status}"
    if failure.target:
        summary += f" at {failure.target}"
    lines = [summary, f"{LOG}{facts.log}", f"{AGAIN}{facts.command}"]
    for line in make_output.shorten(failure.lines):
        lines.append(line[:_LONGEST_LINE])
    for hint in hints(output, failure, facts):
        lines.append(f"hint: {hint}")
    return "\n  ".join(lines)


# Full disks


def free_space(directory: Path) -> int:
    """The bytes that are free on a directory's file system; 0 if no more files can be created."""
    state = os.statvfs(directory)
    if state.f_files and not state.f_favail:
        return 0  # no inode is free
    return state.f_bavail * state.f_frsize


def disk_is_full(output: str, free: int) -> bool:
    """Whether a make failed because the disk was full.

    Either a tool reports it, or there is no space now. Make always ends its output with a line
    with stars: if there is none and little space is free, the log could not be written.
    """
    if _NO_SPACE.search(output) or free == 0:
        return True
    return "***" not in output and free < _LITTLE_SPACE


def explain_full_disk(output: str, work: Path, free: int) -> str:
    """The error message for a make that failed because the disk was full."""
    text = f"{work}: no space left on device ({free:,} bytes are free); "
    text += "free some space; the next build of this platform starts from scratch"
    for line in output.splitlines():
        if _NO_SPACE.search(line):
            return f"{text}\n  {line.strip()[:_LONGEST_LINE]}"
    return text


# Hints


def hints(output: str, failure: Failure, facts: Facts) -> list[str]:
    """Advice for a failure of a known cause; empty for any other failure."""
    facts = facts._replace(goals=_failed_goals(failure, facts))
    message = "\n".join(failure.lines)
    texts = [
        *_fatal_warning(failure, facts),
        *_clang(facts),
        *_unknown_driver(message, facts),
        *_legacy_too_large(message, facts),
        *_option_without_object(message, facts),
        *_bios_option(message, facts),
        *_no_version(output, facts),
        *_not_permitted(message, facts),
    ]
    if "***" not in output:
        texts.append(
            f"the log ends without make's last lines; {facts.free:,} bytes are free on its disk"
        )
    return texts


def _failed_goals(failure: Failure, facts: Facts) -> tuple[str, ...]:
    """The goals that the failed target belongs to; all goals if it belongs to none."""
    name = failure.target.rpartition("/")[2].removeprefix("version.")
    goals = tuple(goal for goal in facts.goals if name.startswith(f"{goal}."))
    return goals or facts.goals


def _fatal_warning(failure: Failure, facts: Facts) -> Iterator[str]:
    """A compiler or assembler that is newer than the tree has a new warning."""
    if "NO_WERROR" in facts.variables or not make_output.stopped_by_warnings(failure.lines):
        return
    if _is_clang(facts):
        return  # the warnings are not all
    source = _place(facts, ("source", facts.source))
    yield (
        "a warning stopped the build, as happens if the compiler is newer than the tree; "
        f"set make = {{ NO_WERROR = 1 }} in {source}"
    )


def _is_clang(facts: Facts) -> bool:
    return "clang" in facts.variables.get("CC", "")


def _clang(facts: Facts) -> Iterator[str]:
    """iPXE has structures with arrays of variable length, which clang does not accept."""
    if _is_clang(facts):
        yield (
            "clang compiles no iPXE up to 2.0.0, whose sources use what gcc alone has;"
            " remove CC from make, or name a gcc"
        )


def _not_permitted(message: str, facts: Facts) -> Iterator[str]:
    """A BIN directory that ends in -sb takes only sources that iPXE declares fit to be signed.

    In iPXE 2.0 the entry point of every driver for an option ROM lacks this declaration.
    """
    if "FILE_SECBOOT" not in message and "signed for UEFI Secure Boot" not in message:
        return
    bin_directory = facts.bin.removesuffix("-sb")
    yield (
        f"{facts.bin} takes only sources that the tree declares fit for Secure Boot, and iPXE 2.0"
        " declares no driver of an option ROM so: to sign with your own key, write"
        f' bin = "{bin_directory}" in [platform.{facts.platform}] and sign in the target;'
        " or declare FILE_SECBOOT ( PERMITTED ) in these files of the tree"
    )


# Devices and drivers that the tree does not have


class Device(NamedTuple):
    """A device that a tree has a driver for."""

    name: str
    ids: str  # vendor and device as eight hex digits, or empty
    driver: str


def read_devices(rom_defs: Path) -> list[Device]:
    """The devices of a tree, from BIN/.rom.defs, which its makefiles write.

    The list is empty if the file cannot be read.
    """
    try:
        text = rom_defs.read_text(errors="replace")
    except OSError:
        return []
    values = dict(_ROM_VARIABLE.findall(text))
    devices = []
    for variable, driver in values.items():
        if variable.startswith("DRIVER_"):
            name = variable.removeprefix("DRIVER_")
            ids = values.get(f"PCI_VENDOR_{name}", "") + values.get(f"PCI_DEVICE_{name}", "")
            devices.append(Device(name, ids.lower(), driver))
    return devices


def _unknown_driver(message: str, facts: Facts) -> Iterator[str]:
    """An image is requested by IDs, or by the name of a driver, that the tree does not have."""
    elements = _goal_elements(facts.goals)
    for symbol in dict.fromkeys(_UNDEFINED.findall(message)):
        if symbol not in elements:
            continue
        element = elements[symbol]
        nic = _nic_place(element.goal, facts)
        devices = read_devices(facts.src / facts.bin / ".rom.defs")
        if _PCI_ID.fullmatch(element.name):
            yield _unknown_id(element.name, nic, devices)
        else:
            yield _unknown_name(element.name, nic, devices)


class _Element(NamedTuple):
    """A device or driver in a goal, such as ``intel`` in ``intel--realtek``."""

    name: str
    goal: str


def _goal_elements(goals: Iterable[str]) -> dict[str, _Element]:
    """The elements of goals, by their names as symbols have them."""
    elements = {}
    for goal in goals:
        for name in goal.split("--"):
            elements[name.replace("-", "_")] = _Element(name, goal)
    return elements


def _nic_place(goal: str, facts: Facts) -> str:
    """The table of the spec that a goal comes from."""
    if facts.spec:
        try:
            nics = loader.load_spec(facts.spec).nic
        except RomforgeError:  # the spec has changed since the build began
            nics = {}
        for name, nic in nics.items():
            if goal == (nic.goal or nic.id.goal):
                return _place(facts, ("nic", name))
    return "[nic.NAME]"


def _unknown_id(ids: str, nic: str, devices: Iterable[Device]) -> str:
    """The hint for a PCI ID without a driver: the nearest devices of the same vendor."""
    vendor, device_id = ids[:4], ids[4:]
    same_vendor = []
    for device in devices:
        if device.ids[:4] == vendor and device.name == device.ids:
            same_vendor.append(device)
    same_vendor.sort(key=lambda device: abs(int(device.ids[4:], 16) - int(device_id, 16)))
    problem = f"this tree has no driver for the PCI ID {vendor}:{device_id}"
    if not same_vendor:
        return f"{problem}, nor for any of vendor {vendor}; correct id, or set goal, in {nic}"
    nearest = []
    for device in same_vendor[:_NEAREST]:
        nearest.append(f"{vendor}:{device.ids[4:]} ({device.driver})")
    return (
        f"{problem}; the nearest are {join_words(nearest)}; "
        f'correct id in {nic}, or set goal there, such as goal = "{same_vendor[0].name}"'
    )


def _unknown_name(name: str, nic: str, devices: Iterable[Device]) -> str:
    """The hint for a driver or device that the tree does not have."""
    known: set[str] = set()
    for device in devices:
        known |= {device.name, device.driver}
    problem = f"this tree has no driver or device {name}"
    return f"{problem}{did_you_mean(name, known)}; correct goal in {nic}"


# Legacy images that are too large


def _legacy_too_large(message: str, facts: Facts) -> Iterator[str]:
    """The tool that writes a legacy image's size into its header reports an overflow."""
    match = _TOO_LARGE.search(message)
    if not match:
        return
    size = (int(match["base"], 16) + int(match["blocks"], 16)) * _BLOCK
    limit = _MOST_BLOCKS * _BLOCK
    platform = _place(facts, ("platform", facts.platform))
    yield (
        f"the legacy image has {size:,} bytes, and its header can state at most {limit:,} "
        "(127.5 KiB); remove options from its configuration, or set media = "
        f'"mrom" in {platform}, for a card with a memory BAR as large as the ROM; those '
        "of QEMU's cards have at most 128 KiB"
    )
    for goal in facts.goals[:1]:
        yield from _largest_objects(goal, facts)


def _largest_objects(goal: str, facts: Facts) -> Iterator[str]:
    """The largest objects of a link, and the options that pulled them in."""
    link = _read_map(goal, facts)
    if not link:
        return
    sizes = _sizes_in_file(link)
    options = config_options.read_options(facts.src)
    references = config_options.first_references(link.included)
    texts = []
    for name in sorted(sizes, key=lambda name: -sizes[name])[:_LISTED]:
        text = f"{name} {sizes[name]:,}"
        responsible = config_options.responsible_options(name, references, options)
        macros = [option.macro for option in _defined_options(responsible, facts)]
        if macros:
            text += f" ({' or '.join(macros)})"
        texts.append(text)
    if texts:
        heading = "its largest objects in bytes before compression, and the option that pulls"
        yield f"{heading} each in: {', '.join(texts)}"


def _sizes_in_file(link: ld_map.LinkMap) -> dict[str, int]:
    """The bytes that each object takes in the linked file, by the name of the object."""
    sizes: dict[str, int] = {}
    for section in link.kept:
        if section.name.startswith(_NOT_IN_FILE) or section.output.startswith(_NOT_IN_FILE):
            continue
        name = ld_map.object_name(section.object)
        sizes[name] = sizes.get(name, 0) + section.size
    return sizes


def _read_map(goal: str, facts: Facts) -> ld_map.LinkMap | None:
    """The map of an image's link, or None.

    The map of a link that failed ends after the included objects, so the next heading is added.
    """
    medium = facts.media
    if medium == "efirom":
        medium = "efidrv"
    path = facts.src / facts.bin / f"{goal}.{medium}.tmp.map"
    try:
        text = path.read_text(errors="replace")
        return ld_map.parse_map(text + "\nLinker script and memory map\n")
    except (OSError, RomforgeError):
        return None


# Options that the platform cannot have


def _option_without_object(message: str, facts: Facts) -> Iterator[str]:
    """An option requires an object that is not built for the platform, as for arm64."""
    elements = _goal_elements(facts.goals)
    options = config_options.read_options(facts.src)
    undefined = dict.fromkeys(_UNDEFINED.findall(message))
    missing = [name for name in undefined if name not in elements]
    for name in missing[:_LISTED]:
        if name not in options:
            continue
        option = _describe_options(_defined_options(options[name], facts), facts)
        file = config_options.find_source(name, facts.src)
        reason = f"{file} is not built for it"
        if file is None:
            reason = f"the tree has no {name}"
        yield f"{option} is not available on the platform {facts.platform}: {reason}"


def _bios_option(message: str, facts: Facts) -> Iterator[str]:
    """An option pulls BIOS code into an EFI image for x86, where it cannot be linked."""
    if facts.legacy or not _BIOS_CODE.search(message):
        return
    for goal in facts.goals[:1]:
        for option, objects in _options_of_objects(message, goal, facts).items():
            names = join_words(objects[:_LISTED])
            yield f"{option} is for BIOS only, not for {facts.platform}: it pulls in {names}"


def _options_of_objects(message: str, goal: str, facts: Facts) -> dict[str, list[str]]:
    """The objects that a linker's message names, by the options that pulled them in."""
    link = _read_map(goal, facts)
    if not link:
        return {}
    options = config_options.read_options(facts.src)
    references = config_options.first_references(link.included)
    objects: dict[str, list[str]] = {}
    for name in dict.fromkeys(_IN_ARCHIVE.findall(message)):
        responsible = config_options.responsible_options(name, references, options)
        if responsible:
            option = _describe_options(_defined_options(responsible, facts), facts)
            objects.setdefault(option, []).append(f"{name}.o")
    return objects


def _defined_options(options: Sequence[Option], facts: Facts) -> list[Option]:
    """The options whose definition is known, each macro once; all options if none is known."""
    unique = list({option.macro: option for option in options}.values())
    defined = [option for option in unique if _find_definition(option.macro, facts)]
    return defined or unique


def _find_definition(macro: str, facts: Facts) -> str | None:
    """The place where a macro is defined: a table of the spec or a line of the tree, or None."""
    pattern = config_options.definition_pattern(macro)
    for header, text in facts.headers.items():
        if pattern.search(text):
            return _place(facts, ("config", facts.config or "", header))
    return config_options.find_definition(macro, facts.src, facts.config)


def _describe_options(options: Sequence[Option], facts: Facts) -> str:
    """Options with their places.

    >>> _describe_options([Option("PXE_STACK", "config/config.c:105")], facts)
    'PXE_STACK, defined in [config.qemu.general] (romspec.toml:12),'
    """
    texts = []
    for option in options:
        definition = _find_definition(option.macro, facts)
        if definition is None:
            texts.append(f"{option.macro}, see {option.place},")
        else:
            texts.append(f"{option.macro}, defined in {definition},")
    return " or ".join(texts)


# The version, which the tree's makefiles take from git


def _no_version(output: str, facts: Facts) -> Iterator[str]:
    """The makefile got no version from git; the compilation of core/version.c then fails."""
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
    if facts.spec is None:
        return table
    line = loader.line_of(facts.spec, key)
    return f"{table} ({facts.spec.name}:{line})" if line else table


def require_embedded(step: TreeBuild, spec: Path | None) -> None:
    """Raises RomforgeError, with the lines of the spec, if a file to embed cannot be read.

    These are the files of ``embed``, ``trust`` and ``cert``.
    """
    problems = list(embedded_problems(step))
    if problems:
        raise RomforgeError(loader.point_to_all(spec, problems))


def embedded_problems(step: TreeBuild) -> Iterator[Problem]:
    """The files to embed that cannot be read."""
    for variable, files in step.files:
        for index, file in enumerate(files):
            try:
                Path(file).open("rb").close()
            except OSError as error:
                key = ("platform", step.platform, variable.lower(), index)
                yield Problem(key, f"{file}: cannot be read: {error.strerror}")
