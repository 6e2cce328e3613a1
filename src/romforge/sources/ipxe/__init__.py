# SPDX-License-Identifier: GPL-2.0-or-later
"""An iPXE tree as a source: working trees, make, what is linked and what is left out."""
