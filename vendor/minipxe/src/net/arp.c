/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ARP (RFC 826). */
#include <netdevice.h>

size_t arp_request ( struct net_device *netdev, struct in_addr target, uint8_t *out ) {
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	memset ( out, 0, 28 );
	memcpy ( out, head, sizeof ( head ) );
	memcpy ( out + 8, netdev->mac, 6 );
	memcpy ( out + 24, target.bytes, 4 );
	return 28;
}

static int arp_receive ( struct net_device *netdev, const uint8_t *data, size_t len ) {
	struct in_addr sender;

	if ( len < 28 || data[1] != netdev->link->type || data[4] != netdev->link->addr_len || data[5] != 4 )
		return -1;
	memcpy ( sender.bytes, data + 14, 4 );
	neighbour_learn ( sender, data + 8 );
	printf ( "%s is at %02x:%02x:%02x:%02x:%02x:%02x\n", inet_ntoa ( sender ), data[8], data[9], data[10], data[11], data[12],
		 data[13] );
	return 0;
}

static const struct net_protocol arp_protocol = { "ARP", 0x0806, arp_receive };
TABLE_ENTRY ( net_protocols, struct net_protocol, arp_protocol );
