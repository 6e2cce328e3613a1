# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a source tree of iPXE's size: vendor/minipxe with a thousand generated sources.

vendor/minipxe builds as iPXE does, but it has only forty sources. Some costs show only in a tree as
large as the real one: a make that has nothing to do, the objects that a changed header recompiles,
and the parts of a link that no driver calls.

    python bench/bigtree.py DIR [--sources N]

The same N gives the same bytes every time. The result works: the ROM of e1000 boots on an e1000.
The names of generated objects are core0123, net…, crypto…, usr…, conf… and phy…. Drivers are
called nic…, and have ROMs of the vendor b167.
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
MIN_SOURCES = 100
MAX_SOURCES = 1500  # with more, a legacy image would not fit its segment of 64 KiB

# What brings a source into a link, and the percentage of such sources. The legacy image is one
# segment of 64 KiB and takes obj_config as a whole, so most of the configuration is EFI's.
ROLES = {
    "helper": 4,
    "config": 15,
    "config_pcbios": 1,
    "config_efi": 25,
    "driver": 10,
    "unused": 45,
}
# Roles with larger objects, whose functions also call the generated work. The others stay small.
WORKING = ("config_efi", "driver", "unused")
# The roles whose sources a source may call, besides its own. Its role pulls these in anyway.
BELOW = {
    "helper": (),
    "config": ("helper",),
    "config_pcbios": ("config", "helper"),
    "config_efi": ("config", "helper"),
    "driver": ("helper",),
    "unused": ("config_efi", "config", "helper"),
}
# Directories that the makefile searches. The more often one is listed, the more sources it gets.
DIRECTORIES = [
    *["core"] * 5,
    *["net"] * 6,
    *["crypto"] * 3,
    *["usr"] * 4,
    "config",
    *["drivers/net"] * 2,
]
PREFIXES = {"config": "conf", "drivers/net": "phy"}  # of names, if not the directory's name
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
# Calls may form cycles, so "depth" limits how many levels of calls may follow.
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
    "\tfor ( unsigned i = 0 ; i < {a} ; i++ )\n"
    "\t\tvalue = {header}_mix ( value + state->words[i % 4] );\n",
    "\tswitch ( value % {a} ) {{\n"
    "\tcase 0: value += {b}; break;\n"
    "\tcase 1: return state->count;\n"
    "\tdefault: state->words[0]++;\n"
    "\t}}\n",
    "\tif ( state->count > {b} )\n"
    '\t\tprintf ( "{name}: %u of %08x\\n",'
    " ( unsigned ) state->count, ( unsigned ) value );\n",
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
# Replaces the declaration of minipxe's own drivers: the new probe calls helpers, then the old one.
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


PCI_ROM = (
    '\tPCI_ROM ( 0xb167, 0x{id:04x}, "{name}-{device}",'
    ' "Generated {number}-{device}", {device} ),\n'
)


@dataclass(eq=False)
class Source:
    """A generated source. Its header declares the function that other sources call.

    ``requires`` are pulled in by REQUIRE_OBJECT and not called. A ``root`` is pulled in from
    outside its role; the other sources of the role are reached through the roots.
    """

    name: str
    directory: str
    role: str
    header: str
    calls: list[Source] = field(default_factory=list)
    requires: list[Source] = field(default_factory=list)
    root: bool = False


def generate(directory: Path, sources: int = 1000) -> None:
    """Makes the tree in a new directory. Raises ValueError if ``sources`` is out of range.

    ``sources`` is the number of generated sources. Raises FileExistsError if the directory exists.
    """
    if not MIN_SOURCES <= sources <= MAX_SOURCES:
        raise ValueError(
            f"the number of sources must be {MIN_SOURCES} to {MAX_SOURCES:,}, not {sources:,}"
        )
    shutil.copytree(MINIPXE, directory, ignore=BUILT)
    rng = Random("bigtree")
    groups = plan(sources, rng)
    all_sources = []
    for group in groups.values():
        all_sources += group
    hook_drivers(directory / "src", roots(groups["helper"]), rng)
    switch_on(directory / "src" / "config", groups)
    write_headers(directory / "src" / "include" / "big", all_sources, rng)
    for source in all_sources:
        path = directory / "src" / source.directory / f"{source.name}.c"
        path.write_text(source_text(source, rng))


def plan(count: int, rng: Random) -> dict[str, list[Source]]:
    """The sources of each role, with their references to each other."""
    groups: dict[str, list[Source]] = {}
    used = 0
    for role, percentage in ROLES.items():
        size = count * percentage // 100
        if role == "unused":
            size = count - used
        groups[role] = [new_source(role, number, count, rng) for number in range(used, used + size)]
        used += size
    for role, group in groups.items():
        if role != "driver":  # the linker's table of drivers refers to these
            connect(group, rng)
        below = []
        for other in BELOW[role]:
            below += groups[other]
        for source in group:
            source.calls += rng.sample(below, min(2, len(below)))
    return groups


def new_source(role: str, number: int, count: int, rng: Random) -> Source:
    """The source with a number, of ``count`` sources: its name, directory and header."""
    if role == "driver":
        directory = "drivers/net"
        prefix = "nic"
    else:
        directory = rng.choice(DIRECTORIES)
        prefix = PREFIXES.get(directory, directory)
    header = number % (count * HEADERS // 100)
    return Source(f"{prefix}{number:04}", directory, role, f"h{header:03}")


def connect(group: list[Source], rng: Random) -> None:
    """Makes all sources but the first quarter reachable from earlier ones.

    This gives chains. Every second source has two callers (a diamond), and some form a cycle.
    """
    parents: dict[Source, Source] = {}
    for number, source in enumerate(group):
        source.root = number <= max(1, len(group) // 4)
        if source.root:
            continue
        parent, other = rng.sample(group[max(0, number - 40) : number], 2)
        parents[source] = parent
        if number % 10 == 0:
            parent.requires.append(source)
        else:
            parent.calls.append(source)
        if number % 2:
            other.calls.append(source)
        if number % 25 == 0 and parent in parents:
            source.calls.append(parents[parent])


def roots(group: list[Source]) -> list[Source]:
    """The sources of a role that are pulled in from outside."""
    return [source for source in group if source.root]


def hook_drivers(src: Path, helpers: list[Source], rng: Random) -> None:
    """Makes minipxe's own drivers call helpers."""
    for path in sorted((src / "drivers" / "net").glob("*.c")):
        called = rng.sample(helpers, 2)
        calls = ""
        for helper in called:
            calls += f"\t{helper.name} ( id->device, 2 );\n"
        hook = HOOK.format(includes=includes(called), calls=calls)
        path.write_text(re.sub(DECLARED, hook, path.read_text()))


def switch_on(config: Path, groups: dict[str, list[Source]]) -> None:
    """Makes the configuration require the roots of its roles, each by a switch of its own."""
    switches = ""
    for role, group in groups.items():
        if not role.startswith("config"):
            continue
        required = ""
        for source in roots(group):
            switch = source.name.upper()
            switches += f"#define BIG_{switch}\n"
            required += SWITCHED.format(upper=switch, name=source.name)
        path = config / f"{role}.c"
        path.write_text(f"{path.read_text()}\n#include <config/big.h>\n{required}")
    (config / "big.h").write_text(LICENCE + SWITCHES.format(switches=switches))


def write_headers(directory: Path, sources: list[Source], rng: Random) -> None:
    """Writes headers in four layers. Each header includes some headers of the layer below.

    So a changed header recompiles only a part of the tree.
    """
    directory.mkdir()
    names = sorted({source.header for source in sources})
    layer_size = len(names) // 4
    for number, name in enumerate(names):
        layer_start = number // layer_size * layer_size
        included = []
        if layer_start:
            below = names[layer_start - layer_size : layer_start]
            included = rng.sample(below, rng.randrange(4, 7))
        prototypes = ""
        for source in sources:
            if source.header == name:
                prototypes += f"uint32_t {source.name} ( uint32_t value, unsigned depth );\n"
        text = HEADER.format(
            name=name,
            upper=name.upper(),
            includes=include_lines(included),
            prototypes=prototypes,
            a=rng.randrange(1, 32),
            b=constant(rng),
        )
        (directory / f"{name}.h").write_text(LICENCE + text)


def includes(sources: list[Source]) -> str:
    """The lines that include the headers of sources."""
    return include_lines(sorted({source.header for source in sources}))


def include_lines(headers: list[str]) -> str:
    return "".join(f"#include <big/{header}.h>\n" for header in headers)


def constant(rng: Random) -> str:
    """A random 32-bit number in C."""
    return f"0x{rng.randrange(1 << 32):08x}u"


def source_text(source: Source, rng: Random) -> str:
    """The C code of a source: its references, its work, its entry, and what its role needs."""
    text = LICENCE
    if source.role == "driver":
        text += "#include <pci.h>\n"
    text += includes([source, *source.calls])
    for other in source.requires:
        text += f"REQUIRE_OBJECT ( {other.name} );\n"
    text += work(source, rng)
    text += entry(source)
    if source.role == "driver":
        text += driver(source, rng)
    elif source.role.startswith("config") and source.root:
        text += COMMAND.format(name=source.name)
    return text


def work(source: Source, rng: Random) -> str:
    """A function of one to three statements, for the compiler to work on."""
    statements = ""
    for statement in rng.sample(STATEMENTS, rng.randrange(1, 4)):
        numbers = {"a": rng.randrange(3, 16), "b": constant(rng), "c": rng.randrange(4)}
        statements += statement.format(name=source.name, header=source.header, **numbers)
    return WORK.format(name=source.name, header=source.header, statements=statements)


def entry(source: Source) -> str:
    """The function that other sources call."""
    calls = ""
    if source.role in WORKING:
        calls += f"\tstruct {source.header} state = {{ .count = depth }};\n"
        calls += f"\tvalue += {source.name}_work ( &state, value );\n"
    if source.calls:
        calls += "\tif ( ! depth )\n\t\treturn value;\n"
    for other in source.calls:
        calls += f"\tvalue += {other.name} ( value, depth - 1 );\n"
    return ENTRY.format(name=source.name, header=source.header, calls=calls)


def driver(source: Source, rng: Random) -> str:
    """A driver of one to four devices, which no card has."""
    number = int(source.name[-4:])
    roms = ""
    for device in range(rng.randrange(1, 5)):
        device_id = 4 * number + device
        roms += PCI_ROM.format(id=device_id, name=source.name, number=number, device=device)
    return DRIVER.format(name=source.name, header=source.header, roms=roms)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="where to make the tree; must not exist"
    )
    parser.add_argument(
        "--sources",
        type=int,
        default=1000,
        metavar="N",
        help="number of generated sources, besides minipxe's own",
    )
    args = parser.parse_args()
    try:
        generate(args.directory, args.sources)
    except (ValueError, FileExistsError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
