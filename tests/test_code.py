# SPDX-License-Identifier: GPL-2.0-or-later
"""The code's own rules: linters, types, the layers of the design, sizes of files and functions."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import TOP

SOURCES = sorted((TOP / "src" / "romforge").glob("*.py"))
# From the bottom up: a module imports from its own layer and from those below.
LAYERS = [
    {"__init__", "errors", "arch", "table", "tool", "record", "structure", "jobserver"},
    {"keys", "kinds", "tomllines"},
    {"spec", "references", "specfile", "schema"},
    {"plan", "proofs"},
    {"eficompress", "eficodes", "efiparse", "efiencode", "pe", "pcirom", "faults", "linkmap", "stub"},
    {
        "install",
        "lock",
        "combine",
        "prebuilt",
        "efirom",
        "worktree",
        "launcher",
        "toolchain",
        "gnumake",
        "linking",
        "ipxe",
        "images",
        "stripped",
        "packing",
        "build",
        "compat",
        "lockfile",
    },
    {"elf", "refgraph", "why"},
    {"qemu", "bootfile", "boots", "migration", "controls", "verify", "report"},
    {"treemap", "page"},
    {"demand", "progress", "sizes"},
    {"reporter", "matrix"},
    {"state"},
    {"tasks"},
    {"cli", "commands", "romtools", "explain", "completion", "manpage", "__main__"},
]
FORMATS = LAYERS[4]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """The modules that a file imports, wherever in it, and the lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "romforge":
                yield from ((f"romforge.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module or "", node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_import_goes_upwards(path: Path):
    rank = {name: level for level, names in enumerate(LAYERS) for name in names}
    for name, line in imports(path):
        package, _, module = name.partition(".")
        if package == "romforge" and module in rank:
            assert rank[module] <= rank[path.stem], f"{path.name}:{line}: imports {name} of a higher layer"


def test_formats_know_bytes_and_not_specs():
    for path in SOURCES:
        if path.stem in FORMATS:
            lower = {f"romforge.{name}" for name in LAYERS[0] | FORMATS} | {"romforge.__version__"}
            assert not [name for name, _ in imports(path) if name.startswith("romforge.") and name not in lower], path


def test_doit_is_imported_by_tasks_and_the_command_line_alone():
    users = {path.stem for path in SOURCES for name, _ in imports(path) if name.split(".")[0] == "doit"}
    assert users == {"tasks", "state", "cli"}  # cli asks doit from where it was started


def test_heavy_modules_are_not_imported_by_a_doit_with_nothing_to_do():
    heavy = "rich", "difflib", "argparse", "tarfile", "romforge.faults", "romforge.pcirom", "romforge.tomllines"
    code = f"import romforge.cli, romforge.tasks, sys; print(*set({heavy!r}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(TOP / "src")}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_files_and_functions_are_small():
    lengths = []
    for path in SOURCES:
        assert len(path.read_text().splitlines()) <= 350, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                lengths.append(length)
                assert length <= 50, f"{path.name}:{node.lineno}: {node.name} has {length} lines"
    assert sorted(lengths)[len(lengths) // 2] <= 10


def test_every_file_names_its_licence():
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "*.py",
            "*.toml",
            ".ci/run",
            "*/run",
            "tests/packages",
            "src/romforge/boot/**",
            "src/romforge/shells/*",
            "vendor/minipxe/**",
            "examples/debian/make-source",
            "examples/debian/debian/rules",
            "examples/debian/debian/tests/boot",
            "examples/*.spec",
            "*/Makefile",
        ],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [TOP / name for name in listed.stdout.split() if "golden" not in name]
    assert len(files) > 30
    assert [path for path in files if "SPDX-License-Identifier: GPL-2.0-or-later" not in "".join(path.open().readlines()[:2])] == []


@pytest.mark.parametrize("command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_linters_find_nothing(command: list[str]):
    done = subprocess.run([sys.executable, "-m", *command], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_op_costs_stay_within_their_limits():
    """And `bench/run` makes JSON, a section of a page, and a table of them."""
    with TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, TOP / "bench/run", "--only", "noop", "-o", directory], capture_output=True, text=True, check=False
        )
        found = json.loads(Path(directory, "bench.json").read_text())["measures"]
        page = Path(directory, "bench.html").read_text()
    assert (done.returncode, len(found)) == (0, 2), done.stdout + done.stderr
    for one in found:
        assert one["value"] <= one["at_most"], one
        assert f"| {one['what']} | {one['value']:.2f} | at most {one['at_most']:.2f} |" in done.stdout
        assert f'<td class="number">{one["value"]:.2f}</td><td class="good">' in page
