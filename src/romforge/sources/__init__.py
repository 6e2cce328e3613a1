# SPDX-License-Identifier: GPL-2.0-or-later
"""Where images come from: existing ROMs, or an iPXE tree."""
