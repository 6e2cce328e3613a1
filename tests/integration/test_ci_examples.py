# SPDX-License-Identifier: GPL-2.0-or-later
"""The ready pipelines and hooks: schemas accept them, and their commands run here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import linked
from tests.support.project import PATIENCE, TOP, Run, users

GITHUB, GITLAB = TOP / "examples/ci/github.yml", TOP / "examples/ci/gitlab.yml"
MATRIX = TOP / "examples/ci/github-matrix.yml"
HOOKS = TOP / ".pre-commit-hooks.yaml"
SPEC = """spec = 1
[source.ipxe]
tree = "tree"
config = "qemu"
mark = "minipxe e1000 8086:100e build"
[platform.pcbios]
[nic.e1000]
id = "8086:100e"
[bucket.pxe]
size = "128KiB"
[target.qemu]
dir = "usr/share/qemu"
file = "pxe-{nic}.rom"
images = ["pcbios"]
bucket = "pxe"
"""


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (GITHUB, "vendor.github-workflows"),
        (MATRIX, "vendor.github-workflows"),
        (GITLAB, "vendor.gitlab-ci"),
    ],
)
def test_a_pipeline_is_as_its_service_s_schema_says(path: Path, schema: str, tmp_path: Path):
    """And a wrong one is refused."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run([*check, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(path.read_text().replace("    runs-on:", "    runs-off:"))
    if path == GITLAB:
        wrong.write_text(path.read_text().replace("  script:", "  scripts:"))
    assert subprocess.run([*check, wrong], capture_output=True, check=False).returncode == 1


def github_commands(path: Path = GITHUB, job: str = "roms") -> list[str]:
    """The scripts of the steps of a job that run romforge."""
    steps = yaml.safe_load(path.read_text())["jobs"][job]["steps"]
    return [step["run"] for step in steps if step.get("run", "").startswith("romforge")]


def gitlab_commands() -> list[str]:
    job = yaml.safe_load(GITLAB.read_text())["roms"]
    lines = [*job["script"], *job["after_script"]]
    return [line for line in lines if line.startswith("romforge")]


def run_as_service(directory: Path, commands: list[str], spec: str = SPEC) -> None:
    """Runs the commands in a project, one after the other, as a step of a service each."""
    linked.minipxe(directory / "tree")
    (directory / "romspec.toml").write_text(spec)
    environment = users({"GITHUB_STEP_SUMMARY": str(directory / "summary")})
    script = f'romforge() {{ "{sys.executable}" -m romforge "$@"; }}\nset -e\n'
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", script + command],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, command + done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.qemu
def test_the_commands_of_both_pipelines_pass_in_a_project(tmp_path: Path):
    """And what they keep is there afterwards."""
    commands = [*github_commands(), *gitlab_commands()]
    assert len(commands) >= 12
    run_as_service(tmp_path, ["romforge build", "romforge lock", *commands])
    assert (tmp_path / "summary").read_text().startswith("## ✅ 1 ROM")
    for name in ("roms.html", "roms.md", "badge.svg", "verify.xml", "lock.xml"):
        assert (tmp_path / "out" / name).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.qemu
def test_the_matrix_gives_what_one_machine_gives(tmp_path: Path):
    """Each part in a checkout of its own, and the whole in a further one."""
    whole = tmp_path / "whole"
    target = SPEC[SPEC.index("[target") :]
    others = [target.replace("qemu", name) for name in ("older", "newer", "newest")]
    spec = SPEC + "".join(others)
    for number in (1, 2, 3, 4):
        part = tmp_path / f"checkout-{number}"
        commands = github_commands(MATRIX, "part")
        assert len(commands) == 3
        commands = [one.replace("${{ matrix.number }}", str(number)) for one in commands]
        run_as_service(part, commands, spec)
        shutil.copytree(part / "out", whole / f"part-{number}")
        shutil.rmtree(whole / f"part-{number}/.romforge/tree", ignore_errors=True)
    get, join, report, check = github_commands(MATRIX, "whole")
    run_as_service(whole, [get, join, "romforge lock", report, check], spec)
    assert (whole / "summary").read_text().startswith("## ✅ 4 ROMs")
    assert (whole / "out/roms.html").stat().st_size > 0


def hooks() -> list[dict[str, Any]]:
    return list(yaml.safe_load(HOOKS.read_text()))


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_a_hook_passes_and_fails_as_its_command(
    tmp_path: Path, romforge: Run, hook: dict[str, Any]
):
    linked.minipxe(tmp_path / "tree")
    spec = tmp_path / "romspec.toml"
    spec.write_text(SPEC)
    assert romforge("build").returncode == 0
    assert romforge("lock").returncode == 0
    command, *words = hook["entry"].split()
    assert command == "romforge"
    assert romforge(*words).returncode == 0
    spec.write_text(SPEC.replace("128KiB", "64KiB"))
    assert romforge("build").returncode == 0
    if hook["id"] == "romforge-check":
        spec.write_text(SPEC.replace("128KiB", "99KiB"))
    assert romforge(*words).returncode in {1, 2}
