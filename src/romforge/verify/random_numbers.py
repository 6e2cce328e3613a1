# SPDX-License-Identifier: GPL-2.0-or-later
"""Gives guests random numbers, without which edk2 since 2024 has no network boot.

edk2 before 2026 can hang with a virtio-rng device (tianocore/edk2, pull request 11987): if a timer
of its network stack asks for a number while another request waits for its reply, the first one
waits for ever. On a busy host, about one guest in a hundred hung. So a guest also gets a processor
with an instruction for random numbers, where there is one for its architecture: firmware that can
use it then never asks the device.
"""

from __future__ import annotations

import time
from typing import Any

from romforge.base.errors import RomforgeError
from romforge.verify import qemu
from romforge.verify.qemu import Guest, Machine

_DEVICE, _SLOT = "virtio-rng-pci", 4
_NAME = "virtio-rng"  # of the device in QEMU's monitor
_FLOW = 1.0  # seconds in which firmware that works would use the device, or end


def sources(machine: Machine) -> list[str]:
    """The options of two sources of random numbers, or of those that QEMU has.

    They come after those of the machine, whose processor they may replace.
    """
    options: list[str] = []
    model = machine.random_cpu
    if model and qemu.has_cpu(machine, model.partition(",")[0]):
        options += ["-cpu", model]
    if qemu.has_device(machine, _DEVICE):
        options += ["-object", "rng-builtin,id=rng", "-device", f"{_DEVICE},rng=rng,addr={_SLOT}"]
    return options


def may_hang(guest: Guest) -> bool:
    """Whether a guest that has not finished may be in the fault of edk2 before 2026.

    So it is if the guest runs, has used a virtio-rng device, every request has its reply, and no
    new one comes. This is also true of a guest that hangs for other reasons.
    """
    try:
        before = _answered_requests(guest)
        if before is None:
            return False
        time.sleep(_FLOW)
        return _answered_requests(guest) == before
    except (EOFError, RomforgeError):
        return False  # QEMU has ended, or is too old to say


def _answered_requests(guest: Guest) -> int | None:
    """How many requests to virtio-rng have their reply, modulo 65,536.

    None without the device, before its second request, or while one waits.
    """
    for device in guest.monitor.ask("x-query-virtio"):
        if device["name"] != _NAME:
            continue
        queue: dict[str, Any] = guest.monitor.ask(
            "x-query-virtio-queue-status", path=device["path"], queue=0
        )
        answered = int(queue["used-idx"])
        if answered >= 2 and answered == queue["shadow-avail-idx"]:
            return answered
    return None
