/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <pci.h>

/* The driver for a device, if it is linked; the lower half of ids is the vendor. */
const struct pci_driver *pci_find ( uint32_t ids, const struct pci_id **id ) {
	const struct pci_driver *const *driver;

	FOR_TABLE ( driver, pci_drivers ) {
		for ( unsigned i = 0 ; i < ( *driver )->count ; i++ ) {
			*id = &( *driver )->ids[i];
			if ( ids == ( ( uint32_t ) ( *id )->device << 16 | ( *id )->vendor ) )
				return *driver;
		}
	}
	return NULL;
}

/* Has the driver probe its card, prints what it found, and creates a network device for it. */
struct net_device *pci_probe ( struct pci_device *pci, const char *stage, void *parent ) {
	const struct pci_id *id;
	const struct pci_driver *driver = pci_find ( pci_config ( pci, 0 ), &id );
	struct net_device *netdev;
	char text[19];
	uint64_t mac;

	if ( ! driver )
		return NULL;
	assert ( id->name );
	mac = driver->probe ( pci, id );
	for ( int i = 0 ; i < 6 ; i++ )
		snprintf ( text + 3 * i, 4, "%c%02x", i ? ':' : ' ', ( unsigned ) ( mac >> ( 8 * i ) ) & 0xff );
	netdev = driver->alloc ( mac );
	if ( ! netdev )
		return NULL;
	netdev->parent = parent;
	if ( register_netdev ( netdev ) )
		printf ( "minipxe %s has no network interface\n", driver->name );
	/* One call for the whole line: each console gets it in one piece, and several may share a screen. */
	printf ( "minipxe %s %s, %s:%s\n", driver->name, stage, id->description, text );
	return netdev;
}

uint16_t pci_port ( struct pci_device *pci, unsigned bar ) {
	return pci_config ( pci, 0x10 + 4 * bar ) & 0xfffc;
}

/* A MAC address of six consecutive bytes in a region of the card. */
uint64_t mac_bytes ( struct pci_device *pci, unsigned bar, unsigned offset ) {
	uint64_t mac = 0;

	for ( int i = 5 ; i >= 0 ; i-- )
		mac = mac << 8 | pci_read ( pci, bar, offset + i, 1 );
	return mac;
}

REQUIRING_SYMBOL ( pci_probe );
REQUIRE_OBJECT ( config_pci );
