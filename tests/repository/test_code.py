# SPDX-License-Identifier: GPL-2.0-or-later
"""The code's own rules: linters, types, the rooms of the design, sizes of files and functions."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.project import PATIENCE, TOP, source_files

PACKAGE = TOP / "src" / "romforge"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((TOP / "tests").rglob("*.py"))
# A folder each, from left to right: a module imports from its own room and from those to its left.
ROOMS = [
    "base",
    "formats",
    "spec",
    "plan",
    "sources",
    "rom",
    "verify",
    "analysis",
    "engine",
    "html",
    "cli",
]
OUTSIDE = {"__init__", "__main__"}  # modules in no room: the version, and `python -m romforge`


def room_of(path: Path) -> str:
    """The room of a module; empty for one that lies in none."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """The modules that a file imports, with the lines; `from x import y` gives both x and x.y."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            yield node.module or "", node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def rooms_imported(path: Path) -> Iterator[tuple[str, int]]:
    """The rooms that a file imports from, and the lines."""
    for name, line in imports(path):
        package, *rest = name.split(".")
        if package == "romforge" and rest and rest != ["__version__"]:
            yield rest[0], line


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_module_lies_in_a_room():
    assert [named(path) for path in SOURCES if not room_of(path) and path.stem not in OUTSIDE] == []
    assert {room_of(path) for path in SOURCES} - {""} == set(ROOMS)


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path)], ids=named)
def test_a_module_imports_from_its_room_and_from_those_to_its_left(path: Path):
    within = ROOMS[: ROOMS.index(room_of(path)) + 1]
    for room, line in rooms_imported(path):
        assert room in within, (
            f"{named(path)}:{line}: imports from {room}, "
            f"which is not to the left of {room_of(path)}"
        )


def test_packages_import_nothing():
    """An import of one module loads no others, so that a no-op doit stays quick."""
    for path in SOURCES:
        if path.stem == "__init__" and room_of(path):
            assert list(imports(path)) == [], path
            assert ast.get_docstring(ast.parse(path.read_text())), path


def test_formats_know_bytes_and_not_specs():
    for path in SOURCES:
        if room_of(path) == "formats":
            assert {room for room, _ in rooms_imported(path)} <= {"base", "formats"}, path


def test_doit_is_imported_by_the_engine_alone():
    users = {
        named(path) for path in SOURCES for name, _ in imports(path) if name.split(".")[0] == "doit"
    }
    assert {name for name in users if not name.startswith("engine/")} == {
        "cli/command_line.py"
    }  # asks from where doit was started


def test_heavy_modules_are_not_imported_by_a_doit_with_nothing_to_do():
    heavy = (
        "rich",
        "difflib",
        "argparse",
        "tarfile",
        "romforge.cli.common",
        "romforge.formats.rom_check",
        "romforge.formats.option_rom",
        "romforge.spec.toml_positions",
    )
    code = (
        "import romforge.cli.command_line, romforge.engine.tasks, sys; "
        f"print(*set({heavy!r}) & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(TOP / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_every_file_names_its_licence():
    names = source_files(
        "*.py",
        "*.toml",
        "*.yml",
        ".ci/run",
        "*/run",
        "tests/packages",
        "src/romforge/verify/guest",
        "src/romforge/cli/shells",
        "vendor/minipxe",
        "examples/debian/make-source",
        "examples/debian/debian/rules",
        "examples/debian/debian/tests/boot",
        "examples/debian/debian/tests/find",
        "examples/debian/debian/tests/programs",
        "examples/*.spec",
        "packaging/make-source",
        "packaging/debian/rules",
        "packaging/debian/tests/miniature",
        "*/Makefile",
    )
    files = [TOP / name for name in names if "golden" not in name]
    assert len(files) > 30
    assert [
        path
        for path in files
        if "SPDX-License-Identifier: GPL-2.0-or-later" not in "".join(path.open().readlines()[:2])
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join
)
def test_linters_find_nothing(command: list[str]):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_no_op_costs_stay_within_their_limits():
    """And `bench/run` makes JSON, a section of a page, and a table of them."""
    with TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, TOP / "bench/run", "--only", "noop", "-o", directory],
            capture_output=True,
            text=True,
            check=False,
        )
        measures = json.loads(Path(directory, "bench.json").read_text())["measures"]
        page = Path(directory, "bench.html").read_text()
    assert (done.returncode, len(measures)) == (0, 2), done.stdout + done.stderr
    for measure in measures:
        assert measure["value"] <= measure["at_most"], measure
        assert (
            f"| {measure['what']} | {measure['value']:.2f} | at most {measure['at_most']:.2f} |"
            in done.stdout
        )
        assert f'<td class="number">{measure["value"]:.2f}</td><td class="good">' in page


# Where tests are

UNIT = TOP / "tests" / "unit"
UNITS = sorted(UNIT.rglob("test_*.py"))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.relative_to(UNIT)))
def test_a_unit_test_lies_where_its_module_does(path: Path):
    module = PACKAGE / path.relative_to(UNIT).with_name(path.name.removeprefix("test_"))
    assert module in SOURCES, f"{path.relative_to(TOP)} tests {module}, which is not there"


def test_tests_import_from_no_other_test():
    """What several tests need is in tests/support, and fixtures are in conftest.py files."""
    for path in TESTS:
        for name, line in imports(path):
            package, *rest = name.split(".")
            tests = [part for part in rest if part.startswith("test_") or part == "conftest"]
            assert package != "tests" or not tests, f"{path}:{line}: imports {name}"


# Times in tests

CLOCKS = {
    "monotonic",
    "perf_counter",
    "process_time",
    "thread_time",
    "times",
    "getrusage",
    "time",
    "spent",
}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}
OF_TIMES = {"abs", "min", "max", "sum", "round", "int", "float"}
WAITS = {"wait", "join", "communicate", "settimeout"}  # whose first argument is how long


class Times(ast.NodeVisitor):
    """Finds in a function what fails on a slow machine: times against numbers, and short waits."""

    def __init__(self, scope: ast.AST, functions: set[str], constants: dict[str, object]) -> None:
        self.functions, self.constants = functions, constants  # that return a time; of the file
        self.variables: set[str] = set()  # that have a time
        self.found: set[int] = set()  # lines
        before = -1
        while before < (before := len(self.variables)):
            for node in ast.walk(scope):
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        self.note(target, node.value)
                elif isinstance(node, ast.AugAssign | ast.NamedExpr):
                    self.note(node.target, node.value)
        self.visit(scope)

    def note(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for part, other in zip(target.elts, value.elts):
                self.note(part, other)
        elif isinstance(target, ast.Name) and self.is_time(value):
            self.variables.add(target.id)

    def is_time(self, node: ast.AST | None) -> bool:
        """A clock's, a difference, and what is computed of it; a ratio of two times is none."""
        if isinstance(node, ast.BinOp):
            left, right = self.is_time(node.left), self.is_time(node.right)
            return left and not right if isinstance(node.op, ast.Div) else left or right
        if isinstance(node, ast.Call):
            name = called(node)
            return name in CLOCKS | self.functions or (
                name in OF_TIMES and any(self.is_time(argument) for argument in node.args)
            )
        if isinstance(node, ast.Attribute | ast.GeneratorExp | ast.ListComp):
            return self.is_time(node.value if isinstance(node, ast.Attribute) else node.elt)
        return isinstance(node, ast.Name) and node.id in self.variables

    def number(self, node: ast.AST | None) -> float | None:
        """What is computed of constants alone; None where it is no number."""
        try:
            code = compile(ast.Expression(node), "", "eval")  # type: ignore[arg-type]
            value = eval(code, {"__builtins__": {}}, self.constants)
        except Exception:
            return None
        return value if isinstance(value, int | float) else None

    def visit_Assert(self, node: ast.Assert) -> None:
        for part in ast.walk(node.test):
            if isinstance(part, ast.Compare):
                sides = [part.left, *part.comparators]
                if any(map(self.is_time, sides)) and any(
                    self.number(side) is not None for side in sides
                ):
                    self.found.add(node.lineno)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """``end = time.monotonic() + 5``."""
        if (
            isinstance(node.op, ast.Add)
            and self.is_time(node.left)
            and (self.number(node.right) or PATIENCE) < PATIENCE
        ):
            self.found.add(node.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        named = {word.arg: word.value for word in node.keywords}
        ends = [named.get("timeout")]
        ends += (
            node.args[:1] if isinstance(node.func, ast.Attribute) and called(node) in WAITS else []
        )
        if self.number(named.get("deadline")) or any(
            (self.number(end) or PATIENCE) < PATIENCE for end in ends
        ):
            self.found.add(node.lineno)
        self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> None:
        positional = [*node.posonlyargs, *node.args]
        pairs = [
            *zip(positional[len(positional) - len(node.defaults) :], node.defaults),
            *zip(node.kwonlyargs, node.kw_defaults),
        ]
        self.found |= {
            argument.lineno
            for argument, default in pairs
            if argument.arg == "timeout" and (self.number(default) or PATIENCE) < PATIENCE
        }
        self.generic_visit(node)


def broken_by_slowness(tree: ast.Module) -> list[int]:
    """The lines of a test's file that need a fast machine."""
    simple = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    all_functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    outside = Times(ast.Module(simple, []), set(), {})
    constants: dict[str, object] = {}
    for node in simple:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = outside.number(node.value)
    timed: set[str] = set()  # functions
    before = -1
    while before < (before := len(timed)):
        for function in all_functions:
            times = Times(function, timed, constants)
            if any(
                isinstance(node, ast.Return) and times.is_time(node.value)
                for node in ast.walk(function)
            ):
                timed.add(function.name)
    return sorted(
        set().union(
            *(
                Times(function, timed, constants).found
                for function in (ast.Module(simple, []), *all_functions)
            )
        )
    )


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(TOP / "tests")))
def test_no_test_depends_on_how_fast_the_machine_is(path: Path):
    """No time is held against a number, and no wait ends before PATIENCE.

    A measure in seconds belongs to bench/seconds.py.
    """
    assert [f"{path.name}:{line}" for line in broken_by_slowness(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("assert time.monotonic() - began < 5", True),
        ("assert time.process_time() - began <= 2 * 60", True),
        ("assert x and abs(int(found[1], 16) - time.time()) < 100", True),
        ("LIMIT = 3\nassert spent(work) <= LIMIT", True),
        ("took = perf_counter() - began\nassert took < 1", True),
        (
            "def cost(work):\n    return time.process_time() - began\n"
            "assert 3 >= min(cost(one) for one in all)",
            True,
        ),
        (
            "start, end = os.times(), os.times()\n"
            "assert end.children_user - start.children_user < 4",
            True,
        ),
        ("process.communicate(timeout=60)", True),
        ("process.wait(30)", True),
        ("subprocess.run(command, timeout=1.5)", True),
        ("settings(deadline=1000)", True),
        ("end = time.monotonic() + 20", True),
        ("def boot(found, *, timeout=90): pass", True),
        ("assert time.monotonic() < end", False),
        ("assert spent(work) / spent(loop) <= 3", False),
        ("assert spent(work) <= 3 * spent(loop)", False),
        ("assert before <= int(found[1], 16) <= time.time()", False),
        ("process.communicate(timeout=PATIENCE)", False),
        ("process.wait(moment * 2)", False),
        ("settings(deadline=None)", False),
        ("end = time.monotonic() + 2 * PATIENCE", False),
        ("thread.join()\n', '.join(words)", False),
    ],
)
def test_such_times_are_found(text: str, found: bool):
    assert bool(broken_by_slowness(ast.parse(text))) == found
