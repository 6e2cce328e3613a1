/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ICMP (RFC 792): the reply to an echo request. */
#include <netdevice.h>

static int icmp_request ( const char *what, uint8_t *out, int size ) {
	int len = 8 + strlen ( what );
	uint16_t sum;

	if ( len > size )
		return -1;
	memset ( out, 0, 8 );
	out[0] = 8;
	memcpy ( out + 8, what, len - 8 );
	sum = tcpip_sum ( out, len );
	out[2] = sum >> 8;
	out[3] = sum;
	return len;
}

static int icmp_reply ( const uint8_t *in, int len, char *out, int size ) {
	struct in_addr router;

	if ( len < 8 || tcpip_sum ( in, len ) )
		return -1;
	memcpy ( router.bytes, in + 4, 4 );
	if ( in[0] == 5 )
		return snprintf ( out, size, "redirected to %s%s", inet_ntoa ( router ), neighbour_find ( router ) ? ", which is known" : "" );
	return in[0] ? -1 : snprintf ( out, size, "alive, %u bytes", ( unsigned ) len - 8 );
}

static const struct protocol icmp = { "icmp", icmp_request, icmp_reply };
TABLE_ENTRY ( protocols, struct protocol, icmp );
