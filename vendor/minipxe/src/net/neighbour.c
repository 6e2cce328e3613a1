/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The link-layer addresses of the last few neighbours. */
#include <netdevice.h>

#define MOST 8

static struct neighbour {
	struct in_addr address;
	uint8_t mac[6];
} neighbours[MOST];
static unsigned next;

const uint8_t *neighbour_find ( struct in_addr address ) {
	for ( int i = 0 ; i < MOST ; i++ ) {
		if ( memcmp ( &neighbours[i].address, &address, sizeof ( address ) ) == 0 )
			return neighbours[i].mac;
	}
	return NULL;
}

void neighbour_learn ( struct in_addr address, const uint8_t *mac ) {
	uint8_t *known = ( uint8_t * ) neighbour_find ( address );

	if ( ! known ) {
		struct neighbour *neighbour = &neighbours[next++ % MOST];

		neighbour->address = address;
		known = neighbour->mac;
	}
	memcpy ( known, mac, 6 );
}
