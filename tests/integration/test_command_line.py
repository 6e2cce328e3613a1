# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line in a subprocess: each command with good and with bad input."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import debian
from tests.support.project import TOP, Run, run, spec_text

SUITES = tuple(debian.KNOWN)


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_split_and_combine_give_back_the_same_bytes(
    romforge: Run, releases: dict[str, Path], tmp_path: Path, suite: str
):
    """All 16 ROMs of a release; those that Debian padded are padded again."""
    for name in debian.ROMS:
        rom = releases[suite] / name
        parts = tmp_path / name
        assert romforge("split", rom, "-d", parts).returncode == 0
        images = sorted(parts.glob("*.rom"))
        padded = ["--bucket", "256KiB"] if rom.stat().st_size == 256 << 10 else []
        done = romforge("combine", "-o", tmp_path / "again.rom", *images, *padded)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "again.rom").read_bytes() == rom.read_bytes(), name


@pytest.mark.exact_bytes("sid")
def test_split_names_images_and_writes_the_driver(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    done = romforge("split", releases["sid"] / "efi-e1000.rom", "-d", "parts", "--json")
    names = ["0-legacy.rom", "1-x86_64.efi", "1-x86_64.rom"]
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == names
    assert {
        Path(one["file"]).name: one["size"] for one in json.loads(done.stdout)["files"]
    }.keys() == set(names)
    driver = (tmp_path / "parts" / "1-x86_64.efi").read_bytes()
    assert driver[:2] == b"MZ"
    assert len(driver) == 69_120  # what the stream's header says


def test_combine_writes_ids_into_every_image(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    rom = releases["bookworm"] / "efi-ne2k_pci.rom"
    assert romforge("combine", "-o", "fixed.rom", rom, "--id", "10ec:8029").returncode == 0
    done = romforge("inspect", "fixed.rom", "--json")
    (found,) = json.loads(done.stdout)["roms"]
    assert done.returncode == 0
    assert [image["ids"] for image in found["images"]] == ["10ec:8029"] * 2
    assert found["faults"] == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (
            ["combine", "-o", "x", "{e1000}", "--bucket", "128KiB"],
            1,
            " over its bucket of 128 KiB",
        ),
        (["combine", "-o", "x", "{e1000}", "--bucket", "200K"], 2, '"200K" is not a valid size'),
        (
            ["combine", "-o", "x", "{e1000}", "--id", "8086:100g"],
            2,
            '"8086:100g" is not of the form vvvv:dddd',
        ),
        (["combine", "-o", "no/such/x", "{e1000}"], 1, "no/such/x: cannot be written"),
        (
            ["combine", "-o", "x", "absent.rom"],
            1,
            "absent.rom: cannot be read: No such file or directory",
        ),
        (["combine", "-o", "x", "."], 1, ".: is not a file"),
        (["inspect", "absent.rom"], 1, "absent.rom: cannot be read: No such file or directory"),
        (["inspect"], 2, "the following arguments are required: ROM"),
        (["split", "romspec.toml", "-d", "x"], 1, "no expansion ROM signature"),
        (["compat", "absent", "."], 1, "absent: cannot be read"),
        (["compat", ".", "."], 1, ".: holds no *.rom file"),
        (["check", "--spec", "absent.toml"], 2, "absent.toml: the spec cannot be read"),
        (["build", "nic:e100"], 2, 'the spec has no "nic:e100" (did you mean "nic:e1000"?)'),
        (["build", "--jobs", "many"], 2, "'many' is not a number from 1 to 1024"),
        (["build", "--jobs", "0"], 2, "'0' is not a number from 1 to 1024"),
        (
            ["frobnicate"],
            2,
            'there is no command "frobnicate"; the commands are init, schema',
        ),
        (["buidl"], 2, 'there is no command "buidl" (did you mean "build"?)'),
        (["man", "romsepc"], 2, '"romsepc" is none of its values (did you mean "romspec"?)'),
        ([], 2, "the following arguments are required: COMMAND"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_bad_input_is_told_in_words(
    romforge: Run,
    releases: dict[str, Path],
    tmp_path: Path,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    roms = {nic: str(releases["sid"] / f"efi-{nic}.rom") for nic in debian.NICS}
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    done = romforge(*(argument.format(**roms) for argument in arguments))
    assert words in done.stderr
    assert done.returncode == status
    assert not (tmp_path / "x").exists()


def test_combine_warns_of_images_of_different_devices(romforge: Run, releases: dict[str, Path]):
    done = romforge(
        "combine", "-o", "x", *(releases["sid"] / f"pxe-{nic}.rom" for nic in ("e1000", "rtl8139"))
    )
    assert "different IDs: 8086:100e (legacy) and 10ec:8139 (legacy)" in done.stderr
    assert done.returncode == 0


def test_combine_refuses_a_driver_that_is_no_image(romforge: Run, releases: dict[str, Path]):
    romforge("split", releases["sid"] / "efi-e1000.rom", "-d", "parts")
    done = romforge("combine", "-o", "x", "parts/1-x86_64.efi")
    assert done.returncode == 1
    assert "is a PE driver, not an image of a ROM" in done.stderr


def test_check_and_plan_tell_what_a_spec_asks_for(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    assert "valid: 1 NIC, 2 platforms, 2 targets and 2 ROMs" in romforge("check").stdout
    assert json.loads(romforge("check", "--json").stdout)["counts"]["roms"] == 2
    steps = json.loads(romforge("plan", "--json").stdout)["steps"]
    assert [step["task"] for step in steps] == [
        "rom:usr/share/qemu/efi-e1000.rom",
        "rom:usr/share/qemu/pxe-e1000.rom",
    ]
    text = romforge("plan").stdout
    assert str(releases["sid"]) in text
    assert "8086:100e checked" in text


def test_compat_of_bookworm_and_sid_finds_all_compatible(romforge: Run, releases: dict[str, Path]):
    done = romforge("compat", releases["bookworm"], releases["sid"], "--json")
    assert done.returncode == 0
    verdicts = json.loads(done.stdout)["verdicts"]
    assert sorted(one["file"] for one in verdicts) == sorted(debian.ROMS)
    assert all(one["migrates"] for one in verdicts)


@pytest.mark.network
def test_compat_reads_packages(romforge: Run):
    done = romforge("compat", debian.package("bookworm"), debian.package("trixie"), "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["verdicts"]) == 16


def test_compat_with_another_bucket_says_what_qemu_says(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    """In both directions, with a lost file and an added one; the errors are those of QEMU 7.2."""
    large = tmp_path / "large"
    shutil.copytree(releases["sid"], large)
    with (large / "efi-e1000.rom").open("ab") as file:
        file.write(bytes(1))
    os.truncate(large / "efi-ne2k_pci.rom", 128 << 10)
    (large / "efi-pcnet.rom").unlink()
    (large / "efi-igb.rom").write_bytes((large / "pxe-e1000.rom").read_bytes())
    done = romforge("compat", releases["sid"], large)
    assert done.returncode == 1
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[2:]}
    assert (
        "Size mismatch: 0000:00:02.0/e1000.rom: 0x40000 != 0x80000: Invalid argument"
        in lines["efi-e1000.rom"]
    )
    assert (
        "Size mismatch: 0000:00:02.0/ne2000.rom: 0x40000 != 0x20000: Invalid argument"
        in lines["efi-ne2k_pci.rom"]
    )
    assert 'failed to find romfile "efi-pcnet.rom"' in lines["efi-pcnet.rom"]
    assert "migrates" in lines["efi-igb.rom"]
    assert sum("FAILS" in line for line in lines.values()) == 3


def test_compat_of_two_files_compares_them_whatever_their_names(
    romforge: Run, releases: dict[str, Path]
):
    done = romforge("compat", releases["sid"] / "pxe-e1000.rom", releases["sid"] / "efi-e1000.rom")
    assert done.returncode == 1
    assert "0x20000 != 0x40000" in done.stdout


def test_a_closed_pipe_is_no_traceback(releases: dict[str, Path], tmp_path: Path):
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    command = f"{sys.executable} -m romforge plan | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TOP / "src"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("rom:")
    assert "Traceback" not in done.stderr


def test_output_survives_an_encoding_that_lacks_its_characters(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    odd = tmp_path / os.fsdecode(b"\xff.rom")
    shutil.copy(releases["sid"] / "efi-e1000.rom", odd)
    for encoding in ("ascii", "utf-8"):
        done = romforge("inspect", odd, PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        assert "262,144 bytes" in done.stdout


def on_terminal(command: list[str], directory: Path, **environment: str) -> str:
    """What a command shows on a terminal of 120 columns."""
    main, terminal = pty.openpty()
    clean = {
        "PYTHONPATH": str(TOP / "src"),
        "PATH": os.environ["PATH"],
        "TERM": "xterm",
        "COLUMNS": "120",
    } | environment
    with subprocess.Popen(
        command, cwd=directory, env=clean, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while chunk := os.read(main, 4096):
                shown += chunk
        except OSError:  # the terminal's other end is closed
            pass
    os.close(main)
    assert process.returncode == 0, shown
    return shown.decode()


@pytest.mark.parametrize("width", [60, 80])
def test_tables_fit_the_terminal(releases: dict[str, Path], tmp_path: Path, width: int):
    """And what a narrow table of compat leaves out is said below it."""
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    for words in (
        ["build"],
        ["compat", releases["sid"], "out"],
        ["inspect", releases["sid"] / "efi-e1000.rom"],
    ):
        command = [sys.executable, "-m", "romforge", *map(str, words)]
        if words[0] == "compat":
            command = ["sh", "-c", '"$@" || test $? = 1', "sh", *command]  # sets differ in names
        shown = on_terminal(command, tmp_path, COLUMNS=str(width), NO_COLOR="1")
        table = [line for line in shown.splitlines() if "  " in line and "\x1b" not in line]
        assert max(map(len, table)) <= width, words
        if words[0] == "compat":
            assert "efi-virtio.rom: QEMU would not start there: failed to find romfile" in shown


def test_an_interrupt_leaves_the_terminal_as_it_was(tmp_path: Path):
    """The cursor is shown again, and no bar is left: ^C while a make runs."""
    command = [sys.executable, "-m", "doit", "-f", str(TOP / "dodo.py"), "-d", str(TOP)]
    environment = {
        "ROMFORGE_OUT": str(tmp_path / "out"),
        "TERM": "xterm",
        "PATH": os.environ["PATH"],
    }
    process, terminal = pty.fork()
    if not process:
        os.execve(command[0], command, environment)
    shown = b""
    interrupted = False
    with suppress(OSError):  # the terminal's other end is closed
        while chunk := os.read(terminal, 4096):
            shown += chunk
            if not interrupted and b" objects " in shown:
                os.write(terminal, b"\x03")
                interrupted = True
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 130, shown
    hidden, visible = b"\x1b[?25l", b"\x1b[?25h"
    assert shown.rfind(visible) > shown.rfind(hidden) > 0
    assert shown.rstrip().endswith(b"interrupted")
    assert b"17/16" not in shown


REDIRECTIONS = {
    ">/dev/full": "romforge: standard output: No space left on device\n",
    ">&-": "",
    "| true": "",
}


@pytest.mark.usefixtures("doit")
@pytest.mark.parametrize("redirection", REDIRECTIONS)
@pytest.mark.parametrize(
    "command",
    [
        "doit",
        "doit list",
        "doit info rom",
        "doit clean",
        "doit forget all",
        "romforge build",
        "romforge plan",
        "romforge man romforge",
    ],
)
def test_output_that_cannot_be_written_gives_no_traceback(
    tmp_path: Path,
    romforge: Run,
    doit: Run,
    releases: dict[str, Path],
    redirection: str,
    command: str,
):
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    program, _, words = command.partition(" ")
    script = f"{sys.executable} -m {program} {words} {redirection}"
    done = run(["sh", "-c", script], tmp_path)  # fails for a traceback
    assert done.stderr == REDIRECTIONS[redirection]


def test_progress_and_colours_are_for_terminals(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    """A terminal gets a bar and colours, and no colours with NO_COLOR; a pipe gets neither."""
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    build = [sys.executable, "-m", "romforge", "build"]
    assert "\x1b[1mfile" in (shown := on_terminal(build, tmp_path))
    assert "━━━" in shown
    shutil.rmtree(tmp_path / "out")
    assert "\x1b[1m" not in on_terminal(build, tmp_path, NO_COLOR="1")
    shutil.rmtree(tmp_path / "out")
    quiet = romforge("build")
    assert "\x1b" not in quiet.stdout + quiet.stderr
    assert quiet.stderr == ""
    assert "2 built, 0 up to date" in quiet.stdout


def test_an_example_makes_the_set_of_this_machines_release(
    doit: Run, romforge: Run, tmp_path: Path
):
    """The package through apt, 16 ROMs in their buckets, none with a fault."""
    shutil.copy(TOP / "examples/debian-roms.toml", tmp_path / "romspec.toml")
    done = doit()
    assert done.returncode == 0, done.stderr
    roms = sorted((tmp_path / "out/usr/share/qemu").iterdir())
    assert [path.name for path in roms] == sorted(debian.ROMS)
    for path in roms:
        bucket = 256 << 10 if path.name.startswith("efi-") else 128 << 10
        assert bucket // 2 < path.stat().st_size <= bucket
    assert romforge("inspect", *roms).returncode == 0
    manifest = json.loads((tmp_path / "out/qemu.manifest.json").read_text())
    assert manifest["sources"]["debian"]["deb"].startswith("ipxe-qemu ")


def test_a_build_does_not_write_where_its_sources_lie(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    (tmp_path / "out/usr/share").mkdir(parents=True)
    shutil.copytree(releases["sid"], tmp_path / "out/usr/share/qemu")
    (tmp_path / "romspec.toml").write_text(spec_text("out/usr/share/qemu"))
    done = romforge("build")
    assert done.returncode == 1
    assert "the sources are read from there" in done.stderr
    assert (tmp_path / "out/usr/share/qemu/efi-e1000.rom").read_bytes() == (
        releases["sid"] / "efi-e1000.rom"
    ).read_bytes()


def test_a_spec_leaves_the_files_of_another_alone(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    """Two specs with a target of the same name share an output root.

    A spec's own files that it no longer asks for are removed.
    """
    text = spec_text(releases["sid"], nics='e1000 = "8086:100e"\npcnet = "1022:2000"')
    (tmp_path / "one.toml").write_text(text)
    (tmp_path / "two.toml").write_text(text.replace('dir = "usr/share/qemu"', 'dir = "elsewhere"'))
    romforge("build", "--spec", "one.toml")
    second = romforge("build", "--spec", "two.toml")
    assert second.returncode == 0
    assert "removed" not in second.stdout
    assert (tmp_path / "out/usr/share/qemu/efi-e1000.rom").exists()
    (tmp_path / "two.toml").write_text(
        spec_text(releases["sid"]).replace('dir = "usr/share/qemu"', 'dir = "elsewhere"')
    )
    assert "removed elsewhere/efi-pcnet.rom" in romforge("build", "--spec", "two.toml").stdout


def test_combine_refuses_to_make_an_unsound_rom(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    data = bytearray((releases["sid"] / "pxe-e1000.rom").read_bytes())
    data[0x2000] ^= 1
    (tmp_path / "bad.rom").write_bytes(data)
    done = romforge("combine", "-o", "x", "bad.rom")
    assert done.returncode == 1
    assert "x is not a sound ROM" in done.stderr
    assert "the checksum is" in done.stderr
    assert not (tmp_path / "x").exists()


def test_compat_takes_no_other_file_for_a_rom(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    (tmp_path / "junk.rom").write_text("root:x:0:0\n" * 99)
    done = romforge("compat", "junk.rom", "junk.rom")
    assert done.returncode == 3
    assert "contains no ROM image" in done.stdout


def test_inspect_tells_all_files_though_one_cannot_be_read(
    romforge: Run, releases: dict[str, Path]
):
    done = romforge("inspect", "absent.rom", releases["sid"] / "efi-e1000.rom")
    assert done.returncode == 1
    assert "no faults" in done.stdout
    assert "absent.rom: cannot be read" in done.stderr


def test_split_says_what_it_leaves_out(romforge: Run, releases: dict[str, Path], tmp_path: Path):
    (tmp_path / "tail.rom").write_bytes((releases["sid"] / "pxe-e1000.rom").read_bytes() + b"JUNK")
    done = romforge("split", "tail.rom", "-d", "parts")
    assert "the data after the last image is not padding, and is left out" in done.stderr
    assert done.returncode == 0


def test_a_rom_cannot_take_the_place_of_a_manifest(
    romforge: Run, releases: dict[str, Path], tmp_path: Path
):
    for file in ("efi.manifest.json", "efi.manifest.json/{nic}.rom"):
        text = (
            spec_text(releases["sid"])
            .replace('dir = "usr/share/qemu"', 'dir = "."', 1)
            .replace('file = "efi-{nic}.rom"', f'file = "{file}"')
        )
        (tmp_path / "romspec.toml").write_text(text)
        done = romforge("check")
        assert done.returncode == 2
        assert "which is the manifest of a target" in done.stderr


def test_a_source_directory_that_is_not_there_is_named(romforge: Run, tmp_path: Path):
    (tmp_path / "romspec.toml").write_text(spec_text("nowhere"))
    done = romforge("build")
    assert done.returncode == 1
    assert f"there is no directory {tmp_path / 'nowhere'}; fix roms in [source.roms]" in done.stderr


def test_listing_the_tasks_makes_no_output_root(
    doit: Run, releases: dict[str, Path], tmp_path: Path
):
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    assert "target:efi" in doit("list", "--all").stdout
    assert not (tmp_path / "out").exists()
