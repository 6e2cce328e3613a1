/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IPv4 (RFC 791). */
#include <netdevice.h>

const char *inet_ntoa ( struct in_addr address ) {
	static char text[16];

	snprintf ( text, sizeof ( text ), "%u.%u.%u.%u", address.bytes[0], address.bytes[1], address.bytes[2], address.bytes[3] );
	return text;
}

static int ipv4_receive ( struct net_device *netdev, const uint8_t *data, size_t len ) {
	size_t header = len ? 4 * ( data[0] & 0xf ) : 0, total;
	unsigned flags;

	if ( len < 20 || data[0] >> 4 != 4 || header < 20 || header > len || tcpip_sum ( data, header ) )
		return -1;
	total = data[2] << 8 | data[3];
	if ( total < header || total > len )
		return -1;
	flags = data[6] << 8 | data[7];
	total -= header;
	if ( flags & 0x3fff ) {
		data = fragment_add ( data[4] << 8 | data[5], 8 * ( flags & 0x1fff ), data + header, &total, flags & 0x2000 );
		return data ? tcpip_receive ( 0, data, total ) : 0;
	}
	return tcpip_receive ( data[9], data + header, total );
}

static const struct net_protocol ipv4_protocol = { "IPv4", 0x0800, ipv4_receive };
TABLE_ENTRY ( net_protocols, struct net_protocol, ipv4_protocol );
REQUIRING_SYMBOL ( ipv4_protocol );
REQUIRE_OBJECT ( arp );
REQUIRE_OBJECT ( icmp );
