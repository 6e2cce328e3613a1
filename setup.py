# SPDX-License-Identifier: GPL-2.0-or-later
"""What pyproject.toml cannot say: files from outside the package, and compiled modules.

The examples and the miniature of iPXE go into the package, for `romforge init`. Where
ROMFORGE_COMPILE=1 is set, mypyc compiles the compressor. The compiled modules are the same sources,
and give the same bytes; the others stay as they are.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

COMPILED = [
    f"src/romforge/formats/uefi_compression/{name}.py"
    for name in ("huffman", "match_finder", "encoder", "decoder")
]
SHIPPED = "examples", "vendor/minipxe"  # see romforge.base.shipped_files
IGNORED = shutil.ignore_patterns("bin", "bin-*", "*.py[co]", ".gitignore")
asked = os.environ.get("ROMFORGE_COMPILE") == "1"
modules = []
# pip runs these to learn what the build needs, and what the wheel will be called
if asked and not {"egg_info", "dist_info"} & set(sys.argv):
    from mypyc.build import mypycify

    modules = mypycify(COMPILED)


class BuildWithShippedFiles(build_py):
    """Copies the shipped files, too, unless romforge is installed to be edited."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in SHIPPED:
            place = Path(self.build_lib, "romforge", "shipped", name)
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(name, place, ignore=IGNORED)


setup(
    ext_modules=modules,
    setup_requires=["mypy"] if asked else [],
    cmdclass={"build_py": BuildWithShippedFiles},
)
