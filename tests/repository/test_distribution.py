# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m build` makes an sdist that can run its own tests, and a wheel with all its data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

from tests.support.compilers import cached_compilers
from tests.support.project import TOP, source_files

pytestmark = [pytest.mark.slow, pytest.mark.network]

NOT_SHIPPED = "vendor/ipxe/"  # a user's own tree


class Built(NamedTuple):
    """The names in an sdist, below its directory, and a wheel, which was built from that sdist."""

    sdist: set[str]
    wheel: Path


def shipped() -> set[str]:
    files = {name for name in source_files() if (TOP / name).is_file()}
    return {name for name in files if not name.startswith(NOT_SHIPPED)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    top = tmp_path_factory.mktemp("build")
    for name in shipped():
        place = top / "source" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, place)
    command = [sys.executable, "-m", "build", "--outdir", str(top / "dist"), str(top / "source")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Deprecat" not in done.stdout + done.stderr
    (sdist,) = (top / "dist").glob("*.tar.gz")
    (wheel,) = (top / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive:
        members = [PurePosixPath(member.name) for member in archive if member.isfile()]
    return Built({str(PurePosixPath(*name.parts[1:])) for name in members}, wheel)


def test_the_sdist_holds_every_file_of_the_checkout(built: Built):
    assert shipped() - built.sdist == set()


def test_the_sdist_holds_nothing_that_was_built(built: Built):
    made = (".pyc", ".so", ".o")
    assert [name for name in built.sdist if name.endswith(made) or "__pycache__" in name] == []


def test_the_wheel_holds_all_data_and_the_licence(built: Built):
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        fields = message_from_bytes(archive.read(metadata))
    ours = {name.removeprefix("src/") for name in source_files("src/romforge")}
    assert ours - names == set()
    assert fields["License-Expression"] == "GPL-2.0-or-later"
    assert fields.get_all("License-File") == ["COPYING"]
    classifiers = fields.get_all("Classifier") or []
    assert not [value for value in classifiers if value.startswith("License ::")]


def test_the_wheel_alone_begins_a_project(built: Built, tmp_path: Path):
    """Without a checkout: from an empty directory to ROMs of the miniature."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(built.wheel)], check=True)
    project = tmp_path / "project"
    project.mkdir()
    environment = os.environ | cached_compilers() | {"PYTHONPATH": str(site)}
    for words in (["init"], ["build", "nic:e1000"], ["plan"]):
        command = [sys.executable, "-m", "romforge", *words]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert str(TOP) not in done.stdout + done.stderr
    built_roms = sorted(path.name for path in project.glob("out/pc-bios/*"))
    assert built_roms == ["efi-e1000.rom", "pxe-e1000.rom"]
