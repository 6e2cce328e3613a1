/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TFTP (RFC 1350): a read request with a block size (RFC 2348), and the first answer. */
#include <minipxe.h>

static int tftp_request ( const char *what, uint8_t *out, int size ) {
	static const char options[] = "octet\0blksize\0" "1432\0tsize\0" "0";
	int len = strlen ( what ) + 1;

	if ( len + 2 + ( int ) sizeof ( options ) > size )
		return -1;
	out[0] = 0;
	out[1] = 1;
	memcpy ( out + 2, what, len );
	memcpy ( out + 2 + len, options, sizeof ( options ) );
	return 2 + len + sizeof ( options );
}

static int tftp_reply ( const uint8_t *in, int len, char *out, int size ) {
	static const char *const errors[] = { "not defined", "file not found", "access violation", "disk full", "illegal operation",
					      "unknown transfer", "file exists", "no such user", "option refused" };
	unsigned number = len >= 4 ? in[2] << 8 | in[3] : 0;

	if ( len < 4 || in[0] )
		return -1;
	switch ( in[1] ) {
	case 3:
		return snprintf ( out, size, "block %u, %u bytes", number, ( unsigned ) len - 4 );
	case 5:
		return snprintf ( out, size, "error %u: %s", number, errors[number < 9 ? number : 0] );
	case 6:
		return snprintf ( out, size, "options taken" );
	}
	return -1;
}

const struct protocol tftp = { "tftp", tftp_request, tftp_reply };
TABLE_ENTRY ( protocols, struct protocol, tftp );
