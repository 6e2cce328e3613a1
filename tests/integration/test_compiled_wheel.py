# SPDX-License-Identifier: GPL-2.0-or-later
"""ROMFORGE_COMPILE=1 compiles the compressor, which then gives the same bytes, and sooner."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from romforge.formats import option_rom
from romforge.formats.uefi_compression import encoder
from tests.support.project import TOP

pytestmark = [pytest.mark.slow, pytest.mark.network]

CODE = """
import sys
from romforge.formats.uefi_compression import huffman, encoder, match_finder
modules = huffman, encoder, match_finder
assert all(module.__file__.endswith(".so") for module in modules), \
[module.__file__ for module in modules]
sys.stdout.buffer.write(encoder.compress(sys.stdin.buffer.read(), sys.argv[1]))
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to import the compiled romforge from."""
    top = tmp_path_factory.mktemp("compiled")
    built = shutil.ignore_patterns("__pycache__", "*.egg-info", "bin", "bin-*")
    for name in ("src", "examples", "vendor/minipxe"):
        shutil.copytree(TOP / name, top / "source" / name, ignore=built)
    for name in ("pyproject.toml", "setup.py", "README.md", "COPYING"):
        shutil.copy(TOP / name, top / "source")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--retries", "10"]
    subprocess.run(
        [*pip, "--wheel-dir", str(top), str(top / "source")],
        check=True,
        env={**os.environ, "ROMFORGE_COMPILE": "1"},
    )
    (wheel,) = top.glob("*.whl")
    assert not wheel.name.endswith("none-any.whl")
    zipfile.ZipFile(wheel).extractall(top / "site")
    return top / "site"


@pytest.mark.parametrize("level", ["fast", "default"])
def test_the_compiled_compressor_gives_the_same_bytes(compiled: Path, e1000: bytes, level: str):
    """For a real driver, at the levels that a build uses."""
    driver = option_rom.driver_of(option_rom.parse_rom(e1000).images[1])
    command = [sys.executable, "-c", CODE, level]
    done = subprocess.run(
        command, input=driver, env={"PYTHONPATH": str(compiled)}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == encoder.compress(driver, level)


def test_a_plain_install_stays_pure():
    """Nothing is compiled unless it is asked for."""
    command = [sys.executable, "setup.py", "--quiet", "build", "--help"]
    clean = {key: value for key, value in os.environ.items() if key != "ROMFORGE_COMPILE"}
    assert (
        subprocess.run(command, cwd=TOP, env=clean, capture_output=True, check=False).returncode
        == 0
    )
    assert not list((TOP / "src").rglob("*.so"))
