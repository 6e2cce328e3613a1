# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion in real shells: lines are typed into each, with Tab; the command's arguments count."""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from romforge.cli.command_line import make_parser
from tests.support.project import PATIENCE, TOP, Run, run, users

SPEC = r"""spec = 1
[source.roms]
roms = "roms"
[source.deb]
package = "ipxe-qemu"
[source.tree]
tree = "ipxe"
[platform.pcbios]
[platform.arm64-efi]
source = "tree"
[nic.e1000]
id = "8086:100e"
[nic.e1000e]
id = "8086:10d3"
[nic.rtl8139]
id = "10ec:8139"
[target.space]
dir = "usr/a b"
file = "x:{nic}.rom"
images = ["pcbios"]
source = "roms"
nics = ["e1000"]
[target.dollar]
dir = "usr"
file = "$q'z.rom"
images = ["pcbios"]
source = "deb"
nics = ["e1000"]
[target.backslash]
dir = 'b\s'
file = '(x)&;"{nic}"#[y]~.ü'
images = ["pcbios"]
source = "roms"
nics = ["rtl8139"]
[target.arm]
dir = "arm"
file = "{nic}.rom"
images = ["arm64-efi"]
"""
SPACE, DOLLAR, BACKSLASH = "usr/a b/x:e1000.rom", "usr/$q'z.rom", 'b\\s/(x)&;"rtl8139"#[y]~.ü'

# What is typed, where <> is Tab, and the arguments that come of it.
TYPED = {
    "romforge bu<>all": ["build", "all"],
    "romforge build al<>": ["build", "all"],
    "romforge build ni<>r<>": ["build", "nic:rtl8139"],
    "romforge build nic:r<>": ["build", "nic:rtl8139"],
    "romforge build nic:e1000e tar<>arm": ["build", "nic:e1000e", "target:arm"],
    "romforge build ma<>": ["build", "make:tree/arm64-efi"],
    "romforge build so<>": ["build", "source:deb"],
    "romforge build rom:usr/a<>": ["build", f"rom:{SPACE}"],
    "romforge build rom:usr/a\\ b/x:<>": ["build", f"rom:{SPACE}"],
    'romforge build "rom:usr/a<>': ["build", f"rom:{SPACE}"],
    "romforge build 'rom:usr/a<>": ["build", f"rom:{SPACE}"],
    "romforge build usr/a<>": ["build", SPACE],
    "romforge build out/usr/a<>": ["build", f"out/{SPACE}"],
    "romforge build ./out/usr/a<>": ["build", f"./out/{SPACE}"],
    "romforge build --out here here/usr/a<>": ["build", "--out", "here", f"here/{SPACE}"],
    "romforge build {home}/out/usr/a<>": ["build", f"{{home}}/out/{SPACE}"],
    "romforge build rtl<>": ["build", "rtl8139"],
    "romforge build dol<>": ["build", "dollar"],
    "romforge build x:<>": ["build", "x:e1000.rom"],
    "romforge plan ma<>": ["plan", "make:tree/arm64-efi"],
    "romforge inspect nic:r<>": ["inspect", "nic:rtl8139"],
    "romforge why nic:r<>": ["why", "nic:rtl8139"],
    "romforge build rom:usr/\\$<>": ["build", f"rom:{DOLLAR}"],
    "romforge build 'rom:usr/$<>": ["build", f"rom:{DOLLAR}"],
    'romforge build "rom:usr/\\$<>': ["build", f"rom:{DOLLAR}"],
    "romforge build rom:b<>": ["build", f"rom:{BACKSLASH}"],
    'romforge build "rom:b<>': ["build", f"rom:{BACKSLASH}"],
    "romforge build 'rom:b<>": ["build", f"rom:{BACKSLASH}"],
    "romforge stripped ma<>": ["stripped", "make:tree/arm64-efi"],
    "romforge lock ma<>": ["lock", "ma"],
    "romforge verify ver<>usr/a<>s<>": ["verify", f"verify:{SPACE}:structure"],
    "romforge verify verify:usr/a<>s<>": ["verify", f"verify:{SPACE}:structure"],
    "romforge verify --controls verify:usr/a\\ b/x:e1000.rom:str<>em<>": [
        "verify",
        "--controls",
        f"verify:{SPACE}:structure:empty file",
    ],
    "romforge build --spec other.toml nic:<>": ["build", "--spec", "other.toml", "nic:pcnet"],
    "romforge build --spec=other.toml nic:<>": ["build", "--spec=other.toml", "nic:pcnet"],
    "romforge build --spec absent.toml al<>": ["build", "--spec", "absent.toml", "al"],
    "romforge build --spec broken.toml al<>": ["build", "--spec", "broken.toml", "al"],
    "romforge build --spec oth<>nic:<>": ["build", "--spec", "other.toml", "nic:pcnet"],
    "romforge build --spec=oth<>": ["build", "--spec=other.toml"],
    "romforge build --spec ~/oth<>": ["build", "--spec", "{home}/other.toml"],
    "romforge build --out dir<>": ["build", "--out", "directory"],
    "romforge build --out=dir<>": ["build", "--out=directory"],
    "romforge check --js<>": ["check", "--json"],
    "romforge check --debian dir<>": ["check", "--debian", "directory"],
    "romforge check --debian --js<>": ["check", "--debian", "--json"],
    "romforge compress --le<>f<>in": ["compress", "--level", "fast", "in"],
    "romforge compress --level=f<>in": ["compress", "--level=fast", "in"],
    "romforge efirom --stored --lev<>": ["efirom", "--stored", "--lev"],
    "romforge inspect a\\ r<>": ["inspect", "a rom:1.rom"],
    "romforge report --against new=direc<>": ["report", "--against", "new=directory"],
    "romforge completion f<>": ["completion", "fish"],
    "FOO=1 romforge build nic:r<>": ["build", "nic:rtl8139"],
    "true; romforge build nic:r<>": ["build", "nic:rtl8139"],
    "tools/romforge build oth<>": ["build", "other"],
    "~/tools/romforge build oth<>": ["build", "other"],
    "romforge why usr/a<>": ["why", SPACE],
    "romforge why config --in arm64-efi/8086100e<>": [
        "why",
        "config",
        "--in",
        "arm64-efi/8086100e",
    ],
    "romforge why config --in=arm64-efi/10<>": ["why", "config", "--in=arm64-efi/10ec8139"],
    "romforge frobnicate al<>": ["frobnicate", "al"],
}
SOURCED = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ["source romforge.bash"]),
    "zsh": (
        ["zsh", "-f", "-i"],
        ["autoload -Uz compinit", "compinit -D -u", "source romforge.zsh"],
    ),
    "fish": (["fish", "--no-config", "-i"], ["source romforge.fish"]),
}
INSTALLED = {  # where each shell finds it by itself, below the home directory
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        ["source /usr/share/bash-completion/bash_completion"],
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        ["fpath=(~/functions $fpath)", "autoload -Uz compinit", "compinit -D -u"],
    ),
    "fish": (["fish", "-i"], []),
}
PLACES = {
    "bash": ".local/share/bash-completion/completions/romforge",
    "zsh": "functions/_romforge",
    "fish": ".config/fish/completions/romforge.fish",
}


class Terminal:
    """An interactive shell in a directory with a spec, whose romforge writes down its arguments."""

    def __init__(self, home: Path, command: list[str], begin: list[str]) -> None:
        self.told = home / "arguments"
        system = {
            "HOME": str(home),
            "PATH": f"{home}:{os.environ['PATH']}",
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }
        self.process, self.file = pty.fork()
        if self.process == 0:
            os.chdir(home)
            os.execvpe(command[0], command, users(system))
        for line in [*begin, "romforge ready"]:
            os.write(self.file, f"{line}\n".encode())
        self.shown = b""
        assert self.arguments() == ["ready"], self.shown

    def type(self, line: str) -> None:
        os.write(self.file, line.encode())

    def arguments(self) -> list[str]:
        """What romforge was given last; waits until it was run."""
        end = time.monotonic() + PATIENCE
        while not self.told.exists():
            assert time.monotonic() < end, self.shown.decode(errors="replace")
            if select.select([self.file], [], [], 0.02)[0]:
                self.shown += os.read(self.file, 1 << 16)
        found = self.told.read_text().split("\0")[:-1]
        self.told.unlink()
        return found

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.file)


def furnish(home: Path) -> None:
    """Puts what the lines work on into a directory: specs, files, the scripts, and a romforge."""
    (home / "romspec.toml").write_text(SPEC)
    (home / "other.toml").write_text(
        'spec = 1\n[source.r]\nroms = "r"\n[platform.pcbios]\n[nic.pcnet]\nid = "1022:2000"\n'
        + TARGET
    )
    (home / "broken.toml").write_text(SPEC + "[nic.e1001]\n")
    (home / "a rom:1.rom").touch()
    (home / "directory").mkdir()
    (home / "dire.file").touch()
    for shell in SOURCED:
        (home / f"romforge.{shell}").write_text(printed(shell))
    (home / "tools").mkdir()
    for place, answer in (
        (home, f'exec {sys.executable} -m romforge "$@"'),
        (home / "tools", "exec printf 'words\\nother\\n'"),
    ):
        command = place / "romforge"
        write = f"printf '%s\\0' \"$@\" > {home}/new && mv {home}/new {home}/arguments"
        command.write_text(f'#!/bin/sh\n[ "$1" = __complete ] && {answer}\n{write}\n')
        command.chmod(0o755)


TARGET = '[target.t]\ndir = "t"\nfile = "{nic}.rom"\nimages = ["pcbios"]\n'


def printed(shell: str) -> str:
    return run([sys.executable, "-m", "romforge", "completion", shell], TOP).stdout


@pytest.fixture(scope="module", params=SOURCED)
def terminal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    home = tmp_path_factory.mktemp(request.param)
    furnish(home)
    found = Terminal(home, *SOURCED[request.param])
    yield found
    found.close()


@pytest.mark.parametrize("line", TYPED)
def test_tab_completes_a_line(terminal: Terminal, line: str):
    home = str(terminal.told.parent)
    terminal.type("\x15" + line.replace("<>", "\t").replace("{home}", home) + "\r")
    told = [
        word.replace("~", home) if word.startswith("~/") else word.rstrip("/")
        for word in terminal.arguments()
    ]
    assert told == [word.format(home=home) if "{home}" in word else word for word in TYPED[line]]


@pytest.mark.parametrize("shell", INSTALLED)
def test_a_shell_finds_the_script_where_it_is_installed(tmp_path: Path, shell: str):
    furnish(tmp_path)
    place = tmp_path / PLACES[shell]
    place.parent.mkdir(parents=True)
    shutil.move(tmp_path / f"romforge.{shell}", place)
    terminal = Terminal(tmp_path, *INSTALLED[shell])
    for _ in range(2):  # it is loaded at the first
        terminal.type("romforge build nic:r\t\r")
        assert terminal.arguments() == ["build", "nic:rtl8139"]
    terminal.close()


def asked(directory: Path, shell: str, *words: str, **environment: str) -> list[str]:
    """What the scripts of a shell are told for a line."""
    done = run(
        [sys.executable, "-m", "romforge", "__complete", shell, *words], directory, **environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_bash_offers_what_the_spec_has_without_a_terminal(tmp_path: Path):
    furnish(tmp_path)
    code = (
        "source romforge.bash; COMP_WORDS=(romforge build nic :) COMP_CWORD=3; "
        '_romforge romforge; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = run(["bash", "-c", code], tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert sorted(done.stdout.split()) == ["e1000", "e1000e", "rtl8139"]


def test_fish_offers_what_the_spec_has_with_what_it_is(tmp_path: Path):
    furnish(tmp_path)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }
    code = 'source romforge.fish; complete -C "romforge build "; complete -C "romforge bu"'
    done = run(["fish", "--no-config", "-c", code], tmp_path, **environment)
    told = dict(line.partition("\t")[::2] for line in done.stdout.splitlines())
    names = {
        "all",
        "nic:e1000",
        "nic:e1000e",
        "nic:rtl8139",
        "target:space",
        "target:dollar",
        "target:backslash",
        "target:arm",
    }
    roms = {
        f"rom:{path}"
        for path in (SPACE, DOLLAR, BACKSLASH, "arm/e1000.rom", "arm/e1000e.rom", "arm/rtl8139.rom")
    }
    assert told.keys() == names | roms | {"make:tree/arm64-efi", "source:deb", "build"}
    assert told["nic:e1000"] == "ROMs of 8086:100e"
    assert told["build"] == "builds ROMs, as doit does"


@pytest.mark.parametrize("spec", ["absent.toml", "broken.toml", "directory"])
@pytest.mark.parametrize("shell", SOURCED)
def test_a_broken_or_missing_spec_gives_no_output_at_all(tmp_path: Path, shell: str, spec: str):
    furnish(tmp_path)
    assert asked(tmp_path, shell, "build", "--spec", spec, "") == []
    assert asked(tmp_path, shell, "build", "", ROMSPEC=spec) == []
    assert asked(tmp_path, shell, "build", "--spec", "romspec.toml", "", ROMSPEC=spec) != []


def test_options_that_are_given_or_excluded_are_not_offered_again(tmp_path: Path):
    def options(*words: str) -> set[str]:
        return {line.split("\t")[0] for line in asked(tmp_path, "fish", *words, "-")[1:]}

    paths = {"--old-path", "--new-path", "--only", "--spec", "--out"}
    assert options("compat", "old", "new") == {"-h", "--help", "--json", *paths}
    assert options("compat", "old", "--json") == {"-h", "--help", *paths}
    assert options("efirom", "--level", "fast") == {"-h", "--help", "--id", "--json"}
    assert "--against" in options("report", "--against", "old")
    assert asked(tmp_path, "fish", "compat", "old", "new", "-x", "--", "-") == []


FREE = {"N", "SIZE", "VVVV:DDDD", "PATH", "PLACE", "NAME", "QEMU", "TYPE"}
FREE |= {"I/N", "SOURCE"}  # see the next test; the spec of the others has no source to get


def test_a_source_to_get_and_one_to_update_are_completed(tmp_path: Path):
    commit = "a" * 40
    pinned = f'[source.i]\ngit = "u"\nrev = "{commit}"\n[source.p]\npackage = "ipxe-qemu"\n'
    nics = '[platform.pcbios]\n[nic.pcnet]\nid = "1022:2000"\n'
    targets = "".join(
        f'[target.{name}]\ndir = "{name}"\nfile = "{{nic}}.rom"\nimages = ["pcbios"]\n'
        f'source = "{name}"\n'
        for name in ("i", "p")
    )
    (tmp_path / "romspec.toml").write_text(f"spec = 1\n{pinned}{nics}{targets}")
    found = {}
    for command in ("get", "update"):
        lines = asked(tmp_path, "fish", command, "")
        found[command] = {line.split("\t")[0] for line in lines[1:]}
    assert found == {"get": {"i", "p"}, "update": {"i"}}


@pytest.mark.slow
def test_each_argument_is_completed_or_known_to_be_anything(tmp_path: Path):
    """Arguments that are no file, no choice and no selection are listed here.

    So a new kind of argument needs a decision.
    """
    furnish(tmp_path)
    commands = next(
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ).choices
    assert len(commands) > 15
    for name, command in commands.items():
        free = [
            action
            for action in command._actions
            if action.nargs != 0 and not completed(tmp_path, name, action)
        ]
        assert {str(action.metavar) for action in free} <= FREE, name


def completed(directory: Path, command: str, action: argparse.Action) -> bool:
    before = (
        [action.option_strings[0]]
        if action.option_strings
        else ["x"] * (action.dest in ("output", "new"))
    )
    return bool(asked(directory, "fish", command, *before, ""))


@pytest.mark.parametrize("shell", SOURCED)
def test_the_script_is_one_that_its_shell_can_read(shell: str, tmp_path: Path):
    (tmp_path / "script").write_text(printed(shell))
    done = subprocess.run(
        [shell, "-n", "script"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_scripts_ask_is_hidden(romforge: Run):
    assert "__complete" not in romforge("--help").stdout
    assert re.search("no command.*check", romforge("__complete").stderr)
    assert romforge("completion", "csh").returncode == 2
