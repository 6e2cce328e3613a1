/* SPDX-License-Identifier: GPL-2.0-or-later */
#define IMAGE_PXE		/* PXE programs can be run */
