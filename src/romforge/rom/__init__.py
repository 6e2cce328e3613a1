# SPDX-License-Identifier: GPL-2.0-or-later
"""From images to a ROM in the output root, and romspec.lock."""
