/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CONFIG=qemu: consoles that only a virtual machine has are on, whatever the default. */
#undef CONSOLE_DEBUGCON
#define CONSOLE_DEBUGCON
