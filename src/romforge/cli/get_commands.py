# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge get`, which gets the sources of a spec; and `romforge update`, which takes newer ones.

These, and `doit source:NAME`, are all that goes to the network for a tree.
"""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from romforge.base import output_files
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.text import did_you_mean, join_words, shorten_digests
from romforge.cli import common, lock_command
from romforge.plan.steps import Fetch, PinnedTree, Plan
from romforge.rom import lock_format
from romforge.sources import git_checkout
from romforge.spec import loader, toml_positions
from romforge.spec.model import Spec
from romforge.spec.value_types import COMMIT


def add_get_commands(commands: common.Commands) -> None:
    """Adds `get` and `update`."""
    get = common.add_command(
        commands, "get", _run_get, "gets the trees that the spec pins, and the packages of ROMs"
    )
    common.add_spec_options(get)
    common.add_json_option(get, "cli.build_commands:BuildDocument")
    get.add_argument(
        "source", nargs="*", metavar=common.SOURCE, help="a source of the spec; default: all"
    )
    common.add_quiet_option(get)
    get.add_argument(
        "--from",
        dest="place",
        metavar="PLACE",
        help="get the tree of the one SOURCE from another URL, repository or file; it must be the"
        " tree that the spec pins all the same",
    )

    update = common.add_command(
        commands,
        "update",
        _run_update,
        "pins a newer commit of git in the spec, gets it, builds, and shows what grew",
    )
    common.add_spec_options(update)
    update.add_argument(
        "source", nargs="?", metavar=common.SOURCE, help="a source with git; default: the only one"
    )
    update.add_argument(
        "--to",
        metavar="NAME",
        help="a branch, a tag or a whole commit; default: the main branch of the repository",
    )
    update.add_argument(
        "--no-build", action="store_true", help="only change the spec and get the tree"
    )
    common.add_jobs_option(
        update,
        "the number of jobs to run at once, including those of make; default: one per processor",
    )


def _run_get(args: Namespace) -> int:
    from romforge.engine import tasks

    graph = tasks.load_tasks(args.spec, args.out, None)
    all_steps: list[Fetch | PinnedTree] = [*graph.plan.fetches, *graph.plan.pinned]
    steps = {step.source: step for step in all_steps}
    if not steps and not args.source:
        common.warn(f"{args.spec}: no source is to be got: each is a directory")
        return 0
    for name in args.source:
        if name not in steps:
            near = did_you_mean(name, steps)
            raise UsageError(f'"{name}" is no source to get{near}; there is {join_words(steps)}')
    wanted = [steps[name] for name in args.source or steps]
    if args.place is not None:
        if len(wanted) != 1 or not isinstance(wanted[0], PinnedTree):
            raise UsageError("--from needs the name of one source with git or archive")
        graph = tasks.TaskGraph(_from_place(graph.plan, wanted[0], args.place), args.out, True)
    graph.run.as_json = args.json
    graph.run.quiet = args.quiet
    return tasks.run_tasks(graph, [step.task for step in wanted], None)


def _from_place(plan: Plan, wanted: PinnedTree, place: str) -> Plan:
    """The plan with another place to get one tree from."""
    if Path(place).exists():
        place = os.path.abspath(place)
    elif ":" not in place:
        raise UsageError(f"--from: there is no {place}")
    pinned = [step._replace(url=place) if step == wanted else step for step in plan.pinned]
    return plan._replace(pinned=tuple(pinned))


def _run_update(args: Namespace) -> int:
    path: Path = args.spec
    spec = loader.load_spec(path, args.out)
    name = _source_to_update(spec, args.source)
    rev = spec.source[name].rev
    assert rev is not None  # the spec was checked
    newer, label = _newer_revision(spec, name, args.to)
    words = f" ({label})" if label else ""
    if newer == rev:
        print(f"{name}: {shorten_digests(rev)}{words} is pinned already")
        return 0
    print(f"{name}: {shorten_digests(rev)} becomes {shorten_digests(newer)}{words}", flush=True)
    sizes = _built_sizes(spec, args.out)
    text = path.read_text(encoding="utf-8")
    place = path.resolve()  # a link to a spec stays one
    output_files.replace_file(place, _with_revision(text, name, newer, label).encode())
    status = 1
    try:
        status = _get(args, name)
    finally:
        if status:
            output_files.replace_file(place, text.encode())
    if status or args.no_build:
        return status
    status = _build(args)
    if status:
        common.warn(f"to go back: romforge update {name} --to {rev}")
    elif lock_format.lock_path(path).exists():
        return lock_command.show_changes_since_lock(path, args.out)
    else:
        _show_growth(sizes, _built_sizes(spec, args.out))
    return status


def _source_to_update(spec: Spec, name: str | None) -> str:
    names = [source for source, table in spec.source.items() if table.git]
    if name is None and len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(f"{spec.path}: no source has git, so there is nothing to update")
    if name is None:
        raise UsageError(f"name the source to update: {join_words(names, 'or')}")
    if name not in names:
        near = did_you_mean(name, names)
        raise UsageError(f'"{name}" is no source with git{near}; there is {join_words(names)}')
    return name


def _newer_revision(spec: Spec, name: str, wanted: str | None) -> tuple[str, str]:
    """The revision to pin, and the branch or tag that it was found by; else an empty text.

    Of a source that is pinned by a signed tag, the revision is a tag.
    """
    from romforge.plan import planner

    source = spec.source[name]
    pinned = planner.pinned_tree(spec, name, source)
    assert pinned is not None
    if wanted is not None and re.fullmatch(COMMIT, wanted):
        return wanted, ""
    if source.signers and not re.fullmatch(COMMIT, pinned.rev or ""):
        if wanted is None:
            raise UsageError(f"{name} is pinned by a tag; name the newer one: --to TAG")
        git_checkout.newest_commit(pinned.url, wanted)
        return wanted, ""
    label, commit = git_checkout.newest_commit(pinned.url, wanted)
    return commit, label


def _with_revision(text: str, name: str, rev: str, label: str) -> str:
    """The text of a spec with another revision of a source, and its label as a comment.

    Raises RomforgeError where the value is not on the line of its key.
    """
    key = ("source", name, "rev")
    number = toml_positions.locate_keys(text)[key]
    lines = text.splitlines(keepends=True)
    line = lines[number - 1]
    comment = f"  # {label}" if label else ""
    pattern = r"""(\brev\s*=\s*)(?:"[^"\n]*"|'[^'\n]*')(?:[ \t]*\#.*)?"""
    changed = re.sub(pattern, rf'\g<1>"{rev}"{comment}', line, count=1)
    if changed == line:
        raise RomforgeError(f'line {number} of the spec has no rev = "…" to change; write {rev}')
    lines[number - 1] = changed
    return "".join(lines)


def _get(args: Namespace, name: str) -> int:
    from romforge.engine import tasks

    graph = tasks.load_tasks(args.spec, args.out, None)
    wanted: Sequence[PinnedTree] = [step for step in graph.plan.pinned if step.source == name]
    if not wanted:
        raise UsageError(f"no target takes images from {name}")
    return tasks.run_tasks(graph, [step.task for step in wanted], None)


def _build(args: Namespace) -> int:
    """Builds the default targets; returns the exit status."""
    from romforge.engine import tasks

    graph = tasks.load_tasks(args.spec, args.out, None, every=False)
    return tasks.run_tasks(graph, [], args.jobs)


def _built_sizes(spec: Spec, out: Path) -> dict[str, int]:
    """The bytes in use of each ROM that is built, by its path."""
    from romforge.plan import planner

    paths = [rom.path for rom in planner.make_plan(spec).roms()]
    entries = lock_format.read_built_roms(out, paths)
    return {path: entry.used for path, entry in entries.items()}


def _show_growth(before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Shows by how many bytes ROMs grew since the build before; there is no lock that says more."""
    for path, size in after.items():
        if path in before and size != before[path]:
            print(f"change {path}: {size - before[path]:+,} bytes")
    if not before:
        common.warn("nothing was built before, and there is no lock; `romforge lock` writes one")
