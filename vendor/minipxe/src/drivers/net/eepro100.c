/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MAC address is in a serial EEPROM, which is read bit by bit. */
#include <io.h>
#include <pci.h>

#define EEPROM 0x0e	/* control register in the I/O region */
enum { CLOCK = 1, SELECT = 2, TO_CHIP = 4, FROM_CHIP = 8 };

static const struct pci_id eepro100_ids[] = {
	PCI_ROM ( 0x8086, 0x1209, "82559er", "Intel 82559ER", 0 ),
	PCI_ROM ( 0x8086, 0x1229, "82557", "Intel 8255x", 0 ),
	PCI_ROM ( 0x8086, 0x2449, "82562em", "Intel 82801", 0 ),
};

static unsigned eeprom_bit ( uint16_t ioaddr, unsigned bit ) {
	unsigned lines = SELECT | ( bit ? TO_CHIP : 0 );

	outw ( lines, ioaddr + EEPROM );
	outw ( lines | CLOCK, ioaddr + EEPROM );
	lines = inw ( ioaddr + EEPROM ) & FROM_CHIP;
	outw ( SELECT, ioaddr + EEPROM );
	return lines ? 1 : 0;
}

/* Sends the opcode 110 (read), then the address. The chip drives its output to 0 after the last address bit. */
static unsigned eeprom_word ( uint16_t ioaddr, unsigned address ) {
	unsigned word = 0;
	int i;

	outw ( SELECT, ioaddr + EEPROM );
	for ( i = 2 ; i >= 0 ; i-- )
		eeprom_bit ( ioaddr, 6 >> i & 1 );
	for ( i = 5 ; i >= 0 ; i-- )
		eeprom_bit ( ioaddr, address >> i & 1 );
	for ( i = 0 ; i < 16 ; i++ )
		word = word << 1 | eeprom_bit ( ioaddr, 0 );
	outw ( 0, ioaddr + EEPROM );
	return word;
}

static uint64_t eepro100_probe ( struct pci_device *pci, const struct pci_id *id ) {
	uint16_t ioaddr = pci_port ( pci, 1 );
	uint64_t mac = 0;

	for ( int i = 2 ; i >= 0 ; i-- )
		mac = mac << 16 | eeprom_word ( ioaddr, i );
	return mac;
}

PCI_DRIVER ( eepro100, eepro100_ids, eepro100_probe );
