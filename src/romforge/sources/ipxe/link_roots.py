# SPDX-License-Identifier: GPL-2.0-or-later
"""What an EFI driver is linked from: which roots and objects of the tree are left out, and how.

iPXE links an image from roots (``-u SYMBOL``): the entry point, the drivers, their device lists,
and the configuration. With EFI_DOWNGRADE_UX the configuration is never used: the driver offers
LoadFile under a GUID that no firmware looks for, so the firmware's own network stack boots, and
calls the driver's Simple Network Protocol alone. Without it the firmware calls iPXE's boot stack,
and nothing may be left out.

An object that is left out needs something in its place:

- an object that is only required (``REQUIRE_OBJECT``) is never called. A symbol with the value 0
  satisfies the linker. ``link_check`` makes sure that no code refers to such a symbol.
- a function that is called, and a variable, needs a stub: see ``stubs/objects.c``.

All of them are weak symbols of one object that is linked first. So the linker does not look for
the objects in the library; and where one is linked for another reason, its own symbols win.

    >>> plan = make_link_plan(strip, legacy=False, downgraded=True, sources={"efi_snp"})
    >>> plan.drop, plan.add
    (("obj_config", "obj_config_efi"), ("obj_efi_snp",))
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from romforge.plan.planner import StripOptions

NONE, SAFE, MINIMAL = STRENGTHS = "none", "safe", "minimal"
# The configuration asks for commands, protocols and consoles, and so for the whole boot stack.
_CONFIGURATION = "obj_config", "obj_config_efi"
# efi_snp is the network interface. Only the configuration asks for it, so it must be a root.
_INTERFACE = "efi_snp"
INTERFACE_ROOT = f"obj_{_INTERFACE}"
_STUBS = Path(__file__).resolve().parent / "stubs" / "objects.c"
_BLOCK = re.compile(r"^/\* object (\w+) \*/\n", re.MULTILINE)


class LeftOut(NamedTuple):
    """Objects that are left out together, since the stubs of one do not fit the others' real code.

    ``explicit`` says that the spec names them: then it is an error if one is linked all the same.
    """

    objects: tuple[str, ...]
    explicit: bool = False


# No call of a firmware leads to these while LoadFile is hidden. aoe, eapol, lldp and such handle
# received packets of iPXE's own network stack; the firmware reads packets itself.
_SAFE = (
    LeftOut(("autoboot",)),
    LeftOut(("config_ethernet",)),
    LeftOut(("config_pci",)),
    LeftOut(("efi_cmdline",)),  # of a driver that was chain-loaded
    LeftOut(("ipv4",)),  # its inet_ntoa() only feeds a debugging message
)
# Calls lead to these, but a network boot does without.
_MINIMAL = (
    LeftOut(("efi_snp_hii",)),  # forms in the firmware's setup
    LeftOut(("settings", "netdev_settings", "uri", "uuid")),
    LeftOut(("vlan",)),
)


class LinkPlan(NamedTuple):
    """How a platform's images are linked: roots to drop and to add, objects to leave out.

    ``reason`` says why nothing is left out, where one would expect it to be.
    """

    drop: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    reason: str | None = None


def make_link_plan(
    strip: StripOptions, *, legacy: bool, downgraded: bool | None, sources: Collection[str]
) -> LinkPlan:
    """The plan for a platform of a tree.

    ``downgraded`` says whether the effective configuration defines EFI_DOWNGRADE_UX, None that
    this is not known; ``sources`` are the names of the tree's objects, such as ``efi_snp``.
    """
    explicit = tuple(LeftOut((object_symbol(name),), True) for name in strip.leave_out)
    drop = dict.fromkeys(strip.drop)
    add = dict.fromkeys(strip.keep)
    groups: tuple[LeftOut, ...] = ()
    reason = None
    if not legacy and strip.strength != NONE:
        reason = _reason_to_keep_all(downgraded, sources)
        if reason is None:
            drop = dict.fromkeys((*_CONFIGURATION, *strip.drop))
            add = dict.fromkeys((INTERFACE_ROOT, *strip.keep))
            groups = known_groups(strip.strength)
    named = {name for group in explicit for name in group.objects}
    groups = _without(groups, named)
    kept = set(strip.keep)
    groups = tuple(group for group in groups if not kept.intersection(_symbols(group.objects)))
    dropped = tuple(root for root in drop if root not in kept)
    added = tuple(root for root in add if root not in strip.drop)
    return LinkPlan(dropped, added, explicit + groups, reason)


def _without(groups: tuple[LeftOut, ...], named: Collection[str]) -> tuple[LeftOut, ...]:
    """The groups less the objects that the spec names, which it insists on."""
    rest = [tuple(name for name in group.objects if name not in named) for group in groups]
    return tuple(LeftOut(objects) for objects in rest if objects)


def _reason_to_keep_all(downgraded: bool | None, sources: Collection[str]) -> str | None:
    if not downgraded:
        return (
            "nothing is left out of the drivers, since the configuration does not define "
            "EFI_DOWNGRADE_UX: the firmware boots by iPXE's own boot stack; for QEMU, where the "
            'firmware has one of its own, config = "qemu" gives drivers of a fifth of the size'
        )
    if _INTERFACE not in sources:
        return f"the tree has no {_INTERFACE}.c, so it is not known which objects a driver needs"
    return None


def known_groups(strength: str) -> tuple[LeftOut, ...]:
    """The groups that a strength leaves out of a driver."""
    if strength == NONE:
        return ()
    return _SAFE + (_MINIMAL if strength == MINIMAL else ())


def object_symbol(name: str) -> str:
    """An object's name as symbols have it: ``virtio_net`` of ``virtio-net``."""
    return name.replace("-", "_")


def _symbols(objects: Iterable[str]) -> list[str]:
    return [f"obj_{name}" for name in objects]


@functools.lru_cache
def _blocks() -> tuple[str, dict[str, str]]:
    """The head of the stubs' source, and its blocks by the name of the object."""
    head, *rest = _BLOCK.split(_STUBS.read_text())
    return head, dict(zip(rest[::2], rest[1::2]))


def has_stubs(name: str) -> bool:
    """Whether there are stubs for the functions and variables of an object."""
    return name in _blocks()[1]


def stubs_digest() -> str:
    """Names the stubs that this romforge has: other ones make other images."""
    from romforge.base import fingerprint

    return fingerprint.sha256(_STUBS.read_bytes())[:16]


def required_symbols(groups: Iterable[LeftOut]) -> list[str]:
    """The symbols that are defined as 0 in place of objects that are left out."""
    return _symbols(name for group in groups for name in group.objects)


def stub_source(groups: Iterable[LeftOut]) -> str:
    """The C source of the object that stands in for the objects that are left out."""
    groups = list(groups)
    head, blocks = _blocks()
    names = [name for group in groups for name in group.objects]
    parts = [head, *(blocks[name] for name in names if name in blocks)]
    for symbol in required_symbols(groups):
        parts.append(f'__asm__ ( ".weak {symbol}\\n.set {symbol}, 0\\n" );\n')
    return "".join(parts)
