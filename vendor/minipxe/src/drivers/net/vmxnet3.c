/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pci.h>

#define MACL 0x28	/* in the second memory region */
#define MACH 0x30

static const struct pci_id vmxnet3_ids[] = {
	PCI_ROM ( 0x15ad, 0x07b0, "vmxnet3-pci", "VMware vmxnet3", 0 ),
};

static uint64_t vmxnet3_probe ( struct pci_device *pci, const struct pci_id *id ) {
	return ( uint64_t ) ( pci_read ( pci, 1, MACH, 4 ) & 0xffff ) << 32 | pci_read ( pci, 1, MACL, 4 );
}

PCI_DRIVER ( vmxnet3, vmxnet3_ids, vmxnet3_probe );
