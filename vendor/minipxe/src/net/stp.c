/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Spanning tree protocol: a switch port that is not forwarding yet drops all requests. */
#include <netdevice.h>

static int stp_receive ( struct net_device *netdev, const uint8_t *data, size_t len ) {
	if ( len < 38 || data[0] != 0x42 || data[1] != 0x42 || data[3] || data[4] )
		return -1;
	printf ( "STP: version %u, port %04x of %02x:%02x:%02x:%02x:%02x:%02x, cost %u%s\n", data[5], data[28] << 8 | data[29], data[22],
		 data[23], data[24], data[25], data[26], data[27], ( unsigned ) data[18] << 8 | data[19],
		 ( data[7] & 0x20 ) ? "" : ", which is not forwarding" );
	return 0;
}

/* These are IEEE 802.3 frames, which have a length in place of the type. */
static const struct net_protocol stp_protocol = { "STP", 38, stp_receive };
TABLE_ENTRY ( net_protocols, struct net_protocol, stp_protocol );
