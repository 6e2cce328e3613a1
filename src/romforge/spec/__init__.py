# SPDX-License-Identifier: GPL-2.0-or-later
"""romspec.toml: its tables, how they are read and checked, and its JSON Schema."""
