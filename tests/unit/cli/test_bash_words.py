# SPDX-License-Identifier: GPL-2.0-or-later
"""Words that bash broke are put together, and a completed word is quoted as it was begun."""

from __future__ import annotations

import pytest

from romforge.cli.bash_words import quote_word, read_line


@pytest.mark.parametrize(
    ("parts", "words", "kept", "quote"),
    [
        (["build", "al"], ["build", "al"], "", ""),
        (["build", ""], ["build", ""], "", ""),
        (["build", "nic", ":"], ["build", "nic:"], "nic:", ""),
        (["build", "rom", ":", "usr/a"], ["build", "rom:usr/a"], "rom:", ""),
        (["build", "--spec", "=", "x.to"], ["build", "--spec=x.to"], "--spec=", ""),
        (["build", "'rom:usr/a b"], ["build", "rom:usr/a b"], "", "'"),
        (["build", "'rom", ":", "usr/a"], ["build", "rom:usr/a"], "rom:", "'"),
        (["build", '"a\\$b\\c'], ["build", "a$b\\c"], "", '"'),
        (["build", "a\\ b", "'c'd"], ["build", "a b", "cd"], "", ""),
        (["build", "a\\"], ["build", "a"], "", ""),
    ],
)
def test_words_are_put_together_and_unquoted(
    parts: list[str], words: list[str], kept: str, quote: str
):
    assert read_line(parts) == (words, kept, quote)


@pytest.mark.parametrize(
    ("text", "quote", "expected"),
    [
        ("usr/a b:c", "", "usr/a\\ b:c"),
        ("$q'z", "", "\\$q\\'z"),
        ("$q'z", "'", "$q'\\''z"),
        ('$q"z', '"', '\\$q\\"z'),
        ("ü-~", "", "ü-\\~"),
    ],
)
def test_a_word_is_quoted_behind_an_open_quote(text: str, quote: str, expected: str):
    assert quote_word(text, quote) == expected
