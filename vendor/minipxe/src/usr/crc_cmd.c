/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

static int crc ( int argc, char **argv ) {
	const struct file *const *file;

	FOR_TABLE ( file, files )
		printf ( "%08x  %s\n", crc32 ( 0, ( *file )->data, ( *file )->end - ( *file )->data ), ( *file )->name );
	return 0;
}

static const struct command crc_command = { "crc32", ": check values of the files in the image", crc };
TABLE_ENTRY ( commands, struct command, crc_command );
