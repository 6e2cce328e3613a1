# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory to build a copy of vendor/minipxe in, and what is asked of such builds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from romforge.formats import option_rom
from tests.support.compilers import CACHED_PATH, REAL_PATH, cached_compilers
from tests.support.minipxe import first_goals
from tests.support.project import TOP, run, write_dodo

NICS = {"e1000": "8086:100e", "pcnet": "1022:2000", "rtl8139": "10ec:8139"}
GOALS = {nic: ids.replace(":", "") for nic, ids in NICS.items()}
BINS = {"pcbios": "bin/{}.rom", "x86_64-efi": "bin-x86_64-efi/{}.efidrv"}
LEGACY, EFI = BINS
TWO = "e1000", "pcnet"
NOTE = r"""#!/bin/sh
line=$(printf '%s\037' "$@")
printf '%s\n' "$line" >> "$HOME/makes"  # at once, since two makes may begin at the same moment
exec /usr/bin/make "$@"
"""
# Without these, debugging information names the directory and columns, and changes the build ID.
SAME_ANYWHERE = "EXTRA_CFLAGS=-ffile-prefix-map=$(CURDIR)=. -gno-column-info"
STORED = 'level = "stored"'  # what is tested is the tree's build, and compression takes longer
MARK, MARKED = "minipxe version %s", "minipxe VERSION %s"  # in core/mark.c, which every image has


class Forge:
    """A directory with a tree, a spec for it, and a make that notes how it was called.

    Objects come from the cache of all tests where ``cached`` is true.
    """

    def __init__(self, top: Path, tools: Path, cached: bool = True) -> None:
        self.top, self.tree, self.src, self.tools = top, top / "tree", top / "tree/src", tools
        self.cached, self.real_path = cached, f"{tools}:{REAL_PATH}"
        self.environment = {
            "SOURCE_DATE_EPOCH": "1700000000",
            "HOME": str(top),
            "PATH": self.real_path,
        }
        if cached:
            self.environment |= cached_compilers()
            self.environment["PATH"] = f"{tools}:{CACHED_PATH}"
        self.environment |= dict.fromkeys(["IPXE_SRC", "MAKEFLAGS", "DEB_BUILD_OPTIONS"], "")

    def copy(self, top: Path) -> Forge:
        shutil.copytree(self.top, top, symlinks=True, dirs_exist_ok=True)
        return Forge(top, self.tools, self.cached)

    def spec(
        self,
        platforms: Mapping[str, str] | None = None,
        nics: tuple[str, ...] = TWO,
        source: str = 'tree = "tree"',
        extra: str = "",
    ) -> None:
        """A spec of platforms with their keys, and of a target for each: PLATFORM/NIC.rom."""
        platforms = platforms or {LEGACY: "", EFI: ""}
        tables = [f"spec = 1\n[source.ipxe]\n{source}"]
        tables += [f"[platform.{name}]\n{keys}" for name, keys in platforms.items()]
        tables += [
            f'[target.{name}]\ndir = "{name}"\nfile = "{{nic}}.rom"\nimages = ["{name}"]\n{STORED}'
            for name in platforms
        ]
        tables += [f'[nic.{nic}]\nid = "{NICS[nic]}"' for nic in nics]
        (self.top / "romspec.toml").write_text("\n".join([*tables, extra, ""]))

    def doit(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        return run(
            [sys.executable, "-m", "doit", *arguments], self.top, **(self.environment | environment)
        )

    def romforge(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        return run(
            [sys.executable, "-m", "romforge", *arguments],
            self.top,
            **(self.environment | environment),
        )

    def build(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        done = self.doit(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def failed(self, *arguments: str, **environment: str) -> str:
        """What a build says that fails."""
        done = self.doit(*arguments, **environment)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def why(self, **environment: str) -> dict[str, str]:
        done = self.romforge("plan", "--why", "--json", **environment)
        assert done.returncode == 0, done.stderr
        return {row["task"]: row["reason"] for row in json.loads(done.stdout)["reasons"]}

    def asked(self) -> list[tuple[str, set[str]]]:
        """For each call of make since the last look: the BIN, and the names of the images."""
        log = self.top / "makes"
        calls = (
            [line.split("\x1f") for line in log.read_text().splitlines()] if log.exists() else []
        )
        log.unlink(missing_ok=True)
        goals = [
            [word.split("/") for word in words if re.fullmatch(r"bin[^/=]*/[^/]*(?<!\.deps)", word)]
            for words in calls
        ]
        images = [one for one in goals if one]  # a make for no image finds out what is configured
        return sorted((one[0][0], {name.split(".")[0] for _, name in one}) for one in images)

    def roms(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.top / "out")): path.read_bytes() for path in self.paths()}

    def code(self, name: str) -> bytes:
        """What the images of a ROM hold, uncompressed."""
        images = option_rom.parse_rom((self.top / "out" / name).read_bytes()).images
        return b"".join(
            option_rom.driver_of(image) if image.machine else image.data for image in images
        )

    def paths(self) -> list[Path]:
        out = self.top / "out"
        return [
            path for path in out.rglob("*.rom") if path.relative_to(out).parts[0] != ".romforge"
        ]

    def rewritten(self, act: Callable[[], object]) -> set[str]:
        """The ROMs that ``act`` writes anew."""
        before = {path: stamp(path) for path in self.paths()}
        act()
        return {
            str(path.relative_to(self.top / "out"))
            for path in self.paths()
            if before.get(path) != stamp(path)
        }

    def edit(self, name: str, old: str = MARK, new: str = MARKED) -> None:
        text = (self.src / name).read_text()
        assert old in text
        (self.src / name).write_text(text.replace(old, new))

    def work(self, platform: str, config: str = "plain") -> Path:
        """The platform's working tree."""
        return self.top / f"out/.romforge/tree/ipxe/{platform}/{config}"

    def stage(self, platform: str, nic: str, suffix: str = "", config: str = "plain") -> Path:
        return self.work(platform, config) / "src" / (BINS[platform].format(GOALS[nic]) + suffix)

    def objects(self, platform: str, nic: str, config: str = "plain") -> set[str]:
        """The objects of a link, from its map."""
        text = (
            self.stage(platform, nic, ".tmp.map", config)
            .read_text()
            .split("Discarded input sections")[0]
        )
        return set(re.findall(r"blib\.a\((\S+)\.o\)", text))

    def wrap(self, name: str, script: str) -> str:
        """The PATH in which a script comes before the program of that name."""
        (self.top / "bin").mkdir(exist_ok=True)
        (self.top / "bin" / name).write_text(script)
        (self.top / "bin" / name).chmod(0o755)
        return f"{self.top}/bin:{self.environment['PATH']}"

    def make(self, directory: Path, *words: str) -> None:
        """The tree's own make; its objects come from the cache where the forge's do."""
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MAKE", "MFLAGS"))
        }
        if self.cached:
            clean |= cached_compilers()
        clean["SOURCE_DATE_EPOCH"] = self.environment["SOURCE_DATE_EPOCH"]
        command = ["/usr/bin/make", "-sj2", SAME_ANYWHERE, *words]
        subprocess.run(command, cwd=directory, env=clean, check=True, capture_output=True)

    def prepare(self, directory: Path, *bins: str, config: str = "") -> None:
        """The makes that come first, so that new BIN directories cost half the time."""
        words = [f"CONFIG={config}"] if config else []
        for first in first_goals(directory, *bins, config=config):
            self.make(directory, *words, *first)


def new_forge(factory: pytest.TempPathFactory, make_script: str, *, cached: bool = True) -> Forge:
    """A forge with a copy of minipxe, and ``make_script`` as its make; it has no spec yet."""
    tools = factory.mktemp("tools")
    (tools / "make").write_text(make_script)
    (tools / "make").chmod(0o755)
    forge = Forge(factory.mktemp("empty"), tools, cached)
    shutil.copytree(TOP / "vendor/minipxe", forge.tree)
    write_dodo(forge.top)
    return forge


def stamp(path: Path) -> tuple[int, ...]:
    """What tells whether a file was written anew."""
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


def both(nic: str) -> set[str]:
    return {f"{platform}/{nic}.rom" for platform in BINS}


def asks(*nics: str, platforms: tuple[str, ...] = (LEGACY, EFI)) -> list[tuple[str, set[str]]]:
    return sorted(
        (BINS[platform].split("/")[0], {GOALS[nic] for nic in nics}) for platform in platforms
    )


def git(top: Path, *words: str) -> str:
    command = [
        "git",
        "-c",
        "user.name=n",
        "-c",
        "user.email=e",
        "-c",
        "protocol.file.allow=always",
        *words,
    ]
    return subprocess.run(
        command, cwd=top, capture_output=True, text=True, check=True
    ).stdout.strip()


def committed(tree: Path) -> None:
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    git(tree, "tag", "-am", "one", "v1.0.0")
    git(tree, "commit", "-q", "--allow-empty", "-m", "two")
