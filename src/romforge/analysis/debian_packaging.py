# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the packaging directory of a Debian source package with a spec."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from romforge.analysis import debian_installs, debian_tests
from romforge.analysis.debian_source import (
    BUILD_FIELDS,
    DebianSource,
    Finding,
    broken_file,
    is_native,
    read_source,
    require_packaging,
)
from romforge.base.arch import BY_NAME, tools_package
from romforge.base.control_file import ControlError, Relation
from romforge.plan.steps import Plan, TreeBuild
from romforge.spec.model import Spec, firmware_of

_CROSS_COMPILER = re.compile(r"(?:gcc|g\+\+)-([a-z0-9-]+-linux-gnu[a-z0-9]*)")
_VERSIONED = re.compile(r"\d+-")  # gcc-14-TRIPLET has no program of the name that make starts


def check_packaging(directory: Path, spec: Spec, plan: Plan, out: Path) -> list[Finding]:
    """What a packaging directory lacks for all that a plan builds, also if it is not default.

    ``out`` is the output root, unless debian/rules sets it. Raises UsageError for what is no
    packaging directory.
    """
    require_packaging(directory)
    try:
        source = read_source(directory)
    except ControlError as error:
        return [broken_file(directory / "control", error)]
    installs = debian_installs.read_installs(source, plan, out)
    findings = debian_installs.find_install_faults(source, spec, plan, installs)
    findings += _missing_compilers(source, plan)
    findings += _useless_compilers(source, spec, plan)
    owners = debian_installs.likely_owners(source, plan, installs)
    return findings + debian_tests.find_test_faults(source, spec, plan, owners)


def _compilers(source: DebianSource) -> dict[str, list[tuple[str, Relation]]]:
    """The cross compilers among the build dependencies, by triplet, each with its field."""
    found: dict[str, list[tuple[str, Relation]]] = {}
    for field, relations in source.build_relations().items():
        for relation in relations:
            match = _CROSS_COMPILER.fullmatch(relation.name)
            if match and not _VERSIONED.match(match[1]):
                found.setdefault(match[1], []).append((field, relation))
    return found


def _needed_compiler(make: TreeBuild) -> str | None:
    """The triplet of the cross compiler of a platform, as in packages; None for the native one."""
    arch = BY_NAME[make.arch]
    if is_native(arch) or make.cross == "" or "CC" in dict(make.variables):
        return None
    prefix = make.cross.rstrip("-") if make.cross else arch.triplet
    return prefix.rpartition("/")[2].replace("_", "-")


def _missing_compilers(source: DebianSource, plan: Plan) -> Iterator[Finding]:
    known = _compilers(source)
    makes: dict[str, TreeBuild] = {}
    for make in plan.all_makes():
        triplet = _needed_compiler(make)
        if triplet and triplet not in known:
            makes.setdefault(triplet, make)
    field, line, profiles = _place_of_compilers(source)
    for triplet, make in makes.items():
        package = tools_package("gcc", triplet)
        message = f"{field} has no {package}, by which [platform.{make.platform}] is built"
        remedy = f"add to it:\n  {' '.join([package, profiles]).strip()},"
        key = ("platform", make.platform)
        yield Finding(source.control, line, key, "error", message, remedy)


def _place_of_compilers(source: DebianSource) -> tuple[str, int, str]:
    """The field for cross compilers, the line of the last in it, and that one's profiles."""
    for found in reversed(_compilers(source).values()):
        field, relation = found[-1]
        return field, relation.line, relation.profiles
    fields = source.source.fields
    all_independent = all(one.text("architecture") == "all" for one in source.binaries)
    wanted = BUILD_FIELDS[1] if all_independent else BUILD_FIELDS[0]
    for name in (wanted, *BUILD_FIELDS):
        if name.lower() in fields:
            return name, fields[name.lower()].line, ""
    return wanted, source.source.line, ""


def _useless_compilers(source: DebianSource, spec: Spec, plan: Plan) -> Iterator[Finding]:
    needed = {_needed_compiler(make) for make in plan.all_makes()}
    for name, platform in spec.platform.items():
        firmware = firmware_of(name, platform)
        if firmware:
            needed.add(firmware[0].triplet.replace("_", "-"))
    for triplet, found in _compilers(source).items():
        if triplet not in needed:
            for field, relation in found:
                message = f"{field} has {relation.name}, which no platform of the spec needs"
                remedy = "remove it, unless the package builds something else by it"
                yield Finding(source.control, relation.line, (), "warning", message, remedy)
