# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge check`: what a spec names and is not there, and what has no effect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.minipxe import SOURCE
from tests.support.project import Run, spec_text

TREE = f"""spec = 1
[source.ipxe]
tree = "{SOURCE}"
[platform.pcbios]
[nic.e1000]
id = "8086:100e"
[target.all]
dir = "all"
file = "{{nic}}.rom"
images = ["pcbios"]
"""
TREE_LINE = f'tree = "{SOURCE}"'
PCBIOS = "[platform.pcbios]"


def write(directory: Path, text: str) -> None:
    (directory / "romspec.toml").write_text(text)


def test_a_spec_whose_tree_is_there_is_valid(romforge: Run, tmp_path: Path):
    write(tmp_path, TREE)
    done = romforge("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "romspec.toml: valid: 1 NIC, 1 platform, 1 target and 1 ROM\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            TREE_LINE,
            'tree = "no"\nfallback = "nor"',
            "romspec.toml:3: source.ipxe.tree: there is no iPXE source tree (with src/Makefile) at"
            " {top}/no or {top}/nor; get one by `git submodule add",
        ),
        (
            PCBIOS,
            f'{PCBIOS}\nembed = ["boot.ipxe"]',
            "romspec.toml:5: platform.pcbios.embed[0]: {top}/boot.ipxe: cannot be read: No such",
        ),
        (
            PCBIOS,
            f'{PCBIOS}\ntrust = ["ca.crt", "."]',
            'romspec.toml:5: platform.pcbios.trust[1]: "." is a directory',
        ),
        (
            PCBIOS,
            f'{PCBIOS}\ncert = ["ca.crt"]',
            "romspec.toml:5: platform.pcbios.cert[0]: {top}/ca.crt: cannot be read: No such",
        ),
        (
            PCBIOS,
            f'{PCBIOS}\nlauncher = "no-such-launcher"',
            "romspec.toml:5: platform.pcbios.launcher: no-such-launcher: not found",
        ),
        (
            PCBIOS,
            f'[toolchain]\nlauncher = "no-such-launcher"\n{PCBIOS}',
            "romspec.toml:5: toolchain.launcher: no-such-launcher: not found",
        ),
        (
            PCBIOS,
            f'{PCBIOS}\nconfig = "c"\n[config.c.genral]',
            "romspec.toml:6: config.c.genral: the tree has no header config/genral.h ",
        ),
        (
            PCBIOS,
            f'{PCBIOS}\nconfig = "qmeu"',
            'romspec.toml:5: platform.pcbios.config: the tree has no configuration "qmeu" (did you',
        ),
        (
            TREE_LINE,
            f'{TREE_LINE}\nconfig = "qmeu"',
            'romspec.toml:4: source.ipxe.config: the tree has no configuration "qmeu"',
        ),
    ],
    ids=[
        "tree and fallback",
        "embedded script",
        "directory",
        "certificate",
        "launcher of a platform",
        "launcher",
        "header",
        "configuration of a platform",
        "configuration of a source",
    ],
)
def test_what_is_not_there_is_an_error_with_its_line(
    romforge: Run, tmp_path: Path, old: str, new: str, words: str
):
    """Where the spec itself is right, the status is that of a check that failed, 1."""
    write(tmp_path, TREE.replace(old, new))
    done = romforge("check")
    assert words.format(top=tmp_path) in done.stderr
    assert done.returncode == (2 if "is a directory" in words else 1)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("roms", "words"),
    [
        ("nowhere", "there is no directory {top}/nowhere"),
        ("no.deb", "there is no file {top}/no.deb"),
    ],
)
def test_roms_that_are_not_there_are_an_error(romforge: Run, tmp_path: Path, roms: str, words: str):
    """Also those that guests are to migrate from."""
    write(tmp_path, spec_text(roms))
    done = romforge("check")
    assert f"romspec.toml:3: source.roms.roms: {words.format(top=tmp_path)}" in done.stderr
    assert done.returncode == 1
    older = f'[source.older]\nroms = "{roms}"\n[verify]\nmigrate_from = ["older", "lock"]\n'
    target = 'images = ["pcbios"]\nsource = "ipxe"'
    write(tmp_path, TREE.replace('images = ["pcbios"]', target) + older)
    assert f"source.older.roms: {words.format(top=tmp_path)}" in romforge("check").stderr


def test_a_source_that_nothing_uses_need_not_be_there(romforge: Run, tmp_path: Path):
    target = 'images = ["pcbios"]\nsource = "ipxe"'
    unused = '[source.older]\nroms = "nowhere"\n[source.other]\ntree = "nowhere"\n'
    write(tmp_path, TREE.replace('images = ["pcbios"]', target) + unused)
    assert romforge("check").returncode == 0


def test_the_tree_that_ipxe_src_names_is_looked_for(romforge: Run, tmp_path: Path):
    """In place of the spec's, which need not be there."""
    write(tmp_path, TREE.replace(TREE_LINE, 'tree = "no"'))
    assert romforge("check", IPXE_SRC=str(SOURCE)).returncode == 0
    done = romforge("check", IPXE_SRC="other")
    assert done.returncode == 1
    assert (
        f"source.ipxe: there is no iPXE source tree (with src/Makefile) at {tmp_path}/other,"
        " which IPXE_SRC names; set IPXE_SRC to one, or unset it to build no"
    ) in done.stderr


def test_a_fallback_is_a_warning(romforge: Run, tmp_path: Path):
    """The macros of the spec are not compared with it: they are meant for the other tree."""
    fallback = f'tree = "no"\nfallback = "{SOURCE}"\nconfig = "c"'
    write(tmp_path, TREE.replace(TREE_LINE, fallback) + '[config.c.general]\ndefine = ["X"]\n')
    done = romforge("check")
    assert done.returncode == 0
    assert "romspec.toml:3: source.ipxe.tree: warning: no is not there, so " in done.stderr
    assert "config.c: warning: its macros were not checked, for lack of the tree" in done.stderr
    assert "mentions X" not in done.stderr
    assert ": valid: " in done.stdout


CONFIGURED = TREE.replace(TREE_LINE, f'{TREE_LINE}\nconfig = "c"')
MACROS = CONFIGURED + '[config.c.console]\ndefine = ["DOWNLOAD_PROTO_HTTP", "CONSOLE_SERAIL"]\n'


def test_macros_without_effect_are_warnings(romforge: Run, tmp_path: Path):
    """On standard error, each with its line; the spec is valid all the same."""
    write(tmp_path, MACROS)
    done = romforge("check")
    assert done.returncode == 0
    assert ": valid: " in done.stdout
    assert (
        "romspec.toml:13: config.c.console.define[0]: warning: DOWNLOAD_PROTO_HTTP belongs to"
        " config/general.h, and config/console.h does not know it, so it may have no effect here;"
        " move it to [config.c.general]\n"
        '    13 | define = ["DOWNLOAD_PROTO_HTTP", "CONSOLE_SERAIL"]\n'
    ) in done.stderr
    assert 'no effect (did you mean "CONSOLE_SERIAL"?)' in done.stderr


def test_errors_and_warnings_are_data(romforge: Run, tmp_path: Path):
    """In the order of lines, and nothing is on standard error."""
    text = MACROS.replace(PCBIOS, f'{PCBIOS}\nembed = ["no"]') + "[config.unused.general]\n"
    write(tmp_path, text)
    done = romforge("check", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert (found["format"], found["valid"], found["counts"]["roms"]) == (1, False, 1)
    error = found["problems"][0]
    assert "cannot be read" in error["message"]
    assert error["file"] == "romspec.toml"
    places = [
        (one["severity"], one["key"], one["line"], one["column"]) for one in found["problems"]
    ]
    assert places == [
        ("error", "platform.pcbios.embed[0]", 6, 10),
        ("warning", "config.c.console.define[0]", 14, 11),
        ("warning", "config.c.console.define[1]", 14, 34),
        ("warning", "config.unused", 15, 1),
    ]


@pytest.mark.parametrize(
    ("text", "status", "places"),
    [
        ("spec = 1\n[nic.x]\nids = 3\n", 2, [(2, 1, "nic.x.id"), (3, 1, "nic.x.ids")]),
        ("spec = 1\nx = \n", 2, [(2, 5, None)]),
        ("spec = 1\n\n[a", 2, [(3, 3, None)]),
    ],
    ids=["keys", "syntax", "end"],
)
def test_a_wrong_spec_is_data_too(
    romforge: Run, tmp_path: Path, text: str, status: int, places: list[object]
):
    write(tmp_path, text)
    done = romforge("check", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (status, "")
    assert (found["valid"], found["counts"]) == (False, None)
    assert [(one["line"], one["column"], one["key"]) for one in found["problems"]] == places


@pytest.mark.parametrize("command", ["check", "build"])
def test_a_spec_without_roms_is_wrong(romforge: Run, tmp_path: Path, command: str):
    write(tmp_path, "spec = 1\n")
    done = romforge(command)
    assert done.returncode == 2
    assert "there is no target, so there is nothing to build; write a [target.NAME]" in done.stderr
    assert "`romforge nics` lists QEMU's with their IDs" in done.stderr
