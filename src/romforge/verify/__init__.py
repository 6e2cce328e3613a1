# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs ROMs in QEMU: boots, migrations, calls of the driver, and negative controls."""
