# SPDX-License-Identifier: GPL-2.0-or-later
"""The oldest libraries that romforge runs on: Debian 13's, and for a page Debian 12's.

The other tests use the newest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import TOP, run, spec_text

pytestmark = [pytest.mark.slow, pytest.mark.network]

DEBIAN_13 = ["doit==0.36.0", "rich==13.9.4", "tomli==2.2.1"]
DEBIAN_12 = ["jinja2==3.1.2", "pyelftools==0.29"]  # which a page needs besides


def install(python: Path | str, *words: str) -> None:
    """Installs for a Python, which needs no pip of its own."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--python", str(python), "install", "--no-compile", "--retries", "10"]
    subprocess.run([*command, *words], check=True)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with these libraries and nothing else, romforge itself not installed."""
    directory = tmp_path_factory.mktemp("debian13")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    install(directory / "bin/python", *DEBIAN_13)
    return str(directory / "bin/python")


@pytest.mark.parametrize("options", [[], ["-n", "2"], ["-n", "2", "-P", "thread"]], ids=" ".join)
def test_doit_builds_uninstalled_with_the_libraries_of_debian_13(
    python: str, releases: dict[str, Path], tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    environment = {
        "ROMSPEC": str(tmp_path / "romspec.toml"),
        "ROMFORGE_OUT": str(tmp_path / "out"),
        "PYTHONPATH": "",
    }
    command = [python, "-m", "doit", "-f", str(TOP / "dodo.py"), *options]
    assert (
        run(command, tmp_path, **environment)
        .stdout.splitlines()[-1]
        .startswith("2 built, 0 up to date")
    )
    assert (
        run(command, tmp_path, **environment)
        .stdout.splitlines()[-1]
        .startswith("0 built, 2 up to date")
    )
    assert (tmp_path / "out/usr/share/qemu/efi-e1000.rom").read_bytes() == (
        releases["sid"] / "efi-e1000.rom"
    ).read_bytes()


def test_the_page_is_the_same_with_the_oldest_jinja(
    python: str, releases: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    install(python, "--target", str(tmp_path / "oldest"), *DEBIAN_12)
    assert run([sys.executable, "-m", "romforge", "build"], tmp_path).returncode == 0
    pages = []
    for interpreter, path in (
        (python, f"{TOP}/src:{tmp_path}/oldest"),
        (sys.executable, f"{TOP}/src"),
    ):
        command = [interpreter, "-m", "romforge", "report", "-o", "page.html"]
        done = run(command, tmp_path, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        pages.append((tmp_path / "page.html").read_text())
    assert pages[0] == pages[1]
    assert "efi-e1000.rom" in pages[0]
