# SPDX-License-Identifier: GPL-2.0-or-later
"""The digest of a step, by which a later run tells whether the step is the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from romforge import __version__

if TYPE_CHECKING:
    from romforge.plan.steps import PlanStep
    from romforge.verify.cases import Proof

    TaskStep: TypeAlias = PlanStep | Proof

RECORDS = 7  # to count up where a step of the same version records or checks something else


def step_digest(step: TaskStep) -> str:
    """The digest of a step and all it says.

    Another version of romforge may do the same step differently, and so has other digests.
    """
    return hashlib.sha256(f"{__version__} {RECORDS} {step!r}".encode()).hexdigest()
