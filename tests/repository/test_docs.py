# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation is true as far as a machine can see.

Links resolve, commands parse, specs load, messages exist, generated pages are up to date, and the
site builds.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import re
import runpy
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from romforge.base.errors import SpecError
from romforge.cli import command_line, reference
from romforge.spec import loader
from tests.support.project import TOP

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = TOP / "docs"
PAGES = [TOP / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted(DOCS.rglob("*.md"))
NAMES = [str(page.relative_to(TOP)) for page in PAGES]
GENERATED: dict[str, Callable[[], str]] = {
    "spec-reference.md": reference.spec_reference,
    "command-reference.md": lambda: reference.command_reference(command_line.make_parser()),
}
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, and the line where it begins."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    found = []
    fence = r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$"
    pattern = re.compile(fence, re.M | re.S)
    text = page.read_text()
    for match in pattern.finditer(text):
        lines = [line.removeprefix(match["indent"]) for line in match["text"].splitlines()]
        block = "\n".join(lines) + "\n"
        found.append(Block(match["language"], block, text.count("\n", 0, match.start()) + 1))
    return found


def prose(page: Path) -> str:
    """A page without its blocks of code, fenced or indented by four spaces."""
    text = re.sub(r"^ *```\w*\n.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    return re.sub(r"^ {4}.*$", "", text, flags=re.M)


# Links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown's table of contents makes them."""
    text = re.sub(r"^```\w*\n.*?^```$", "", page.read_text(), flags=re.M | re.S)
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
        words = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", words))
    return found


@every_page
def test_every_relative_link_resolves(page: Path):
    for target in re.findall(r"\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.is_file(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(place), f"{page.name}: {target}"


def test_the_index_leads_to_every_page():
    """From the site's first page each other one is reached by links alone."""
    seen: set[Path] = set()
    left = [DOCS / "index.md"]
    while left:
        page = left.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text()):
            left.append((page.parent / target).resolve())
    assert {page for page in PAGES if page.is_relative_to(DOCS)} <= seen


# Commands


def commands(page: Path) -> Iterator[str]:
    """The command lines of romforge that a page shows, in blocks of shell and between backticks."""
    for block in blocks(page):
        if block.language in ("sh", "console"):
            yield from (line for line in block.text.splitlines() if "romforge" in line)
    outside = re.sub(r"^ *```\w*\n.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    yield from (line for line in re.findall(r"^ {4}\$ (romforge .*)$", outside, re.M))
    yield from re.findall(r"`(romforge [^`\n]+)`", prose(page))


def arguments(line: str) -> list[str] | None:
    """The arguments of the romforge in a line of shell; None where it runs none."""
    part = re.split(r"\s[|>]\s?|;|&&|\s#", line.rsplit("; do ", maxsplit=1)[-1])[0].strip()
    words = shlex.split(part.removeprefix("$ "))
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    return words[1:] if words[:1] == ["romforge"] else None


def parses(words: list[str]) -> bool:
    try:
        command_line.make_parser().parse_args(words)
    except SystemExit as end:
        return end.code == 0
    return True


@every_page
def test_every_romforge_line_parses(page: Path, capsys: pytest.CaptureFixture[str]):
    """A page may also name a command alone, without the arguments that it must have."""
    for line in commands(page):
        words = arguments(line)
        if words is None or page.name == "command-reference.md":
            continue
        words = [word.replace("${page%.*}", "romforge") for word in words]
        if words[:1] == ["__complete"]:  # what the shells' scripts ask
            continue
        alone = len(words) == 1 and f"usage: romforge {words[0]}" in usage(words[0], capsys)
        assert alone or parses(words), f"{page.name}: {line}: {capsys.readouterr().err}"


def usage(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The usage of a command; of what is no command, a message that has none of it."""
    with pytest.raises(SystemExit):
        command_line.make_parser().parse_args([command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("$ romforge check", ["check"]),
        ("ROMSPEC=x.toml romforge plan --why  # says why", ["plan", "--why"]),
        ("romforge man romspec | man -l -", ["man", "romspec"]),
        ("romforge completion bash > ~/file", ["completion", "bash"]),
        ("python -m romforge.spec.json_schema > romspec.schema.json", None),
    ],
)
def test_lines_are_taken_apart_as_a_shell_does(line: str, expected: list[str] | None):
    assert arguments(line) == expected


# Specs

# What a fragment of a spec may leave out: tables, and keys of tables.
TABLES = {
    "source": {"tree": '"vendor/ipxe"'},
    "platform": {},
    "nic": {"id": '"8086:100e"'},
    "bucket": {"size": '"256KiB"'},
    "target": {"dir": '"usr/share/qemu"', "file": '"{target}-{nic}.rom"', "images": '["pcbios"]'},
}
DEFAULT_NAMES = {"source": "ipxe", "platform": "pcbios", "nic": "e1000", "target": "qemu"}


def completed(fragment: str) -> str:
    """A fragment of a spec, with the keys that its tables lack and the tables that it names."""
    tables: dict[str, Any] = tomllib.loads(fragment)
    lines = [] if "spec" in tables else ["spec = 1"]
    for line in fragment.splitlines():
        lines.append(line)
        if match := re.fullmatch(r"\[(\w+)\.([^.\]]+)\](?: *#.*)?", line.strip()):
            section, name = match.groups()
            given = tables[section][name]
            origins = {"roms", "package"} & given.keys()
            for key, value in TABLES.get(section, {}).items():
                if key not in given and not (key == "tree" and origins):
                    lines.append(f"{key} = {value}")
    for section, name in sorted(set(_named(tables))):
        if name not in tables.get(section, {}):
            lines.append(f"[{section}.{name}]")
            lines += [f"{key} = {value}" for key, value in TABLES[section].items()]
    return "\n".join(lines) + "\n"


def _named(tables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The tables that a fragment needs or names, by section and name."""
    for section, name in DEFAULT_NAMES.items():
        if not tables.get(section):
            yield section, name
    for target in tables.get("target", {}).values():
        images = target.get("images", ["pcbios"])
        yield from (("platform", name) for name in images if name != "stub")
        if "bucket" in target:
            yield "bucket", target["bucket"]
    if not tables.get("target"):
        yield "platform", "pcbios"
    for image in tables.get("image", {}).values():
        yield "platform", image["platform"]
    older = tables.get("verify", {}).get("migrate_from", [])
    yield from (("source", name) for name in older if name != "lock")


@every_page
def test_every_toml_snippet_is_a_spec_or_a_part_of_one(page: Path, tmp_path: Path):
    headers = tmp_path / "debian/config"  # which a snippet names
    headers.mkdir(parents=True)
    (headers / "general.h").touch()
    for block in blocks(page):
        if block.language != "toml":
            continue
        path = tmp_path / f"line-{block.line}.toml"
        path.write_text(completed(block.text))
        try:
            loader.load_spec(path, complete=False)
        except SpecError as error:
            pytest.fail(f"{page.name}:{block.line}: {error}")


WRONG = "[nic.e1000]\nids = 1\n", '[target.x]\nlevel = "worst"\n', "[sauce.x]\n"


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_fragment_is_found(wrong: str, tmp_path: Path):
    (tmp_path / "romspec.toml").write_text(completed(wrong))
    with pytest.raises(SpecError):
        loader.load_spec(tmp_path / "romspec.toml")


# Messages


def texts_of_the_code() -> list[str]:
    """All texts in the code; what is filled in is a ``…``."""
    found = []
    for path in (TOP / "src" / "romforge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append("".join(map(_shown, node.values)))
    return found


def _shown(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "…"


def test_every_message_in_troubleshooting_is_one_of_ours():
    """Each part between two ``…`` is in a text of the code, but for what QEMU says."""
    texts = texts_of_the_code()
    headings = re.findall(r"^### `(.*)`$", (DOCS / "troubleshooting.md").read_text(), re.M)
    assert len(headings) > 30
    for heading in headings:
        for part in filter(None, map(str.strip, heading.split("…"))):
            assert any(part in text for text in texts), f"{heading}: nothing says {part!r}"


# Generated pages, the README, the site


def test_the_list_of_modules_is_as_the_modules_say():
    page = runpy.run_path(str(TOP / "bench" / "modules.py"))["page"]
    assert (DOCS / "developers" / "modules.md").read_text() == page(), "python bench/modules.py"


def test_the_picture_of_the_rooms_is_as_they_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(TOP / "bench"))
    picture = runpy.run_path(str(TOP / "bench" / "pictures.py"))["rooms_picture"]
    remedy = "python bench/pictures.py rooms"
    assert (DOCS / "pictures" / "rooms.svg").read_text() == picture(), remedy


@pytest.mark.parametrize("path", sorted((DOCS / "pictures").glob("*.svg")), ids=lambda p: p.stem)
def test_a_picture_loads_nothing(path: Path):
    """No font, no style sheet, no script; and it is in a page."""
    text = path.read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|@import|url\((?!#)", text)
    pages = [page.read_text() for page in (*DOCS.rglob("*.md"), TOP / "README.md")]
    assert any(f"pictures/{path.name}" in page for page in pages)


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str):
    page = name.removesuffix("-reference.md").replace("command", "commands")
    remedy = f"run: python -m romforge.cli.reference {page} > docs/{name}"
    assert (DOCS / name).read_text() == GENERATED[name](), remedy


def test_the_generator_prints_a_page_or_how_to_call_it(capsys: pytest.CaptureFixture[str]):
    assert reference.write_reference(["spec"]) == 0
    assert capsys.readouterr().out == (DOCS / "spec-reference.md").read_text()
    assert reference.write_reference([]) == reference.write_reference(["nothing"]) == 2
    assert "spec|commands" in capsys.readouterr().err


def test_the_readme_is_short_and_has_the_two_set_up_commands():
    text = (TOP / "README.md").read_bytes()
    assert len(text) <= 6 << 10
    shell = "".join(block.text for block in blocks(TOP / "README.md") if block.language == "sh")
    set_up = ["python3 -m venv .venv", ". .venv/bin/activate", "pip install -e .", "doit"]
    for line in [*set_up, "tests/run"]:
        assert line in shell.splitlines()
    assert all(len(line) <= 120 for line in shell.splitlines())


def test_the_readme_names_every_command():
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (TOP / "README.md").read_text(), re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    actions = command_line.make_parser()._actions
    (choices,) = (action.choices for action in actions if action.dest == "command")
    assert named == set(choices or ())


def test_bench_run_finds_the_marks_of_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(TOP / "bench"))
    loader = importlib.machinery.SourceFileLoader("bench_run", str(TOP / "bench" / "run"))
    spec = importlib.util.spec_from_loader("bench_run", loader)
    assert spec is not None
    bench = importlib.util.module_from_spec(spec)
    loader.exec_module(bench)
    before = bench.PAGE.read_text()
    page = tmp_path / "benchmarks.md"
    page.write_text(before)
    bench.put(page, "| a table |\n")
    head, _, rest = before.partition(bench.BEGIN)
    _, _, tail = rest.partition(bench.END)
    assert page.read_text() == f"{head}{bench.BEGIN}| a table |\n{bench.END}{tail}"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    command += ["--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).with_suffix("")
        built = name.parent if name.name == "index" else name
        assert (tmp_path / "site" / built / "index.html").is_file()


def test_the_bytes_of_every_architecture_add_up():
    """Each table: images make the sum, sum and free space make the bucket, least free first."""
    text = (DOCS / "every-architecture.md").read_text()
    tables = re.findall(r"<!-- table (\S+) -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert [name for name, _ in tables] == ["v2.0.0", "master", "rich"]
    for name, table in tables:
        free_spaces = []
        for line in table.splitlines()[2:]:
            _, _, *cells, _ = (cell.strip().replace(",", "") for cell in line.split("|"))
            *images, used, free = (0 if cell == "–" else int(cell) for cell in cells)
            assert len(images) == 6
            assert sum(images) == used
            assert used + free == 256 << 10
            free_spaces.append(free)
        assert len(free_spaces) >= 5, name
        assert free_spaces == sorted(free_spaces)
        assert free_spaces[0] >= 8 << 10
