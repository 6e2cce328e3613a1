/* SPDX-License-Identifier: GPL-2.0-or-later */
#define IMAGE_PXE		/* programs for a BIOS's PXE can be run */
