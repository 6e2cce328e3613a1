/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

/* The letter of the next option; 0 if there is none, '?' if it is unknown or lacks its value. */
int getopt ( struct words *words, const struct option *options, int count, char **value ) {
	char *word;

	if ( words->at >= words->argc )
		return 0;
	word = words->argv[words->at];
	if ( word[0] != '-' || ! word[1] )
		return 0;
	words->at++;
	for ( int i = 0 ; i < count ; i++ ) {
		if ( options[i].letter != word[1] )
			continue;
		*value = word[2] ? word + 2 : NULL;
		if ( options[i].has_value && ! *value ) {
			if ( words->at >= words->argc )
				return '?';
			*value = words->argv[words->at++];
		}
		return word[1];
	}
	return '?';
}
