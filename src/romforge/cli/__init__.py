# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: its parser, the commands, completion and manual pages."""
