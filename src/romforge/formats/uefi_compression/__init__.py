# SPDX-License-Identifier: GPL-2.0-or-later
"""The compression algorithm of the UEFI Specification, 19.3: decoder and encoder."""
