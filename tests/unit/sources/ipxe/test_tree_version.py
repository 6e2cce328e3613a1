# SPDX-License-Identifier: GPL-2.0-or-later
"""The version that makefiles take from git does not depend on the object database."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from romforge.sources.ipxe import tree_version

OLD = 'VERSIONS := $(shell git describe --tags --always --long --abbrev=1 --match "v*")\n'
NEW = "GITVERSION := $(shell cat ../.git/HEAD)\n"


def git(top: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    done = subprocess.run(command, cwd=top, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    top = tmp_path / "ipxe"
    (top / "src").mkdir(parents=True)
    (top / "src/Makefile").write_text(OLD)
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    git(top, "tag", "v1.21.1")
    return top


def test_a_makefile_that_runs_git_describe_gets_a_commit_of_fixed_length(checkout: Path):
    """However many digits the object database needs for a unique commit."""
    commit = git(checkout, "rev-parse", "HEAD")
    version = tree_version.read_version(checkout / "src")
    assert version.commit == commit
    assert version.variables == (("VERSIONS", f"v1.21.1-0-g{commit[:7]}"),)
    for number in range(300):  # enough that objects share their first digits
        (checkout / "more").write_text(str(number))
        git(checkout, "hash-object", "-w", "more")
    assert tree_version.read_version(checkout / "src") == version


def test_a_shallow_clone_without_the_tag_has_a_version_of_the_same_form(
    checkout: Path, tmp_path: Path
):
    git(checkout, "commit", "-q", "--allow-empty", "-m", "second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{checkout}", str(clone))
    version = tree_version.read_version(clone / "src")
    assert version.variables == (("VERSIONS", version.commit[:7]),)


def test_a_makefile_that_reads_the_commit_itself_gets_no_variable(checkout: Path):
    (checkout / "src/Makefile").write_text(NEW)
    assert tree_version.read_version(checkout / "src").variables == ()


def test_a_tree_that_is_not_a_checkout_has_no_version(tmp_path: Path):
    (tmp_path / "src").mkdir()
    assert tree_version.read_version(tmp_path / "src") == tree_version.TreeVersion("", "", ())
