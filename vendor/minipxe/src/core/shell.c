/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of the shell. */
#include <image.h>

static int help ( int argc, char **argv ) {
	const struct command *const *command;

	FOR_TABLE ( command, commands ) {
		if ( argc == 1 || strcmp ( argv[1], ( *command )->name ) == 0 )
			printf ( "%s %s\n", ( *command )->name, ( *command )->help );
	}
	return 0;
}

/* Runs one embedded file, or all. */
static int script ( int argc, char **argv ) {
	const struct file *const *file;

	FOR_TABLE ( file, files ) {
		struct image image = { NULL, ( *file )->name, ( *file )->data, ( *file )->end - ( *file )->data, &script_image_type };

		if ( argc > 1 && strcmp ( argv[1], image.name ) )
			continue;
		if ( image.type->exec ( &image ) )
			return 1;
	}
	return 0;
}

static int echo ( int argc, char **argv ) {
	for ( int i = 1 ; i < argc ; i++ )
		printf ( "%s%c", argv[i], i + 1 < argc ? ' ' : '\n' );
	return 0;
}

static const struct command help_command = { "help", "[COMMAND]: what commands there are", help };
static const struct command script_command = { "script", "[FILE]: run the lines of a file in the image", script };
static const struct command echo_command = { "echo", "TEXT...: print it", echo };
TABLE_ENTRY ( commands, struct command, help_command );
TABLE_ENTRY ( commands, struct command, script_command );
TABLE_ENTRY ( commands, struct command, echo_command );

/* Runs the embedded files, since there is no keyboard input. */
void shell ( void ) {
	char line[] = "script";

	system ( line );
}
