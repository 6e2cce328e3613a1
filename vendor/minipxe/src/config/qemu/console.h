/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CONFIG=qemu: what only a virtual machine has is on, whatever the default. */
#undef CONSOLE_DEBUGCON
#define CONSOLE_DEBUGCON
