/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MAC address is in a serial EEPROM, which is read bit by bit. */
#include <pci.h>

#define EEPROM 0x0e	/* control register in the I/O region */
enum { CLOCK = 1, SELECT = 2, TO_CHIP = 4, FROM_CHIP = 8 };

static const struct pci_id eepro100_ids[] = {
	PCI_ROM ( 0x8086, 0x1209, "82559er", "Intel 82559ER", 0 ),
	PCI_ROM ( 0x8086, 0x1229, "82557", "Intel 8255x", 0 ),
};

static unsigned eeprom_bit ( struct pci_device *pci, unsigned bit ) {
	unsigned lines = SELECT | ( bit ? TO_CHIP : 0 );

	pci_write ( pci, 1, EEPROM, 2, lines );
	pci_write ( pci, 1, EEPROM, 2, lines | CLOCK );
	lines = pci_read ( pci, 1, EEPROM, 2 ) & FROM_CHIP;
	pci_write ( pci, 1, EEPROM, 2, SELECT );
	return lines ? 1 : 0;
}

/* Sends the opcode 110 (read), then the address. The chip drives its output to 0 after the last address bit. */
static unsigned eeprom_word ( struct pci_device *pci, unsigned address ) {
	unsigned word = 0;
	int i;

	pci_write ( pci, 1, EEPROM, 2, SELECT );
	for ( i = 2 ; i >= 0 ; i-- )
		eeprom_bit ( pci, 6 >> i & 1 );
	for ( i = 5 ; i >= 0 ; i-- )
		eeprom_bit ( pci, address >> i & 1 );
	for ( i = 0 ; i < 16 ; i++ )
		word = word << 1 | eeprom_bit ( pci, 0 );
	pci_write ( pci, 1, EEPROM, 2, 0 );
	return word;
}

static uint64_t eepro100_probe ( struct pci_device *pci, const struct pci_id *id ) {
	uint64_t mac = 0;

	for ( int i = 2 ; i >= 0 ; i-- )
		mac = mac << 16 | eeprom_word ( pci, i );
	return mac;
}

PCI_DRIVER ( eepro100, eepro100_ids, eepro100_probe );
