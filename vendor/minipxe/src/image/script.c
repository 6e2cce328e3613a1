/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scripts: each line is a command. */
#include <image.h>
#include <setjmp.h>

static jmp_buf out;

static void run ( const struct image *image ) {
	char line[128];
	unsigned len = 0;

	for ( size_t i = 0 ; i < image->len ; i++ ) {
		int status;

		if ( image->data[i] != '\n' ) {
			if ( len < sizeof ( line ) - 1 )
				line[len++] = image->data[i];
			continue;
		}
		line[len] = '\0';
		len = 0;
		status = system ( line );
		if ( status )
			longjmp ( out, status );
	}
}

/* Runs the lines up to the first that fails. */
static int script_exec ( struct image *image ) {
	int status = setjmp ( out );

	if ( ! status )
		run ( image );
	return status == -1 ? 0 : status;
}

static int script_probe ( const struct image *image ) {
	return image->len < 6 || memcmp ( image->data, "#!ipxe", 6 );
}

const struct image_type script_image_type = { "script", script_probe, script_exec };
TABLE_ENTRY ( image_types, struct image_type, script_image_type );
