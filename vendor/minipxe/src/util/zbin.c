/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finishes a legacy ROM: pads it, and sets its lengths, the CRC of its payload and its checksums. With --mrom, moves the
 * payload into a second image, which no BIOS runs. With --plain, sets only the CRC and the checksum of our header: the file
 * is no ROM.
 */
#include <lzma.h>
#include "host.h"

#define SEGMENT 0xf000	/* bytes; the stack uses what the image does not */
#define BLOCK 512
#define PCIR 0x1c	/* of the second image */

/* Sets the byte at slot so that the bytes of the range sum to 0. */
static void balance ( uint8_t *data, size_t size, uint8_t *slot ) {
	uint8_t sum = 0;

	for ( *slot = 0 ; size-- ; )
		sum += *data++;
	*slot = -sum;
}

/* Makes the header block of the second image, whose payload has this size; pcir is that of the first. */
static void write_payload_header ( uint8_t *image, const uint8_t *pcir, size_t size ) {
	size_t blocks = 1 + size / BLOCK;

	memset ( image, 0, BLOCK );
	set16 ( image, 0xaa55 );
	image[2] = 1;	/* a BIOS need not read more than the header */
	set16 ( image + 0x18, PCIR );
	memcpy ( image + PCIR, pcir, 8 );	/* signature and IDs */
	set16 ( image + PCIR + 0xa, 0x1c );
	image[PCIR + 0xc] = 3;
	memcpy ( image + PCIR + 0xd, pcir + 0xd, 3 );	/* class code */
	set16 ( image + PCIR + 0x10, blocks );
	set16 ( image + PCIR + 0x12, 1 );
	image[PCIR + 0x14] = 0xff;
	image[PCIR + 0x15] = 0x80;
	balance ( image, BLOCK + size, image + 6 );
}

/* Sets the CRC in our header, which is that of the payload at this place, and the header's checksum. */
static void set_crc ( const char *file, uint8_t *ipxe, const uint8_t *at, size_t size ) {
	size_t payload = get32 ( ipxe + 12 ), payload_end = get32 ( ipxe + 16 );

	if ( payload > payload_end || payload_end > size )
		fail ( file, "the payload leaves the image" );
	if ( get32 ( ipxe + 20 ) > SEGMENT )
		fail ( file, "the image does not fit its segment" );
	set32 ( ipxe + 24, lzma_crc32 ( at, payload_end - payload, 0 ) );
	balance ( ipxe, ipxe[4], ipxe + 5 );
}

int main ( int argc, char **argv ) {
	size_t size, padded, payload, rest = 0;
	uint8_t *rom, *ipxe, *pcir, *pnp;
	int mrom = argc == 4 && ! strcmp ( argv[1], "--mrom" ), plain = argc == 4 && ! strcmp ( argv[1], "--plain" );

	argv += mrom + plain;
	if ( argc - mrom - plain != 3 )
		fail ( "usage", "zbin [--mrom | --plain] IN OUT" );
	rom = slurp ( argv[1], &size, 2 * BLOCK );
	padded = ( size + BLOCK - 1 ) / BLOCK * BLOCK;
	if ( size < 0x20 || ( rom[0] != 0x55 && ! plain ) )
		fail ( argv[1], "no ROM" );
	memset ( rom + size, 0xff, padded - size );
	ipxe = rom + get16 ( rom + 0x10 );
	payload = get32 ( ipxe + 12 );
	if ( plain ) {
		set_crc ( argv[1], ipxe, rom + payload, size );
		spew ( argv[2], rom, size );
		return 0;
	}
	if ( payload > size || ( mrom && payload % BLOCK ) )
		fail ( argv[1], "the payload leaves the image" );
	if ( mrom ) {
		rest = padded - payload;
		padded = payload;
		memmove ( rom + payload + BLOCK, rom + payload, rest );
	}
	/* The length field is one byte, in blocks of 512 bytes: the maximum is 255 blocks. */
	if ( padded / BLOCK > 255 ) {
		fprintf ( stderr, "Add 0x0+%#zx at 0x2 overflows 1-byte field\n", padded / BLOCK );
		return 1;
	}
	pcir = rom + get16 ( rom + 0x18 );
	pnp = rom + get16 ( rom + 0x1a );
	if ( memcmp ( ipxe, "iPXE", 4 ) || memcmp ( pcir, "PCIR", 4 ) || memcmp ( pnp, "$PnP", 4 ) )
		fail ( argv[1], "a pointer of the header is wrong" );

	rom[2] = padded / BLOCK;
	set16 ( pcir + 0x10, padded / BLOCK );
	set16 ( pcir + 0x16, padded / BLOCK );
	if ( mrom )
		pcir[0x15] = 0;	/* not the last image */
	ipxe[6] = ( payload + BLOCK - 1 ) / BLOCK;	/* the length without the payload */
	set_crc ( argv[1], ipxe, rom + payload + ( mrom ? BLOCK : 0 ), size );
	balance ( pnp, pnp[5] * 16, pnp + 9 );
	balance ( rom, padded, rom + 6 );
	if ( mrom ) {
		write_payload_header ( rom + payload, pcir, rest );
		padded += BLOCK + rest;
	}
	spew ( argv[2], rom, padded );
	return 0;
}
