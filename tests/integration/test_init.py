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
OF_THE_CHECKOUT = re.compile(r"^(?:#:schema|tree|fallback|package|roms) ?.*\n", re.M)


@pytest.mark.parametrize("name", init_command.STARTERS)
def test_a_starter_is_its_example_with_places_of_its_own(tmp_path: Path, romforge: Run, name: str):
    done = romforge("init", "--from", name, "new")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "new/romspec.toml").read_text()
    example = init_command.STARTERS[name].example
    original = (TOP / f"examples/{example}.toml").read_text()
    assert OF_THE_CHECKOUT.sub("", text) == OF_THE_CHECKOUT.sub("", original)
    assert ".." not in text.replace("...", "")
    spec = loader.load_spec(tmp_path / "new/romspec.toml")
    is_tree = name != "roms"
    sources = spec.source.values()
    trees = {(source.tree, source.fallback, bool(source.git)) for source in sources}
    assert trees == {(None, "romforge:minipxe" if is_tree else None, is_tree)}
    assert done.stdout.startswith("wrote new/romspec.toml and new/dodo.py: ")
    get = "romforge get && " if is_tree else ""
    assert done.stdout.endswith(f"next: cd new && {get}romforge build && romforge verify\n")
    assert ("it pins a commit of iPXE; " in done.stdout) == is_tree


@pytest.mark.slow
def test_the_miniature_is_built_by_romforge_and_by_doit(tmp_path: Path, romforge: Run, doit: Run):
    assert romforge("init").returncode == 0
    done = romforge("build", "nic:e1000")
    assert done.returncode == 0, done.stderr
    assert "the tree of [source.ipxe] was not got, so " in done.stderr
    assert "; to get the pinned one: `romforge get ipxe`" in done.stderr
    assert done.stdout.endswith(", ipxe is romforge:minipxe, the fallback\n")
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
    text = (tmp_path / "new/romspec.toml").read_text()
    assert f'\n[source.ipxe]\ntree = "{place}"\n' in text
    assert done.stdout.endswith("next: cd new && romforge build && romforge verify\n")
    assert "it builds the iPXE tree in " in done.stdout
    assert romforge("check", "--spec", "new/romspec.toml").returncode == 0


def test_the_commands_to_go_on_with_can_be_pasted(romforge: Run):
    done = romforge("init", "two words")
    commands = "romforge get && romforge build && romforge verify"
    assert done.stdout.endswith(f"next: cd 'two words' && {commands}\n")


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
    line = spec.read_text().splitlines().index("[source.ipxe]") + 4
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
