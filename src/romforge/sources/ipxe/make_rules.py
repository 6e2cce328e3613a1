# SPDX-License-Identifier: GPL-2.0-or-later
"""The makefile of ours that make reads after the tree's own: how images are linked, what is noted.

It is ``.romforge/rules.mk`` in the working tree, given by a second ``-f``. So the tree's makefiles
stay as they are, and what is defined here is not in the environment of every command, as variables
of the command line are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from romforge.base import fingerprint
from romforge.sources.ipxe import link_roots, worktree
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan

RULES = ".romforge/rules.mk"  # below src
MACROS_FILE = ".romforge.macros"  # in the BIN directory: what the configuration defines
MACROS_GOAL = "romforge_macros"
ROOTS_SUFFIX = (
    ".roots"  # behind the linked file's name: the roots of the tree, "|", those of drivers
)
_STUBS = "romforge_stubs"
STUBS_NAME = "romforge stubs"  # the object of ours, as reports show it

_HEAD = """\
# Written by romforge: read after the tree's own makefiles. A change made here is lost.

# The roots that the tree itself links from, and the rest of its flags.
$(eval romforge_tree_flags = $(value TGT_LD_FLAGS))
romforge_words = $(subst --defsym ,--defsym=,$(subst -u ,-u,$(romforge_tree_flags)))
romforge_roots = $(patsubst -u%,%,$(filter -u%,$(romforge_words)))
romforge_rest = $(filter-out -u% --defsym=check_%,$(romforge_words))

# A dependency file depends on the headers that it names. One that is not there is never up to date,
# so make would write the file and start again for ever. After some starts it takes the files as they
# are; then the compiler says which header is missing.
ifneq ($(filter-out 0 1 2 3 4,$(MAKE_RESTARTS)),)
$(foreach file,$(filter $(BIN)/deps/%.d,$(MAKEFILE_LIST)),$(eval $(file) : ;))
endif
"""


def rules_arguments() -> list[str]:
    """The words for make that have it read the rules."""
    return ["-f", "Makefile", "-f", RULES]


def write_rules(
    src: Path, plan: LinkPlan, left_out: Mapping[str, tuple[LeftOut, ...]], bin_directory: str
) -> None:
    """Writes the rules, and the sources of stubs that they compile; raises RomforgeError.

    ``left_out`` says what is left out of each linked file, such as ``8086100e.efidrv.tmp``.
    """
    by_groups: dict[tuple[LeftOut, ...], list[str]] = {}
    for stage, groups in left_out.items():
        by_groups.setdefault(groups, []).append(stage)
    text = _HEAD + _link_flags(plan) + _macros_goal()
    for groups, stages in by_groups.items():
        if groups:
            source = link_roots.stub_source(groups)
            name = f"{_STUBS}.{fingerprint.sha256(source.encode())[:12]}"
            _write_if_changed(src / ".romforge" / f"{name}.c", source)
            text += _stub_rule(name, stages, bin_directory)
    _write_if_changed(src / RULES, text)


def is_stub_object(name: str) -> bool:
    """Whether an object of a link is one of ours."""
    return name.startswith(f"{_STUBS}.")


def shown_object_name(name: str) -> str:
    """The name of an object of a link, as reports show it."""
    return STUBS_NAME if is_stub_object(name) else name


def _write_if_changed(path: Path, text: str) -> None:
    """Keeps the times of a file that says the same already: make would redo what depends on it."""
    if not path.is_file() or path.read_text() != text:
        worktree.write_source(path, text.encode())


def _link_flags(plan: LinkPlan) -> str:
    """The variable that holds the flags of a link; it is expanded for each linked file.

    The tree's own flags stop the linker at a root that nothing defines; so do these.
    """
    roots = "$(romforge_roots)"
    if plan.drop:
        roots = f"$(filter-out {' '.join(plan.drop)},{roots})"
    if plan.add:
        roots += f" $(filter-out $(romforge_roots),{' '.join(plan.add)})"
    note = f"$(file >$@{ROOTS_SUFFIX},$(romforge_roots) | $(TGT_LD_DRIVERS))"
    each = f"$(foreach root,{roots},-u $(root) --defsym check_$(root)=$(root))"
    stubs = f"$(filter $(BIN)/{_STUBS}.%,$^)"
    return f"TGT_LD_FLAGS = {note}{each} $(romforge_rest) {stubs}\n"


def _macros_goal() -> str:
    """A goal that writes the macros of the configuration; its prerequisites are made first."""
    compile_words = f"$(COMPILE_c) -E -dM -x c config/general.h > $(BIN)/{MACROS_FILE}"
    return f"""
.PHONY : {MACROS_GOAL}
{MACROS_GOAL} : $(MAKEDEPS)
\t$(Q){compile_words}
"""


def _stub_rule(name: str, stages: Iterable[str], bin_directory: str) -> str:
    stages = " ".join(f"{bin_directory}/{stage}" for stage in stages)
    return f"""
{bin_directory}/{name}.o : .romforge/{name}.c $(MAKEDEPS)
\t$(Q)$(COMPILE_c) -c $< -o $@
{stages} : {bin_directory}/{name}.o
"""


def configuration_defines(bin_directory: Path, macro: str) -> bool | None:
    """Whether the effective configuration defines a macro; None where that is not known."""
    try:
        text = (bin_directory / MACROS_FILE).read_text(errors="replace")
    except OSError:
        return None
    return any(line.split()[1:2] == [macro] for line in text.splitlines())


def read_roots(linked: Path) -> tuple[list[str], list[str]] | None:
    """The roots that the tree links a file from, and those of its drivers; None where none are noted."""
    try:
        tree_roots, _, drivers = (
            linked.with_name(linked.name + ROOTS_SUFFIX).read_text().partition("|")
        )
    except OSError:
        return None
    return tree_roots.split(), drivers.split()
