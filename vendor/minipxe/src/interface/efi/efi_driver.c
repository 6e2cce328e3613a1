/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver binding: which cards are ours, and what to do when the firmware connects one. */
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
	return snpnet_open ( controller, this->handle );
}

static efi_status EFIAPI stop ( struct efi_driver_binding *this, efi_handle controller, size_t count, efi_handle *children ) {
	snpnet_close ( controller, this->handle );
	return 0;
}

static struct efi_driver_binding binding = { supported, start, stop, 0x10, NULL, NULL };

static efi_status EFIAPI unload ( efi_handle image ) {
	return efi_system->boot->uninstall ( image, &efi_driver_binding_guid, &binding );
}

efi_status efi_install_driver ( efi_handle image, struct efi_loaded_image *loaded ) {
	binding.image = binding.handle = image;
	loaded->unload = unload;
	return efi_system->boot->install ( &binding.handle, &efi_driver_binding_guid, 0, &binding );
}
