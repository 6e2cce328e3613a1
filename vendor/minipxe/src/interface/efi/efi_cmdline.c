/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of a chain-loaded program: what follows its name is a script. */
#include <efi.h>
#include <image.h>

const uint16_t *efi_cmdline;
size_t efi_cmdline_len;

static char text[128];

static void efi_cmdline_startup ( void ) {
	static struct image image = { NULL, "command line", ( uint8_t * ) text, 0, NULL };
	size_t i = 0;

	while ( i < efi_cmdline_len / 2 && efi_cmdline[i] && efi_cmdline[i] != ' ' )
		i++;
	for ( ; i < efi_cmdline_len / 2 && efi_cmdline[i] && image.len < sizeof ( text ) - 1 ; i++ )
		text[image.len++] = efi_cmdline[i];
	if ( ! image.len )
		return;
	text[image.len++] = '\n';
	image.type = &script_image_type;
	register_image ( &image );
}

static const struct startup_fn efi_cmdline_startup_fn = { "efi_cmdline", efi_cmdline_startup };
TABLE_ENTRY ( startup_fns, struct startup_fn, efi_cmdline_startup_fn );
