/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A card while it is connected. A driver of real use would publish the Simple Network Protocol here. */
#include <efi.h>
#include <pci.h>

efi_status snpnet_open ( efi_handle controller, efi_handle agent ) {
	void *pci;
	efi_status status = efi_system->boot->open_protocol ( controller, &efi_pci_guid, &pci, agent, controller, OPEN_BY_DRIVER );

	if ( status )
		return status;
	( ( struct efi_pci * ) pci )->attributes ( pci, 2, 0x300, NULL );	/* enable I/O and memory */
	pci_probe ( pci, "started" );
	return 0;
}

void snpnet_close ( efi_handle controller, efi_handle agent ) {
	efi_system->boot->close_protocol ( controller, &efi_pci_guid, agent, controller );
}
