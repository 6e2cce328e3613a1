/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finishes a legacy ROM: pads it, and sets its lengths, the CRC of its payload and its checksums. */
#include <lzma.h>
#include "host.h"

#define SEGMENT 0xf000	/* bytes; the stack uses what the image does not */

/* Sets the byte at slot so that the bytes of the range sum to 0. */
static void balance ( uint8_t *data, size_t size, uint8_t *slot ) {
	uint8_t sum = 0;

	for ( *slot = 0 ; size-- ; )
		sum += *data++;
	*slot = -sum;
}

int main ( int argc, char **argv ) {
	size_t size, padded, payload, payload_end;
	uint8_t *rom, *ipxe, *pcir, *pnp;

	if ( argc != 3 )
		fail ( "usage", "zbin IN OUT" );
	rom = slurp ( argv[1], &size, 512 );
	padded = ( size + 511 ) / 512 * 512;
	if ( size < 0x20 || rom[0] != 0x55 )
		fail ( argv[1], "no ROM" );
	/* The length field is one byte, in blocks of 512 bytes: the maximum is 255 blocks. */
	if ( padded / 512 > 255 ) {
		fprintf ( stderr, "Add 0x0+%#zx at 0x2 overflows 1-byte field\n", padded / 512 );
		return 1;
	}
	memset ( rom + size, 0xff, padded - size );
	ipxe = rom + get16 ( rom + 0x10 );
	pcir = rom + get16 ( rom + 0x18 );
	pnp = rom + get16 ( rom + 0x1a );
	if ( memcmp ( ipxe, "iPXE", 4 ) || memcmp ( pcir, "PCIR", 4 ) || memcmp ( pnp, "$PnP", 4 ) )
		fail ( argv[1], "a pointer of the header is wrong" );

	rom[2] = padded / 512;
	set16 ( pcir + 0x10, padded / 512 );
	set16 ( pcir + 0x16, padded / 512 );
	ipxe[6] = padded / 512;
	payload = get32 ( ipxe + 12 );
	payload_end = get32 ( ipxe + 16 );
	if ( payload > payload_end || payload_end > size )
		fail ( argv[1], "the payload leaves the image" );
	if ( get32 ( ipxe + 20 ) > SEGMENT )
		fail ( argv[1], "the image does not fit its segment" );
	set32 ( ipxe + 24, lzma_crc32 ( rom + payload, payload_end - payload, 0 ) );
	balance ( ipxe, ipxe[4], ipxe + 5 );
	balance ( pnp, pnp[5] * 16, pnp + 9 );
	balance ( rom, padded, rom + 6 );
	spew ( argv[2], rom, padded );
	return 0;
}
