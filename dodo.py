# SPDX-License-Identifier: GPL-2.0-or-later
"""The tasks of romspec.toml for doit; works from the checkout, with romforge not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from romforge.cli.command_line import dodo

globals().update(dodo())
