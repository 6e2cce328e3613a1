# SPDX-License-Identifier: GPL-2.0-or-later
"""Which task a name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.base.errors import UsageError
from romforge.plan import planner
from romforge.plan.names import Names
from romforge.plan.steps import Plan
from romforge.spec import loader

SPEC = """spec = 1
[source.roms]
roms = "roms"
[source.ipxe]
tree = "ipxe"
[source.deb]
package = "ipxe-qemu"
[platform.pcbios]
[nic.e1000]
id = "8086:100e"
[nic.same]
id = "8086:100f"
[target.qemu]
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios"]
source = "ipxe"
[target.same]
dir = "usr/lib/qemu"
file = "efi-{nic}.rom"
images = ["pcbios"]
source = "deb"
nics = ["e1000"]
"""
E1000 = "rom:usr/share/qemu/efi-e1000.rom"
OTHER = "rom:usr/lib/qemu/efi-e1000.rom"
SAME = "rom:usr/share/qemu/efi-same.rom"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "romspec.toml").write_text(SPEC)
    return planner.make_plan(loader.load_spec(tmp_path / "romspec.toml"))


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("all", "all"),
        ("target:qemu", "target:qemu"),
        ("qemu", "target:qemu"),
        ("nic:e1000", "nic:e1000"),
        ("e1000", "nic:e1000"),
        ("make:ipxe/pcbios", "make:ipxe/pcbios"),
        ("source:deb", "source:deb"),
        (E1000, E1000),
        ("usr/share/qemu/efi-e1000.rom", E1000),
        ("./usr/share//qemu/../qemu/efi-e1000.rom", E1000),
        ("out/usr/share/qemu/efi-e1000.rom", E1000),
        ("rom:out/usr/share/qemu/efi-e1000.rom", E1000),
        ("./out/usr/lib/qemu/efi-e1000.rom", OTHER),
        ("{top}/out/usr/lib/qemu/efi-e1000.rom", OTHER),
        ("link/usr/lib/qemu/efi-e1000.rom", OTHER),
        ("share/qemu/efi-e1000.rom", E1000),
        ("efi-same.rom", SAME),
        ("rom:efi-same.rom", SAME),
    ],
)
def test_a_name_stands_for_a_task(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, task: str
):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path)
    assert Names(plan, Path("out")).task_of(name.format(top=tmp_path)) == task


def test_paths_are_relative_to_where_the_user_is(plan: Plan, tmp_path: Path):
    names = Names(plan, tmp_path / "out", tmp_path / "below")
    assert names.task_of("../out/usr/lib/qemu/efi-e1000.rom") == OTHER
    with pytest.raises(UsageError, match="the spec has no"):
        names.task_of("out/usr/lib/qemu/efi-e1000.rom")


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("efi-e1000.rom", f"{E1000} or {OTHER}"),
        ("qemu/efi-e1000.rom", f"{E1000} or {OTHER}"),
        ("same", "nic:same or target:same"),
    ],
)
def test_what_is_ambiguous_is_told_with_all_it_may_be(plan: Plan, name: str, choice: str):
    with pytest.raises(UsageError) as caught:
        Names(plan, Path("out")).task_of(name)
    assert str(caught.value) == f'"{name}" may be {choice}; write one of these'


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("e100", "e1000"),
        ("nic:e100", "nic:e1000"),
        ("efi-sam.rom", "efi-same.rom"),
        ("usr/share/qmu/efi-same.rom", "usr/share/qemu/efi-same.rom"),
        ("verify:x", "verify:y"),
        ("anothr", "another"),
        ("lst", "list"),
    ],
)
def test_a_near_miss_is_named(plan: Plan, name: str, near: str):
    names = Names(plan, Path("out"), more=["verify:y", "another"], similar=["list"])
    with pytest.raises(UsageError) as caught:
        names.task_of(name)
    assert f'the spec has no "{name}" (did you mean "{near}"?); name a card' in str(caught.value)


def test_further_names_stand_for_themselves_and_similar_ones_for_nothing(plan: Plan):
    names = Names(plan, Path("out"), more=["another"], similar=["list"])
    assert names.task_of("another") == "another"
    with pytest.raises(UsageError):
        names.task_of("list")


@pytest.mark.parametrize("name", ["make:ipxe/pcbios", "source:deb"])
def test_a_step_before_the_roms_is_refused_where_roms_are_needed(plan: Plan, name: str):
    with pytest.raises(UsageError, match="builds no ROM"):
        Names(plan, Path("out"), roms_only=True).task_of(name)


def test_a_path_beside_the_output_root_is_none_in_it(plan: Plan):
    with pytest.raises(UsageError, match="the spec has no"):
        Names(plan, Path("out")).task_of("output/usr/share/qemu/efi-e1000.rom")
