# SPDX-License-Identifier: GPL-2.0-or-later
"""Formats of files, as bytes: option ROMs, EFI drivers, objects, maps of links. Knows no spec and no build."""
