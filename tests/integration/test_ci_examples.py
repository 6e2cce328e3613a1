# SPDX-License-Identifier: GPL-2.0-or-later
"""The ready pipelines and hooks: schemas accept them, and their commands run here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import linked
from tests.support.project import PATIENCE, TOP, Run, users

GITHUB, GITLAB = TOP / "examples/ci/github.yml", TOP / "examples/ci/gitlab.yml"
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
    ("path", "schema"), [(GITHUB, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")]
)
def test_a_pipeline_is_as_its_service_s_schema_says(path: Path, schema: str, tmp_path: Path):
    """And a wrong one is refused."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run([*check, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(path.read_text().replace("\n  roms:", "\n  roms:\n    runs-off: x"))
    if path == GITLAB:
        wrong.write_text(path.read_text().replace("  script:", "  scripts:"))
    assert subprocess.run([*check, wrong], capture_output=True, check=False).returncode == 1


def github_commands() -> list[str]:
    """The scripts of the workflow's steps that run romforge."""
    steps = yaml.safe_load(GITHUB.read_text())["jobs"]["roms"]["steps"]
    return [step["run"] for step in steps if step.get("run", "").startswith("romforge")]


def gitlab_commands() -> list[str]:
    job = yaml.safe_load(GITLAB.read_text())["roms"]
    lines = [*job["script"], *job["after_script"]]
    return [line for line in lines if line.startswith("romforge")]


@pytest.mark.slow
@pytest.mark.qemu
def test_the_commands_of_both_pipelines_pass_in_a_project(tmp_path: Path, romforge: Run):
    """One after the other, as the services do; and what they keep is there afterwards."""
    linked.minipxe(tmp_path / "tree")
    (tmp_path / "romspec.toml").write_text(SPEC)
    assert romforge("build").returncode == 0
    assert romforge("lock").returncode == 0
    environment = users({"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")})
    script = f'romforge() {{ "{sys.executable}" -m romforge "$@"; }}\nset -e\n'
    commands = [*github_commands(), *gitlab_commands()]
    assert len(commands) >= 11
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", script + command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, command + done.stdout + done.stderr
    assert (tmp_path / "summary").read_text().startswith("## ✅ 1 ROM")
    for name in ("roms.html", "roms.md", "badge.svg", "verify.xml", "lock.xml"):
        assert (tmp_path / "out" / name).stat().st_size > 0


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
