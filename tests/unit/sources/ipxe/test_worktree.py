# SPDX-License-Identifier: GPL-2.0-or-later
"""The copy of a tree: what is scanned, compared and copied."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from romforge.sources.ipxe import worktree
from tests.support.forge import stamp


def write(top: Path, **files: str) -> None:
    """Files by their names, with / written as __ and the dot before the suffix as _dot_."""
    for name, text in files.items():
        path = top / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_scan_finds_sources_and_nothing_that_make_left(tmp_path: Path):
    """BIN directories are skipped only at the top, host tools in util, and the output root."""
    write(
        tmp_path,
        a_dot_c="",
        bin__a_dot_o="",
        core__bin__b_dot_c="",
        util__tool_dot_pl="",
        out__c_dot_c="",
        core__out__d_dot_c="",
    )
    write(
        tmp_path,
        **{
            "bin-x86_64-efi-sb__a_dot_o": "",
            "bin-own__a_dot_c": "",
            "_dot_git__index": "",
            "_dot_toolcheck": "",
        },
    )
    for name in ("util/zbin", "core/zbin"):
        shutil.copy("/bin/true", tmp_path / name)
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    found = worktree.scan_tree(tmp_path, tmp_path / "out")
    assert set(found) == {
        "a.c",
        "core/bin/b.c",
        "util/tool.pl",
        "core/out/d.c",
        "bin-own/a.c",
        "core/zbin",
    }
    assert {status[0] for name, status in found.items() if name != "core/zbin"} == {0o644}
    assert found["core/zbin"][0] == 0o755


def sync(
    src: Path, files: worktree.Files, into: Path | None = None, since: int = 0
) -> tuple[worktree.Files, worktree.Changes]:
    return worktree.compare_trees(src, worktree.scan_tree(src), files, into, since)


def test_a_comparison_tells_what_came_changed_and_went_and_copies_that_alone(tmp_path: Path):
    """What was merely touched is neither told nor copied."""
    src, into = tmp_path / "src", tmp_path / "into"
    write(src, a_dot_c="a", b_dot_c="b", c_dot_c="c", d__e_dot_c="e")
    files, changes = sync(src, {}, into)
    assert (changes.added, bool(changes)) == ({"a.c", "b.c", "c.c", "d/e.c"}, True)
    copied = {name: stamp(into / name) for name in files}
    write(src, a_dot_c="A", f__g_dot_c="g")
    os.utime(src / "b.c", ns=(0, 0))
    (src / "c.c").chmod(0o755)
    shutil.rmtree(src / "d")
    assert (
        sync(src, files)[1]
        == sync(src, files, into)[1]
        == worktree.Changes({"a.c", "c.c"}, {"f/g.c"}, {"d/e.c"}, touched=True)
    )
    assert {path.name: path.read_text() for path in into.rglob("*.c")} == {
        "a.c": "A",
        "b.c": "b",
        "c.c": "c",
        "g.c": "g",
    }
    assert stamp(into / "b.c") == copied["b.c"]
    assert os.access(into / "c.c", os.X_OK)
    assert not (into / "d").exists()
    files, changes = sync(src, files, into)
    assert not sync(src, files)[1]


def test_a_copy_is_newer_than_what_was_made_before_it(tmp_path: Path):
    """Though the clock was set back since, as make compares times."""
    write(tmp_path / "src", a_dot_c="a")
    future = 2**61
    sync(tmp_path / "src", {}, tmp_path / "into", since=future)
    assert (tmp_path / "into/a.c").stat().st_mtime_ns > future
