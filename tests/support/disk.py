# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system of its own, and sets of files that are compared."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

Set = dict[str, bytes]


def differing(one: Set, other: Set) -> list[str]:
    """The names whose files differ; short where a comparison of the sets would print megabytes."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


class Disk:
    """A tmpfs of its own; fails the test where none can be mounted."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()

    def mount(self, options: str, what: str = "") -> None:
        command = (
            f"mount -t tmpfs -o {what or options} romforge-test {shlex.quote(str(self.place))}"
        )
        status = os.system(command)
        assert status == 0, (
            "this test needs a file system of its own, and so root: "
            f"`{command}` ended with status {status}"
        )

    def remount(self, options: str) -> None:
        self.mount(f"remount,{options}")

    def umount(self) -> None:
        os.system(f"umount -l {shlex.quote(str(self.place))} 2>/dev/null")


def used(place: Path) -> int:
    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize
