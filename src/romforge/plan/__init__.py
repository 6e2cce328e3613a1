# SPDX-License-Identifier: GPL-2.0-or-later
"""From the spec to steps. Pure: opens no file."""
