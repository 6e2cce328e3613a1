/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <io.h>
#include <pci.h>

#define APROM 0x00

static const struct pci_id pcnet_ids[] = {
	PCI_ROM ( 0x1022, 0x2000, "am79c970a", "AMD PCnet", 0 ),
};

static uint64_t pcnet_probe ( struct pci_device *pci, const struct pci_id *id ) {
	uint16_t ioaddr = pci_port ( pci, 0 );
	uint64_t mac = 0;

	for ( int i = 5 ; i >= 0 ; i-- )
		mac = mac << 8 | inb ( ioaddr + APROM + i );
	return mac;
}

PCI_DRIVER ( pcnet, pcnet_ids, pcnet_probe );
