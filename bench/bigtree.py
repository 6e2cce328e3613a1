# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a source tree of iPXE's size: vendor/minipxe, and a thousand generated sources that its makefiles collect.

vendor/minipxe builds as iPXE does, but of forty sources: what a make without work costs, what a touched header
recompiles, and what a link takes that no driver calls show only in a tree that is as large as the real one.

    python bench/bigtree.py DIR [--sources N]

The same N gives the same bytes every time. What it makes runs, too: e1000's ROM is still a ROM for an e1000.
Generated objects are core0123, net…, crypto…, usr…, conf…, phy… and, drivers with ROMs of vendor b167, nic….
"""

from __future__ import annotations

import argparse
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

MINIPXE = Path(__file__).resolve().parent.parent / "vendor" / "minipxe"
BUILT = shutil.ignore_patterns(
    "bin", "bin-*", "local", ".toolcheck", ".echocheck", "zbin", "elf2efi", "efirom"
)
LEAST, MOST = 100, 1500  # with more, a legacy image would not fit its segment of 64 KiB

# What brings a source into a link, and how many of a hundred there are. The legacy image is one segment of 64 KiB and
# takes obj_config whole, so most of what the configuration asks for is EFI's.
ROLES = {
    "helper": 4,
    "config": 15,
    "config_pcbios": 1,
    "config_efi": 25,
    "driver": 10,
    "unused": 45,
}
WORKING = (
    "config_efi",
    "driver",
    "unused",
)  # roles whose entries do work, too; the others stay small
# Whose sources a source may call besides those of its own role: none that its role does not drag in anyway.
BELOW = {
    "helper": (),
    "config": ("helper",),
    "config_pcbios": ("config", "helper"),
    "config_efi": ("config", "helper"),
    "driver": ("helper",),
    "unused": ("config_efi", "config", "helper"),
}
# Directories that the makefile looks into, each as often as a source shall lie there.
DIRECTORIES = [
    *["core"] * 5,
    *["net"] * 6,
    *["crypto"] * 3,
    *["usr"] * 4,
    "config",
    *["drivers/net"] * 2,
]
PREFIXES = {"config": "conf", "drivers/net": "phy"}  # of names; elsewhere the directory's own
HEADERS = 30  # in include/big, for a hundred sources

LICENCE = (
    "/* SPDX-License-Identifier: GPL-2.0-or-later */\n/* Made by romforge's bench/bigtree.py. */\n"
)
HEADER = """\
#ifndef BIG_{upper}_H
#define BIG_{upper}_H

#include <minipxe.h>
{includes}
struct {name} {{
	uint32_t count;
	uint16_t words[4];
}};

static inline uint32_t {name}_mix ( uint32_t value ) {{
	return ( value << {a} | value >> ( 32 - {a} ) ) ^ {b};
}}

{prototypes}
#endif
"""
SWITCHES = """\
#ifndef CONFIG_BIG_H
#define CONFIG_BIG_H

#include <config/named.h>

{switches}
#ifdef CONFIG
#if __has_include( NAMED ( config/CONFIG/big.h ) )
#include NAMED ( config/CONFIG/big.h )
#endif
#endif
#include <config/local/big.h>
#ifdef LOCAL_CONFIG
#include NAMED ( config/local/LOCAL_CONFIG/big.h )
#endif

#endif
"""
SWITCHED = "#ifdef BIG_{upper}\nREQUIRE_OBJECT ( {name} );\n#endif\n"
# Calls may go in circles, so each says how deep further ones may go.
ENTRY = """
uint32_t {name} ( uint32_t value, unsigned depth ) {{
	value = {header}_mix ( value );
{calls}	return value;
}}
"""
WORK = """
uint32_t {name}_work ( struct {header} *state, uint32_t value ) {{
{statements}	state->count += value;
	return value;
}}
"""
STATEMENTS = [
    "\tfor ( unsigned i = 0 ; i < {a} ; i++ )\n\t\tvalue = {header}_mix ( value + state->words[i % 4] );\n",
    "\tswitch ( value % {a} ) {{\n\tcase 0: value += {b}; break;\n\tcase 1: return state->count;\n\tdefault: state->words[0]++;\n\t}}\n",
    '\tif ( state->count > {b} )\n\t\tprintf ( "{name}: %u of %08x\\n", ( unsigned ) state->count, ( unsigned ) value );\n',
    "\tstate->words[{c}] ^= value >> {a};\n\tvalue *= state->words[{c}] | 1;\n",
    "\tif ( value & {b} )\n\t\tmemset ( state->words, {a}, sizeof ( state->words ) );\n",
]
COMMAND = """
static int run ( int argc, char **argv ) {{
	printf ( "%08x\\n", ( unsigned ) {name} ( argc, 2 ) );
	return 0;
}}

static const struct command {name}_command = {{ "{name}", ": {name}'s number", run }};
TABLE_ENTRY ( commands, struct command, {name}_command );
"""
# In the place of what declares a driver of minipxe: it calls helpers, and then looks at its card as before.
DECLARED = r"PCI_DRIVER \( (\w+), (\w+), (\w+) \);"
HOOK = r"""{includes}
static uint64_t \1_hooked ( struct pci_device *pci, const struct pci_id *id ) {{
{calls}	return \3 ( pci, id );
}}

PCI_DRIVER ( \1, \2, \1_hooked );"""
DRIVER = """
static const struct pci_id {name}_ids[] = {{
{roms}}};

static uint64_t {name}_probe ( struct pci_device *pci, const struct pci_id *id ) {{
	struct {header} state = {{ .count = id->data }};

	return mac_bytes ( pci, 0, {name}_work ( &state, {name} ( id->device, 2 ) ) & 0xff );
}}

PCI_DRIVER ( {name}, {name}_ids, {name}_probe );
"""


@dataclass(eq=False)
class Source:
    """A generated source: its name is its object's, and its header declares the function that others call."""

    name: str
    directory: str
    role: str
    header: str
    calls: list[Source] = field(default_factory=list)
    requires: list[Source] = field(
        default_factory=list
    )  # REQUIRE_OBJECT: dragged in, and not called
    root: bool = (
        False  # asked for from outside; the others of its role are reached through the roots
    )


def generate(directory: Path, sources: int = 1000) -> None:
    """Makes the tree in a directory that is not there yet; sources counts the generated ones."""
    if not LEAST <= sources <= MOST:
        raise ValueError(f"between {LEAST} and {MOST:,} sources can be made, not {sources:,}")
    shutil.copytree(MINIPXE, directory, ignore=BUILT)
    rng = Random("bigtree")
    groups = plan(sources, rng)
    every = [source for group in groups.values() for source in group]
    hook_drivers(directory / "src", roots(groups["helper"]), rng)
    switch_on(directory / "src" / "config", groups)
    write_headers(directory / "src" / "include" / "big", every, rng)
    for source in every:
        (directory / "src" / source.directory / f"{source.name}.c").write_text(text_of(source, rng))


def plan(count: int, rng: Random) -> dict[str, list[Source]]:
    """The sources of each role, and who refers to whom."""
    groups: dict[str, list[Source]] = {}
    used = 0
    for role, share in ROLES.items():
        size = count * share // 100 if role != "unused" else count - used
        groups[role] = [named(role, number, count, rng) for number in range(used, used + size)]
        used += size
    for role, group in groups.items():
        if role != "driver":  # a driver is found through its table entry
            connect(group, rng)
        below = [source for other in BELOW[role] for source in groups[other]]
        for source in group:
            source.calls += rng.sample(below, min(2, len(below)))
    return groups


def named(role: str, number: int, count: int, rng: Random) -> Source:
    directory = "drivers/net" if role == "driver" else rng.choice(DIRECTORIES)
    prefix = "nic" if role == "driver" else PREFIXES.get(directory, directory)
    return Source(
        f"{prefix}{number:04}", directory, role, f"h{number % (count * HEADERS // 100):03}"
    )


def connect(group: list[Source], rng: Random) -> None:
    """Hangs all but the first quarter on earlier ones: chains, half of them doubled to diamonds, and a few cycles."""
    parents: dict[Source, Source] = {}
    for number, source in enumerate(group):
        source.root = number <= max(1, len(group) // 4)
        if source.root:
            continue
        parent, other = rng.sample(group[max(0, number - 40) : number], 2)
        parents[source] = parent
        (parent.requires if number % 10 == 0 else parent.calls).append(source)
        if number % 2:
            other.calls.append(source)
        if number % 25 == 0 and parent in parents:
            source.calls.append(parents[parent])


def roots(group: list[Source]) -> list[Source]:
    return [source for source in group if source.root]


def hook_drivers(src: Path, helpers: list[Source], rng: Random) -> None:
    """Has minipxe's own drivers call helpers."""
    for path in sorted((src / "drivers" / "net").glob("*.c")):
        called = rng.sample(helpers, 2)
        calls = "".join(f"\t{helper.name} ( id->device, 2 );\n" for helper in called)
        path.write_text(
            re.sub(DECLARED, HOOK.format(includes=includes(called), calls=calls), path.read_text())
        )


def switch_on(config: Path, groups: dict[str, list[Source]]) -> None:
    """Has the configuration drag in the roots of its sources, each by a switch as minipxe has them."""
    switches = ""
    for role, group in groups.items():
        if role.startswith("config"):
            switches += "".join(f"#define BIG_{source.name.upper()}\n" for source in roots(group))
            required = "".join(
                SWITCHED.format(upper=source.name.upper(), name=source.name)
                for source in roots(group)
            )
            path = config / f"{role}.c"
            path.write_text(f"{path.read_text()}\n#include <config/big.h>\n{required}")
    (config / "big.h").write_text(LICENCE + SWITCHES.format(switches=switches))


def write_headers(directory: Path, sources: list[Source], rng: Random) -> None:
    """Writes them in four layers, each including some of the layer below: touching a header recompiles a part only."""
    directory.mkdir()
    names = sorted({source.header for source in sources})
    layer = len(names) // 4
    for number, name in enumerate(names):
        start = number // layer * layer
        included = rng.sample(names[start - layer : start], rng.randrange(4, 7)) if start else []
        prototypes = "".join(
            f"uint32_t {source.name} ( uint32_t value, unsigned depth );\n"
            for source in sources
            if source.header == name
        )
        text = HEADER.format(
            name=name,
            upper=name.upper(),
            includes="".join(f"#include <big/{other}.h>\n" for other in included),
            prototypes=prototypes,
            a=rng.randrange(1, 32),
            b=constant(rng),
        )
        (directory / f"{name}.h").write_text(LICENCE + text)


def includes(sources: list[Source]) -> str:
    return "".join(
        f"#include <big/{header}.h>\n" for header in sorted({source.header for source in sources})
    )


def constant(rng: Random) -> str:
    return f"0x{rng.randrange(1 << 32):08x}u"


def text_of(source: Source, rng: Random) -> str:
    """The source's text: what it drags in, work that it has the compiler do, what others call, and what its role asks for."""
    text = (
        LICENCE
        + ("#include <pci.h>\n" if source.role == "driver" else "")
        + includes([source, *source.calls])
    )
    text += "".join(f"REQUIRE_OBJECT ( {other.name} );\n" for other in source.requires)
    text += work(source, rng) + entry(source)
    if source.role == "driver":
        text += driver(source, rng)
    elif source.role.startswith("config") and source.root:
        text += COMMAND.format(name=source.name)
    return text


def work(source: Source, rng: Random) -> str:
    statements = ""
    for statement in rng.sample(STATEMENTS, rng.randrange(1, 4)):
        numbers = {"a": rng.randrange(3, 16), "b": constant(rng), "c": rng.randrange(4)}
        statements += statement.format(name=source.name, header=source.header, **numbers)
    return WORK.format(name=source.name, header=source.header, statements=statements)


def entry(source: Source) -> str:
    calls = "".join(f"\tvalue += {other.name} ( value, depth - 1 );\n" for other in source.calls)
    if calls:
        calls = f"\tif ( ! depth )\n\t\treturn value;\n{calls}"
    if source.role in WORKING:
        calls = f"\tstruct {source.header} state = {{ .count = depth }};\n\tvalue += {source.name}_work ( &state, value );\n{calls}"
    return ENTRY.format(name=source.name, header=source.header, calls=calls)


def driver(source: Source, rng: Random) -> str:
    """One to four devices, whose ROMs no card asks for."""
    number = int(source.name[-4:])
    roms = "".join(
        f'\tPCI_ROM ( 0xb167, 0x{4 * number + device:04x}, "{source.name}-{device}", "Generated {number}-{device}", {device} ),\n'
        for device in range(rng.randrange(1, 5))
    )
    return DRIVER.format(name=source.name, header=source.header, roms=roms)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="where the tree is made; must not be there yet"
    )
    parser.add_argument(
        "--sources",
        type=int,
        default=1000,
        metavar="N",
        help="generated sources, besides minipxe's own",
    )
    given = parser.parse_args()
    try:
        generate(given.directory, given.sources)
    except (ValueError, FileExistsError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
