/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A command line: words, quotes, and a table of commands. */
#include <minipxe.h>

#define MAX_WORDS 16

/* Cuts a line into words where it lies; quotes keep blanks. */
static int split ( char *line, char **words ) {
	int count = 0;

	while ( count < MAX_WORDS ) {
		char *out, quote = 0;

		while ( *line == ' ' || *line == '\t' )
			line++;
		if ( ! *line || *line == '#' )
			break;
		for ( words[count++] = out = line ; *line && ( quote || ( *line != ' ' && *line != '\t' ) ) ; line++ ) {
			if ( *line == quote )
				quote = 0;
			else if ( ! quote && ( *line == '"' || *line == '\'' ) )
				quote = *line;
			else
				*out++ = *line;
		}
		if ( *line )
			line++;
		*out = '\0';
	}
	return count;
}

int shell ( char *line ) {
	const struct command *const *command;
	char *words[MAX_WORDS];
	int count = split ( line, words );

	if ( ! count )
		return 0;
	FOR_TABLE ( command, commands ) {
		if ( strcmp ( ( *command )->name, words[0] ) == 0 )
			return ( *command )->run ( count, words );
	}
	printf ( "%s: no such command\n", words[0] );
	return 1;
}

static int help ( int argc, char **argv ) {
	const struct command *const *command;

	FOR_TABLE ( command, commands ) {
		if ( argc == 1 || strcmp ( argv[1], ( *command )->name ) == 0 )
			printf ( "%s %s\n", ( *command )->name, ( *command )->help );
	}
	return 0;
}

/* Runs the lines of an embedded file, up to the first that fails. */
static int script ( int argc, char **argv ) {
	const struct file *const *file;
	char line[128];
	unsigned len = 0;

	FOR_TABLE ( file, files ) {
		if ( argc > 1 && strcmp ( argv[1], ( *file )->name ) )
			continue;
		for ( const uint8_t *in = ( *file )->data ; in < ( *file )->end ; in++ ) {
			if ( *in != '\n' ) {
				if ( len < sizeof ( line ) - 1 )
					line[len++] = *in;
				continue;
			}
			line[len] = '\0';
			len = 0;
			if ( shell ( line ) )
				return 1;
		}
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
