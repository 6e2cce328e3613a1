# SPDX-License-Identifier: GPL-2.0-or-later
"""The forms in which findings are printed, against the rules of each."""

from __future__ import annotations

import json
import os

from romforge.base.located import Located
from romforge.cli import finding_formats

FOUND = [
    Located("a b,c:d/romspec.toml", 3, 7, "nic.x", "error", "50 % is\nwrong", "spec"),
    Located("/top/ü.lock", 9, None, "usr/x.rom", "warning", "grew", "lock"),
    Located("x:1.rom", None, None, None, "note", "offset 0x1c (28): odd", "structure"),
]
# SARIF 2.1.0, 3.27.10: the levels of results
LEVELS = {"none", "note", "warning", "error"}


def test_lines_of_a_compiler():
    assert list(finding_formats.gcc_lines(FOUND)) == [
        "a b,c:d/romspec.toml:3:7: error: nic.x: 50 % is wrong",
        "/top/ü.lock:9: warning: usr/x.rom: grew",
        "x:1.rom: note: offset 0x1c (28): odd",
    ]


def test_workflow_commands_are_escaped():
    assert list(finding_formats.github_lines(FOUND)) == [
        "::error file=a b%2Cc%3Ad/romspec.toml,line=3,col=7::nic.x: 50 %25 is%0Awrong",
        "::warning file=/top/ü.lock,line=9::usr/x.rom: grew",
        "::notice file=x%3A1.rom::offset 0x1c (28): odd",
    ]


def test_a_message_cannot_begin_a_command_of_its_own():
    evil = Located("x\n::error::", None, None, None, "error", "y\r\n::set-env::z", "spec")
    for lines in (finding_formats.gcc_lines, finding_formats.github_lines):
        (line,) = lines([evil])
        assert len(line.splitlines()) == 1


def test_sarif_has_what_the_specification_requires():
    """3.13 log, 3.14 run, 3.18 tool, 3.19 component, 3.27 result, 3.29 location, 3.30 region."""
    (text,) = finding_formats.sarif_lines(FOUND)
    assert text.isascii()
    log = json.loads(text)
    assert (log["version"], list(log)) == ("2.1.0", ["$schema", "version", "runs"])
    (run,) = log["runs"]
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"] == "romforge"
    assert len({rule["id"] for rule in rules}) == len(rules) == 3
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in LEVELS
        assert result["message"]["text"]
        (location,) = result["locations"]
        region = location["physicalLocation"].get("region", {"startLine": 1})
        assert all(isinstance(number, int) and number >= 1 for number in region.values())
    places = [one["locations"][0]["physicalLocation"] for one in run["results"]]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        "a%20b%2Cc%3Ad/romspec.toml",
        "file:///top/%C3%BC.lock",
        "x%3A1.rom",
    ]
    assert places[0]["region"] == {"startLine": 3, "startColumn": 7}
    assert "region" not in places[2]


def test_nothing_found_is_no_line_and_an_empty_log():
    assert list(finding_formats.gcc_lines([])) == list(finding_formats.github_lines([])) == []
    (text,) = finding_formats.sarif_lines([])
    assert json.loads(text)["runs"][0]["results"] == []


def test_a_name_that_is_not_in_utf_8_is_printed():
    odd = Located(os.fsdecode(b"\xff.rom"), None, None, None, "error", "x", "structure")
    (text,) = finding_formats.sarif_lines([odd])
    assert "%FF.rom" in text
