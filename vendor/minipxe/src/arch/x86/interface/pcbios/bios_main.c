/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The boot code of a legacy ROM. It runs in a copy of the image in RAM: see romprefix.S. */
#include <pci.h>
#include <ports.h>
#include <config/general.h>

extern const uint8_t _payload[], _payload_end[];
extern const uint32_t payload_crc;
uint32_t flat_read ( uint32_t address );

#ifdef CONSOLE_FIRMWARE
static void firmware_putc ( char c ) {
	__asm__ volatile ( "pushl %%ebp\n\tint $0x10\n\tpopl %%ebp" : : "a" ( 0x0e00 | ( uint8_t ) c ), "b" ( 7 ) : "memory" );
}
#endif

/*
 * Writes the whole text to one console, then to the next. A BIOS may mirror its screen to the serial port in a timer
 * interrupt, so interrupts are off until our text is written.
 */
void console_write ( const char *text ) {
	__asm__ volatile ( "cli" );
	ports_write ( text );
	__asm__ volatile ( "sti" );
#ifdef CONSOLE_FIRMWARE
	for ( ; *text ; text++ ) {
		if ( *text == '\n' )
			firmware_putc ( '\r' );
		firmware_putc ( *text );
	}
#endif
}

static uint32_t config_port ( struct pci_device *pci, unsigned offset ) {
	outl ( 0x80000000 | ( uint32_t ) ( uintptr_t ) pci << 8 | ( offset & 0xfc ), 0xcf8 );
	return inl ( 0xcfc );
}

uint32_t pci_config ( struct pci_device *pci, unsigned offset ) {
	return config_port ( pci, offset );
}

uint32_t pci_read ( struct pci_device *pci, unsigned bar, unsigned offset, unsigned width ) {
	uint32_t base = config_port ( pci, 0x10 + 4 * bar ), mask = width == 4 ? 0xffffffff : ( 1u << ( 8 * width ) ) - 1;

	if ( base & 1 ) {
		base = ( base & 0xfffc ) + offset;
		return width == 1 ? inb ( base ) : width == 2 ? inw ( base ) : inl ( base );
	}
	base = ( base & ~0xfu ) + offset;
	return flat_read ( base & ~3u ) >> ( 8 * ( base & 3 ) ) & mask;
}

/* Whether the image is as it was built, by its CRC. */
static int intact ( void ) {
	uint32_t crc = ~0u;

	for ( const uint8_t *byte = _payload ; byte < _payload_end ; byte++ ) {
		crc ^= *byte;
		for ( int bit = 0 ; bit < 8 ; bit++ )
			crc = crc >> 1 ^ ( crc & 1 ? 0xedb88320 : 0 );
	}
	return ~crc == payload_crc;
}

static void banner ( void ) {
	printf ( "%s\n", BANNER );
#if BANNER_TIMEOUT
	uint32_t start = flat_read ( 0x46c );	/* BIOS tick counter, 18.2 ticks a second */

	while ( ( flat_read ( 0x46c ) - start ) * 10 < BANNER_TIMEOUT * 18 ) {}
#endif
}

void bios_main ( void ) {
	if ( ! intact() ) {
		printf ( "minipxe: the image is damaged\n" );
		return;
	}
	print_mark ( "boot" );
	banner();
	/* Four buses are enough for any machine that boots this. */
	for ( uint32_t device = 0 ; device < 0x400 ; device++ )
		pci_probe ( ( struct pci_device * ) ( uintptr_t ) device, "found", NULL );
	probe_root_drivers();
#ifdef EXIT_PORT
	outb ( EXIT_VALUE, EXIT_PORT );
#endif
}
