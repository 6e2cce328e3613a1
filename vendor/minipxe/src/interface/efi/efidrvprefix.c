/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry point of a driver: it stays loaded, and the firmware asks it about each card. */
#include <efi.h>

efi_status EFIAPI _efidrv_start ( efi_handle image, struct efi_system_table *system ) {
	struct efi_loaded_image *loaded;
	efi_status status = system->boot->handle_protocol ( image, &efi_loaded_image_guid, ( void ** ) &loaded );

	if ( status )
		return status;
	efi_start ( image, system );
	return efi_install_driver ( image, loaded );
}
