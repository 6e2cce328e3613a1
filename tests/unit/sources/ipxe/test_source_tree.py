# SPDX-License-Identifier: GPL-2.0-or-later
"""What a tree's make is told besides what the spec says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from romforge.sources.ipxe import source_tree
from tests.support.steps import step

MAKEFILE = "all :\n\t@printf '%s\\n' $(EXTRA_CFLAGS)\n"


def flags(directory: Path) -> list[str]:
    """The options that a compiler gets there."""
    directory.mkdir(parents=True)
    (directory / "Makefile").write_text(MAKEFILE)
    pairs = source_tree.compile_variables(step(), directory)
    words = [f"{name}={value}" for name, value in pairs]
    done = subprocess.run(
        ["make", "-C", str(directory), "--no-print-directory", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["plain", "with spaces", "it's", "öut", "a&b;(c)"])
def test_objects_do_not_tell_their_directory_whatever_its_name(tmp_path: Path, name: str):
    directory = tmp_path / name
    assert flags(directory) == [f"-ffile-prefix-map={directory}=.", "-gno-column-info"]


def test_compilers_are_started_without_a_shell_where_the_directory_allows_it(tmp_path: Path):
    """make starts one for a command that has quotes."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "alias of plain").symlink_to("plain")
    (tmp_path / "a b").mkdir()
    (tmp_path / "alias").symlink_to("a b")
    quoted = {
        name: '"' in dict(source_tree.compile_variables(step(), tmp_path / name))["EXTRA_CFLAGS"]
        for name in ("plain", "alias of plain", "a b", "alias")
    }
    assert quoted == {"plain": False, "alias of plain": False, "a b": True, "alias": True}
    # what is recorded is the same, wherever the tree is
    assert '"' in dict(source_tree.compile_variables(step()))["EXTRA_CFLAGS"]
