# SPDX-License-Identifier: GPL-2.0-or-later
"""`compat` and `lookup` take the names of ROMs that all commands take."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Run, spec_text

DIRECTORY = "usr/share/qemu"
EFI = f"{DIRECTORY}/efi-e1000.rom"
PXE = f"{DIRECTORY}/pxe-e1000.rom"
NAMES = {  # of ROMs in the output root
    "e1000": [EFI, PXE],
    "nic:e1000": [EFI, PXE],
    "efi": [EFI, f"{DIRECTORY}/efi-rtl8139.rom"],
    "target:pxe": [PXE, f"{DIRECTORY}/pxe-rtl8139.rom"],
    f"out/{EFI}": [EFI],
    EFI: [EFI],
    f"rom:{EFI}": [EFI],
    "efi-e1000.rom": [EFI],
}


@pytest.fixture
def built(tmp_path: Path, romforge: Run, releases: dict[str, Path]) -> Path:
    """A directory with a spec, its output root, and a copy of what was built, in "old"."""
    nics = 'e1000 = "8086:100e"\nrtl8139 = "10ec:8139"'
    extra = f'[qemu.x86_64]\nfirmware_path = ["{DIRECTORY}"]\n'
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"], nics=nics, extra=extra))
    done = romforge("build", "all")
    assert done.returncode == 0, done.stderr
    shutil.copytree(tmp_path / "out" / DIRECTORY, tmp_path / "old")
    assert romforge("lock").returncode == 0
    return tmp_path


def compared(romforge: Run, *arguments: object, status: int = 0) -> list[str]:
    """The files on which `compat` gives a verdict."""
    done = romforge("compat", "--json", *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return [verdict["file"] for verdict in json.loads(done.stdout)["verdicts"]]


def test_compat_takes_each_name_on_each_side(romforge: Run, built: Path):
    """Only the ROMs that it names get a verdict; those of the other side are found by it."""
    for name, paths in NAMES.items():
        if (built / name).exists():
            continue  # a file is a set of its own
        files = [os.path.basename(path) for path in paths]
        assert compared(romforge, "old", name) == files, name
        assert compared(romforge, name, "old") == files, name
        assert compared(romforge, "romspec.lock", name) == files, name


def test_compat_of_two_names_compares_what_they_name(romforge: Run, built: Path):
    assert compared(romforge, "efi-e1000.rom", f"out/{PXE}", status=1) == ["efi-e1000.rom"]
    assert compared(romforge, "efi", "efi") == ["efi-e1000.rom", "efi-rtl8139.rom"]
    with_each = compared(romforge, "efi", "pxe", status=1)
    both = NAMES["efi"] + NAMES["target:pxe"]
    assert with_each == sorted(map(os.path.basename, both))


def test_a_file_left_over_is_not_taken_for_the_named_one(romforge: Run, built: Path):
    """Its counterpart is found among all ROMs of the other side."""
    for directory in ("own", "common"):
        (built / "old" / directory).mkdir()
        shutil.copy(built / "old/efi-e1000.rom", built / "old" / directory)
    (built / "old/own/efi-e1000.rom").write_bytes(b"")
    text = (built / "romspec.toml").read_text()
    for directory in ("own", "common"):
        target = text[text.index("[target.efi]") : text.index("[target.pxe]")]
        text += target.replace("efi]", f"{directory}]").replace("usr/share/qemu", directory)
    (built / "romspec.toml").write_text(text)
    assert romforge("build", "all").returncode == 0
    assert compared(romforge, "old", "common/efi-e1000.rom") == ["common/efi-e1000.rom"]


def test_a_path_that_exists_is_no_name(romforge: Run, built: Path):
    shutil.copytree(built / "old", built / "e1000")
    assert len(compared(romforge, "old", "e1000")) == 4
    assert len(compared(romforge, "old", "nic:e1000")) == 2


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["old", "e100"], 1, 'the spec has no "e100" (did you mean "e1000"?)'),
        (["e100", "old"], 1, "e100: cannot be read: No such file or directory; the spec has no"),
        (["absent.lock", "old"], 1, "absent.lock: there is no lock"),
        (["old", "e1000", "--new-path", DIRECTORY], 2, "--new-path: e1000 names ROMs"),
        (["--out", "other", "old", "e1000"], 1, f"e1000: not built yet: {EFI} and {PXE}"),
    ],
)
def test_compat_tells_what_is_wrong_with_a_name(
    romforge: Run, built: Path, words: list[str], status: int, text: str
):
    done = romforge("compat", *words)
    assert (done.returncode, text in done.stderr) == (status, True), done.stderr


def test_a_name_whose_build_failed_fails(romforge: Run, built: Path):
    """With the first line of the error; its file is of an earlier build, or missing."""
    spec = built / "romspec.toml"
    spec.write_text(spec.read_text().replace("256KiB", "64KiB"))
    assert romforge("build", "efi").returncode == 1
    (built / "out" / EFI).unlink()
    done = romforge("compat", "old", "efi")
    assert done.returncode == 1
    of_e1000, of_rtl8139 = done.stdout.splitlines()[2:]
    assert re.match(r"efi-e1000.rom +256 KiB +- +FAILS +FAILS +its last build failed: ", of_e1000)
    assert re.match(r"efi-rtl8139.rom +256 KiB +256 KiB +FAILS ", of_rtl8139)
    assert of_e1000.endswith("over its bucket of 64 KiB")
    verdict, _ = json.loads(romforge("compat", "old", "efi", "--json").stdout)["verdicts"]
    assert (verdict["new"], verdict["migrates"]) == (None, False)


def looked_up(romforge: Run, *arguments: object, status: int = 0) -> list[dict[str, Any]]:
    done = romforge("lookup", "--offline", "--json", *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return list(json.loads(done.stdout)["qemus"])


def test_lookup_takes_each_name(romforge: Run, built: Path):
    for name, paths in NAMES.items():
        cards = {path.rpartition("-")[2].removesuffix(".rom") for path in paths}
        (found,) = looked_up(romforge, name)
        assert {nic["nic"] for nic in found["nics"]} == cards, name
    (found,) = looked_up(romforge)
    assert len(found["nics"]) == 2
    done = romforge("lookup", "--offline", "e100")
    assert (done.returncode, 'did you mean "e1000"?' in done.stderr) == (2, True)


def test_lookup_tells_only_of_what_is_named(romforge: Run, built: Path):
    """Not what is wrong with other cards, nor with directories of other ROMs."""
    (built / "out" / DIRECTORY / "efi-rtl8139.rom").unlink()
    text = (built / "romspec.toml").read_text().replace("pxe-{nic}", "more/pxe-{nic}")
    (built / "romspec.toml").write_text(text)
    assert romforge("lookup", "--offline").stdout.count("FAULT") == 2
    assert romforge("lookup", "--offline", f"out/{EFI}").returncode == 0
    assert "more" in romforge("lookup", "--offline", "target:pxe").stdout
