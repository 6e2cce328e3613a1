/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HTTP/1.1: writes a GET request, and reads the header of the response. */
#include <minipxe.h>

/* The length of a prefix, which is compared without regard to case; 0 if it does not match. */
static int starts ( const uint8_t *in, int len, const char *prefix ) {
	int i;

	for ( i = 0 ; prefix[i] ; i++ ) {
		char c = i < len ? in[i] : 0;

		if ( c >= 'A' && c <= 'Z' )
			c += 'a' - 'A';
		if ( c != prefix[i] )
			return 0;
	}
	return i;
}

/* what: http://HOST[/PATH] */
static int http_request ( const char *what, uint8_t *out, int size ) {
	char host[64];
	int len = 0;

	what += starts ( ( const uint8_t * ) what, strlen ( what ), "http://" );
	while ( *what && *what != '/' && len < ( int ) sizeof ( host ) - 1 )
		host[len++] = *what++;
	host[len] = '\0';
	return snprintf ( ( char * ) out, size, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: minipxe/%s\r\n\r\n",
			  *what ? what : "/", host, product_version );
}

static int http_reply ( const uint8_t *in, int len, char *out, int size ) {
	unsigned status = 0, content = 0, chunked = 0;
	int at = starts ( in, len, "http/1." );

	if ( ! at )
		return -1;
	for ( at += 2 ; at < len && in[at] >= '0' && in[at] <= '9' ; at++ )
		status = 10 * status + in[at] - '0';
	while ( at < len ) {
		int skip;

		while ( at < len && in[at++] != '\n' ) {}
		if ( at < len && ( in[at] == '\r' || in[at] == '\n' ) )
			break;
		skip = starts ( in + at, len - at, "content-length:" );
		if ( skip ) {
			for ( at += skip ; at < len && in[at] == ' ' ; at++ ) {}
			for ( ; at < len && in[at] >= '0' && in[at] <= '9' ; at++ )
				content = 10 * content + in[at] - '0';
		}
		chunked |= starts ( in + at, len - at, "transfer-encoding: chunked" );
	}
	return snprintf ( out, size, "status %u, %u bytes%s", status, content, chunked ? " in chunks" : "" );
}

static const struct protocol http = { "http", http_request, http_reply };
TABLE_ENTRY ( protocols, struct protocol, http );
