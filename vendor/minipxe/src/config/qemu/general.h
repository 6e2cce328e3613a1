/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CONFIG=qemu: the firmware's own network boot stays in use. */
#define EFI_DOWNGRADE_UX
