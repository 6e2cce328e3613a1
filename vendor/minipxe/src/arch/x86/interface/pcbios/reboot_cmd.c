/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

static int reboot ( int argc, char **argv ) {
	/* Pulse the keyboard controller's reset line. */
	__asm__ volatile ( "outb %b0, $0x64" : : "a" ( 0xfe ) );
	return 1;
}

static const struct command reboot_command = { "reboot", ": start the machine again", reboot };
TABLE_ENTRY ( commands, struct command, reboot_command );
