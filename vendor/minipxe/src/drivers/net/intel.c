/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One driver for three families of cards. */
#include <pci.h>

#define CTRL 0x0000
#define RAL0 0x5400	/* receive address, which is the MAC address after reset */

static const struct pci_id e1000_ids[] = {
	PCI_ROM ( 0x8086, 0x100c, "82544gc", "Intel 82544GC", 0 ),
	PCI_ROM ( 0x8086, 0x100e, "82540em", "Intel 82540EM", 0 ),
	PCI_ROM ( 0x8086, 0x100f, "82545em", "Intel 82545EM", 0 ),
};

static const struct pci_id e1000e_ids[] = {
	PCI_ROM ( 0x8086, 0x10d3, "82574l", "Intel 82574L", 0 ),
};

static const struct pci_id igb_ids[] = {
	PCI_ROM ( 0x8086, 0x10c9, "82576", "Intel 82576", 0 ),
};

static uint64_t e1000_probe ( struct pci_device *pci, const struct pci_id *id ) {
	uint64_t high = pci_read ( pci, 0, RAL0 + 4, 4 ) & 0xffff;

	DBG ( "intel: %04x, RAH %08x\n", id->device, ( unsigned ) high );
	return high << 32 | pci_read ( pci, 0, RAL0, 4 );
}

/* A card that was removed from the bus reads as all ones. */
static uint64_t e1000e_probe ( struct pci_device *pci, const struct pci_id *id ) {
	return pci_read ( pci, 0, CTRL, 4 ) == 0xffffffff ? 0 : e1000_probe ( pci, id );
}

PCI_DRIVER ( e1000, e1000_ids, e1000_probe );
PCI_DRIVER ( e1000e, e1000e_ids, e1000e_probe );
PCI_DRIVER ( igb, igb_ids, e1000e_probe );
