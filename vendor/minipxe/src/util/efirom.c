/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wraps an EFI driver into an uncompressed PCI option ROM image. */
#include "host.h"

#define HEADER 0x38	/* ROM header, then the PCI Data Structure at 0x1c */
#define PCIR 0x1c

int main ( int argc, char **argv ) {
	unsigned vendor = 0, device = 0;
	size_t size, blocks;
	uint8_t *pe, *rom, *coff;
	int i;

	for ( i = 1 ; i + 1 < argc && argv[i][0] == '-' ; i += 2 ) {
		if ( strcmp ( argv[i], "-v" ) == 0 )
			vendor = strtoul ( argv[i + 1], NULL, 0 );
		else if ( strcmp ( argv[i], "-d" ) == 0 )
			device = strtoul ( argv[i + 1], NULL, 0 );
		else
			break;
	}
	if ( argc - i != 2 || argv[i][0] == '-' )
		fail ( "usage", "efirom -v VENDOR -d DEVICE IN OUT" );
	pe = slurp ( argv[i], &size, 0 );
	if ( size < 0x100 || pe[0] != 'M' || pe[1] != 'Z' || get32 ( pe + 0x3c ) > size - 0x60 )
		fail ( argv[i], "no PE file" );
	coff = pe + get32 ( pe + 0x3c ) + 4;

	blocks = ( HEADER + size + 511 ) / 512;
	if ( blocks > 0xffff )
		fail ( argv[i], "too long" );
	rom = malloc ( blocks * 512 );
	memset ( rom, 0, HEADER );
	memset ( rom + HEADER, 0xff, blocks * 512 - HEADER );
	memcpy ( rom + HEADER, pe, size );
	set16 ( rom, 0xaa55 );
	set16 ( rom + 2, blocks );
	set32 ( rom + 4, 0x0ef1 );
	set16 ( rom + 8, get16 ( coff + 20 + 68 ) );	/* subsystem, from the optional header */
	set16 ( rom + 0xa, get16 ( coff ) );		/* machine */
	set16 ( rom + 0x16, HEADER );
	set16 ( rom + 0x18, PCIR );
	memcpy ( rom + PCIR, "PCIR", 4 );
	set16 ( rom + PCIR + 4, vendor );
	set16 ( rom + PCIR + 6, device );
	set16 ( rom + PCIR + 0xa, 0x1c );
	rom[PCIR + 0xc] = 3;
	rom[PCIR + 0xf] = 2;				/* Ethernet controller */
	set16 ( rom + PCIR + 0x10, blocks );
	rom[PCIR + 0x14] = 3;				/* EFI */
	rom[PCIR + 0x15] = 0x80;			/* last image */
	spew ( argv[i + 1], rom, blocks * 512 );
	return 0;
}
