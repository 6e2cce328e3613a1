# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks for what a spec names outside it: trees, their headers, ROMs, files to embed, launchers.

The spec may be right where one of them is missing; a build would fail all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.plan import planner
from romforge.plan.steps import Plan, TreeBuild
from romforge.sources import signing
from romforge.sources.ipxe import build_failure, config_check, launcher, source_tree, worktree
from romforge.spec.fields import Problem
from romforge.spec.model import LOCK, Spec


def missing_inputs(spec: Spec, plan: Plan, override: str | None, out: Path) -> list[Problem]:
    """What a build or the proofs of a plan would fail without.

    ``override`` is the tree that IPXE_SRC names in place of the first of the spec. Packages that
    apt would download are not looked for.
    """
    problems = [*_missing_roms(spec, plan), *_missing_keys(plan)]
    reported: set[str] = set()  # sources whose tree is missing
    for make in plan.all_makes():
        found = source_tree.find_built_tree(make.trees, out)
        if found is not None:
            problems += _wrong_configuration(spec, make, found.src, out)
        elif make.source not in reported and make.trees[0].kind != "pinned":
            reported.add(make.source)
            problems.append(_missing_tree(spec, make, override))
        problems += build_failure.embedded_problems(make)
        problems += _missing_launcher(spec, make)
    return list({(problem.path, problem.message): problem for problem in problems}.values())


def doubtful_inputs(spec: Spec, plan: Plan, out: Path) -> list[Problem]:
    """What a build does otherwise than the spec suggests, or cannot do before `romforge get`."""
    problems = [*config_check.unused_configurations(spec)]
    for make in {make.source: make for make in plan.all_makes()}.values():
        note = source_tree.other_tree_note(make, out)
        if source_tree.find_built_tree(make.trees, out) is None:
            note = f"the tree was not got yet; get it by `{source_tree.GET} {make.source}`"
        if note:
            key = "tree"
            if make.trees[0].kind == "pinned":
                key = "git" if spec.source[make.source].git else "archive"
            problems.append(Problem(("source", make.source, key), note))
            problems += _unchecked_macros(plan, make.source)
    return problems + config_check.macro_warnings(spec, plan.makes, out)


def _unchecked_macros(plan: Plan, source: str) -> Iterator[Problem]:
    """That the macros of configurations were not checked, since the fallback tree is another."""
    makes = [make for make in plan.makes if make.source == source and make.headers]
    for config in dict.fromkeys(make.config for make in makes):
        if config:
            message = f"its macros were not checked, for lack of the tree of [source.{source}]"
            yield Problem(("config", config), message)


def _missing_tree(spec: Spec, make: TreeBuild, override: str | None) -> Problem:
    what = "there is no iPXE source tree (with src/Makefile)"
    if make.trees[0].kind == "override":
        key = ("source", make.source)
        source = spec.source[make.source]
        wanted = source.git or source.archive or source.tree
        hint = f"set IPXE_SRC to one, or unset it to build {wanted}"
        return Problem(key, f"{what} at {override}, which IPXE_SRC names", hint)
    text = f"{what} {source_tree.describe_places(make)}"
    hint = f"get one by {source_tree.HOW_TO_GET}; or set IPXE_SRC=DIR, or change tree"
    return Problem(("source", make.source, "tree"), text, hint)


def _wrong_configuration(spec: Spec, make: TreeBuild, src: Path, out: Path) -> Iterator[Problem]:
    """Headers and configurations that the tree does not have."""
    try:
        files = worktree.scan_tree(src, out.resolve())
    except RomforgeError as error:
        yield Problem(("source", make.source, "tree"), str(error))
        return
    sizes = {path: status.size for path, status in files.items()}
    yield from config_check.header_problems(make, src, sizes)
    text = config_check.missing_config(make, sizes)
    if text and spec.platform[make.platform].config:
        yield Problem(("platform", make.platform, "config"), text)
    elif text:
        yield Problem(("source", make.source, "config"), text)


def _missing_launcher(spec: Spec, make: TreeBuild) -> Iterator[Problem]:
    try:
        launcher.require_launcher(make.launcher)
    except MissingTool as error:
        if spec.platform[make.platform].launcher is None:
            yield Problem(("toolchain", "launcher"), str(error))
        else:
            yield Problem(("platform", make.platform, "launcher"), str(error))


def _missing_keys(plan: Plan) -> Iterator[Problem]:
    """Keys and certificates that cannot sign, and a tool that is not installed."""
    signing_by_target = {rom.target: rom.sign for rom in plan.roms() if rom.sign}
    for target, sign in signing_by_target.items():
        try:
            signing.signing_tool()
            signing.require_key(sign)
        except RomforgeError as error:
            yield Problem(("target", target, "sign"), str(error))


def _missing_roms(spec: Spec, plan: Plan) -> Iterator[Problem]:
    """Directories of ROMs and .deb files that are not there, also those to migrate from."""
    used = dict.fromkeys(name for name in spec.verify.migrate_from if name != LOCK)
    for rom in plan.roms():
        used |= dict.fromkeys(request.source for request in rom.requests if request.source)
    for name in used:
        source = spec.source[name]
        if source.roms is None:
            continue
        key = ("source", name, "roms")
        hint = 'write roms = "DIR" or roms = "FILE.deb"'
        fetch = planner.fetch_step(spec, name, source)
        if fetch and fetch.deb and not Path(fetch.deb).is_file():
            yield Problem(key, f"there is no file {fetch.deb}", hint)
        root = planner.source_root(spec, name, source)
        if not fetch and not Path(root).is_dir():
            yield Problem(key, f"there is no directory {root}", hint)
