/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PCI_H
#define PCI_H

#include <netdevice.h>

struct pci_device;	/* how the platform accesses a device */

struct pci_id {
	uint16_t vendor, device;
	const char *name, *description;
	uint32_t data;
};

/* A device and the name of its ROM. util/parserom.pl reads these lines, too, and the line NIC_ids[] before them. */
#define PCI_ROM( vendor, device, name, description, data ) { vendor, device, name, description, data }

struct pci_driver {
	const char *name;
	const struct pci_id *ids;
	unsigned count;
	/* The card's MAC address, with the first byte in the lowest bits; 0 if the card does not respond */
	uint64_t ( * probe ) ( struct pci_device *pci, const struct pci_id *id );
	struct net_device * ( * alloc ) ( uint64_t mac );
};
TABLE ( pci_drivers, struct pci_driver );

#define PCI_DRIVER( driver, list, function )				\
	static const struct pci_driver driver ## _driver = {		\
		.name = #driver, .ids = list,				\
		.count = sizeof ( list ) / sizeof ( list[0] ),		\
		.probe = function,					\
		.alloc = alloc_etherdev,				\
	};								\
	TABLE_ENTRY ( pci_drivers, struct pci_driver, driver ## _driver )

uint32_t pci_config ( struct pci_device *pci, unsigned offset );
/* Reads 1, 2 or 4 bytes of an I/O or memory region */
uint32_t pci_read ( struct pci_device *pci, unsigned bar, unsigned offset, unsigned width );

/* The first port of an I/O region, for drivers that use inb() and outb() */
uint16_t pci_port ( struct pci_device *pci, unsigned bar );

const struct pci_driver *pci_find ( uint32_t ids, const struct pci_id **id );
struct net_device *pci_probe ( struct pci_device *pci, const char *stage, void *parent );
uint64_t mac_bytes ( struct pci_device *pci, unsigned bar, unsigned offset );

#endif
