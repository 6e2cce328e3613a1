/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LLDP: shows the switch and the port that a card is connected to. */
#include <netdevice.h>

static char neighbour[64];

static int lldp_receive ( struct net_device *netdev, const uint8_t *data, size_t len ) {
	while ( len >= 2 ) {
		unsigned type = data[0] >> 1, size = ( data[0] & 1 ) << 8 | data[1];

		if ( size > len - 2 )
			return -1;
		if ( ! type )
			return 0;
		if ( type == 5 && size < sizeof ( neighbour ) ) {
			memcpy ( neighbour, data + 2, size );
			neighbour[size] = '\0';
		}
		DBG ( "LLDP: part %u of %u bytes\n", type, size );
		data += 2 + size;
		len -= 2 + size;
	}
	return -1;
}

static int fetch_lldp ( struct net_device *netdev, char *out, size_t size ) {
	return snprintf ( out, size, "%s", neighbour );
}

static const struct net_protocol lldp_protocol = { "LLDP", 0x88cc, lldp_receive };
static const struct setting lldp_setting = { "lldp", "the name of the switch", fetch_lldp };
TABLE_ENTRY ( net_protocols, struct net_protocol, lldp_protocol );
TABLE_ENTRY ( settings, struct setting, lldp_setting );
REQUIRING_SYMBOL ( lldp_receive );
REQUIRE_OBJECT ( settings );
