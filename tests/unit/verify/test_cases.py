# SPDX-License-Identifier: GPL-2.0-or-later
"""The proofs of the ROMs of a spec."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from romforge.plan import planner
from romforge.spec import loader
from romforge.verify import cases, corruptions
from romforge.verify.cases import Proof
from tests.support.project import spec_text


def test_the_images_of_a_rom_decide_its_proofs(tmp_path: Path):
    """Boots for each image with a machine, and starts for architectures without; no stub boots."""
    (tmp_path / "romspec.toml").write_text(
        spec_text(
            "roms",
            extra='[target.stub]\ndir = "s"\nfile = "{nic}.rom"\nimages = ["stub"]\n'
            '[verify]\nstart = ["x86_64", "arm64"]\nmigrate_from = ["roms"]\n',
        )
    )
    spec = loader.load_spec(tmp_path / "romspec.toml")
    columns_of_rom: dict[str, list[str]] = {}
    for proof in cases.make_proofs(spec, planner.make_plan(spec)):
        columns_of_rom.setdefault(Path(proof.rom).name, []).append(proof.column)

    def all_columns(*names: str, more: tuple[str, ...] = ("from-roms-q35",)) -> list[str]:
        columns = ["structure"]
        for name in names:
            columns += [f"{name}-default", f"{name}-romfile"]
        return [*columns, "from-roms", *more]

    assert columns_of_rom["efi-e1000.rom"] == all_columns("bios", "x86_64", "starts-arm64")
    assert columns_of_rom["pxe-e1000.rom"] == all_columns("bios", "starts-x86_64", "starts-arm64")
    assert columns_of_rom["e1000.rom"] == all_columns("starts-x86_64", "starts-arm64", more=())


@pytest.mark.parametrize(
    ("images", "keys", "machines"),
    [
        ('"pcbios"', "", ["pc", "q35"]),
        ('"i386-efi"', "", ["pc", "q35"]),
        ('"x86_64-efi"', "", ["pc", "q35"]),
        ('"arm64-efi"', "", ["arm64"]),
        ('"pcbios", "riscv64-efi", "loong64-efi"', "", ["pc", "q35", "riscv64", "loong64"]),
        ('"arm32-efi"', "", ["pc"]),
        ('"stub"', "", ["pc"]),
        ('"pcbios"', 'migrate_on = ["riscv64", "q35", "riscv64"]\n', ["q35", "riscv64"]),
        ('"pcbios"', "migrate_on = []\n", []),
    ],
)
def test_a_guest_migrates_where_its_rom_has_an_image_or_the_spec_says(
    tmp_path: Path, images: str, keys: str, machines: list[str]
):
    proofs = migrations(tmp_path, images, keys)
    assert [proof.machine for proof in proofs] == machines
    archs = {"pc": "x86_64", "q35": "x86_64"}
    for proof in proofs:
        assert proof.arch.ipxe_name == archs.get(proof.machine, proof.machine)
        suffix = "" if proof.machine == "pc" else f"-{proof.machine}"
        assert proof.column == f"from-roms{suffix}"
        assert proof.default


def test_a_guest_migrates_with_a_rom_by_romfile_if_no_other_is_asked_for(tmp_path: Path):
    """For the sake of devices without a default ROM."""
    proofs = migrations(tmp_path, '"pcbios"', 'roms = ["romfile"]\n')
    assert [proof.default for proof in proofs] == [False, False]


def test_a_bucket_that_is_too_large_is_a_control_on_each_machine(tmp_path: Path):
    proofs = migrations(tmp_path, '"pcbios", "arm64-efi", "riscv64-efi"', "")
    controls = corruptions.add_controls(proofs)
    assert {control.control for control in controls} == {corruptions.TOO_LARGE}
    assert [control.machine for control in controls] == ["pc", "q35", "arm64", "riscv64"]
    assert len({control.task for control in controls}) == 4


def migrations(tmp_path: Path, images: str, keys: str) -> list[Proof]:
    """The migrations of a ROM with these images; ``keys`` are lines of [verify]."""
    platforms = re.findall(r'"(\w+-efi)"', images)
    tables = "".join(f"[platform.{name}]\n" for name in platforms if name != "x86_64-efi")
    text = spec_text("roms").partition("[target.efi]")[0]
    target = f'[target.t]\ndir = "t"\nfile = "{{nic}}.rom"\nimages = [{images}]\n'
    verify = f'[verify]\nboot = []\nmigrate_from = ["roms"]\n{keys}'
    (tmp_path / "romspec.toml").write_text(f"{text}{tables}{target}{verify}")
    spec = loader.load_spec(tmp_path / "romspec.toml")
    proofs = cases.make_proofs(spec, planner.make_plan(spec))
    return [proof for proof in proofs if proof.kind == cases.MIGRATE]
