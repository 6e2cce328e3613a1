# SPDX-License-Identifier: GPL-2.0-or-later
"""The cause of a failure in make's output, where it is mixed with other commands' output."""

from __future__ import annotations

import pytest

from romforge.sources.ipxe.make_output import (
    MOST_LINES,
    first_failure,
    shorten,
    stopped_by_warnings,
)

OTHERS = "  [BUILD] bin/error.o\n" * 5
AT_A = "make: *** [Makefile:1: bin/a.o] Error 1\n"
AT_X = "make: *** [Makefile:1: bin/x.rom.tmp] Error 1\n"
CULPRIT = "net/a.c:7:3: error: 'x' undeclared"
OVERFLOW = "Add 0+0x2ff at 0x2 overflows 1-byte field (261632 bytes too big)"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (f"net/a.c: In function 'f':\n{CULPRIT}\n  7 | x\n{AT_A}", "net/a.c: In function 'f':"),
        (
            f"net/a.c:1:10: fatal error: b.h: No such file\n{AT_A}",
            "net/a.c:1:10: fatal error: b.h: No such file",
        ),
        (
            f"ld: bin/a.o: undefined reference to `f'\n{AT_X}",
            "ld: bin/a.o: undefined reference to `f'",
        ),
        (
            f"ld: required symbol `obj_x' not defined\n{AT_X}",
            "ld: required symbol `obj_x' not defined",
        ),
        (f"/bin/sh: 1: nogcc: not found\n{AT_A}", "/bin/sh: 1: nogcc: not found"),
        (f"Can't locate X.pm in @INC\n{AT_X}", "Can't locate X.pm in @INC"),
        (f"a line of an unknown form\n{AT_X}", "a line of an unknown form"),
        (f"make: *** Deleting file 'bin/x.rom.zbin'\n{OVERFLOW}\n{AT_X}", OVERFLOW),
        (
            "Makefile:9: *** missing separator.  Stop.\n",
            "Makefile:9: *** missing separator.  Stop.",
        ),
        (
            "make: *** No rule to make target 'bin/x.rom'.  Stop.\n",
            "make: *** No rule to make target 'bin/x.rom'.  Stop.",
        ),
        (AT_A, AT_A.strip()),
        ("a line without stars\n", "a line without stars"),
    ],
)
def test_the_lines_before_the_first_stars_are_the_cause(text: str, first: str):
    """Of any tool, and whatever other commands run at the same time."""
    output = OTHERS + text
    if "***" in text:
        output += f"make: *** Waiting for unfinished jobs....\n{OTHERS}net/z.c:1:1: error: later\n"
    assert shorten(first_failure(output).lines)[0] == first


def test_progress_lines_and_launchers_are_skipped():
    text = "distcc[7] (dcc_build) ERROR: no server\n"
    text += "[ROOTS] bin/x.tmp obj_a | obj_a\n  [DEPS] core/b.c\n"
    text += f"{CULPRIT}\nICECC[8] 10:00:00: local build forced\n{AT_A}"
    assert first_failure(text).lines == (CULPRIT,)


def test_the_launcher_is_the_cause_if_nothing_else_is_printed():
    error = "distcc[7] ERROR: failed to distribute and fallbacks are disabled"
    text = f"  [BUILD] bin/a.o\n{error}\n{AT_A}"
    assert first_failure(text).lines == (error,)


def test_errors_are_separated_from_warnings_of_other_commands():
    """Make prints both without a progress line between, if the other command ended just before."""
    warnings = [
        "In file included from net/b.c:3:",
        "include/b.h:2:1: warning: 'b' defined but not used [-Wunused-variable]",
        "    2 | int b;",
        "      | ^~~~~",
        "net/b.c: In function 'g':",
        "net/b.c:9:2: note: declared here",
    ]
    error = ["net/a.c: In function 'f':", CULPRIT, "    7 |   x;", "      |   ^"]
    assert shorten([*warnings, *error]) == error
    assert shorten([*error, *warnings]) == error
    assert shorten([*warnings, "ld: cannot find -lfoo"]) == ["ld: cannot find -lfoo"]


def test_the_line_with_the_place_is_kept_of_a_long_message():
    lines = [
        "In file included from a.h:1,",
        *[f"                 from b{n}.h:1," for n in range(20)],
        CULPRIT,
    ]
    lines += ["    7 |   x;", "      |   ^", "net/a.c:1:1: note: declared here"]
    assert shorten(lines) == [CULPRIT, "    7 |   x;", "      |   ^"]


def test_a_message_that_is_repeated_is_shown_once():
    """distcc compiles again on this machine what failed on a server."""
    error = [CULPRIT, "    7 |   x;", "      |   ^"]
    assert shorten([*error, *error]) == error


def test_the_first_and_the_last_of_many_messages_are_kept():
    lines = [f"ld: a.c:{number}: undefined reference to `f{number}'" for number in range(50)]
    shown = shorten(lines)
    assert len(shown) == MOST_LINES
    assert shown[:3] == lines[:3]
    assert shown[3] == "… 44 more lines in the log …"
    assert shown[4:] == lines[-3:]


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (
            "make: *** [Makefile.housekeeping:196: bin/12345678.rom.tmp] Error 1",
            "bin/12345678.rom.tmp",
        ),
        ("make[1]: *** [Makefile:3: bin-x86_64-efi/a.o] Error 1", "bin-x86_64-efi/a.o"),
        ("make: *** [bin/a.o] Error 1", "bin/a.o"),
        ("make: *** No rule to make target 'bin/x.rom'.  Stop.", "bin/x.rom"),
        ("make: *** Waiting for unfinished jobs....", "later"),
        ("make: *** Deleting file 'bin/x.rom.zbin'", "later"),
        ("make: *** [Makefile:3: bin/a.o] Terminated", "bin/a.o"),
        ("Makefile:231: *** Unable to determine git commit ID.  Stop.", ""),
    ],
)
def test_the_target_that_failed_is_read_from_makes_line(line: str, target: str):
    """In the forms of GNU make 4 and of older versions."""
    text = f"  [LD] bin/other\n{line}\nmake: *** [Makefile:9: later] Error 2\n"
    assert first_failure(text).target == target


WERROR = "net/a.c:7:3: error: odd [-Werror=array-bounds]"
ALL_WARNINGS = "cc1: all warnings being treated as errors"
ASSEMBLER = [
    "a.S: Assembler messages:",
    "a.S:1: Warning: odd",
    "/tmp/x.s: Error: 1 warning, treating warnings as errors",
]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([WERROR, ALL_WARNINGS], True),
        ([WERROR, CULPRIT, ALL_WARNINGS], False),
        ([CULPRIT], False),
        (["net/a.c:7:3: warning: odd [-Warray-bounds]", CULPRIT], False),
        (ASSEMBLER, True),
        ([*ASSEMBLER, "a.S:2: Error: no such instruction: `odd'"], False),
    ],
)
def test_a_build_that_failed_only_for_warnings_is_recognised(lines: list[str], expected: bool):
    assert stopped_by_warnings(lines) is expected


def test_a_warning_that_is_the_cause_is_shown():
    assert shorten(ASSEMBLER) == ASSEMBLER
