# SPDX-License-Identifier: GPL-2.0-or-later
"""The proofs of the ROMs of a spec."""

from __future__ import annotations

from pathlib import Path

from romforge.plan import planner
from romforge.spec import loader
from romforge.verify import cases
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

    def all_columns(*names: str) -> list[str]:
        columns = ["structure"]
        for name in names:
            columns += [f"{name}-default", f"{name}-romfile"]
        return [*columns, "from-roms"]

    assert columns_of_rom["efi-e1000.rom"] == all_columns("bios", "x86_64", "starts-arm64")
    assert columns_of_rom["pxe-e1000.rom"] == all_columns("bios", "starts-x86_64", "starts-arm64")
    assert columns_of_rom["e1000.rom"] == all_columns("starts-x86_64", "starts-arm64")
