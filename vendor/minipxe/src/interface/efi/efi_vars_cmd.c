/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A command that shows a variable of the firmware. */
#include <efi.h>

static const struct efi_guid global = { 0x8be4df61, 0x93ca, 0x11d2, { 0xaa, 0x0d, 0, 0xe0, 0x98, 0x03, 0x2b, 0x8c } };

static int getvar ( int argc, char **argv ) {
	static uint8_t data[256];
	uint16_t name[32];
	uint32_t attributes;
	size_t size = sizeof ( data ), i;

	if ( argc != 2 || strlen ( argv[1] ) > 31 )
		return 1;
	for ( i = 0 ; i <= strlen ( argv[1] ) ; i++ )
		name[i] = argv[1][i];
	if ( efi_system->runtime->get_variable ( name, &global, &attributes, &size, data ) ) {
		printf ( "%s: not set\n", argv[1] );
		return 1;
	}
	for ( i = 0 ; i < size ; i++ )
		printf ( "%02x%c", data[i], i % 16 == 15 || i == size - 1 ? '\n' : ' ' );
	return 0;
}

static const struct command getvar_command = { "getvar", "NAME: a variable of the firmware, in hexadecimal", getvar };
TABLE_ENTRY ( commands, struct command, getvar_command );
