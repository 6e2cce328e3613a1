/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pci.h>

#define IDR0 0x00

static const struct pci_id rtl8139_ids[] = {
	PCI_ROM ( 0x10ec, 0x8139, "rtl8139", "Realtek RTL8139", 0 ),
};

static uint64_t rtl8139_probe ( struct pci_device *pci, const struct pci_id *id ) {
	return mac_bytes ( pci, 0, IDR0 );
}

PCI_DRIVER ( rtl8139, rtl8139_ids, rtl8139_probe );
