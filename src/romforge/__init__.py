# SPDX-License-Identifier: GPL-2.0-or-later
"""romforge: builds QEMU's network-boot option ROMs from one TOML file, as doit tasks."""

__version__ = "0.1.0"
