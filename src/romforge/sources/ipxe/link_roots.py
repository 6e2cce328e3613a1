# SPDX-License-Identifier: GPL-2.0-or-later
"""The roots and objects of a tree that an EFI driver is linked without, and how.

iPXE links an image from roots (``-u SYMBOL``): the entry point, the drivers, their device lists,
and the configuration. With EFI_DOWNGRADE_UX the configuration is not used. The driver offers
LoadFile under a GUID that no firmware looks for. The firmware boots with its own network stack and
calls only the driver's Simple Network Protocol. Without EFI_DOWNGRADE_UX the firmware calls iPXE's
boot stack, and nothing may be left out.

An object that is left out needs a replacement:

- An object that is only required (``REQUIRE_OBJECT``) is never called. A symbol with the value 0
  satisfies the linker. ``link_check`` makes sure that no code refers to such a symbol.
- A function that is called, or a variable, needs a stub: see ``stubs/objects.c``.

All replacements are weak symbols of one object that is linked first. So the linker does not search
the library for the objects. If one is linked for another reason, its own symbols take precedence.

    >>> plan = make_link_plan(strip, legacy=False, downgraded=True, sources={"efi_snp", "device"})
    >>> plan.drop, plan.add
    (("obj_config", "obj_config_efi"), ("obj_efi_snp", "obj_device"))
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from romforge.plan.steps import StripOptions

NONE, SAFE, MINIMAL = STRENGTHS = "none", "safe", "minimal"
# The configuration requires commands, protocols and consoles, and so the whole boot stack.
_CONFIGURATION = "obj_config", "obj_config_efi"
# efi_snp is the network interface. Only the configuration requires it, so it must become a root.
_INTERFACE = "efi_snp"
# device stops the NIC at ExitBootServices. Nothing refers to it, for its functions are in a table.
# Without it the NIC goes on writing received frames to memory that the operating system then owns.
_SHUTDOWN = "device"
ADDED_ROOTS = f"obj_{_INTERFACE}", f"obj_{_SHUTDOWN}"
_STUBS = Path(__file__).resolve().parent / "stubs" / "objects.c"
_BLOCK = re.compile(r"^/\* object (\w+) \*/\n", re.MULTILINE)


class LeftOut(NamedTuple):
    """Objects that are left out together: stubs of one do not work with the real code of another.

    ``explicit`` means that the spec names the object; it is then an error if it is needed.
    """

    objects: tuple[str, ...]
    explicit: bool = False


# No firmware call reaches these while LoadFile is hidden. config_ethernet pulls in aoe, eapol, lldp
# and others: they handle packets that iPXE's own network stack receives, but the firmware reads
# packets itself.
_SAFE = (
    LeftOut(("autoboot",)),
    LeftOut(("config_ethernet",)),
    LeftOut(("config_pci",)),
    LeftOut(("efi_cmdline",)),  # of a driver that was chain-loaded
    LeftOut(("ipv4",)),  # its inet_ntoa() only feeds a debugging message
)
# Firmware calls reach these, but a network boot does not need them.
_MINIMAL = (
    LeftOut(("efi_snp_hii",)),  # forms in the firmware's setup
    LeftOut(("settings", "netdev_settings", "uri", "uuid")),
    LeftOut(("vlan",)),
)


class LinkPlan(NamedTuple):
    """How a platform's images are linked: roots to drop and to add, objects to leave out.

    ``reason`` says why nothing is left out although the strength is not "none".
    """

    drop: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    reason: str | None = None


def make_link_plan(
    strip: StripOptions, *, legacy: bool, downgraded: bool | None, sources: Collection[str]
) -> LinkPlan:
    """The plan for a platform of a tree.

    ``downgraded`` says whether the effective configuration defines EFI_DOWNGRADE_UX; None if this
    is not known. ``sources`` are the names of the tree's objects, such as ``efi_snp``.
    """
    drop = strip.drop
    add = strip.keep
    groups: tuple[LeftOut, ...] = ()
    reason = None
    if not legacy and strip.strength != NONE:
        reason = _reason_to_keep_all(downgraded, sources)
        if reason is None:
            drop = (*_CONFIGURATION, *drop)
            add = (*_needed_roots(sources), *add)
            groups = known_groups(strip.strength)
    return LinkPlan(
        drop=_without(drop, strip.keep),
        add=_without(add, strip.drop),
        left_out=_apply_lists(groups, strip),
        reason=reason,
    )


def _needed_roots(sources: Collection[str]) -> list[str]:
    """The roots that a driver needs and only the configuration requires, if a tree has them."""
    return [root for root in ADDED_ROOTS if root.removeprefix("obj_") in sources]


def _without(names: Iterable[str], excluded: Collection[str]) -> tuple[str, ...]:
    """The names, each once, without those that are excluded."""
    return tuple(name for name in dict.fromkeys(names) if name not in excluded)


def _apply_lists(groups: Iterable[LeftOut], strip: StripOptions) -> tuple[LeftOut, ...]:
    """The groups to leave out, after ``leave_out`` and ``keep`` of the spec are applied.

    Each object in ``leave_out`` is a group of its own. A group with a symbol in ``keep`` is kept.
    """
    named = [object_symbol(name) for name in strip.leave_out]
    left_out = [LeftOut((name,), explicit=True) for name in named]
    for group in groups:
        objects = _without(group.objects, named)
        if objects and not set(strip.keep).intersection(_symbols(objects)):
            left_out.append(LeftOut(objects))
    return tuple(left_out)


def _reason_to_keep_all(downgraded: bool | None, sources: Collection[str]) -> str | None:
    """Why nothing may be left out of a tree's drivers; None if objects may."""
    if not downgraded:
        return (
            "nothing is left out of the drivers, since the configuration does not define "
            "EFI_DOWNGRADE_UX: the firmware boots with iPXE's own boot stack; for QEMU, whose "
            'firmware has its own, config = "qemu" makes drivers a fifth of the size'
        )
    if _INTERFACE not in sources:
        return f"the tree has no {_INTERFACE}.c, so it is not known which objects a driver needs"
    return None


def known_groups(strength: str) -> tuple[LeftOut, ...]:
    """The groups that a strength leaves out of a driver."""
    if strength == NONE:
        return ()
    if strength == MINIMAL:
        return _SAFE + _MINIMAL
    return _SAFE


def object_symbol(name: str) -> str:
    """The name of an object as it appears in symbols: ``virtio_net`` for ``virtio-net``."""
    return name.replace("-", "_")


def _symbols(objects: Iterable[str]) -> list[str]:
    """The symbols that each object of iPXE defines for ``REQUIRE_OBJECT``."""
    return [f"obj_{name}" for name in objects]


@functools.lru_cache
def _stub_blocks() -> tuple[str, dict[str, str]]:
    """The head of the stubs' source, and its blocks by the names of the objects."""
    head, *rest = _BLOCK.split(_STUBS.read_text())
    return head, dict(zip(rest[::2], rest[1::2]))


def has_stubs(name: str) -> bool:
    """Whether there are stubs for the functions and variables of an object."""
    return name in _stub_blocks()[1]


def stubs_digest() -> str:
    """Identifies the stubs of this romforge version, since images depend on them."""
    from romforge.base import fingerprint

    return fingerprint.sha256(_STUBS.read_bytes())[:16]


def required_symbols(groups: Iterable[LeftOut]) -> list[str]:
    """The symbols that are defined as 0 in place of left-out objects."""
    symbols: list[str] = []
    for group in groups:
        symbols += _symbols(group.objects)
    return symbols


def stub_source(groups: Iterable[LeftOut]) -> str:
    """The C source of the object that replaces the left-out objects."""
    groups = list(groups)
    head, blocks = _stub_blocks()
    parts = [head]
    for group in groups:
        parts += [blocks[name] for name in group.objects if name in blocks]
    for symbol in required_symbols(groups):
        parts.append(f'__asm__ ( ".weak {symbol}\\n.set {symbol}, 0\\n" );\n')
    return "".join(parts)
