# SPDX-License-Identifier: GPL-2.0-or-later
"""Projects whose linked images are looked into."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from romforge.analysis import image_sizes
from romforge.plan import planner
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import source_tree
from romforge.spec import loader
from tests.support.documents import document
from tests.support.project import TOP, run

SPEC = """spec = 1
[source.ipxe]
tree = "tree"
[platform.pcbios]
[platform.x86_64-efi]
strip = "none"
[nic.e1000]
id = "8086:100e"
[bucket.efi]
size = "1MiB"
[target.qemu]
source = "ipxe"
dir = "qemu"
file = "{{nic}}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "efi"
level = "fast"
{}"""
GOAL, ROM = "8086100e", "qemu/e1000.rom"


class Built(NamedTuple):
    """A project whose ROM is built, and the makes of its platforms."""

    top: Path
    makes: tuple[TreeBuild, ...]

    def why(self, *words: str | Path, status: int = 0) -> Any:
        done = run([sys.executable, "-m", "romforge", "why", *map(str, words), "--json"], self.top)
        assert done.returncode == status, done.stderr
        if status != 0:
            return done.stderr
        found = document(done.stdout, "why")
        del found["format"]
        (answer,) = found.values()
        return answer

    def said(self, *words: str | Path) -> str:
        done = run([sys.executable, "-m", "romforge", "why", *map(str, words)], self.top)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stage(self, make: TreeBuild) -> Path:
        return image_sizes.linked_file(make, self.top / "out", GOAL)

    def link(self, make: TreeBuild) -> image_sizes.LinkedImage:
        plan = source_tree.recorded_link_plan(make, self.top / "out")
        return image_sizes.read_image_link(make, self.top / "out", GOAL, plan)


def project(top: Path, tree: Callable[[Path], object], more: str = "") -> Built:
    tree(top / "tree")
    (top / "romspec.toml").write_text(SPEC.format(more))
    done = run([sys.executable, "-m", "romforge", "build"], top)
    assert done.returncode == 0, done.stderr
    return Built(top, planner.make_plan(loader.load_spec(top / "romspec.toml"), None).makes)


def minipxe(place: Path) -> None:
    shutil.copytree(TOP / "vendor/minipxe", place, ignore=shutil.ignore_patterns("bin", "bin-*"))


def bigtree(place: Path, sources: int = 1000) -> None:
    """A generated tree with so many sources."""
    command = [sys.executable, str(TOP / "bench/bigtree.py"), str(place)]
    command += ["--sources", str(sources)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def tree_of_200(place: Path) -> None:
    """A generated tree that is large, and still built within a minute."""
    bigtree(place, sources=200)
