/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port authentication (IEEE 802.1X): shows the requests of the authenticator. */
#include <netdevice.h>

static int eapol_receive ( struct net_device *netdev, const uint8_t *data, size_t len ) {
	size_t size;

	if ( len < 4 )
		return -1;
	size = data[2] << 8 | data[3];
	if ( size > len - 4 )
		return -1;
	switch ( data[1] ) {
	case 0:
		if ( size < 4 )
			return -1;
		printf ( "EAPoL: request %u of type %u\n", data[5], size > 4 ? data[8] : 0 );
		return 0;
	case 1:
		printf ( "EAPoL: somebody starts\n" );
		return 0;
	case 3:
		printf ( "EAPoL: a key of %u bytes\n", ( unsigned ) size );
		return 0;
	}
	return -1;
}

static const struct net_protocol eapol_protocol = { "EAPoL", 0x888e, eapol_receive };
TABLE_ENTRY ( net_protocols, struct net_protocol, eapol_protocol );
