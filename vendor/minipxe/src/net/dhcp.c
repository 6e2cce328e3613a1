/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DHCP (RFC 2131): writes a DISCOVER, and reads the options of an OFFER. */
#include <minipxe.h>

enum { MASK = 1, ROUTER = 3, LEASE = 51, TYPE = 53, SERVER = 54, WANTED = 55, BOOTFILE = 67 };

static int dhcp_request ( const char *what, uint8_t *out, int size ) {
	static const uint8_t options[] = { 0x63, 0x82, 0x53, 0x63, TYPE, 1, 1, WANTED, 5, MASK, ROUTER, LEASE, SERVER, BOOTFILE, 255 };

	if ( size < 300 )
		return -1;
	memset ( out, 0, 300 );
	out[0] = out[1] = 1;
	out[2] = 6;
	out[10] = 0x80;	/* the reply must be broadcast: there is no address yet */
	for ( int i = 0 ; i < 6 && *what ; i++ ) {
		for ( int digit = 0 ; digit < 2 && *what ; digit++, what++ )
			out[28 + i] = out[28 + i] << 4 | ( ( *what & 0xf ) + ( *what > '9' ? 9 : 0 ) );
		if ( *what == ':' )
			what++;
	}
	memcpy ( out + 236, options, sizeof ( options ) );
	return 300;
}

static int dhcp_reply ( const uint8_t *in, int len, char *out, int size ) {
	const uint8_t *server = NULL, *router = NULL;
	char file[64];
	uint8_t type = 0;

	file[0] = '\0';
	if ( len < 240 || in[0] != 2 )
		return -1;
	for ( int at = 240 ; at + 1 < len && in[at] != 255 ; ) {
		const uint8_t *data = in + at + 2;
		int size_of = in[at + 1];

		if ( ! in[at] ) {
			at++;
			continue;
		}
		at += 2 + size_of;
		if ( at > len )
			return -1;
		if ( data[-2] == TYPE )
			type = data[0];
		else if ( data[-2] == SERVER && size_of == 4 )
			server = data;
		else if ( data[-2] == ROUTER && size_of >= 4 )
			router = data;
		else if ( data[-2] == BOOTFILE && size_of < ( int ) sizeof ( file ) ) {
			memcpy ( file, data, size_of );
			file[size_of] = '\0';
		}
	}
	if ( type != 2 || ! server )
		return -1;
	return snprintf ( out, size, "%u.%u.%u.%u from %u.%u.%u.%u%s, file %s", in[16], in[17], in[18], in[19], server[0], server[1],
			  server[2], server[3], router ? ", routed" : "", file );
}

const struct protocol dhcp = { "dhcp", dhcp_request, dhcp_reply };
TABLE_ENTRY ( protocols, struct protocol, dhcp );
