# SPDX-License-Identifier: GPL-2.0-or-later
"""What doit would do, found out without running it: what is stale and why, and what is proven."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from romforge.base import fingerprint, output_files
from romforge.base.fingerprint import FAILED, NOT_BUILT
from romforge.base.text import in_a_line
from romforge.engine import doit_state, failures, staleness
from romforge.engine.failures import Failure
from romforge.engine.staleness import Demand
from romforge.engine.step_digest import step_digest
from romforge.plan.steps import PinnedTree, Plan, Rom, TreeBuild
from romforge.verify.cases import Proof

if TYPE_CHECKING:
    from romforge.engine.tasks import TaskGraph


class ProofState(NamedTuple):
    """A proof, its state, and what was seen.

    States are ``proven``, ``failed``, ``out of date``, ``not proven``, and ``not provable here``:
    the machine lacks what the text says. ``seconds`` is how long it took, 0 where it was not done;
    ``console`` are the last lines that the guest of a failed proof printed.
    """

    proof: Proof
    state: str
    seen: str
    seconds: float = 0
    console: str = ""


def reasons_to_build(plan: Plan, out: Path) -> dict[str, str]:
    """For each task that a doit of all would run, the reason."""
    saved = _saved_tasks(out)
    failed = failures.read_failures(out)
    demand = staleness.stale_images(plan, out, {step.task for step in plan.steps()})
    reasons: dict[str, str] = {}
    for step in plan.steps():
        if isinstance(step, PinnedTree):
            continue  # which no build needs
        if isinstance(step, TreeBuild):
            reason = demand.refused.get(step.task) or _reason_of_make(step, demand)
        else:
            values = _values(saved, step.task)
            reason = fingerprint.why_out_of_date(values, step_digest(step), out)
        if reason is None and isinstance(step, Rom):
            reason = _reason_of_images(step, demand)
        if reason is not None:
            reasons[step.task] = _with_failure(reason, failed.get(step.task))
    return reasons


def _with_failure(reason: str, failure: Failure | None) -> str:
    """A reason to run a step, with why it failed when it was tried last."""
    if failure is None or FAILED in reason:
        return reason
    text = FAILED + in_a_line(failure.text)
    return text if reason == NOT_BUILT else f"{reason}\n{text}"


def _reason_of_make(make: TreeBuild, demand: Demand) -> str | None:
    """Why each image of a platform must be built, a line each."""
    reasons = demand.wanted.get(make.task, {})
    lines = [f"{make.file_of(goal)}: {reason}" for goal, reason in reasons.items()]
    return "\n".join(lines) or None


def _reason_of_images(rom: Rom, demand: Demand) -> str | None:
    """Why a ROM must be built whose image will be built."""
    for request in rom.requests:
        if request.make is None:
            continue
        reason = demand.wanted.get(request.make, {}).get(rom.goal)
        if reason:
            return f"its image {request.platform}: {reason}"
    return None


def proof_states(graph: TaskGraph) -> list[ProofState]:
    """For each proof whether it holds, and what was seen when it was done last."""
    saved = _saved_tasks(graph.out)
    failed = failures.read_failures(graph.out)
    states = []
    for proof in graph.proofs:
        values = _values(saved, proof.task)
        failure = failed.get(proof.task)
        if failure is not None:
            state = "failed" if failure.is_current(proof, graph.out) else "out of date"
            seen, seconds, console = failure.text, failure.seconds, failure.console
            states.append(ProofState(proof, state, seen, seconds, console))
            continue
        if doit_state.NOT_PROVABLE in values:
            lack = values[doit_state.NOT_PROVABLE]
            states.append(ProofState(proof, "not provable here", lack))
            continue
        if "proof" not in values:
            states.append(ProofState(proof, "not proven", ""))
            continue
        stale = fingerprint.why_out_of_date(values, step_digest(proof), graph.out)
        state = "out of date" if stale else "proven"
        proven = json.loads(values["proof"])
        states.append(ProofState(proof, state, proven["seen"], proven["seconds"]))
    return states


def _saved_tasks(out: Path) -> Mapping[str, Any]:
    return output_files.load_json(out, doit_state.STATE_FILE) or {}


def _values(saved: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    """The values that doit keeps of a task."""
    return saved.get(task, {}).get("_values_:") or {}
