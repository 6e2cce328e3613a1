/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a command line: splits it into words, and looks up the command. */
#include <minipxe.h>

#define MAX_WORDS 16

/* Splits a line into words in place; quotes protect spaces. */
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

int system ( char *line ) {
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

/* Ends a script with a status; 0 by default. */
static int stop ( int argc, char **argv ) {
	static struct option options[] = { { 's', 1, parse_integer, 0 }, { 'q', 0, parse_flag, 0 } };

	if ( parse_options ( argc, argv, options, 2 ) )
		return 1;
	if ( ! options[1].value )
		printf ( "stopped with %u\n", ( unsigned ) options[0].value );
	return -1 - options[0].value;
}

static const struct command stop_command = { "stop", "[-q] [-s STATUS]: end the script", stop };
TABLE_ENTRY ( commands, struct command, stop_command );
