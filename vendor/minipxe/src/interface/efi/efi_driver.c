/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver binding protocol: supported cards, and what happens when the firmware connects one. */
#include <efi.h>
#include <pci.h>

static efi_status EFIAPI supported ( struct efi_driver_binding *this, efi_handle controller, void *path ) {
	struct efi_boot_services *boot = efi_system->boot;
	const struct pci_id *id;
	void *pci;
	efi_status status = boot->open_protocol ( controller, &efi_pci_guid, &pci, this->handle, controller, OPEN_BY_DRIVER );

	if ( status )
		return status;
	status = pci_find ( pci_config ( pci, 0 ), &id ) ? 0 : EFI_UNSUPPORTED;
	boot->close_protocol ( controller, &efi_pci_guid, this->handle, controller );
	return status;
}

static efi_status EFIAPI start ( struct efi_driver_binding *this, efi_handle controller, void *path ) {
	void *pci;
	efi_status status = efi_system->boot->open_protocol ( controller, &efi_pci_guid, &pci, this->handle, controller, OPEN_BY_DRIVER );

	if ( status )
		return status;
	( ( struct efi_pci * ) pci )->attributes ( pci, 2, 0x300, NULL );	/* enable I/O and memory */
	pci_probe ( pci, "started", controller );
	return 0;
}

static efi_status EFIAPI stop ( struct efi_driver_binding *this, efi_handle controller, size_t count, efi_handle *children ) {
	struct net_device *netdev = find_netdev ( controller );

	if ( netdev )
		unregister_netdev ( netdev );
	/* The firmware first stops the children, which are gone by now, then the controller. */
	if ( ! count )
		efi_system->boot->close_protocol ( controller, &efi_pci_guid, this->handle, controller );
	return 0;
}

static struct efi_driver_binding binding = { supported, start, stop, 0x10, NULL, NULL };

static efi_status EFIAPI unload ( efi_handle image ) {
	return efi_system->boot->uninstall ( image, &efi_driver_binding_guid, &binding );
}

efi_status efi_install_driver ( void ) {
	binding.image = binding.handle = efi_image_handle;
	efi_loaded_image->unload = unload;
	return efi_system->boot->install ( &binding.handle, &efi_driver_binding_guid, 0, &binding );
}
