# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that work on a spec: each takes the parsed arguments and returns the exit status."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from romforge.base import output_files
from romforge.base.errors import UsageError
from romforge.base.programs import MissingTool
from romforge.base.table import BOLD, RED, paint, wants_colours
from romforge.base.text import did_you_mean, format_size, join_words, plural
from romforge.cli.rom_commands import Arguments, print_json
from romforge.plan import planner
from romforge.rom.manifest import RomEntry, read_manifest
from romforge.spec import loader


def build(given: Arguments) -> int:
    from romforge.engine import tasks

    dodo = tasks.load_tasks(given.spec, given.out, _tree(), every=bool(given.selection))
    dodo.run.as_json = given.json
    return tasks.run_tasks(dodo, [_selected(dodo.plan, one) for one in given.selection], given.jobs)


def verify(given: Arguments) -> int:
    from romforge.engine import tasks

    dodo = tasks.load_tasks(
        given.spec, given.out, _tree(), verify="controls" if given.controls else "all"
    )
    dodo.run.junit = given.junit
    dodo.run.as_json = given.json
    wanted = {proof.task for proof in dodo.proofs}
    chosen = [one for one in given.selection if one in wanted]
    roms = {
        rom.path
        for rom in dodo.plan.selected(
            [_selected(dodo.plan, one) for one in given.selection if one not in wanted]
        )
    }
    if roms and (len(chosen) < len(given.selection) or not given.selection):
        chosen += [proof.task for proof in dodo.proofs if proof.rom in roms]
    if not chosen:
        raise UsageError("there is nothing to verify")
    return tasks.run_tasks(dodo, chosen, given.jobs)


def lock(given: Arguments) -> int:
    from romforge.rom import lock_format

    spec = loader.load_spec(given.spec, given.out)
    found = planner.make_plan(spec, _tree())
    roms = found.selected([_selected(found, one) for one in given.selection])
    place = lock_format.lock_path(given.spec)
    if given.check:
        return _check_lock(
            lock_format.compare_build_with_lock(
                spec, found, given.out, roms if given.selection else None
            ),
            place,
            given,
        )
    before = lock_format.read_lock(place) if place.exists() else lock_format.Lock({}, {}, {})
    if not given.selection:  # what of other targets is there, or was locked, stays locked
        roms += [
            rom
            for rom in found.roms()
            if rom not in roms and ((given.out / rom.path).is_file() or rom.path in before.roms)
        ]
    now = lock_format.lock_from_build(spec, found, given.out, roms)
    if given.selection:
        now = lock_format.Lock(
            {**before.roms, **now.roms},
            {**before.sources, **now.sources},
            {**before.tools, **now.tools},
        )
    lock_format.require_acknowledged(before, now)
    output_files.replace_file(place, lock_format.emit_lock(now))
    print(f"{place}: {len(now.roms)} ROMs")
    return 0


def _check_lock(changes: list[Any], place: Path, given: Arguments) -> int:
    faults = [one for one in changes if one.fault]
    if given.json:
        print_json([{"file": one.path, "text": one.text, "fault": one.fault} for one in changes])
    else:
        for one in changes:
            print(
                f"{paint('FAULT' if one.fault else 'change', RED if one.fault else '', wants_colours())} {one.path}: {one.text}"
            )
        if faults:
            print(
                f"{plural(len(faults), 'fault')}; if all is meant, `romforge lock` writes {place} anew"
            )
    return int(bool(faults))


def report(given: Arguments) -> int:
    from romforge.analysis import summary
    from romforge.engine import questions, tasks
    from romforge.html import page
    from romforge.verify import cases

    spec = loader.load_spec(given.spec, given.out)
    dodo = tasks.load_tasks(given.spec, given.out, _tree(), verify="all")
    proven = [
        summary.Proven(proof.rom, proof.column, state, seen)
        for proof, state, seen in questions.proof_states(dodo)
    ]
    asked = {row.rom for row in proven if row.state != "not proven"}
    older = {
        name: given.out / root
        for name, root in cases.baselines(spec)
        if (given.out / root).exists()
    }
    for one in given.against:
        name, _, path = one.rpartition("=")
        older[name or Path(path).name] = Path(path)
    found = summary.gather_summary(
        spec, dodo.plan, given.out, older, [row for row in proven if row.rom in asked]
    )
    output_files.replace_file(given.output, page.render_page(found).encode())
    print(given.output)
    return 0


def check(given: Arguments) -> int:
    spec = loader.load_spec(given.spec, given.out)
    plan = planner.make_plan(spec, _tree())
    roms = sum(1 for _ in plan.roms())
    counts = {
        "nics": len(spec.nic),
        "platforms": len(spec.platform),
        "targets": len(spec.target),
        "roms": roms,
    }
    if given.json:
        print_json(counts)
    else:
        names = ("NIC", "platform", "target", "ROM")
        told = join_words(plural(count, name) for name, count in zip(names, counts.values()))
        print(f"{given.spec}: fine: {told}")
    return 0


def plan(given: Arguments) -> int:
    found = planner.make_plan(loader.load_spec(given.spec, given.out), _tree())
    if given.why:
        return _why(found, given)
    steps = list(_steps(found, given.out))
    if given.json:
        print_json(steps)
        return 0
    for step in steps:
        print(paint(step["task"], BOLD, wants_colours()))
        for part in ("tool", "inputs", "outputs", "ids", "bucket", "sizes"):
            for line in step[part] if isinstance(step[part], list) else filter(None, [step[part]]):
                print(f"  {part:<8}{line}")
    return 0


def _why(found: planner.Plan, given: Arguments) -> int:
    """Tells what a build of all would do, and why."""
    from romforge.engine import questions

    why = questions.reasons_to_build(found, given.out)
    if given.json:
        print_json(why)
        return 0
    for task, reason in why.items():
        print("\n  ".join([paint(task, BOLD, wants_colours()), *reason.splitlines()]))
    if not why:
        print("all is up to date")
    return 0


def stripped(given: Arguments) -> int:
    from romforge.analysis import strip_report
    from romforge.analysis.image_sizes import nics_of
    from romforge.base import jobserver, output_lock

    found = planner.make_plan(loader.load_spec(given.spec, given.out), _tree())
    selected = [_selected(found, one) for one in given.selection]
    output_lock.hold_lock(given.out)
    jobserver.begin_pool(None)
    rows = []
    for make in found.makes:
        if goals := _goals(found, make, selected):
            rows += [(make, one) for one in strip_report.strip_report_of(make, given.out, goals)]
    if given.json:
        print_json([strip_report.as_json(make, one) for make, one in rows])
        return 0
    for make, one in rows:
        nics = join_words(nics_of(found, make, one.goal))
        title = f"{make.platform} {one.goal}.{make.media}"
        print(f"{paint(title, BOLD, wants_colours())} ({nics})")
        for line in strip_report.strip_report_lines(one):
            print(f"  {line}")
    return 0


def why(given: Arguments) -> int:
    from romforge.cli import why_command

    return why_command.why_command(given, _tree())


def _goals(found: planner.Plan, make: planner.TreeBuild, selected: list[str]) -> list[str]:
    """The images of a platform that a selection of tasks stands for."""
    if make.task in selected:
        return list(make.goals)
    roms = (
        found.selected(selected)
        if not selected or set(selected) - {one.task for one in found.makes}
        else []
    )
    return list(
        dict.fromkeys(rom.goal for rom in roms for pick in rom.picks if pick.make == make.task)
    )


def completion(given: Arguments) -> int:
    from romforge.cli import completion as completing

    print(completing.completion_script(given.shell), end="")
    return 0


def man(given: Arguments) -> int:
    from romforge.cli import manpage

    print(manpage.PAGES[given.page](given.parser), end="")
    return 0


def _tree() -> str | None:
    """The source tree that the environment names."""
    return os.path.abspath(tree) if (tree := os.environ.get("IPXE_SRC")) else None


def _selected(plan: planner.Plan, given: str) -> str:
    """A selection as the name of a task; raises UsageError for what the spec does not have."""
    tasks = {
        "all",
        *(f"target:{name}" for name in plan.targets),
        *(step.task for step in plan.steps()),
    }
    tasks |= {f"nic:{rom.nic}" for rom in plan.roms()}
    if given in tasks:
        return given
    if f"rom:{given}" in tasks:
        return f"rom:{given}"
    close = did_you_mean(given, tasks)
    raise UsageError(
        f'there is no "{given}" to build{close}; select nic:NAME, target:NAME, rom:PATH or all'
    )


def _steps(plan: planner.Plan, out: Path) -> Iterator[dict[str, Any]]:
    for fetch in plan.fetches:
        where = f"package {fetch.package}" if fetch.package else fetch.deb
        tool = "apt-get download, dpkg-deb" if fetch.package else "dpkg-deb"
        yield _step(fetch.task, tool, [str(where)], [str(out / fetch.directory)])
    for make in plan.makes:
        outputs = [
            str(out / make.directory / "src" / make.bin / f"{goal}.{make.media}")
            for goal in make.goals
        ]
        yield _step(make.task, _make_tool(make), [f"tree {' or '.join(make.trees)}"], outputs)
    built = {
        path: entry
        for name in plan.targets
        for path, entry in read_manifest(out, name).roms.items()
    }
    for rom in plan.roms():
        inputs = [
            f"{pick.platform} of {pick.make or 'ROMs'} {pick.place(out)}" for pick in rom.picks
        ]
        ids = f"{rom.ids} {'written' if rom.fix_ids else 'checked'}"
        bucket = (
            f"{format_size(rom.bucket)}{', padded' if rom.pad else ''}" if rom.bucket else "any"
        )
        yield _step(
            rom.task,
            "romforge",
            inputs,
            [str(out / rom.path)],
            ids,
            bucket,
            _sum(built.get(rom.path)),
        )


def _make_tool(make: planner.TreeBuild) -> str:
    """The tool of a platform's step, and what launches its compiler."""
    from romforge.sources.ipxe import launcher

    if not make.launcher:
        return "make"
    try:
        launcher.require_launcher(make.launcher)
    except MissingTool as error:
        return f"make with {error}"
    return f"make with {shlex.join(make.launcher)}"


def _step(
    task: str,
    tool: str,
    inputs: list[str],
    outputs: list[str],
    ids: str = "",
    bucket: str = "",
    sizes: str = "",
) -> dict[str, Any]:
    return {
        "task": task,
        "tool": tool,
        "inputs": inputs,
        "outputs": outputs,
        "ids": ids,
        "bucket": bucket,
        "sizes": sizes,
    }


def _sum(entry: RomEntry | None) -> str:
    """The arithmetic of a ROM as it was built last."""
    if not entry or not entry["images"]:
        return ""
    images = " + ".join(f"{image['name']} {image['size']:,}" for image in entry["images"])
    over = entry["used"] - (entry["bucket"] or entry["used"])
    verdict = f"{over:,} over" if over > 0 else f"{-over:,} free"
    return f"{images} = {entry['used']:,} bytes, {verdict}, as built last"
