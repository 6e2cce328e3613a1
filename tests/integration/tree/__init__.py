# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds from a source tree."""
