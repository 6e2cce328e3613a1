/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

int parse_integer ( const char *text, int *value ) {
	int base = 10;

	if ( text[0] == '0' && text[1] == 'x' ) {
		base = 16;
		text += 2;
	}
	*value = 0;
	do {
		int digit = *text >= '0' && *text <= '9' ? *text - '0' : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10 : 16;

		if ( digit >= base ) {
			printf ( "%s: not a number\n", text );
			return 1;
		}
		*value = base * *value + digit;
	} while ( *++text );
	return 0;
}

int parse_flag ( const char *text, int *value ) {
	*value = 1;
	return text != NULL;
}

/* Parses all options of a command and stores their values. */
int parse_options ( int argc, char **argv, struct option *options, int count ) {
	struct words words = { argc, 1, argv };
	char *value = NULL;
	int letter;

	for ( int i = 0 ; i < count ; i++ )
		options[i].value = 0;
	while ( ( letter = getopt ( &words, options, count, &value ) ) ) {
		if ( letter == '?' ) {
			printf ( "%s: a wrong option\n", argv[0] );
			return 1;
		}
		for ( int i = 0 ; i < count ; i++ ) {
			if ( options[i].letter == letter && options[i].parse ( value, &options[i].value ) )
				return 1;
		}
	}
	return words.at < argc;
}
