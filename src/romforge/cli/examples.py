# SPDX-License-Identifier: GPL-2.0-or-later
"""The groups of commands in `romforge --help`, and the examples in each command's --help."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping

HEADING = "examples:"
_MARGINS = 6  # columns before, between and behind the texts of an example
GROUPS = {
    "start": ("init", "schema", "nics", "check"),
    "build": ("get", "build", "plan", "lock", "update", "join"),
    "prove": ("verify", "lookup"),
    "compare": ("status", "report", "compat"),
    "look inside": ("inspect", "why", "stripped", "licences"),
    "ROM files by hand": ("split", "combine", "efirom", "compress", "decompress"),
    "help": ("help", "man", "completion"),
}
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "init": (
        ("romforge init", "QEMU's set, of the iPXE tree that is here, or of a miniature"),
        ("romforge init --from roms project", "a set of existing ROMs, in the directory project"),
    ),
    "schema": (
        ("romforge schema > romspec.schema.json", "for editors that complete TOML"),
        ("romforge schema status", "what `romforge status --json` prints"),
    ),
    "nics": (("romforge nics vendor/ipxe", "and what to write into a spec for each"),),
    "check": (
        ("romforge check", "the spec, and the trees and files that it names"),
        ("romforge check --format github", "as annotations of GitHub Actions"),
        ("romforge check --debian", "and what debian/ lacks, such as for a new architecture"),
    ),
    "build": (
        ("romforge build", "the default targets"),
        ("romforge build nic:e1000 --jobs 2", "the ROMs of one NIC, with two jobs"),
        ("romforge build --shard 2/4", "a quarter of them, on one of four machines"),
    ),
    "get": (
        ("romforge get", "what the spec pins, into the output root"),
        ("romforge get ipxe --from ~/ipxe", "the same commit, out of a clone that is here"),
    ),
    "update": (
        ("romforge update", "the newest commit of the only source with git"),
        ("romforge update ipxe --to v2.0.0", "the commit of a tag"),
    ),
    "join": (("romforge join part-*", "then `status`, `report` and `lock` see all of them"),),
    "plan": (
        ("romforge plan e1000", "the steps of one NIC's ROMs"),
        ("romforge plan --why", "what a build would do now, and why"),
    ),
    "lock": (
        ("romforge lock", "write what was built"),
        ("romforge lock --check", "compare with it, and say which objects grew"),
    ),
    "verify": (
        ("romforge verify nic:e1000", "boot the ROMs of one NIC"),
        ("romforge verify --controls", "show that each proof can fail"),
    ),
    "lookup": (("romforge lookup", "which file each installed QEMU would open"),),
    "status": (
        ("romforge status", "the ROMs, the worst first"),
        ("romforge status --against old=ipxe-qemu.deb", "compared with an older set"),
    ),
    "report": (
        ("romforge report -o roms.html", "a page"),
        ("romforge report --format md", "for a merge request"),
    ),
    "compat": (
        ("romforge compat ipxe-qemu.deb out", "a package against what was built"),
        ("romforge compat old.rom new.rom", "two files"),
    ),
    "inspect": (
        ("romforge inspect out/usr/share/qemu/efi-e1000.rom", "a file"),
        ("romforge inspect e1000", "the ROMs of the spec for a NIC"),
    ),
    "why": (
        ("romforge why e1000", "the objects in its images"),
        ("romforge why dhcp --in pcbios/8086100e", "why one was linked, and what would go with it"),
    ),
    "stripped": (("romforge stripped", "what was left out of each image"),),
    "licences": (
        ("romforge licences", "how many files are under each licence"),
        ("romforge licences --debian", "paragraphs for debian/copyright"),
    ),
    "split": (("romforge split efi-e1000.rom -d parts", "its images and drivers"),),
    "combine": (("romforge combine -o new.rom legacy.rom efi.rom", "chain two images"),),
    "efirom": (
        ("romforge efirom --id 8086:100e driver.efi new.rom", "wrap and compress a driver"),
    ),
    "compress": (("romforge compress driver.efi driver.bin", "in the UEFI format"),),
    "decompress": (("romforge decompress driver.bin driver.efi", "the other way"),),
    "help": (("romforge help lock", "as `romforge lock --help`"),),
    "man": (("romforge man romspec | man -l -", "the manual of the spec"),),
    "completion": (('eval "$(romforge completion bash)"', "in this shell"),),
}


def example_text(command: str) -> str:
    """The examples of a command, as its --help shows them: each line, and what it does.

    That stands beside the lines, or below them where one is too long.
    """
    examples = EXAMPLES[command]
    width = max(len(line) for line, _ in examples)
    longest = max(len(purpose) for _, purpose in examples)
    lines = [HEADING]
    for line, purpose in examples:
        if width + longest + _MARGINS <= shutil.get_terminal_size().columns:
            lines.append(f"  {line:{width}}  {purpose}")
        else:
            lines += [f"  {line}", f"      {purpose}"]
    return "\n".join(lines)


def group_lines(summaries: Mapping[str, str]) -> Iterator[str]:
    """The commands by group; ``summaries`` says what each does, and has those that are loaded."""
    width = max(map(len, summaries), default=0)
    room = shutil.get_terminal_size().columns - width - 6
    for title, names in GROUPS.items():
        yield ""
        yield f"{title}:"
        for name in names:
            if name not in summaries:
                continue
            first, *more = textwrap.wrap(summaries[name], max(room, 20))
            yield f"  {name:{width}}  {first}"
            for line in more:
                yield f"  {'':{width}}  {line}"
