# SPDX-License-Identifier: GPL-2.0-or-later
"""Every command, with good and bad input, into a terminal, a pipe, a closed pipe, and in ASCII.

None prints a traceback, and all end with the right status.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from romforge.base.pci_id import PciId
from romforge.cli.command_line import FAMILIES
from romforge.formats import option_rom
from tests.support import builders
from tests.support.project import run, run_attached, spec_text

pytestmark = pytest.mark.slow

IDS = PciId(0x8086, 0x100E)
OUT: dict[str, str] = {}  # the environment variable that names the output root
LARGEST = 16 << 20  # bytes of a ROM file
# The words of each command; INPUT stands for the file that is good, or is not.
ROM_COMMANDS = {
    "inspect": ["INPUT"],
    "split": ["INPUT", "-d", "parts"],
    "combine": ["-o", "new.rom", "INPUT"],
    "compat": ["INPUT", "INPUT"],
}
DRIVER_COMMANDS = {
    "efirom": ["--id", "8086:100e", "INPUT", "new.rom"],
    "compress": ["INPUT", "stream"],
    "decompress": ["INPUT", "plain"],
}
SPEC_COMMANDS = {
    "check": ["--spec", "INPUT"],
    "plan": ["--spec", "INPUT"],
    "build": ["--spec", "INPUT"],
    "lock": ["--spec", "INPUT"],
    "status": ["--spec", "INPUT"],
    "report": ["--spec", "INPUT", "-o", "page.html"],
    "verify": ["--spec", "INPUT", "structure"],
    "stripped": ["--spec", "INPUT"],
    "licences": ["--spec", "INPUT"],
    "why": ["--spec", "INPUT", "e1000"],
    "lookup": ["--spec", "INPUT"],
    "get": ["--spec", "INPUT"],
    "update": ["--spec", "INPUT"],
}
COMMANDS = ROM_COMMANDS | DRIVER_COMMANDS | SPEC_COMMANDS
INPUTS = "good", "wrong", "absent", "huge", "unreadable", "a directory"
OUTPUTS = "terminal", "pipe", "closed pipe", "ascii"
# The statuses that are not 0 for good input, and not 1 or 2 for other input.
STATUSES = {
    ("licences", "good"): 1,
    ("why", "good"): 1,  # the images come from ROMs, and not from a tree
    ("verify", "good"): 2,  # no ROM or target has the name
    ("update", "good"): 2,  # its source is a directory
    ("compat", "wrong"): 3,  # two files of one size, without an image
    ("compat", "a directory"): 0,  # that is a set of ROMs
    ("compress", "wrong"): 0,  # any bytes can be compressed
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """The files for each kind of command, by the kind of input. The good spec is built."""
    top = tmp_path_factory.mktemp("inputs")
    OUT["ROMFORGE_OUT"] = str(top / "out")
    (top / "roms").mkdir()
    rom = builders.legacy(IDS, last=False, blocks=160) + builders.efi(ids=IDS)
    (top / "roms/efi-e1000.rom").write_bytes(rom)
    spec = top / "romspec.toml"
    spec.write_text(spec_text("roms"))
    done = romforge(["build", "--spec", str(spec)], top)
    assert done.returncode == 0, done.stderr
    driver = top / "driver.efi"
    driver.write_bytes(option_rom.driver_of(option_rom.parse_image(builders.efi(ids=IDS), 0)))
    stream = top / "good.stream"
    done = romforge(["compress", str(driver), str(stream)], top)
    assert done.returncode == 0, done.stderr
    wrong = top / "wrong"
    wrong.write_bytes(b"\x00\xff = [ nothing\n" * 99)
    huge = top / "huge"
    with huge.open("wb") as file:
        file.truncate(LARGEST + 1)
    bad = {
        "wrong": wrong,
        "absent": top / "absent",
        "huge": huge,
        "unreadable": Path("/proc/self/mem"),  # it can be opened, and not read from the start
        "a directory": top / "roms",
    }
    good = dict.fromkeys(ROM_COMMANDS, top / "roms/efi-e1000.rom")
    good |= dict.fromkeys(SPEC_COMMANDS, spec)
    good |= {"efirom": driver, "compress": driver, "decompress": stream}
    return {command: {"good": path, **bad} for command, path in good.items()}


def romforge(words: list[str], directory: Path, **options: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "romforge", *words], directory, **OUT, **options)


def run_into(output: str, words: list[str], directory: Path) -> tuple[int, str]:
    """The status of a command, and all that it said on standard error, or on its terminal."""
    if output in ("pipe", "ascii"):
        encoding = {"PYTHONIOENCODING": "ascii"} if output == "ascii" else {}
        done = romforge(words, directory, **encoding)
        return done.returncode, done.stderr
    command = [sys.executable, "-m", "romforge", *words]
    if output == "closed pipe":
        nothing = os.open(os.devnull, os.O_RDONLY)
        reader, writer = os.pipe()
        os.close(reader)
        errors, error_writer = os.pipe()
        files = nothing, writer, error_writer
    else:
        errors, terminal = pty.openpty()
        files = terminal, terminal, terminal
    return run_attached(
        command,
        directory,
        OUT,
        files,
        lambda: b"".join(read_all(errors)).decode(errors="replace"),
    )


def read_all(file: int) -> Iterator[bytes]:
    with suppress(OSError):  # a terminal's other end is closed
        while chunk := os.read(file, 4096):
            yield chunk
    os.close(file)


def test_each_command_that_reads_files_is_here():
    """The others read a tree, of which other tests have many, or nothing."""
    all_commands = {command for family in FAMILIES for command in family.commands}
    others = {"init", "schema", "nics", "join", "help", "completion", "man"}
    assert all_commands - COMMANDS.keys() == others


@pytest.mark.parametrize("command", COMMANDS)
def test_no_input_and_no_output_gives_a_traceback(
    inputs: dict[str, dict[str, Path]], tmp_path: Path, command: str
):
    """Every kind of input with every kind of output; the runs are counted."""
    seen = set()
    for kind in INPUTS:
        words = [str(inputs[command][kind]) if w == "INPUT" else w for w in COMMANDS[command]]
        statuses = set()
        for output in OUTPUTS:
            status, said = run_into(output, [command, *words], tmp_path)
            case = f"romforge {command} {' '.join(words)} into {output}: {status}: {said}"
            assert "Traceback" not in said, case
            usual = {0} if kind == "good" else {1, 2}
            expected = usual if (command, kind) not in STATUSES else {STATUSES[command, kind]}
            if output == "closed pipe" or command == "lookup":
                expected = expected | {1}  # lookup: a QEMU does not find it
            assert status in expected, case
            if output != "closed pipe":
                statuses.add(status)
            seen.add((kind, output))
        assert len(statuses) == 1, (kind, statuses)
    assert len(seen) == len(INPUTS) * len(OUTPUTS)
