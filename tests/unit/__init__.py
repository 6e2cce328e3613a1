# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of one module each, in the rooms of the modules."""
