# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion of command lines, in the shells themselves."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from romforge import cli, completion
from tests.conftest import TOP, run, spec_text, users

NICS = 'e1000 = "8086:100e"\nne2k_pci = "10ec:8029"'
Ask = Callable[[str], list[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a spec, whose ROMs have a space in their names, and romforge on the PATH."""
    text = spec_text("roms", nics=NICS).replace('file = "efi-{nic}.rom"', 'file = "my {nic}.rom"')
    (tmp_path / "romspec.toml").write_text(text)
    (tmp_path / "a file.rom").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/romforge"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m romforge "$@"\n')
    script.chmod(0o755)
    for shell in completion.SCRIPTS:
        done = run([sys.executable, "-m", "romforge", "completion", shell], tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        (tmp_path / f"completion.{shell}").write_text(done.stdout)
    return tmp_path


def said(project: Path, command: list[str]) -> list[str]:
    environment = users({"PATH": f"{project}/bin:{os.environ['PATH']}", "HOME": str(project), "TERM": "dumb", "LC_ALL": "C.UTF-8"})
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return sorted(done.stdout.splitlines())


def bash(project: Path, line: str) -> list[str]:
    """What bash's readline gets, which replaces the last of what it takes for words."""
    program = r"""
source ./completion.bash
COMP_LINE=$1 COMP_POINT=${#1}
compopt() { :; }
# readline breaks at blanks, and at each colon and equals sign, which are words of their own
mapfile -t COMP_WORDS < <(sed -E 's/([:=])/\n\1\n/g; s/ +/\n/g' <<< "$1" | sed '/^$/d')
[[ $1 == *[' :='] ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_romforge
printf '%s\n' "${COMPREPLY[@]}"
"""
    return [one for one in said(project, ["bash", "--norc", "-c", program, "bash", line]) if one]


def zsh(project: Path, line: str) -> list[str]:
    """What the completion system gets: compadd and _files print what they are given."""
    program = r"""
autoload -Uz compinit && compinit -u -d ./zcompdump
source ./completion.zsh
compadd() { shift; print -l -- "$@" }
_files() { [[ $1 == -/ ]] && print -l -- *(N/) || print -l -- *(N) }
words=("${(@z)1}"); [[ $1 == *' ' ]] && words+=("")
CURRENT=${#words}
_romforge
"""
    return [one for one in said(project, ["zsh", "-f", "-c", program, "zsh", line]) if one]


def fish(project: Path, line: str) -> list[str]:
    """What fish shows itself: words, without their descriptions."""
    found = said(project, ["fish", "--no-config", "-c", 'source ./completion.fish; complete -C "$argv[1]"', line])
    return [one.split("\t")[0] for one in found]


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.fixture(params=list(SHELLS))
def ask(request: pytest.FixtureRequest, project: Path) -> Ask:
    return lambda line: SHELLS[request.param](project, line)


def test_commands_are_completed(ask: Ask):
    assert ask("romforge co") == ["combine", "compat", "completion", "compress"]
    assert ask("romforge inspe") == ["inspect"]
    assert ask("romforge nonsense ") == []


def test_options_and_their_choices_are_completed(ask: Ask):
    assert ask("romforge verify --j") == ["--jobs", "--json", "--junit"]
    assert ask("romforge efirom --level ") == ["best", "default", "fast"]
    assert ask("romforge completion ") == ["bash", "fish", "zsh"]
    assert "--against" in ask("romforge report --against old -")  # which may be repeated
    assert "--check" not in ask("romforge lock --check -")
    assert ask("romforge build --jobs ") == []


def test_what_can_be_selected_comes_from_the_spec_at_hand(ask: Ask, project: Path):
    found = [one.removeprefix("nic:") for one in ask("romforge build nic:")]
    assert found == ["e1000", "ne2k_pci"]
    assert "all" in ask("romforge verify ")
    assert [one.removeprefix("target:") for one in ask("romforge build --jobs 2 nic:e1000 target:e")] == ["efi"]
    other = project / "other.toml"
    other.write_text((project / "romspec.toml").read_text().replace("e1000", "card"))
    assert [one.removeprefix("nic:") for one in ask("romforge build --spec other.toml nic:c")] == ["card"]


def test_variables_before_the_command_count(project: Path):
    """In bash, which hands on the whole line."""
    (project / "other.toml").write_text((project / "romspec.toml").read_text().replace("e1000", "card"))
    assert bash(project, "LC_ALL=C ROMSPEC=other.toml romforge build nic:c") == ["card"]
    assert bash(project, "LC_ALL=C romforge buil") == ["build"]


def test_files_are_left_to_the_shell(ask: Ask):
    assert any("a file.rom" in one.replace("\\", "") for one in ask("romforge inspect "))
    found = [one.rstrip("/") for one in ask("romforge build --out ") if one.rstrip("/") in ("folder", "romspec.toml")]
    assert found == ["folder"] or "fish" in os.environ.get("PYTEST_CURRENT_TEST", "")  # fish shows files after directories


def test_a_rom_with_a_space_in_its_name_is_one_word(ask: Ask):
    found = ask("romforge why usr/share/qemu/my")
    assert [one.replace("\\ ", " ") for one in found] == ["usr/share/qemu/my e1000.rom", "usr/share/qemu/my ne2k_pci.rom"]


@pytest.mark.parametrize("spec", ["spec = 2\n", "words", None, "\0"], ids=["wrong", "no TOML", "missing", "a NUL"])
def test_a_broken_spec_is_met_with_silence(ask: Ask, project: Path, spec: str | None):
    (project / "romspec.toml").unlink()
    if spec is not None:
        (project / "romspec.toml").write_text(spec)
    assert ask("romforge build ") == []
    assert ask("romforge buil") == ["build"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("romforge build 'my e", ["romforge", "build", "my e"]),
        ('romforge build "my ', ["romforge", "build", "my "]),
        ("romforge build my\\ e", ["romforge", "build", "my e"]),
        ("romforge build ", ["romforge", "build", ""]),
        ("romforge", ["romforge"]),
        ("", [""]),
    ],
)
def test_a_line_is_split_as_a_shell_does(line: str, words: list[str]):
    assert completion.split(line) == words


def test_every_command_and_option_is_offered():
    """Those of the parser itself, so that none is forgotten."""
    parser = cli._parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        assert name in completion.complete(["--", "romforge", name], parser, Path("none"))
        offered = completion.complete(["--", "romforge", name, "-"], parser, Path("none"))
        for action in command._actions:
            assert not action.option_strings or set(action.option_strings) & set(offered), (name, action)


def test_zsh_finds_the_script_by_itself(project: Path):
    """In a directory of its fpath, under the name _romforge."""
    (project / "completion.zsh").rename(project / "_romforge")
    program = "fpath=($PWD $fpath); autoload -Uz compinit && compinit -u -d ./zcompdump; print $_comps[romforge]"
    assert said(project, ["zsh", "-f", "-c", program]) == ["_romforge"]


def test_an_answer_is_quick():
    """A person waits for it: no rich, no doit, no argument of a command but the parser."""
    code = "import sys; from romforge import cli; cli.main(['complete', '--', 'romforge', 'build', 'n']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, env=users({}), capture_output=True, text=True, check=True)
    assert "nic:e1000" in done.stdout
    assert not {"rich", "doit", "elftools"} & set(done.stdout.split())
