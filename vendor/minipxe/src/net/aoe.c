/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA over Ethernet: shows a server's response to a configuration query. */
#include <netdevice.h>

static int aoe_receive ( struct net_device *netdev, const uint8_t *data, size_t len ) {
	size_t text;

	if ( len < 18 || data[0] >> 4 != 1 || ! ( data[0] & 8 ) || data[5] != 1 )
		return -1;
	if ( data[0] & 4 ) {
		printf ( "AoE: shelf %u slot %u reports error %u\n", data[2] << 8 | data[3], data[4], data[1] );
		return -1;
	}
	text = data[16] << 8 | data[17];
	printf ( "AoE: shelf %u slot %u holds %u buffers, %u bytes of configuration\n", data[2] << 8 | data[3], data[4],
		 data[10] << 8 | data[11], ( unsigned ) ( text > len - 18 ? len - 18 : text ) );
	return 0;
}

static const struct net_protocol aoe_protocol = { "AoE", 0x88a2, aoe_receive };
TABLE_ENTRY ( net_protocols, struct net_protocol, aoe_protocol );
