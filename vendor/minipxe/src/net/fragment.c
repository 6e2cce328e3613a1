/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reassembles one datagram at a time; its fragments must arrive in order. */
#include <netdevice.h>

static uint8_t whole[512];
static size_t have;
static uint16_t current;

const uint8_t *fragment_add ( uint16_t id, unsigned offset, const uint8_t *data, size_t *len, int more ) {
	if ( ! offset ) {
		current = id;
		have = 0;
	}
	if ( id != current || offset != have || have + *len > sizeof ( whole ) )
		return NULL;
	memcpy ( whole + have, data, *len );
	have += *len;
	*len = have;
	return more ? NULL : whole;
}
