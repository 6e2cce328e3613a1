# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge init`, from nothing to a set of ROMs, and `romforge schema`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from romforge.cli import init_command, json_schemas
from romforge.spec import loader
from tests.support import linked
from tests.support.project import TOP, Run

SCHEMA = TOP / "romspec.schema.json"
OF_THE_CHECKOUT = re.compile(r"^(#:schema|tree|fallback|package|roms) ?.*$", re.M)


@pytest.mark.parametrize("name", init_command.STARTERS)
def test_a_starter_is_its_example_with_places_of_its_own(tmp_path: Path, romforge: Run, name: str):
    done = romforge("init", "--from", name, "new")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "new/romspec.toml").read_text()
    example = init_command.STARTERS[name].example
    original = (TOP / f"examples/{example}.toml").read_text()
    without_schema = original.replace("#:schema ../romspec.schema.json\n", "")
    assert OF_THE_CHECKOUT.sub("", text) == OF_THE_CHECKOUT.sub("", without_schema)
    assert ".." not in text.replace("...", "")
    spec = loader.load_spec(tmp_path / "new/romspec.toml")
    trees = {(source.tree, source.fallback) for source in spec.source.values()}
    assert trees == {(None, None) if name == "roms" else ("vendor/ipxe", "romforge:minipxe")}
    assert done.stdout.startswith("wrote new/romspec.toml and new/dodo.py: ")
    assert done.stdout.endswith("next: cd new && romforge build && romforge verify\n")
    assert ("git clone" in done.stdout) == (name != "roms")


@pytest.mark.slow
def test_the_miniature_is_built_by_romforge_and_by_doit(tmp_path: Path, romforge: Run, doit: Run):
    assert romforge("init").returncode == 0
    done = romforge("build", "nic:e1000")
    assert done.returncode == 0, done.stderr
    assert "vendor/ipxe is not there, so " in done.stderr
    built = sorted(path.name for path in tmp_path.glob("out/pc-bios/*"))
    assert built == ["efi-e1000.rom", "pxe-e1000.rom"]
    done = doit("nic:e1000")
    assert done.returncode == 0, done.stderr
    assert "0 built, 2 up to date" in done.stdout


@pytest.mark.parametrize("place", [".", "ipxe", "vendor/ipxe", "../ipxe"])
def test_a_tree_that_is_there_is_taken(tmp_path: Path, romforge: Run, place: str):
    linked.minipxe(tmp_path / "new" / place)
    done = romforge("init", "new")
    assert done.returncode == 0, done.stderr
    assert f'\ntree = "{place}"\n' in (tmp_path / "new/romspec.toml").read_text()
    assert "git clone" not in done.stdout
    assert "it builds the iPXE tree in " in done.stdout
    assert romforge("check", "--spec", "new/romspec.toml").returncode == 0


def test_the_commands_to_go_on_with_can_be_pasted(romforge: Run):
    done = romforge("init", "two words")
    assert done.stdout.endswith("next: cd 'two words' && romforge build && romforge verify\n")


def test_a_spec_is_never_overwritten_and_a_dodo_is_kept(tmp_path: Path, romforge: Run):
    (tmp_path / "dodo.py").write_text("mine")
    assert romforge("init").returncode == 0
    assert (tmp_path / "dodo.py").read_text() == "mine"
    before = (tmp_path / "romspec.toml").read_bytes()
    done = romforge("init", "--from", "opt2")
    assert done.returncode == 2
    assert "romspec.toml: is there already; name another directory" in done.stderr
    assert (tmp_path / "romspec.toml").read_bytes() == before


def test_without_apt_the_roms_are_those_of_the_distribution(
    tmp_path: Path, romforge: Run, monkeypatch: pytest.MonkeyPatch
):
    """They are taken out of the directory where they were installed."""
    monkeypatch.setattr(init_command, "_ROM_DIRECTORIES", (str(tmp_path),))
    (tmp_path / "efi-e1000.rom").touch()
    example = (TOP / "examples/debian-roms.toml").read_text()
    assert '\npackage = "ipxe-qemu"\n' in init_command._adapt(example, "vendor/ipxe")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f'\nroms = "{tmp_path}"\n' in init_command._adapt(example, "vendor/ipxe")


def test_a_missing_spec_names_init(romforge: Run):
    done = romforge("build")
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr
    assert "write one by romforge init" in done.stderr


def test_an_unknown_tree_of_romforge_is_an_error_with_its_line(tmp_path: Path, romforge: Run):
    romforge("init")
    spec = tmp_path / "romspec.toml"
    spec.write_text(spec.read_text().replace("romforge:minipxe", "romforge:minipix"))
    line = spec.read_text().splitlines().index("[source.ipxe]") + 3
    done = romforge("check")
    assert done.returncode == 2
    assert (
        f'romspec.toml:{line}: source.ipxe.fallback: romforge has no tree "romforge:minipix" '
        '(did you mean "romforge:minipxe"?)'
    ) in done.stderr


def test_the_schemas_are_printed(romforge: Run):
    assert romforge("schema").stdout == SCHEMA.read_text()
    assert json.loads(SCHEMA.read_text())["$id"] == "urn:romforge:schema:romspec"
    page = TOP / json_schemas.DIRECTORY / "plan.schema.json"
    assert romforge("schema", "plan").stdout == page.read_text()
    done = romforge("schema", "plam")
    assert done.returncode == 2
    assert '"plam" is no command with --json (did you mean "plan"?)' in done.stderr
