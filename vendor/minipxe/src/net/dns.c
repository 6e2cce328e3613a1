/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DNS (RFC 1035): writes a query for an address, and reads the address from the reply. */
#include <minipxe.h>

static int dns_request ( const char *what, uint8_t *out, int size ) {
	static const uint8_t header[12] = { 0x4d, 0x50, 1, 0, 0, 1 }, question[5] = { 0, 0, 1, 0, 1 };
	int len = sizeof ( header );

	memcpy ( out, header, len );
	while ( *what ) {
		int label = 0;

		while ( what[label] && what[label] != '.' )
			label++;
		if ( ! label || label > 63 || len + label + 1 + ( int ) sizeof ( question ) > size )
			return -1;
		out[len++] = label;
		memcpy ( out + len, what, label );
		len += label;
		what += label;
		if ( *what == '.' )
			what++;
	}
	memcpy ( out + len, question, sizeof ( question ) );
	return len + sizeof ( question );
}

/* The offset after a name, which may end in a pointer to another name. */
static int skip_name ( const uint8_t *in, int len, int at ) {
	while ( at < len && in[at] && in[at] < 0xc0 )
		at += 1 + in[at];
	return at < len && in[at] ? at + 2 : at + 1;
}

static int dns_reply ( const uint8_t *in, int len, char *out, int size ) {
	int answers, at;

	if ( len < 12 || in[3] & 0xf )
		return -1;
	answers = in[6] << 8 | in[7];
	at = skip_name ( in, len, 12 ) + 4;
	for ( ; answers > 0 ; answers-- ) {
		const uint8_t *record;

		at = skip_name ( in, len, at );
		if ( at + 10 > len )
			return -1;
		record = in + at;
		at += 10 + ( record[8] << 8 | record[9] );
		if ( at <= len && record[1] == 1 && record[9] == 4 )
			return snprintf ( out, size, "%u.%u.%u.%u", record[10], record[11], record[12], record[13] );
	}
	return -1;
}

static const struct protocol dns = { "dns", dns_request, dns_reply };
TABLE_ENTRY ( protocols, struct protocol, dns );
