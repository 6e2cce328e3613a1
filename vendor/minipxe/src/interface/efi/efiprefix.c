/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry point of an application: it probes the cards that it has drivers for, and exits. */
#include <efi.h>
#include <pci.h>
#include <config/general.h>

efi_status EFIAPI _efi_start ( efi_handle image, struct efi_system_table *system ) {
	efi_handle handles[64];
	size_t size = sizeof ( handles );
	efi_status status = efi_init ( image, system );

	if ( status )
		return status;
	printf ( "%s\n", BANNER );
	probe_root_drivers();
	if ( system->boot->locate_handle ( BY_PROTOCOL, &efi_pci_guid, NULL, &size, handles ) )
		return 0;
	for ( size_t i = 0 ; i < size / sizeof ( handles[0] ) ; i++ ) {
		struct net_device *netdev = NULL;
		struct pci_device *pci;

		if ( system->boot->handle_protocol ( handles[i], &efi_pci_guid, ( void ** ) &pci ) == 0 )
			netdev = pci_probe ( pci, "found", handles[i] );
		if ( netdev )
			unregister_netdev ( netdev );	/* the code is about to be unloaded */
	}
	return 0;
}
