/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slow protocols (IEEE 802.3): link aggregation (LACP) and markers. */
#include <netdevice.h>

static int slow_receive ( struct net_device *netdev, const uint8_t *data, size_t len ) {
	if ( len < 2 )
		return -1;
	if ( data[0] == 1 && len >= 110 ) {
		printf ( "LACP: partner %02x:%02x:%02x:%02x:%02x:%02x, key %u, %s\n", data[6], data[7], data[8], data[9], data[10], data[11],
			 data[12] << 8 | data[13], ( data[18] & 1 ) ? "active" : "passive" );
		return 0;
	}
	if ( data[0] == 2 && len >= 16 ) {
		printf ( "marker of port %u\n", data[4] << 8 | data[5] );
		return 0;
	}
	return -1;
}

static const struct net_protocol slow_protocol = { "slow", 0x8809, slow_receive };
TABLE_ENTRY ( net_protocols, struct net_protocol, slow_protocol );
