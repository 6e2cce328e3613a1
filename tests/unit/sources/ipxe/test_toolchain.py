# SPDX-License-Identifier: GPL-2.0-or-later
"""The tools of a platform: their environment, their names, and what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool
from romforge.sources.ipxe import toolchain
from tests.support.forge import stamp
from tests.support.steps import step


def test_makes_environment_has_only_what_tools_need_to_find_their_files():
    """Paths, the epoch and a launcher's settings are passed. Messages are in English."""
    environ = {
        "PATH": "p",
        "HOME": "h",
        "SOURCE_DATE_EPOCH": "1",
        "CCACHE_DIR": "c",
        "CFLAGS": "x",
        "MAKEFLAGS": "x",
        "LANG": "x",
        "GIT_DIR": "x",
    }
    environment = toolchain.make_environment(environ)
    assert {name: environment[name] for name in environ if name in environment} == {
        "PATH": "p",
        "HOME": "h",
        "SOURCE_DATE_EPOCH": "1",
        "CCACHE_DIR": "c",
    }
    assert (environment["LC_ALL"], environment["GIT_OPTIONAL_LOCKS"]) == ("C", "0")
    assert environment["TZ"] == "UTC0"


@pytest.mark.parametrize(
    ("machine", "arch", "cross", "prefix"),
    [
        ("x86_64", "x86_64", None, ""),
        ("x86_64", "i386", None, ""),
        ("x86_64", "arm64", None, "aarch64-linux-gnu-"),
        ("x86_64", "riscv64", "mine-", "mine-"),
        ("aarch64", "arm64", None, ""),
        ("aarch64", "x86_64", None, "x86_64-linux-gnu-"),
        ("strange", "loong64", None, "loongarch64-linux-gnu-"),
    ],
)
def test_a_foreign_architecture_has_debians_cross_tools(
    monkeypatch: pytest.MonkeyPatch, machine: str, arch: str, cross: str | None, prefix: str
):
    """Unless the spec names another prefix."""
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", machine)))
    assert toolchain.cross_prefix(step(arch=arch, cross=cross)) == prefix


@pytest.mark.parametrize(
    "compiler",
    [
        "gcc",
        "ccache gcc",
        "env CCACHE_DIR=/x ccache gcc -m64",
        "gcc -isystem /usr/include",
        "$(CROSS_COMPILE)gcc",
    ],
)
def test_a_compiler_of_the_spec_may_have_launchers_and_options(compiler: str):
    """Also variables that make expands, and options with an argument."""
    toolchain.require_tools(step(variables=(("CC", compiler), ("HOST_CC", compiler))))


@pytest.mark.parametrize(
    ("compiler", "message"), [("nonesuch gcc", "nonesuch: not found"), ("gcc 'm", "CC")]
)
def test_a_compiler_of_the_spec_that_cannot_be_run_is_an_error(compiler: str, message: str):
    """One that is missing, and one with an unbalanced quote."""
    with pytest.raises(RomforgeError, match=message):
        toolchain.require_tools(step(variables=(("CC", compiler),)))


def test_all_missing_tools_of_a_platform_are_reported_at_once(monkeypatch: pytest.MonkeyPatch):
    """Each with its package. Package names have no underscores."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingTool) as raised:
        toolchain.require_tools(step(cross="x86_64-linux-gnu-"))
    for name in ("make", "perl", "gcc-x86-64-linux-gnu", "binutils-x86-64-linux-gnu"):
        assert f"package {name}\n" in f"{raised.value}\n"


def test_a_tool_is_asked_once_for_all_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Each call takes as long as a small file takes to compile."""
    compiler = tmp_path / "gcc"
    compiler.write_text(f'#!/bin/sh\necho $* >> {tmp_path}/calls\nexec /usr/bin/gcc "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("bin-x86_64-efi", "bin", "bin-x86_64-efi"):
        toolchain.require_tools(step(bin=name))
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sorted(calls) == sorted(set(calls))
    assert calls[0] == "-dumpmachine"
    assert [call.count("-include") for call in calls[1:]] == [1, 2]


def test_tools_are_identified_by_path_size_and_mtime_without_running_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A symbolic link is followed to the compiler itself."""
    (tmp_path / "gcc-99").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gcc-99").chmod(0o755)
    (tmp_path / "gcc").symlink_to("gcc-99")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = toolchain.tools_identity(step())
    assert [str(tmp_path / "gcc-99"), *stamp(tmp_path / "gcc-99")[1:3]] in before
    os.utime(tmp_path / "gcc-99", ns=(0, 0))
    assert toolchain.tools_identity(step()) != before
    assert not (tmp_path / "ran").exists()
