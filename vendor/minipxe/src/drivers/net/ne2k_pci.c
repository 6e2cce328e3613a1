/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MAC address is in a PROM, which is read by the card's remote DMA. */
#include <io.h>
#include <pci.h>

enum { COMMAND = 0, START_LOW = 8, START_HIGH, COUNT_LOW, COUNT_HIGH, DATA_CONFIG = 0xe, DATA = 0x10 };
enum { STOP = 1, START = 2, DMA_READ = 8, DMA_ABORT = 0x20 };

static const struct pci_id ne2k_pci_ids[] = {
	PCI_ROM ( 0x10ec, 0x8029, "rtl8029", "Realtek RTL8029", 0 ),
	PCI_ROM ( 0x1050, 0x0940, "w89c940", "Winbond W89C940F", 0 ),
};

static uint64_t ne2k_pci_probe ( struct pci_device *pci, const struct pci_id *id ) {
	uint16_t ioaddr = pci_port ( pci, 0 );
	uint64_t mac = 0;

	outb ( STOP | DMA_ABORT, ioaddr + COMMAND );
	outb ( 0x48, ioaddr + DATA_CONFIG );	/* bytes, not words */
	outb ( 0, ioaddr + START_LOW );
	outb ( 0, ioaddr + START_HIGH );
	outb ( 12, ioaddr + COUNT_LOW );
	outb ( 0, ioaddr + COUNT_HIGH );
	outb ( START | DMA_READ, ioaddr + COMMAND );
	for ( int i = 0 ; i < 6 ; i++ ) {
		mac |= ( uint64_t ) inb ( ioaddr + DATA ) << ( 8 * i );
		inb ( ioaddr + DATA );	/* the PROM has each byte twice */
	}
	return mac;
}

PCI_DRIVER ( ne2k_pci, ne2k_pci_ids, ne2k_pci_probe );
