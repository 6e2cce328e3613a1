# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles the compressor by mypyc where ROMFORGE_COMPILE=1 is set; all else is in pyproject.toml.

The compiled modules are the same sources, and give the same bytes; the others stay as they are.
"""

import os
import sys

from setuptools import setup

COMPILED = [
    f"src/romforge/formats/uefi_compression/{name}.py"
    for name in ("huffman", "match_finder", "encoder", "decoder")
]
asked = os.environ.get("ROMFORGE_COMPILE") == "1"
modules = []
if asked and "egg_info" not in sys.argv:  # which pip runs to learn what the build needs
    from mypyc.build import mypycify

    modules = mypycify(COMPILED)

setup(ext_modules=modules, setup_requires=["mypy"] if asked else [])
