# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's control files: paragraphs, folded fields, packages with their lines, what is broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from romforge.base.control_file import LARGEST_FILE, ControlError, parse_control, read_control

CONTROL = """\
# of the whole file
Source: roms
Build-Depends: debhelper-compat (= 13),
# why
 gcc-aarch64-linux-gnu:native [amd64 !i386] <!pkg.roms.nocross> <!a !b>,
\tgcc-14 (>= 14.2~) | gcc
 (>= 4:14),
 ${x:Depends}, lib${x:Soname}-dev,

\t
Package: roms
Depends: @, @builddeps@
"""


def lines_of(text: str) -> list[str]:
    return text.split("\n")


def test_paragraphs_have_their_fields_and_lines():
    source, binary = parse_control(lines_of(CONTROL))
    assert (source.line, binary.line) == (2, 11)
    assert source.text("SOURCE") == "roms"
    assert source.text("Package") == ""
    assert source.fields["build-depends"].line == 3
    assert binary.text("depends") == "@, @builddeps@"


def test_packages_have_their_names_profiles_and_lines():
    """Behind comments, folded lines, qualifiers, versions, alternatives and variables."""
    source, binary = parse_control(lines_of(CONTROL))
    assert [tuple(one) for one in source.relations("Build-Depends")] == [
        ("debhelper-compat", "", 3),
        ("gcc-aarch64-linux-gnu", "<!pkg.roms.nocross> <!a !b>", 5),
        ("gcc-14", "", 6),
        ("gcc", "", 6),
        ("${x:Depends}", "", 8),
        ("lib${x:Soname}-dev", "", 8),
    ]
    assert [one.name for one in binary.relations("Depends")] == ["@", "@builddeps@"]
    assert binary.relations("Recommends") == []


def test_a_file_without_fields_has_no_paragraph():
    assert parse_control(["", "# nothing", " \t"]) == []


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("A: 1\nB\n", 2, '"B" is no field', 'write "NAME: VALUE"'),
        (": 1", 1, '": 1" is no field', 'write "NAME: VALUE"'),
        ("-A: 1", 1, '"-A: 1" is no field', 'write "NAME: VALUE"'),
        ("A: 1\n\n b: 2", 3, '"b: 2" continues no field', 'begin the line with "NAME:"'),
        ("A: 1\nC:\na: 2", 3, "a is there twice, first in line 1", "join the two fields"),
        ("\x1b[2J" + "x" * 99, 1, '" [2J' + "x" * 56 + '" is no field', "write"),
    ],
    ids=["no colon", "no name", "hyphen", "nothing to continue", "twice", "control characters"],
)
def test_a_broken_line_is_named_with_a_remedy(text: str, line: int, message: str, remedy: str):
    with pytest.raises(ControlError) as caught:
        parse_control(lines_of(text))
    assert (caught.value.line, caught.value.message) == (line, message)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("wrong", ["gcc make", "gcc (>= 1", "a [b", "a <b", "!", "${x", "é"])
def test_a_broken_package_is_named_with_its_line(wrong: str):
    (paragraph,) = parse_control(lines_of(f"Depends:\n fine,\n {wrong} , fine"))
    with pytest.raises(ControlError) as caught:
        paragraph.relations("Depends")
    assert (caught.value.line, caught.value.message) == (3, f'Depends: "{wrong}" is no package')


def test_files_that_are_no_text_are_errors(tmp_path: Path):
    file = tmp_path / "control"
    for data, line, message in (
        (b"A: 1\n B\xff", 2, "byte 0xff is not valid UTF-8"),
        (b"A: 1\n B\0", 2, "there is a null byte"),
        (b"\n" * (LARGEST_FILE + 1), None, "is larger than 1024 KiB"),
        (None, None, "cannot be read: No such file or directory"),
    ):
        file.unlink(missing_ok=True)
        if data is not None:
            file.write_bytes(data)
        with pytest.raises(ControlError) as caught:
            read_control(file)
        assert (caught.value.line, caught.value.message) == (line, message)
    os.mkfifo(file)  # which would be waited for
    with pytest.raises(ControlError, match="is no file"):
        read_control(file)


def test_hostile_files_take_no_long_time():
    """Work that grew with the square of the size would take hours here."""
    (paragraph,) = parse_control(["Depends: a", *[" " * 9 + "\t,"] * (LARGEST_FILE // 12)])
    assert [one.name for one in paragraph.relations("Depends")] == ["a"]
    (paragraph,) = parse_control(["Depends: a" + " <x>" * 100_000 + " " * 500_000 + "!"])
    with pytest.raises(ControlError):
        paragraph.relations("Depends")
