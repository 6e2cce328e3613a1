/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pci.h>

#define APROM 0x00

static const struct pci_id pcnet_ids[] = {
	PCI_ROM ( 0x1022, 0x2000, "am79c970a", "AMD PCnet", 0 ),
};

static uint64_t pcnet_probe ( struct pci_device *pci, const struct pci_id *id ) {
	return mac_bytes ( pci, 0, APROM );
}

PCI_DRIVER ( pcnet, pcnet_ids, pcnet_probe );
