# SPDX-License-Identifier: GPL-2.0-or-later
"""The compilers of the tests give what the compiler itself gives, kept or not."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.compilers import (
    CACHED_PATH,
    CCACHE_PROGRAMS,
    REAL_PATH,
    cached_compilers,
    forget_unused,
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
    lay_out(own, Path(programs, "gcc"), os.listdir(programs))
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
    other = tree.rename(tree.with_name(f"{tree.name}-elsewhere"))
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


MAPPED = "-ffile-prefix-map={}=."
COMPILE = ["gcc", "-g", "-Os", "-Wall", "-nostdinc", "-Iinclude", "-I."]


def compiled(tree: Path, path: str, *words: str, **environment: str) -> tuple[bytes, str]:
    """The object that the compiler makes of a.c in a tree, and what it prints."""
    command = [*COMPILE, MAPPED.format(tree), *words, "-c", "a.c", "-o", "bin/a.o"]
    variables = os.environ | cached_compilers() | environment | {"PATH": path}
    done = subprocess.run(
        command, cwd=tree, env=variables, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stderr
    return (tree / "bin/a.o").read_bytes(), done.stderr


@pytest.fixture
def program(tree: Path) -> Path:
    """A source that can be compiled, with a header."""
    source = tree / "a.c"
    source.write_text(f'#include "one.h"\nint f(void) {{ return ONE; }}\n// {tree}\n')
    (tree / "include/one.h").write_text("#define ONE 1\n")
    return source


def test_an_object_is_kept_and_given_again(tree: Path, path: str, program: Path):
    """In another directory too, and not written into a file that has links."""
    expected = compiled(tree, REAL_PATH)
    assert compiled(tree, path) == expected
    (answer,) = answers(path)
    assert answer.read_bytes() == expected[0]
    (tree / "bin/a.o").unlink()
    (tree / "bin/link").write_bytes(b"another tree's")
    (tree / "bin/a.o").hardlink_to(tree / "bin/link")
    answer.write_bytes(b"what was kept")
    other = tree.rename(tree.with_name(f"{tree.name}-elsewhere"))
    assert compiled(other, path) == (b"what was kept", "")
    assert (other / "bin/link").read_bytes() == b"another tree's"


def test_an_object_of_something_else_is_the_compilers_own(tree: Path, path: str, program: Path):
    before = compiled(tree, path)
    assert compiled(tree, path, "-O1") == compiled(tree, REAL_PATH, "-O1") != before
    (tree / "include/one.h").write_text("#define ONE 2\n")
    assert compiled(tree, path) == compiled(tree, REAL_PATH) != before
    program.write_text("int other;\n")
    assert compiled(tree, path) == compiled(tree, REAL_PATH) != before


@pytest.mark.parametrize(
    "words",
    [("-include", "bin/made.h"), ('-DFILES="bin/made.h"',), (MAPPED.format("/nonexistent"),)],
    ids=["a header in a BIN directory", "files that are embedded", "the directory"],
)
def test_neither_is_one_kept_that_depends_on_more(
    tree: Path, path: str, program: Path, words: tuple[str, ...]
):
    (tree / "bin/made.h").write_text("#define MADE 1\n")
    if words[0].startswith("-ffile-prefix-map"):
        command = [*COMPILE, *words, "-c", "a.c", "-o", "bin/a.o"]
        variables = os.environ | cached_compilers() | {"PATH": path}
        subprocess.run(command, cwd=tree, env=variables, check=True)
    else:
        assert compiled(tree, path, *words) == compiled(tree, REAL_PATH, *words)
    assert answers(path) == []


def test_an_object_that_ccache_may_not_keep_is_kept_if_nothing_is_embedded(
    tree: Path, path: str, program: Path
):
    """The miniature's makefile says so of a source whether or not it embeds files."""
    expected = compiled(tree, REAL_PATH)
    assert compiled(tree, path, CCACHE_DISABLE="1") == expected
    (answer,) = answers(path)
    assert answer.read_bytes() == expected[0]


def test_a_warning_is_told_each_time(tree: Path, path: str, program: Path):
    program.write_text("static int unused;\n")
    for _ in range(2):
        assert "unused" in compiled(tree, path)[1]
    assert answers(path) == []


def test_a_full_disk_is_told_and_nothing_half_is_kept(tree: Path, path: str, program: Path):
    whole, _ = compiled(tree, path)
    (tree / "bin/a.o").unlink()
    (tree / "bin").rename(tree / "away")
    command = [*COMPILE, MAPPED.format(tree), "-c", "a.c", "-o", "bin/a.o"]
    variables = os.environ | cached_compilers() | {"PATH": path}
    done = subprocess.run(
        command, cwd=tree, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "bin/a.o" in done.stderr
    (tree / "away").rename(tree / "bin")
    assert compiled(tree, path) == (whole, "")


def test_what_the_preprocessor_prints_is_kept(tree: Path, path: str, program: Path):
    """Without the directory; with it, another directory asks the compiler again."""
    words = ["gcc", "-E", "-g", "-nostdinc", "-Iinclude", "-DASSEMBLY"]

    def preprocessed(tree: Path, path: str, *more: str) -> str:
        variables = os.environ | cached_compilers() | {"PATH": path}
        command = [*words, *more, "a.c"]
        return subprocess.run(
            command, cwd=tree, env=variables, capture_output=True, text=True, check=True
        ).stdout

    expected = preprocessed(tree, REAL_PATH, "-fno-working-directory")
    assert str(tree) not in expected.replace(f"// {tree}", "")
    assert preprocessed(tree, path, "-fno-working-directory") == expected
    (answer,) = answers(path)
    answer.write_text("what was kept\n")
    assert preprocessed(tree, path, "-fno-working-directory") == "what was kept\n"
    assert preprocessed(tree, path) == preprocessed(tree, REAL_PATH)
    assert answers(path) == [answer]


def test_a_program_of_the_host_is_kept(tree: Path, path: str):
    """It depends on Debian's packages, and is not kept if it has another header from elsewhere."""
    source = tree / "a.c"
    source.write_text(f'#include <stdio.h>\nint main(void) {{ puts("ran"); }}\n// {tree}\n')

    def built(path: str, **environment: str) -> str:
        variables = os.environ | cached_compilers() | environment | {"PATH": path}
        command = ["gcc", "-Wall", "a.c", "-lm", "-o", "a"]
        subprocess.run(command, cwd=tree, env=variables, check=True)
        return subprocess.run(
            [tree / "a"], capture_output=True, text=True, check=True
        ).stdout.strip()

    assert built(path) == "ran"
    (answer,) = answers(path)
    assert answer.read_bytes() == (tree / "a").read_bytes()
    answer.write_text("#!/bin/sh\necho kept\n")
    assert built(path) == "kept"
    assert built(path, CPATH=str(tree)) == "ran"
    source.write_text(source.read_text().replace("<stdio.h>", f'"{tree}/mine.h"'))
    (tree / "mine.h").write_text("#include <stdio.h>\n")
    assert built(path) == "ran"
    assert answers(path) == [answer]


def test_what_nobody_asked_for_in_two_weeks_is_forgotten(tree: Path, path: str, program: Path):
    """An answer that is given again is not; a directory is looked through once a day."""
    weeks = time.time() - 15 * 24 * 3600
    place = Path(path.partition(":")[0]).parent
    compiled(tree, path)
    printed(tree, path, "a.c")
    for answer in answers(path):
        os.utime(answer, (weeks, weeks))
    compiled(tree, path)
    forget_unused(place)
    assert len(answers(path)) == 2
    os.utime(place, (weeks, weeks))
    forget_unused(place)
    (left,) = answers(path)
    assert left.read_bytes() == compiled(tree, REAL_PATH)[0]


def test_assembler_sources_include_each_other(tree: Path, path: str):
    (tree / "include/more.S").write_text("nop\n")
    (tree / "a.S").write_text(f'#include "include/more.S"\n/* {tree} */\n')
    expected = printed(tree, REAL_PATH, "a.S")
    assert "a.S include/more.S" in expected[1]
    assert printed(tree, path, "a.S") == expected
    assert len(answers(path)) == 1
    (tree / "include/more.S").write_text('#include "include/unused.h"\n')
    assert printed(tree, path, "a.S") == printed(tree, REAL_PATH, "a.S") != expected
