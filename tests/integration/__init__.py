# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that run builds, commands and guests."""
