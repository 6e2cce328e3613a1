# SPDX-License-Identifier: GPL-2.0-or-later
"""What all packages may use: errors, texts, tables, files, processes, the lock."""
