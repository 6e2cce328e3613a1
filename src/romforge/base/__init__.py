# SPDX-License-Identifier: GPL-2.0-or-later
"""What every room may use: errors and their words, files, processes, the lock, tables; nothing of ROMs."""
