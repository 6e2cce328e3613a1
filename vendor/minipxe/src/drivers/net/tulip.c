/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MAC address is in a serial ROM, which is read bit by bit. */
#include <io.h>
#include <pci.h>

#define CSR9 0x48	/* serial ROM, in the I/O region */
enum { SELECT = 1, CLOCK = 2, TO_CHIP = 4, FROM_CHIP = 8, SERIAL_ROM = 0x800, READ = 0x4000 };
enum { MAC_WORD = 10 };

static const struct pci_id tulip_ids[] = {
	PCI_ROM ( 0x1011, 0x0019, "ds21142", "Digital 21142", 0 ),
};

static unsigned rom_bit ( uint16_t ioaddr, unsigned bit ) {
	uint32_t lines = READ | SERIAL_ROM | SELECT | ( bit ? TO_CHIP : 0 );

	outl ( lines, ioaddr + CSR9 );
	outl ( lines | CLOCK, ioaddr + CSR9 );
	bit = inl ( ioaddr + CSR9 ) & FROM_CHIP;
	outl ( lines, ioaddr + CSR9 );
	return bit ? 1 : 0;
}

/* Sends the opcode 110 (read), then the address. */
static unsigned rom_word ( uint16_t ioaddr, unsigned address ) {
	unsigned word = 0;
	int i;

	outl ( READ | SERIAL_ROM | SELECT, ioaddr + CSR9 );
	for ( i = 2 ; i >= 0 ; i-- )
		rom_bit ( ioaddr, 6 >> i & 1 );
	for ( i = 5 ; i >= 0 ; i-- )
		rom_bit ( ioaddr, address >> i & 1 );
	for ( i = 0 ; i < 16 ; i++ )
		word = word << 1 | rom_bit ( ioaddr, 0 );
	outl ( READ | SERIAL_ROM, ioaddr + CSR9 );	/* deselects the ROM */
	return word;
}

static uint64_t tulip_probe ( struct pci_device *pci, const struct pci_id *id ) {
	uint16_t ioaddr = pci_port ( pci, 0 );
	uint64_t mac = 0;

	for ( int i = 2 ; i >= 0 ; i-- )
		mac = mac << 16 | rom_word ( ioaddr, MAC_WORD + i );
	return mac;
}

PCI_DRIVER ( tulip, tulip_ids, tulip_probe );
