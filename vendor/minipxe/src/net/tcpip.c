/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netdevice.h>

/* The checksum of RFC 1071; 0 if the data includes its own checksum and is intact. */
uint16_t tcpip_sum ( const uint8_t *data, size_t len ) {
	uint32_t sum = 0;

	for ( size_t i = 0 ; i < len ; i++ )
		sum += i & 1 ? data[i] : data[i] << 8;
	while ( sum >> 16 )
		sum = ( sum & 0xffff ) + ( sum >> 16 );
	return ~sum;
}

int tcpip_receive ( uint8_t protocol, const uint8_t *data, size_t len ) {
	switch ( protocol ) {
	case 1:
		printf ( "ICMP of type %u, %u bytes%s\n", len ? data[0] : 0, ( unsigned ) len, tcpip_sum ( data, len ) ? ", damaged" : "" );
		return 0;
	case 17:
		if ( len < 8 )
			return -1;
		printf ( "UDP for port %u, %u bytes\n", data[2] << 8 | data[3], ( unsigned ) len - 8 );
		return 0;
	}
	return -1;
}
