/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pci.h>

#define CTRL 0x0000
#define RAL0 0x5400

static const struct pci_id e1000e_ids[] = {
	PCI_ROM ( 0x8086, 0x10d3, "82574l", "Intel 82574L", 0 ),
};

/* As e1000, but a card that has gone from the bus reads as all ones. */
static uint64_t e1000e_probe ( struct pci_device *pci, const struct pci_id *id ) {
	uint64_t high;

	if ( pci_read ( pci, 0, CTRL, 4 ) == 0xffffffff )
		return 0;
	high = pci_read ( pci, 0, RAL0 + 4, 4 ) & 0xffff;
	return high << 32 | pci_read ( pci, 0, RAL0, 4 );
}

PCI_DRIVER ( e1000e, e1000e_ids, e1000e_probe );
