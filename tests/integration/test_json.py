# SPDX-License-Identifier: GPL-2.0-or-later
"""What `--json` prints is one document that its schema describes, errors too."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from romforge.cli import common, json_schemas
from romforge.cli.command_line import make_parser
from tests.support.documents import SCHEMAS, document
from tests.support.project import TOP, Run, spec_text, users

PARSERS = common.subparsers(make_parser())
COMMANDS = sorted(
    name for name, parser in PARSERS.items() if "--json" in parser._option_string_actions
)
ROM = "out/usr/share/qemu/efi-e1000.rom"
LINES = (  # in this order, in one directory
    ["check"],
    ["check", "--debian", str(TOP / "examples/debian/debian")],
    ["plan"],
    ["plan", "--why"],
    ["build", "all"],
    ["build", "efi-e1000.rom"],
    ["lock"],
    ["lock", "--check"],
    ["status"],
    ["verify", f"verify:{ROM.removeprefix('out/')}:structure"],
    ["inspect", "e1000", "absent.rom"],
    ["split", "efi-e1000.rom", "-d", "parts"],
    ["combine", "parts/1-x86_64.rom", "-o", "new.rom", "--id", "10ec:8139"],
    ["efirom", "parts/1-x86_64.efi", "new.rom", "--id", "8086:100e", "--id", "8086:100f"],
    ["compress", "romspec.toml", "stream"],
    ["decompress", "stream", "spec"],
    ["report", "-o", "page.html"],
    ["compat", "out", "romspec.lock"],
    ["lookup", "--offline"],
    ["nics", str(TOP / "vendor/minipxe")],
    ["stripped"],
)


def write(directory: Path, roms: Path) -> None:
    extra = '[qemu.x86_64]\nfirmware_path = ["usr/share/qemu"]\n'
    (directory / "romspec.toml").write_text(spec_text(roms, extra=extra))


def test_each_command_with_json_has_its_schema():
    made = json_schemas.make_schemas(make_parser())
    assert sorted(made) == COMMANDS
    assert sorted(path.name for path in SCHEMAS.iterdir()) == [
        f"{name}.schema.json" for name in COMMANDS
    ]
    remedy = "run: python -m romforge.cli.json_schemas"
    for name, schema in made.items():
        text = (SCHEMAS / f"{name}.schema.json").read_text()
        assert text == json_schemas.schema_text(schema), remedy
        Draft202012Validator.check_schema(schema)
        assert len(schema["anyOf"]) > 1, f"{name} declares no document"


def test_real_output_is_as_its_schema_says(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    """Commands of trees and parts are validated in tests of their own."""
    write(tmp_path, releases["sid"])
    for command, *arguments in LINES:
        done = romforge(command, *arguments, "--json")
        found = document(done.stdout, command)
        assert "error" not in found, (command, done.stderr)
    assert {line[0] for line in LINES} | {"why", "get", "join", "licences"} == set(COMMANDS)


def test_what_was_written_is_told(romforge: Run, releases: dict[str, Path], tmp_path: Path):
    """Its path, its size and its digest; and of a page what is wrong with the build."""
    write(tmp_path, releases["sid"])
    assert romforge("build", "all").returncode == 0
    assert romforge("split", "efi-e1000.rom", "-d", "parts").returncode == 0
    found = {}
    for command, *arguments in LINES:
        if command in ("combine", "efirom", "compress", "decompress"):
            found[command] = document(romforge(command, *arguments, "--json").stdout, command)
            data = (tmp_path / found[command]["file"]).read_bytes()
            assert found[command]["size"] == len(data)
            assert found[command]["sha256"] == hashlib.sha256(data).hexdigest()
    assert [image["ids"] for image in found["combine"]["images"]] == ["10ec:8139"]
    assert found["efirom"]["devices"] == ["8086:100e", "8086:100f"]
    assert (tmp_path / "spec").read_bytes() == (tmp_path / "romspec.toml").read_bytes()


def test_the_verdict_of_a_page_is_data(romforge: Run, releases: dict[str, Path], tmp_path: Path):
    write(tmp_path, releases["sid"])
    assert romforge("build", "all").returncode == romforge("lock").returncode == 0
    done = romforge("report", "-o", "page.html", "--json")
    found = document(done.stdout, "report")
    assert (done.returncode, found["problems"], found["page"]) == (0, [], "page.html")
    assert set(found["counts"].values()) == {0}
    rom = tmp_path / ROM
    rom.write_bytes(rom.read_bytes() * 2)
    (tmp_path / ROM.replace("efi-", "pxe-")).unlink()
    done = romforge("report", "-o", "page.html", "--json")
    found = document(done.stdout, "report")
    assert (done.returncode, len(found["problems"])) == (1, 2)
    assert all(problem in done.stderr for problem in found["problems"])
    assert (found["counts"]["not_built"], found["counts"]["not_as_locked"]) == (2, 2)
    built = {row["file"]: row["built"] for row in found["roms"]}
    assert list(built.values()) == [False, False]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_is_a_document_too(romforge: Run, tmp_path: Path, command: str):
    """Standard error has the message for people; the status says that it is an error."""
    needed = {
        "why": ["x"],
        "split": ["x", "-d", "parts"],
        "compat": ["x", "y"],
        "inspect": ["--frobnicate", "x"],
        "combine": ["x", "-o", "y"],
        "efirom": ["--id", "8086:100e", "x", "y"],
        "compress": ["x", "y"],
        "decompress": ["x", "y"],
        "report": ["-o", "page.html"],
        "join": ["x"],
    }
    (tmp_path / "romspec.toml").write_text("spec = 1\n[nic.x]\n")
    done = romforge(command, *needed.get(command, []), "--json")
    found = document(done.stdout, command)
    if command == "check":
        assert (done.returncode, found["valid"]) == (2, False)
        return
    assert done.returncode == found["error"]["status"] != 0
    assert found["error"]["message"].splitlines()[0] in done.stderr
    works_on_files = "inspect", "combine", "efirom", "compress", "decompress"
    wants_spec = command not in works_on_files
    if wants_spec:
        (problem,) = found["error"]["problems"]
        assert (problem["line"], problem["key"]) == (2, "nic.x.id")


def test_a_wrong_command_line_is_a_document(romforge: Run):
    done = romforge("build", "--json", "--jobs", "0")
    assert document(done.stdout, "build")["error"]["status"] == done.returncode == 2
    done = romforge("buidl", "--json")
    assert 'did you mean "build"?' in json.loads(done.stdout)["error"]["message"]


def test_rows_are_in_the_order_of_the_spec(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    (tmp_path / "romspec.toml").write_text(
        spec_text(releases["sid"], nics='rtl8139 = "10ec:8139"\ne1000 = "8086:100e"')
    )
    first = romforge("build", "--json", "--jobs", "2").stdout
    names = [Path(rom["file"]).name for rom in json.loads(first)["roms"]]
    assert names == ["efi-rtl8139.rom", "efi-e1000.rom", "pxe-rtl8139.rom", "pxe-e1000.rom"]
    assert romforge("build", "--json").stdout == first
    assert romforge("plan", "--json").stdout == romforge("plan", "--json").stdout


@pytest.mark.parametrize("command", ["plan", "check", "build", "inspect", "lock"])
def test_hostile_outputs_give_no_traceback(
    romforge: Run, releases: dict[str, Path], tmp_path: Path, command: str
):
    write(tmp_path, releases["sid"])
    (tmp_path / "ü.rom").write_bytes(b"")
    words = [command, "--json", *(["ü.rom", "absent.rom"] if command == "inspect" else [])]
    done = romforge(*words, PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    json.loads(done.stdout)
    line = " ".join([sys.executable, "-m", "romforge", *words])
    for broken in (f"{line} | true", f"{line} >&-", f"{line} > /dev/full"):
        ended = subprocess.run(
            ["bash", "-c", broken],
            cwd=tmp_path,
            env=users({}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in ended.stderr, broken


@pytest.mark.parametrize("command", ["check", "lock", "inspect"])
def test_what_is_wrong_is_printed_in_other_formats(
    romforge: Run, releases: dict[str, Path], tmp_path: Path, command: str
):
    """With the same statuses, at the line of the spec and of the lock, and with the offset."""
    write(tmp_path, releases["sid"])
    assert romforge("build", "all").returncode == romforge("lock").returncode == 0
    spec, lock = tmp_path / "romspec.toml", tmp_path / "romspec.lock"
    if command == "check":
        spec.write_text(spec.read_text() + "[nic.x]\n")
        line = spec.read_text().splitlines().index("[nic.x]") + 1
        place, words, status = f"romspec.toml:{line}:1", ["check"], 2
    elif command == "lock":
        lock.write_text(lock.read_text().replace("8086:100e", "8086:100f"))
        table = '[rom."usr/share/qemu/efi-e1000.rom"]'
        line = lock.read_text().splitlines().index(table) + 1
        place, words, status = f"romspec.lock:{line}", ["lock", "--check"], 1
    else:
        data = bytearray((tmp_path / ROM).read_bytes())
        data[100] ^= 1
        (tmp_path / "bad.rom").write_bytes(data)
        place, words, status = "bad.rom", ["inspect", "bad.rom", "absent.rom"], 1
    done = romforge(*words, "--format", "gcc")
    assert done.returncode == status
    assert any(line.startswith(f"{place}: error: ") for line in done.stdout.splitlines())
    github = romforge(*words, "--format", "github", PYTHONIOENCODING="ascii")
    assert github.returncode == status
    assert all(line.startswith("::") for line in github.stdout.splitlines())
    assert f"::error file={place.split(':')[0]}" in github.stdout
    sarif = romforge(*words, "--format", "sarif")
    assert sarif.returncode == status
    results = json.loads(sarif.stdout)["runs"][0]["results"]
    assert len(results) == len(done.stdout.splitlines()) == len(github.stdout.splitlines())
    assert romforge(*words, "--format", "gcc", "--json").returncode == 2


@pytest.mark.parametrize("option", ["--format", "--junit"])
def test_a_form_of_the_lock_needs_a_check(romforge: Run, option: str):
    done = romforge("lock", option, "gcc")
    assert (done.returncode, f"{option} needs --check" in done.stderr) == (2, True)


def test_a_check_of_the_lock_is_written_as_junit(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    """A case for each ROM; a fault has the line of the lock."""
    write(tmp_path, releases["sid"])
    assert romforge("build", "all").returncode == romforge("lock").returncode == 0
    assert romforge("lock", "--check", "--junit", "x.xml").returncode == 0
    suite = ElementTree.parse(tmp_path / "x.xml").getroot()
    assert (len(suite), suite.get("failures")) == (2, "0")
    lock = tmp_path / "romspec.lock"
    lock.write_text(lock.read_text().replace("8086:100e", "8086:100f", 1))
    assert romforge("lock", "--check", "--junit", "x.xml").returncode == 1
    efi, pxe = ElementTree.parse(tmp_path / "x.xml").getroot()
    line = lock.read_text().splitlines().index('[rom."usr/share/qemu/efi-e1000.rom"]') + 1
    assert (efi.findtext("failure") or "").startswith(f"romspec.lock:{line}: the IDs of its ")
    assert pxe.find("failure") is None
