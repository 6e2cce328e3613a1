# SPDX-License-Identifier: GPL-2.0-or-later
"""The makefile that romforge adds to a tree: it changes the roots of links and notes the original.

Make reads it after the tree's own makefile, by a second ``-f``. It is ``.romforge/rules.mk`` in the
working tree. So the tree's makefiles are not changed. Variables of make's command line would do the
same, but they are exported to the environment of every command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from romforge.base import fingerprint
from romforge.sources.ipxe import link_roots, worktree
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan

RULES = ".romforge/rules.mk"  # below src
MACROS_FILE = ".romforge.macros"  # in the BIN directory: the macros of the configuration
MACROS_GOAL = "romforge_macros"
# Added to the name of a linked file: "ROOT ROOT … | ROOT …", the roots of the tree and the drivers.
ROOTS_SUFFIX = ".roots"
_STUBS = "romforge_stubs"
STUBS_NAME = "romforge stubs"  # the object with romforge's stubs, as reports show it

_HEAD = """\
# Written by romforge, and read after the tree's own makefiles. Do not edit it.

# The roots that the tree itself links from, and the rest of its flags.
$(eval romforge_tree_flags = $(value TGT_LD_FLAGS))
romforge_words = $(subst --defsym ,--defsym=,$(subst -u ,-u,$(romforge_tree_flags)))
romforge_roots = $(patsubst -u%,%,$(filter -u%,$(romforge_words)))
romforge_rest = $(filter-out -u% --defsym=check_%,$(romforge_words))

# A dependency file depends on the headers that it names. If a header is missing, the file is never
# up to date, and make would write it and restart forever. After five restarts the files are used as
# they are; then the compiler reports the missing header.
ifneq ($(filter-out 0 1 2 3 4,$(MAKE_RESTARTS)),)
$(foreach file,$(filter $(BIN)/deps/%.d,$(MAKEFILE_LIST)),$(eval $(file) : ;))
endif
"""


def rules_arguments() -> list[str]:
    """The arguments with which make reads the tree's makefile and then the rules."""
    return ["-f", "Makefile", "-f", RULES]


def write_rules(
    src: Path, plan: LinkPlan, left_out: Mapping[str, tuple[LeftOut, ...]], bin_directory: str
) -> None:
    """Writes the rules, and the sources of the stubs that they compile; raises RomforgeError.

    ``left_out`` has the groups that are left out of each linked file, by its name, such as
    ``8086100e.efidrv.tmp``.
    """
    by_groups: dict[tuple[LeftOut, ...], list[str]] = {}
    for stage, groups in left_out.items():
        by_groups.setdefault(groups, []).append(stage)
    text = _HEAD + _link_flags(plan) + _macros_goal()
    for groups, stages in by_groups.items():
        if not groups:
            continue
        source = link_roots.stub_source(groups)
        name = f"{_STUBS}.{fingerprint.sha256(source.encode())[:12]}"
        _write_if_changed(src / ".romforge" / f"{name}.c", source)
        text += _stub_rule(name, stages, bin_directory)
    _write_if_changed(src / RULES, text)


def is_stub_object(name: str) -> bool:
    """Whether an object of a link has romforge's stubs."""
    return name.startswith(f"{_STUBS}.")


def shown_object_name(name: str) -> str:
    """The name of an object of a link, as reports show it."""
    return STUBS_NAME if is_stub_object(name) else name


def _write_if_changed(path: Path, text: str) -> None:
    """Writes a file, but keeps its mtime if the text is the same: make compares mtimes."""
    if not path.is_file() or path.read_text() != text:
        worktree.write_source(path, text.encode())


def _link_flags(plan: LinkPlan) -> str:
    """The definition of the variable with a link's flags, which make expands for each linked file.

    Like the tree's own flags, they make the linker fail if a root is undefined.
    """
    roots = "$(romforge_roots)"
    if plan.drop:
        roots = f"$(filter-out {' '.join(plan.drop)},{roots})"
    if plan.add:
        roots += f" $(filter-out $(romforge_roots),{' '.join(plan.add)})"
    note = f"$(file >$@{ROOTS_SUFFIX},$(romforge_roots) | $(TGT_LD_DRIVERS))"
    root_flags = f"$(foreach root,{roots},-u $(root) --defsym check_$(root)=$(root))"
    stubs = f"$(filter $(BIN)/{_STUBS}.%,$^)"
    return f"TGT_LD_FLAGS = {note}{root_flags} $(romforge_rest) {stubs}\n"


def _macros_goal() -> str:
    """The rule of a goal that writes the macros of the configuration to a file."""
    command = f"$(COMPILE_c) -E -dM -x c config/general.h > $(BIN)/{MACROS_FILE}"
    return f"""
.PHONY : {MACROS_GOAL}
{MACROS_GOAL} : $(MAKEDEPS)
\t$(Q){command}
"""


def _stub_rule(name: str, stages: Iterable[str], bin_directory: str) -> str:
    """The rules that compile a stub object and link it first into some files."""
    linked_files = " ".join(f"{bin_directory}/{stage}" for stage in stages)
    return f"""
{bin_directory}/{name}.o : .romforge/{name}.c $(MAKEDEPS)
\t$(Q)$(COMPILE_c) -c $< -o $@
{linked_files} : {bin_directory}/{name}.o
"""


def configuration_defines(bin_directory: Path, macro: str) -> bool | None:
    """Whether the effective configuration defines a macro; None if that is not known."""
    try:
        text = (bin_directory / MACROS_FILE).read_text(errors="replace")
    except OSError:
        return None
    return any(line.split()[1:2] == [macro] for line in text.splitlines())


class NotedRoots(NamedTuple):
    """The roots of a link before romforge dropped or added any."""

    tree: list[str]
    drivers: list[str]


def read_roots(linked: Path) -> NotedRoots | None:
    """The roots that make noted for a linked file; None if it noted none."""
    path = linked.with_name(linked.name + ROOTS_SUFFIX)
    try:
        tree_roots, _, driver_roots = path.read_text().partition("|")
    except OSError:
        return None
    return NotedRoots(tree_roots.split(), driver_roots.split())
