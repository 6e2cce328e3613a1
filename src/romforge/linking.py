# SPDX-License-Identifier: GPL-2.0-or-later
"""Which roots a platform's images are linked from, which files a link used, and whether what it holds is right.

iPXE links an image from roots (``-u``): the entry, the drivers, their device lists, and the configuration's objects.
The variable TGT_LD_FLAGS, which names them, is expanded for each goal, and one given to make wins: so roots are left
out without a change to the tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from romforge import linkmap
from romforge.errors import RomforgeError, listing, near
from romforge.plan import Make

Told = dict[str, tuple[list[str], list[str]]]  # by the stage that is linked: all its roots, and those of drivers
# Before 2.0 these two pull the whole boot stack into a driver that never calls it; Debian leaves them out as well.
_UNUSED_BY_DRIVERS = ("obj_config", "obj_config_efi")
_TOLD = "[ROOTS] "  # begins the lines that our TGT_LD_FLAGS has make print: goal, roots, "|", drivers


def dropped(step: Make, src: Path) -> tuple[str, ...]:
    """The roots that are left out of a platform's images: what the spec drops, and for EFI drivers the default."""
    by_default = () if step.legacy or (src / "config/config_main.c").exists() else _UNUSED_BY_DRIVERS
    return tuple(dict.fromkeys(root for root in (*by_default, *step.drop) if root not in step.keep))


def flags(step: Make, drop: tuple[str, ...]) -> list[str]:
    """The words for make that leave out roots and add others; none where the tree's own are right."""
    if not drop and not step.keep:
        return []
    platform = "efi" if not step.legacy else "pcbios"
    roots = f"$(TGT_LD_ENTRY) $(TGT_LD_DRIVERS) $(TGT_LD_DEVLIST) obj_config obj_config_{platform}"
    linked = f"$(filter-out {' '.join(drop)},{roots}) $(filter-out {roots},{' '.join(step.keep)})"
    told = f"$(info {_TOLD}$@ {roots} | $(TGT_LD_DRIVERS))"
    each = f"$(foreach root,{linked},-u $(root) --require-defined=$(root))"
    return [f"TGT_LD_FLAGS={told}{each} $(addprefix --defsym ,$(TGT_LD_IDS)) -e $(TGT_LD_ENTRY)"]


def told_roots(output: str) -> Told:
    """From make's output, for each stage that was linked with our flags: all its roots, and those of drivers."""
    found = {}
    for line in output.splitlines():
        if line.startswith(_TOLD):
            stage, *words = line[len(_TOLD) :].split()
            middle = words.index("|")
            found[stage] = words[:middle], words[middle + 1 :]
    return found


def check(step: Make, drop: tuple[str, ...], roots: tuple[list[str], list[str]] | None, objects: Iterable[str]) -> None:
    """Raises RomforgeError where an image lacks what it must hold, or a root to leave out is none of its link's."""
    held = {one.replace("-", "_") for one in objects}
    where = f"[platform.{step.platform}]"
    if roots:
        for root in step.drop:
            if root not in roots[0]:
                raise RomforgeError(
                    f"{root} is to be dropped, and is no root of this link{near(root, roots[0])}; its roots are {listing(roots[0])}"
                )
        gone = [root for root in roots[1] if root.removeprefix("obj_") not in held]
        if gone:
            right = f"take {listing(one for one in gone if one in drop) if set(gone) & set(drop) else 'it'} out of drop in {where}"
            raise RomforgeError(f"the driver's own object {listing(one.removeprefix('obj_') for one in gone)} is not in the image; {right}")
    for name in step.require:
        if name.replace("-", "_") not in held:
            lost = f"; of its roots {listing(drop)} {'was' if len(drop) == 1 else 'were'} dropped: keep what pulls it in" if drop else ""
            raise RomforgeError(f"{where} requires the object {name}, which is not in the image{near(name, held)}{lost}")


def read_map(path: Path) -> linkmap.LinkMap:
    """The map of a link; raises RomforgeError where it cannot be read."""
    try:
        return linkmap.parse(path.read_text(errors="replace"))
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None


def object_stems(objects: Iterable[str]) -> set[str]:
    """Objects by the names of their sources: ``http`` of the debugging object ``http.dbg2``."""
    return {re.sub(r"\.dbg\d+$", "", name).replace("-", "_") for name in objects}


def stem(name: str) -> str:
    """The source of an object: ``e1000`` of ``e1000.ids`` or ``e1000.dbg2``, ``version`` of ``version.8086100e.rom``."""
    return name.partition(".")[0].replace("-", "_")


def uses(output: str, stems: set[str], files: Iterable[str]) -> list[str] | None:
    """The files that a link used, as make's helper goal ``.deps`` printed them; None where it cannot be told.

    The output of several such goals has no names on it: a link's is the one with the sources of its objects.
    """
    known = set(files)
    sources = {path: _stem(path) for path in known if path.endswith((".c", ".S"))}
    linked = stems & set(sources.values())
    for line in dict.fromkeys(output.splitlines()):
        words = line.split()
        if len(words) > 1 and {sources[word] for word in words if word in sources} == linked:
            return sorted(known.intersection(words))
    return None


def version_files(src: Path, files: Iterable[str]) -> set[str]:
    """What the version object of every link is made of, which no list of a link's files names: its source, and headers."""
    sources = {path for path in files if _stem(path) == "version" and path.endswith(".c")}
    named = {name for path in sources for name in re.findall(r'#\s*include\s*[<"]([^>"]+)', (src / path).read_text(errors="replace"))}
    return sources | {
        path for path in files if (path.startswith("config/") and path.endswith(".h")) or any(path.endswith(f"/{name}") for name in named)
    }


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("-", "_")
