# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge check --debian`: the shipped example, and a copy to which an architecture is added."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.documents import document
from tests.support.project import TOP, Run

EXAMPLE = TOP / "examples/debian/debian"


@pytest.fixture
def romforge(romforge: Run, tmp_path: Path) -> Run:
    """In a copy of the example as a source package of the miniature."""
    shutil.copytree(TOP / "vendor/minipxe/src", tmp_path / "src")
    shutil.copytree(EXAMPLE, tmp_path / "debian")
    return lambda *words: romforge(*words, ROMSPEC="debian/romspec.toml")


def remove_paragraph(file: Path, word: str) -> None:
    """Takes the one paragraph out of a control file that has a word in its first line."""
    paragraphs = file.read_text().split("\n\n")
    kept = [one for one in paragraphs if word not in one.splitlines()[0]]
    assert len(kept) == len(paragraphs) - 1
    file.write_text("\n\n".join(kept))


def errors(romforge: Run, *words: str) -> list[dict[str, str]]:
    done = romforge("check", "--debian", "--json", *words)
    found = document(done.stdout, "check")
    wrong = [one for one in found["problems"] if one["severity"] == "error"]
    assert (found["valid"], done.returncode) == (not wrong, int(bool(wrong)))
    return wrong


def test_the_shipped_example_has_all_of_its_spec(romforge: Run):
    done = romforge("check", "--debian", "--json")
    found = document(done.stdout, "check")
    assert done.returncode == 0
    assert [one for one in found["problems"] if one["rule"] == "debian"] == []


def test_an_architecture_misses_three_things(romforge: Run, tmp_path: Path):
    """Its files, its compiler and its test; with what is proposed for these, none."""
    debian = tmp_path / "debian"
    control, tests = debian / "control", debian / "tests/control"
    (debian / "ipxe-qemu-loongarch64.install").unlink()
    remove_paragraph(control, "ipxe-qemu-loongarch64")
    remove_paragraph(tests, "loongarch64")
    line = " gcc-loongarch64-linux-gnu <!pkg.ipxe.nocross>,\n"
    assert line in control.read_text()
    control.write_text(control.read_text().replace(line, ""))
    wrong = errors(romforge)
    assert {(one["file"], one["key"]) for one in wrong} == {
        ("debian/romspec.toml", "target.qemu-loongarch64"),
        ("debian/control", "platform.loong64-efi"),
        ("debian/tests/control", "target.qemu-loongarch64"),
    }
    assert {one["rule"] for one in wrong} == {"debian"}
    proposed = {one["file"]: one["message"].split("\n  ") for one in wrong}
    _, files, package = proposed["debian/romspec.toml"]
    _, compiler = proposed["debian/control"]
    _, *test = proposed["debian/tests/control"]
    lines = files.splitlines()[0]
    (debian / "ipxe-qemu-loongarch64.install").write_text(f"{lines}\n")
    fields = control.read_text().replace(
        "Build-Depends-Indep:\n", f"Build-Depends-Indep:\n {compiler}\n"
    )
    control.write_text(f"{fields}\n{package}\nArchitecture: all\n")
    with tests.open("a") as file:
        file.write("\n" + "\n".join(test) + "\n")
    assert errors(romforge) == []


def test_a_forgotten_file_is_an_error_in_each_form(romforge: Run, tmp_path: Path):
    forgotten = tmp_path / "debian/forgotten.install"
    forgotten.write_text("debian/out/usr/share/qeum usr/share\n")
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
    done = romforge("check", "--debian", "packaging", "--json")
    assert done.returncode == 2
    message = document(done.stdout, "check")["error"]["message"]
    assert message == (
        "--debian: there is no directory packaging;"
        " name the directory of a source package that has control"
    )
