# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests share: projects, builders of files, machines, measures."""
