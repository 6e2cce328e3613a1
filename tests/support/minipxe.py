# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of vendor/minipxe, and its own make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from romforge.formats import option_rom
from tests.support.compilers import cached_compilers
from tests.support.project import TOP

SOURCE = TOP / "vendor" / "minipxe"
CROSS = {"CROSS_COMPILE_arm64": "aarch64-linux-gnu-", "CROSS_COMPILE_riscv64": "riscv64-linux-gnu-"}
DEFAULTS = {
    "SOURCE_DATE_EPOCH": "1700000000",
    # Objects have debugging information, and with it the directory that they were built in.
    "EXTRA_CFLAGS": "-ffile-prefix-map=$(CURDIR)=.",
    **CROSS,
}


def first_goals(src: Path, *bins: str, config: str = "") -> list[list[str]]:
    """Words for the makes that come first, so that new BIN directories cost half the time.

    They make the lists of all directories, and then the headers that must be newer. A make after
    that makes each dependency file once. It would make it twice without them, and the same else.
    """
    names = [path.name for path in sorted((src / "config").glob("*.h"))]
    places = ["config/local", *([f"config/local/{config}"] if config else [])]
    local = [f"{place}/{name}" for place in places for name in names]
    shared = ["config/named.h", "include/assert.h", "include/compiler.h"]
    return [["NEED_DEPS=", *bins], ["NEED_DEPS=", bins[0], ".echocheck", *shared, *local]]


class Tree:
    """A private copy of the source, and make in it.

    Objects come from the cache of all tests where ``cached`` is true.
    """

    def __init__(self, top: Path, source: Path = SOURCE, *, cached: bool = True):
        shutil.copytree(source, top, symlinks=True)
        self.top, self.src = top, top / "src"
        self.compilers = cached_compilers() if cached else {}

    def run(self, *goals: str, jobs: int = 2, **variables: str) -> subprocess.CompletedProcess[str]:
        words = [f"{name}={value}" for name, value in (DEFAULTS | variables).items()]
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MAKE", "MFLAGS", "CROSS_COMPILE"))
        }
        command = ["make", f"-j{jobs}", *words, *goals]
        return subprocess.run(
            command,
            cwd=self.src,
            env=clean | self.compilers | {"LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )

    def make(self, *goals: str, jobs: int = 2, **variables: str) -> str:
        done = self.run(*goals, jobs=jobs, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    def prepare(self, *bins: str) -> None:
        """Runs the first makes in new BIN directories."""
        for words in first_goals(self.src, *bins):
            assert "[DEPS]" not in self.make(*words)

    def built(self, *goals: str, jobs: int = 2, **variables: str) -> set[str]:
        """The objects that a make compiles, without version objects and devices' IDs."""
        return {
            Path(name).stem
            for name in re.findall(r"\[BUILD\] (\S+)", self.make(*goals, jobs=jobs, **variables))
            if ".ids." not in name
        }

    def read(self, name: str) -> bytes:
        return (self.src / name).read_bytes()

    def text(self, name: str) -> str:
        return (self.src / name).read_text()

    def remove(self, goal: str) -> None:
        """Removes a goal with its stages: make would not miss a stage alone."""
        for path in (self.src / goal).parent.glob(f"{Path(goal).stem}.*"):
            path.unlink()

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.text(name)
        assert old in text
        (self.src / name).write_text(text.replace(old, new, 1))

    def build_id(self, name: str) -> int:
        header = option_rom.parse_image(self.read(name)).header
        assert isinstance(header, option_rom.LegacyHeader)
        return option_rom.IpxeHeader.parse(self.read(name), header.ipxe_pointer).build_id
