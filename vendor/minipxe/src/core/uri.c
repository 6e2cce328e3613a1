/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

static int hex_digit ( char c ) {
	if ( c >= '0' && c <= '9' )
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes percent-encoded characters in place, such as %20 for a space. */
static int decode ( char *text ) {
	char *out = text;

	for ( ; *text ; text++ ) {
		*out = *text;
		if ( *text == '%' ) {
			int high = hex_digit ( text[1] ), low = high < 0 ? -1 : hex_digit ( text[2] );

			if ( low < 0 )
				return 1;
			*out = high << 4 | low;
			text += 2;
		}
		out++;
	}
	*out = '\0';
	return 0;
}

/* SCHEME://HOST[/PATH] */
int parse_uri ( struct uri *uri, char *text ) {
	uri->scheme = text;
	while ( *text && *text != ':' )
		text++;
	if ( ! *text || text[1] != '/' || text[2] != '/' )
		return 1;
	*text = '\0';
	uri->host = text += 3;
	while ( *text && *text != '/' )
		text++;
	uri->path = text;
	if ( *text ) {
		*text = '\0';
		uri->path++;
	}
	return decode ( uri->host ) || decode ( uri->path );
}
