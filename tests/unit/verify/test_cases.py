# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to be proven of the ROMs of a spec."""

from __future__ import annotations

from pathlib import Path

from romforge.plan import planner
from romforge.spec import loader
from romforge.verify import cases
from tests.support.project import spec_text


def test_what_is_to_be_proven_follows_from_the_images(tmp_path: Path):
    """Boots for each image with a machine, and starts for architectures without; no stub boots."""
    (tmp_path / "romspec.toml").write_text(
        spec_text(
            "roms",
            extra='[target.stub]\ndir = "s"\nfile = "{nic}.rom"\nimages = ["stub"]\n'
            '[verify]\nstart = ["x86_64", "arm64"]\nmigrate_from = ["roms"]\n',
        )
    )
    read = loader.load_spec(tmp_path / "romspec.toml")
    found: dict[str, list[str]] = {}
    for proof in cases.make_proofs(read, planner.make_plan(read)):
        found.setdefault(Path(proof.rom).name, []).append(proof.column)
    both = "{0}-default", "{0}-romfile"

    def columns(*names: str) -> list[str]:
        return [one.format(name) for name in names for one in both]

    assert found["efi-e1000.rom"] == [
        "structure",
        *columns("bios", "x86_64", "starts-arm64"),
        "from-roms",
    ]
    assert found["pxe-e1000.rom"] == [
        "structure",
        *columns("bios", "starts-x86_64", "starts-arm64"),
        "from-roms",
    ]
    assert found["e1000.rom"] == [
        "structure",
        *columns("starts-x86_64", "starts-arm64"),
        "from-roms",
    ]
