# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads and writes file formats: option ROMs, EFI drivers, objects, link maps."""
