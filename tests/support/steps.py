# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps of a plan, as tests of single modules need them."""

from __future__ import annotations

from typing import Any

from romforge.plan.steps import TreeBuild
from tests.support.forge import EFI


def step(**changed: Any) -> TreeBuild:
    """A step for the EFI platform, with some fields changed."""
    fields = {
        "source": "ipxe",
        "platform": EFI,
        "trees": ("tree",),
        "directory": "work",
        "bin": "bin-x86_64-efi",
        "media": "efidrv",
    }
    fields |= {"arch": "x86_64", "cross": None, "config": None} | changed
    values = {name: fields.get(name, ()) for name in TreeBuild._fields}
    return TreeBuild(**values)  # type: ignore[arg-type]
