/* SPDX-License-Identifier: GPL-2.0-or-later */
#define IMAGE_EFI		/* programs for EFI can be run */
