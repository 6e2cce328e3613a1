/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pci.h>

#define LEGACY_CONFIG 0x14	/* device configuration in the I/O region, without MSI-X */
#define DEVICE_CONFIG 4		/* type of the capability with its place in a modern device */

static const struct pci_id virtio_ids[] = {
	PCI_ROM ( 0x1af4, 0x1000, "virtio-net", "Virtio network card", 0 ),
	PCI_ROM ( 0x1af4, 0x1041, "virtio-net-1.0", "Virtio 1.0 network card", 1 ),
};

static uint64_t virtio_probe ( struct pci_device *pci, const struct pci_id *id ) {
	unsigned at = pci_config ( pci, 0x34 ) & 0xfc;

	if ( ! id->data )
		return mac_bytes ( pci, 0, LEGACY_CONFIG );
	while ( at ) {
		uint32_t capability = pci_config ( pci, at );

		if ( ( capability & 0xff ) == 9 && capability >> 24 == DEVICE_CONFIG )
			return mac_bytes ( pci, pci_config ( pci, at + 4 ) & 0xff, pci_config ( pci, at + 8 ) );
		at = capability >> 8 & 0xfc;
	}
	return 0;
}

PCI_DRIVER ( virtio, virtio_ids, virtio_probe );
