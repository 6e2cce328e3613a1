# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge check --debian`: the shipped example, and a copy to which an architecture is added."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.documents import document
from tests.support.project import TOP, Run

SPEC = TOP / "romspec.toml"
EXAMPLE = TOP / "examples/debian/debian"
LOONG64 = """
[platform.loong64-efi]
[target.qemu-loong64]
dir = "usr/share/qemu-loong64"
file = "efi-{nic}.rom"
images = ["loong64-efi"]
bucket = "efi"
default = false
"""


def copy(top: Path, more: str = "") -> None:
    """A copy of the example, with the checkout's spec and more of it."""
    shutil.copytree(EXAMPLE, top / "debian")
    text = SPEC.read_text().replace('"vendor/', f'"{TOP}/vendor/')
    (top / "romspec.toml").write_text(text + more)


def errors(romforge: Run, *words: str) -> list[dict[str, str]]:
    done = romforge("check", "--debian", "--json", *words)
    found = document(done.stdout, "check")
    wrong = [one for one in found["problems"] if one["severity"] == "error"]
    assert (found["valid"], done.returncode) == (not wrong, int(bool(wrong)))
    return wrong


def test_the_shipped_example_has_all_of_the_spec(romforge: Run):
    done = romforge("check", "--spec", SPEC, "--debian", EXAMPLE, "--json")
    found = document(done.stdout, "check")
    assert done.returncode == 0
    assert [one for one in found["problems"] if one["rule"] == "debian"] == []


def test_a_new_architecture_misses_three_things(romforge: Run, tmp_path: Path):
    """Its files, its compiler and its test; with what is proposed for these, none."""
    copy(tmp_path, LOONG64)
    wrong = errors(romforge)
    assert {(one["file"], one["key"]) for one in wrong} == {
        ("romspec.toml", "target.qemu-loong64"),
        ("debian/control", "platform.loong64-efi"),
        ("debian/tests/control", "target.qemu-loong64"),
    }
    assert {one["rule"] for one in wrong} == {"debian"}
    proposed = {one["file"]: one["message"].split("\n  ") for one in wrong}
    _, files, package = proposed["romspec.toml"]
    _, compiler = proposed["debian/control"]
    _, *test = proposed["debian/tests/control"]
    lines = files.splitlines()[0]
    (tmp_path / "debian/ipxe-qemu-loong64.install").write_text(f"{lines}\n")
    control = tmp_path / "debian/control"
    fields = control.read_text().replace(
        "Build-Depends-Indep:\n", f"Build-Depends-Indep: {compiler}\n"
    )
    control.write_text(f"{fields}\n{package}\nArchitecture: all\n")
    with (tmp_path / "debian/tests/control").open("a") as file:
        file.write("\n" + "\n".join(test) + "\n")
    assert errors(romforge) == []


def test_a_forgotten_file_is_an_error_in_each_form(romforge: Run, tmp_path: Path):
    copy(tmp_path)
    forgotten = tmp_path / "debian/forgotten.install"
    forgotten.write_text("out/usr/share/qeum usr/share\n")
    text = romforge("check", "--debian")
    assert text.returncode == 1
    assert "debian/forgotten.install:1: nothing in the output root has such a path" in text.stderr
    assert "valid" not in text.stdout
    gcc = romforge("check", "--debian", "--format", "gcc")
    assert "\ndebian/forgotten.install:1: error: debhelper ignores this file" in f"\n{gcc.stdout}"
    github = romforge("check", "--debian", "debian", "--format", "github")
    assert "::error file=debian/forgotten.install,line=1::" in github.stdout
    sarif = json.loads(romforge("check", "--debian", "--format", "sarif").stdout)
    assert "debian" in {one["ruleId"] for one in sarif["runs"][0]["results"]}


@pytest.mark.parametrize("kind", ["absent", "empty", "binary", "huge", "directory", "escapes"])
@pytest.mark.parametrize("name", ["control", "tests/control", "x.install"])
def test_hostile_files_give_a_place_and_a_remedy(
    romforge: Run, tmp_path: Path, name: str, kind: str
):
    """And no traceback, which fails any test."""
    copy(tmp_path)
    file = tmp_path / "debian" / name
    file.unlink(missing_ok=True)
    if kind == "directory":
        file.mkdir()
    elif kind != "absent":
        data = {"empty": b"", "binary": bytes(range(256)), "escapes": b"\x1b[2J\n\x1b]0;x\n"}
        file.write_bytes(data.get(kind, b"a" * (2 << 20)))
    done = romforge("check", "--debian")
    ignored = name == "x.install" and kind in ("absent", "directory")
    no_directory = name == "control" and kind in ("absent", "directory")
    assert done.returncode == (0 if ignored else 2 if no_directory else 1)
    assert "\x1b" not in done.stderr
    assert ignored or "debian" in done.stderr


def test_a_directory_that_is_not_there_is_named(romforge: Run, tmp_path: Path):
    copy(tmp_path)
    done = romforge("check", "--debian", "packaging", "--json")
    assert done.returncode == 2
    message = document(done.stdout, "check")["error"]["message"]
    assert message == (
        "--debian: there is no directory packaging;"
        " name the directory of a source package that has control"
    )
