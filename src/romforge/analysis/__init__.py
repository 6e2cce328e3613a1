# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions about ROMs that were built: which objects fill them, what changed, who can migrate."""
