/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

REQUIRE_OBJECT ( rootcert );

static int digest ( int argc, char **argv ) {
	const struct file *const *file;
	struct sha256 sha;
	uint8_t sum[32];

	FOR_TABLE ( file, files ) {
		sha256_start ( &sha );
		sha256_add ( &sha, ( *file )->data, ( *file )->end - ( *file )->data );
		sha256_end ( &sha, sum );
		for ( int i = 0 ; i < 32 ; i++ )
			printf ( "%02x", sum[i] );
		printf ( "  %s%s\n", ( *file )->name, is_trusted ( sum ) ? " (trusted)" : "" );
	}
	return 0;
}

static const struct command digest_command = { "sha256sum", ": sums of the files in the image", digest };
TABLE_ENTRY ( commands, struct command, digest_command );
