# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge check` and `romforge plan`, which look at a spec and build nothing."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from romforge.base.errors import SpecError
from romforge.base.json_document import FORMAT, Document
from romforge.base.located import Located
from romforge.base.programs import MissingTool
from romforge.base.table import BOLD, paint, wants_colours
from romforge.base.text import format_size, join_words, plural
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.plan.steps import Fetch, PinnedTree, Plan, Rom, TreeBuild
from romforge.rom import lock_format
from romforge.rom.manifest import RomEntry, read_manifest
from romforge.sources.ipxe import nic_drivers, source_tree
from romforge.spec import loader
from romforge.spec.fields import Problem
from romforge.spec.model import Spec


class StepSummary(NamedTuple):
    """What `plan` shows of a step; a text is empty where the step has no such thing."""

    task: str
    tool: str
    inputs: list[str]
    outputs: list[str]
    ids: str = ""
    bucket: str = ""
    sizes: str = ""
    notes: tuple[str, ...] = ()
    guests: str = ""  # the machine types of its target

    def lines(self) -> Iterator[str]:
        """The step as text, without its task."""
        yield from _labelled("tool", [self.tool])
        yield from _labelled("inputs", self.inputs)
        yield from _labelled("outputs", self.outputs)
        for label in ("ids", "bucket", "sizes", "guests"):
            text = getattr(self, label)
            if text:
                yield from _labelled(label, [text])
        yield from _labelled("note", list(self.notes))


class CheckCounts(NamedTuple):
    """How many cards, platforms, targets and ROMs a spec has."""

    nics: int
    platforms: int
    targets: int
    roms: int


class CheckDocument(Document):
    """What `check --json` prints; there are no ``counts`` of a spec that cannot be loaded."""

    valid: bool
    counts: CheckCounts | None
    problems: list[Located]


class PlanDocument(Document):
    """What `plan --json` prints: the steps, in the order of a build."""

    steps: list[StepSummary]


class Reason(NamedTuple):
    """Why a build would run a step."""

    task: str
    reason: str


class ReasonsDocument(Document):
    """What `plan --why --json` prints: the steps that a build would run, in their order."""

    reasons: list[Reason]


def _labelled(label: str, texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield f"  {label:<8}{text}"


def add_plan_commands(commands: common.Commands) -> None:
    """Adds `check` and `plan`."""
    check = common.add_command(
        commands, "check", _run_check, "checks the spec, and what it names outside"
    )
    common.add_spec_options(check)
    common.add_json_option(check, "cli.plan_commands:CheckDocument", with_format=True)
    check.add_argument(
        "--lock", action="store_true", help="also that the lock has the ROMs of the spec"
    )
    check.add_argument(
        "--debian",
        metavar="DIR",
        nargs="?",
        type=Path,
        const=Path("debian"),
        help="also that Debian packaging has all of it; default: debian",
    )

    plan = common.add_command(
        commands, "plan", _run_plan, "shows each step of a build, with its inputs, outputs and tool"
    )
    common.add_spec_options(plan)
    documents = ("PlanDocument", "ReasonsDocument")
    common.add_json_option(plan, *(f"cli.plan_commands:{name}" for name in documents))
    plan.add_argument(
        "--why",
        action="store_true",
        help="show instead which steps a build would run now, and why",
    )
    plan.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="as for build: only these steps, and those before them; default: all steps",
    )


def _run_check(args: Namespace) -> int:
    from romforge.sources import spec_inputs  # `plan` does without

    try:
        spec = loader.load_spec(args.spec, args.out)
    except SpecError as error:
        if not args.json and not args.format:
            raise
        _print_problems(args, None, error.problems)
        return error.exit_status
    tree = source_tree_override()
    plan = nic_drivers.make_buildable_plan(spec, tree, args.out)
    errors = spec_inputs.missing_inputs(spec, plan, tree, args.out)
    if args.lock:
        errors += _lock_problems(spec, plan)
    warnings = spec_inputs.doubtful_inputs(spec, plan, args.out)
    packaging = _check_debian(args, spec, plan)
    is_wrong = errors or any(one.severity == "error" for one in packaging)
    status = 1 if is_wrong else 0
    counts = CheckCounts(
        nics=len(spec.nic),
        platforms=len(spec.platform),
        targets=len(spec.target),
        roms=len(list(plan.roms())),
    )
    if args.json or args.format:
        found = loader.locate_all(spec.path, errors, "error")
        found += loader.locate_all(spec.path, warnings, "warning")
        found += packaging
        _print_problems(args, counts, found)
        return status
    marked = [one._replace(message=f"warning: {one.message}") for one in warnings]
    if errors or marked:
        print(loader.point_to_all(spec.path, [*errors, *marked]), file=sys.stderr)
    for finding in packaging:
        print(_located_text(finding), file=sys.stderr)
    if status:
        return status
    nouns = ("NIC", "platform", "target", "ROM")
    parts = [plural(count, noun) for count, noun in zip(counts, nouns)]
    print(f"{args.spec}: valid: {join_words(parts)}")
    return status


def _check_debian(args: Namespace, spec: Spec, plan: Plan) -> list[Located]:
    """What is wrong with the Debian packaging, in the order of its files; none without --debian."""
    if args.debian is None:
        return []
    from romforge.analysis import debian_packaging

    found = []
    for one in debian_packaging.check_packaging(args.debian, spec, plan, args.out):
        file, line = one.file, one.line
        if file is None:
            file, line = spec.path, loader.line_of(spec.path, one.key)
        key = loader.dotted(one.key) or None
        found.append(Located(str(file), line, None, key, one.severity, one.text, "debian"))
    return sorted(found, key=lambda one: (one.file, one.line or 0))


def _located_text(one: Located) -> str:
    """A finding as text: ``debian/control:12: platform.arm64-efi: …``, without control characters.

    Further lines are those to add to a file.
    """
    place = f"{one.file}:{one.line}" if one.line else one.file
    severity = None if one.severity == "error" else one.severity
    text = ": ".join(filter(None, [place, one.key, severity, one.message]))
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _lock_problems(spec: Spec, plan: Plan) -> Iterator[Problem]:
    """The ROMs that are in the lock or in the spec alone."""
    targets = {rom.path: rom.target for rom in plan.roms()}
    for change in lock_format.compare_paths_with_lock(spec, plan):
        key = ("target", targets[change.path]) if change.path in targets else ("target",)
        yield Problem(key, f"{change.path} {change.text}", "build it, and run `romforge lock`")


def _print_problems(
    args: Namespace, counts: CheckCounts | None, problems: Sequence[Located]
) -> None:
    """Prints problems as data, in the order of lines."""
    ordered = sorted(problems, key=lambda one: (one.line or 0, one.column or 0))
    if args.format:
        common.print_located(ordered, args.format)
        return
    valid = all(problem.severity != "error" for problem in problems)
    common.print_json(CheckDocument(format=FORMAT, valid=valid, counts=counts, problems=ordered))


def _run_plan(args: Namespace) -> int:
    spec = loader.load_spec(args.spec, args.out)
    plan = nic_drivers.make_buildable_plan(spec, source_tree_override(), args.out)
    shown = _selected_steps(plan, common.selected_tasks(plan, args.out, args.selection))
    if args.why:
        return _show_reasons(plan, shown, args.out, args.json)
    steps = [step for step in _step_summaries(spec, plan, args.out) if step.task in shown]
    if args.json:
        common.print_json(PlanDocument(format=FORMAT, steps=steps))
        return 0
    for step in steps:
        print(paint(step.task, BOLD, wants_colours()))
        for line in step.lines():
            print(line)
    return 0


def _selected_steps(plan: Plan, selected: list[str]) -> set[str]:
    """The tasks of the selected steps, and of those before them; without a selection, of all."""
    if not selected:
        return {step.task for step in plan.steps()}
    tasks = set(selected)
    for rom in plan.selected(selected):
        tasks.add(rom.task)
        tasks.update(plan.needs_of(rom.requests))
    return tasks


def _show_reasons(plan: Plan, shown: set[str], out: Path, as_json: bool) -> int:
    """Shows which of these steps a build would run, and why."""
    from romforge.engine import questions

    all_reasons = questions.reasons_to_build(plan, out)
    reasons = {task: reason for task, reason in all_reasons.items() if task in shown}
    if as_json:
        rows = [Reason(task, reason) for task, reason in reasons.items()]
        common.print_json(ReasonsDocument(format=FORMAT, reasons=rows))
        return 0
    for task, reason in reasons.items():
        print(paint(task, BOLD, wants_colours()))
        for line in reason.splitlines():
            print(f"  {line}")
    if not reasons:
        print("all is up to date")
    return 0


def _step_summaries(spec: Spec, plan: Plan, out: Path) -> Iterator[StepSummary]:
    for fetch in plan.fetches:
        yield _fetch_summary(fetch, out)
    for pinned in plan.pinned:
        yield _pinned_tree_summary(pinned, out)
    for make in plan.all_makes():
        yield _tree_summary(make, out)
    for file in plan.files:
        inputs = [f"{file.goal} of {file.make} {out / file.root / file.goal}"]
        yield StepSummary(file.task, "romforge", inputs, [str(out / file.path)])
    built: dict[str, RomEntry] = {}
    for target in plan.targets:
        built |= read_manifest(out, target).roms
    for rom in plan.roms():
        summary = _rom_summary(rom, out, built.get(rom.path))
        machines = spec.target[rom.target].machines
        if machines:
            summary = summary._replace(guests=join_words(machines))
        yield summary


def _fetch_summary(fetch: Fetch, out: Path) -> StepSummary:
    outputs = [str(out / fetch.directory)]
    if fetch.package:
        tool = "apt-get download, dpkg-deb"
        return StepSummary(fetch.task, tool, [f"package {fetch.package}"], outputs)
    return StepSummary(fetch.task, "dpkg-deb", [str(fetch.deb)], outputs)


def _pinned_tree_summary(pinned: PinnedTree, out: Path) -> StepSummary:
    inputs = [f"{pinned.url} {pinned.pin}"]
    if pinned.signers:
        inputs.append(f"signed by a key of {pinned.signers}")
    return StepSummary(
        task=pinned.task,
        tool="git" if pinned.rev else "curl, tar",
        inputs=inputs,
        outputs=[str(out / pinned.directory)],
        notes=(f"runs only where it is requested: {source_tree.GET} {pinned.source}",),
    )


def _tree_summary(make: TreeBuild, out: Path) -> StepSummary:
    directory = out / make.directory / "src" / make.bin
    outputs = [str(directory / make.file_of(goal)) for goal in make.goals]
    values = dict(make.variables)
    notes = []
    for name, variable in make.from_environment:
        notes.append(f"{name}={values[name]} for make, from the environment's {variable}")
    places = [str(out / place.path) for place in make.trees]
    inputs = [f"tree {' or '.join(places)}"]
    return StepSummary(make.task, _make_tool(make), inputs, outputs, notes=tuple(notes))


def _make_tool(make: TreeBuild) -> str:
    """The tool of a platform's step, with the launcher of its compiler."""
    from romforge.sources.ipxe import launcher

    if not make.launcher:
        return "make"
    try:
        launcher.require_launcher(make.launcher)
    except MissingTool as error:
        return f"make with {error}"
    return f"make with {shlex.join(make.launcher)}"


def _rom_summary(rom: Rom, out: Path, built: RomEntry | None) -> StepSummary:
    inputs = []
    for request in rom.requests:
        inputs.append(f"{request.platform} of {request.make or 'ROMs'} {request.place(out)}")
    notes = list(_impossible_images(rom))
    if rom.fit:
        order = ", then ".join(rom.fit)
        notes.append(f"where the ROM does not fit, drops {order}")
    if rom.sign:
        notes.append(f"signs the EFI drivers with {rom.sign.key}")
    bucket = "any"
    if rom.bucket:
        bucket = format_size(rom.bucket)
        if rom.pad:
            bucket += ", padded"
    if rom.limit is not None:
        bucket += f", at most {format_size(rom.limit)}"
    return StepSummary(
        task=rom.task,
        tool="romforge",
        inputs=inputs,
        outputs=[str(out / rom.path)],
        ids=f"{rom.ids} {'written' if rom.fix_ids else 'checked'}",
        bucket=bucket,
        sizes=_size_sum(built),
        notes=tuple(notes),
    )


def _impossible_images(rom: Rom) -> Iterator[str]:
    """A line for each reason why images of the spec are not in the ROM."""
    platforms: dict[str, list[str]] = {}
    for image in rom.impossible:
        platforms.setdefault(image.reason, []).append(image.platform)
    for reason, names in platforms.items():
        yield f"no image of {join_words(names)}: {reason}"


def _size_sum(built: RomEntry | None) -> str:
    """The sizes of a ROM's images and their sum, by its manifest's entry; else nothing.

    ``pcbios 71,680 + x86_64-efi 69,120 = 140,800 bytes, 121,344 free, in the last build``
    """
    if not built or not built["images"]:
        return ""
    images = " + ".join(f"{image['name']} {image['size']:,}" for image in built["images"])
    used = built["used"]
    free = (built.get("limit") or built["bucket"] or used) - used
    verdict = f"{free:,} free" if free >= 0 else f"{-free:,} over"
    return f"{images} = {used:,} bytes, {verdict}, in the last build"
