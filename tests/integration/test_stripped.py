# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge stripped`: what images do without, and why; and what leaving more out really saves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from romforge.analysis import strip_report
from romforge.base import jobserver
from romforge.base.errors import RomforgeError
from romforge.plan import planner
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import (
    gnu_make,
    image_build,
    make_rules,
    rebuild_reasons,
    source_tree,
    tree_record,
)
from romforge.sources.ipxe.gnu_make import Killed
from romforge.spec import loader
from tests.support.project import TOP, run

pytestmark = pytest.mark.slow

GOAL = "8086100e"
SPEC = """spec = 1
[source.ipxe]
tree = "{tree}"
{config}
[platform.x86_64-efi]
{platform}
[nic.e1000]
id = "8086:100e"
[target.qemu]
dir = "qemu"
file = "{{nic}}.rom"
images = ["x86_64-efi"]
level = "fast"
"""


class Project:
    """A spec over minipxe, built with its configuration for QEMU."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.out = top / "out"

    def write(self, platform: str = "", config: str = 'config = "qemu"') -> None:
        tree = TOP / "vendor/minipxe"
        text = SPEC.format(tree=tree, platform=platform, config=config)
        (self.top / "romspec.toml").write_text(text)

    def build(self) -> None:
        done = run([sys.executable, "-m", "romforge", "build"], self.top)
        assert done.returncode == 0, done.stderr

    def json(self, *words: str) -> Any:
        done = run([sys.executable, "-m", "romforge", *words, "--json"], self.top)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["images"]

    def text(self, *words: str) -> str:
        done = run([sys.executable, "-m", "romforge", *words], self.top)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make(self) -> TreeBuild:
        (make,) = planner.make_plan(loader.load_spec(self.top / "romspec.toml"), None).makes
        return make

    def state(self) -> dict[str, tuple[int, bytes]]:
        """All files of the working tree: their times and what they hold, but for logs."""
        tree = self.out / self.make().directory
        return {
            str(path.relative_to(tree)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in tree.rglob("*")
            if path.is_file() and path.suffix != ".log" and path.name != "record.json"
        }

    def image_size(self) -> int:
        """The bytes of the image in the ROM."""
        (image,) = self.json("why", "qemu/e1000.rom")
        return int(image["size"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    found = Project(tmp_path_factory.mktemp("stripped"))
    found.write()
    found.build()
    return found


@pytest.fixture
def pool() -> Iterator[None]:
    """What a command of ours begins with."""
    jobserver.begin_pool(None)
    yield
    gnu_make._stopped.clear()


def test_what_is_left_out_is_told_with_what_left_it_out(project: Project):
    before = project.state()
    (told,) = project.json("stripped", "nic:e1000")
    assert project.state() == before
    assert told["dropped"] == ["obj_config", "obj_config_efi"]
    assert told["added"] == ["obj_efi_snp"]
    assert told["reason"] is None
    ways = {item["object"]: (item["because"], item["by"]) for item in told["left_out"]}
    assert ways["autoboot"] == ("safe", strip_report.BY_STUBS)
    assert ways["config_ethernet"] == ("safe", strip_report.ONLY_REQUIRED)
    assert {"intel", "efi_snp"} <= told["stayed"].keys()
    assert {"http", "shell"} <= told["never_asked_for"].keys()
    assert not ways.keys() & (told["never_asked_for"].keys() | told["stayed"].keys())
    assert told["stayed"]["malloc"]["memory"] > 100 * told["stayed"]["malloc"]["file"]
    text = project.text("stripped", "nic:e1000")
    assert "x86_64-efi 8086100e.efidrv (e1000)" in text
    assert 'left out by strip = "safe", replaced by stubs: ' in text
    assert "not referenced" in text


def test_sizes_are_those_of_the_linked_file(project: Project):
    """Bytes of the file and of memory, each but for padding."""
    (told,) = project.json("stripped", "nic:e1000")
    (image,) = project.json("why", "x86_64-efi/8086100e")
    for kind, whole in (("file", sum(image["sections"].values())), ("memory", image["memory"])):
        taken = sum(size[kind] for size in told["stayed"].values())
        assert 0 <= whole - taken <= 0.05 * whole + 512


def test_the_reason_is_told_where_nothing_is_left_out(tmp_path: Path):
    project = Project(tmp_path)
    project.write('strip = "none"')
    project.build()
    (told,) = project.json("stripped")
    assert told["reason"] == 'nothing is left out: the spec says strip = "none"'
    assert (told["left_out"], told["never_asked_for"]) == ([], {})
    project.write(config="")
    project.build()
    (told,) = project.json("stripped")
    assert "does not define EFI_DOWNGRADE_UX" in told["reason"]
    assert told["reason"] in project.text("stripped")
    assert told["reason"] in project.text("why", "qemu/e1000.rom")


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("how", ["fails", "is interrupted", "is killed", "ends without a map"])
def test_the_working_tree_is_as_before_however_the_link_ends(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: str
):
    """Or where make was killed, it is marked, so that a later build begins anew."""
    make = project.make()
    before = project.state()
    seen = []

    def link(step: TreeBuild, words: list[str], src: Path, log: Path) -> int:
        seen.append((src / make_rules.RULES).read_text())
        (src / step.bin / f"{GOAL}.efidrv.tmp").write_bytes(b"half of a link")
        (src / step.bin / f"{GOAL}.efidrv.tmp.map").write_bytes(b"half of a map")
        (src / step.bin / f"version.{GOAL}.efidrv.o").write_bytes(b"")
        if how == "is killed":
            raise Killed("make was killed")
        if how == "is interrupted":
            gnu_make._stopped.set()
            return 2
        return 0 if how == "ends without a map" else 2

    monkeypatch.setattr(image_build, "run_make_for", link)
    expected = KeyboardInterrupt if how == "is interrupted" else RomforgeError
    with pytest.raises(expected):
        strip_report.strip_report_of(make, project.out, [GOAL])
    assert "filter-out obj_config" not in seen[0]
    assert "romforge_stubs.%" in seen[0]
    assert f"{GOAL}.efidrv.tmp : " not in seen[0]
    after = project.state()
    if how == "is killed":
        assert tree_record.load_record(make, project.out) is None
        del after["unfinished"]
        os.unlink(project.out / make.directory / "unfinished")
    assert after == before
    assert (
        rebuild_reasons.stale_goals(make, project.out, [GOAL], source_tree.Trees(project.out)) == {}
    )


def test_a_directory_that_a_killed_run_left_is_no_obstacle(project: Project):
    aside = project.out / project.make().directory / "aside"
    aside.mkdir()
    (aside / "8086100e.efidrv.tmp").write_bytes(b"")
    (told,) = project.json("stripped", "nic:e1000")
    assert told["stayed"]
    assert not aside.exists()


def test_what_is_foretold_is_what_leaving_out_saves(tmp_path: Path):
    """Of the first three suggestions that need nothing but a line."""
    project = Project(tmp_path)
    project.write('strip = "none"')
    project.build()
    (before,) = project.json("why", "qemu/e1000.rom")
    possible = [one for one in before["leave_out"]["candidates"] if one["possible"]]
    assert len(possible) >= 3
    text = project.text("why", "qemu/e1000.rom")
    assert possible[0]["line"] in text
    linked = sum(before["sections"].values())
    for candidate in possible[:3]:
        project.write(f'strip = "none"\n{candidate["line"]}')
        project.build()
        (after,) = project.json("why", "qemu/e1000.rom")
        assert not set(candidate["objects"]) & {part["name"] for part in after["parts"]}
        saved = before["size"] - after["size"]
        assert abs(saved - candidate["saves"]) <= 512 + 0.2 * candidate["saves"]
        left = linked - sum(after["sections"].values())
        assert abs(left - candidate["leaves"]) <= 64 + 0.05 * candidate["leaves"]
