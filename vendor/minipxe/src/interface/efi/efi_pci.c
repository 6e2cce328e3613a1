/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PCI device is represented by its PCI I/O protocol. */
#include <efi.h>
#include <pci.h>

uint32_t pci_config ( struct pci_device *device, unsigned offset ) {
	struct efi_pci *pci = ( struct efi_pci * ) device;
	uint32_t value = ~0u;

	pci->config_read ( pci, 2, offset & 0xfc, 1, &value );
	return value;
}

/* The protocol encodes a width as its binary logarithm. */
static int log_of ( unsigned width ) {
	return width / 2;
}

/*
 * The protocol numbers regions by their place in configuration space, where a 64-bit region takes two places.
 * The drivers use the same numbers.
 */
uint32_t pci_read ( struct pci_device *device, unsigned bar, unsigned offset, unsigned width ) {
	struct efi_pci *pci = ( struct efi_pci * ) device;
	efi_bar_access read = pci_config ( device, 0x10 + 4 * bar ) & 1 ? pci->io_read : pci->memory_read;
	uint32_t value = 0;

	read ( pci, log_of ( width ), bar, offset, 1, &value );
	return value;
}
