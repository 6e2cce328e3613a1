# SPDX-License-Identifier: GPL-2.0-or-later
"""The compilers of the tests print for ``-M`` what the compiler itself does, kept or not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.compilers import (
    CACHED_PATH,
    CCACHE_PROGRAMS,
    REAL_PATH,
    cached_compilers,
    lay_out,
)

WORDS = ["gcc", "-E", "-nostdinc", "-Iinclude", "-I.", "-M", "-MG", "-MP", "-MT", "a_DEPS"]

Printed = tuple[int, str, str]


def printed(tree: Path, path: str, *words: str, **environment: str) -> Printed:
    """The status, output and errors of the compiler in a tree."""
    variables = os.environ | cached_compilers() | environment | {"PATH": path}
    done = subprocess.run(
        [*WORDS, *words], cwd=tree, env=variables, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source that includes a header of ``include``, which includes one that is missing."""
    files = {
        # with the name of the test's own directory, which no other run has in an answer
        "a.c": f'#include "one.h"\n// {tmp_path}\n',
        "include/one.h": '#include "local/missing.h"\n',
        "include/unused.h": "",
        "bin/made.h": "",
        "bin-x86_64-efi/made.h": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with a compiler that has kept nothing yet."""
    programs, _, rest = CACHED_PATH.partition(":")
    own = tmp_path_factory.mktemp("compilers")
    lay_out(own)
    shutil.copy(Path(programs, "gcc"), own / "ccache")
    return f"{own}/bin:{rest}"


def answers(path: str) -> list[Path]:
    """The answers that the compiler of this PATH keeps."""
    return list(Path(path.partition(":")[0], "../answers").iterdir())


def test_an_answer_is_kept_and_given_again(tree: Path, path: str):
    """In another directory too, although an argument names it."""
    expected = printed(tree, REAL_PATH, "a.c")
    assert "a_DEPS: a.c include/one.h local/missing.h" in expected[1]
    assert printed(tree, path, f"-ffile-prefix-map={tree}=.", "a.c") == expected
    (answer,) = answers(path)
    answer.write_text("what was kept\n")
    other = tree.rename(tree.with_name("elsewhere"))
    again = printed(other, path, f"-ffile-prefix-map={other}=.", "a.c")
    assert again == (0, "what was kept\n", "")


def include_more(tree: Path) -> None:
    (tree / "include/one.h").write_text('#include "unused.h"\n')


def add_missing(tree: Path) -> None:
    (tree / "local").mkdir()
    (tree / "local/missing.h").write_text('#include "unused.h"\n')


def shadow(tree: Path) -> None:
    (tree / "one.h").write_text("")


def remove(tree: Path) -> None:
    (tree / "include/one.h").unlink()


def edit_source(tree: Path) -> None:
    (tree / "a.c").write_text('#include "unused.h"\n')


@pytest.mark.parametrize("change", [include_more, add_missing, shadow, remove, edit_source])
def test_a_change_of_the_tree_gives_the_new_answer(
    tree: Path, path: str, change: Callable[[Path], None]
):
    before = printed(tree, path, "a.c")
    change(tree)
    assert printed(tree, path, "a.c") == printed(tree, REAL_PATH, "a.c") != before


def test_other_arguments_or_another_compiler_give_another_answer(tree: Path, path: str):
    (tree / "a.c").write_text('#ifdef OTHER\n#include "unused.h"\n#endif\n')
    before = printed(tree, path, "a.c")
    assert printed(tree, path, "-DOTHER", "a.c") == printed(tree, REAL_PATH, "-DOTHER", "a.c")
    (tree / "tools").mkdir()
    (tree / "tools/gcc").write_text("#!/bin/sh\necho 'a_DEPS: a.c'\n")
    (tree / "tools/gcc").chmod(0o755)
    first, _, rest = path.partition(":")
    assert printed(tree, f"{first}:{tree}/tools:{rest}", "a.c") == (0, "a_DEPS: a.c\n", "")
    assert printed(tree, path, "a.c") == before


@pytest.mark.parametrize("name", ["bin/made.h", "bin-x86_64-efi/made.h", "part.inc", ".hidden.h"])
def test_an_answer_that_depends_on_what_is_not_looked_at_is_not_kept(
    tree: Path, path: str, name: str
):
    (tree / name).touch()
    (tree / "a.c").write_text(f'#include "{name}"\n')
    answer = printed(tree, path, "a.c")
    assert answer == printed(tree, REAL_PATH, "a.c")
    assert name in answer[1]
    assert answers(path) == []


@pytest.mark.parametrize("words", [("-I/usr/include",), ("-idirafter", "include")])
def test_neither_is_one_with_directories_elsewhere(tree: Path, path: str, words: tuple[str, ...]):
    answer = printed(tree, path, *words, "a.c")
    assert answer == printed(tree, REAL_PATH, *words, "a.c")
    assert answers(path) == []


def test_neither_is_one_with_more_than_the_answer(tree: Path, path: str):
    for _ in range(2):
        status, answer, told = printed(tree, path, "-v", "a.c")
        assert (status, answer) == printed(tree, REAL_PATH, "a.c")[:2]
        assert "gcc version" in told
    assert answers(path) == []


def test_an_error_is_the_compilers_own(tree: Path, path: str):
    (tree / "a.c").write_text('#error "refused"\n')
    answer = printed(tree, path, "a.c")
    assert answer == printed(tree, REAL_PATH, "a.c")
    assert (answer[0], "refused" in answer[2]) == (1, True)
    assert answers(path) == []


def test_a_link_to_it_in_another_directory_does_not_run_itself(tree: Path, path: str):
    (tree / "tools").mkdir()
    (tree / "tools/gcc").symlink_to(Path(path.partition(":")[0]) / "gcc")
    linked = f"{tree}/tools:{CCACHE_PROGRAMS}:/usr/bin:/bin"
    assert printed(tree, linked, "a.c") == printed(tree, REAL_PATH, "a.c")
    command = ["gcc", "-c", "-x", "c", "/dev/null", "-o", "a.o"]
    subprocess.run(command, cwd=tree, env=os.environ | {"PATH": linked}, check=True)
    assert (tree / "a.o").stat().st_size > 0
