/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Initialisation of both applications and drivers. */
#include <efi.h>

struct efi_system_table *efi_system;
struct efi_loaded_image *efi_loaded_image;
efi_handle efi_image_handle;

efi_status efi_init ( efi_handle image, struct efi_system_table *system ) {
	efi_status status;

	efi_system = system;
	efi_image_handle = image;
	status = system->boot->handle_protocol ( image, &efi_loaded_image_guid, ( void ** ) &efi_loaded_image );
	if ( status )
		return status;
	/* A driver that is loaded from a ROM has none, but that is not known here. */
	efi_cmdline = efi_loaded_image->options;
	efi_cmdline_len = efi_loaded_image->options_size;
	print_mark ( "efi" );
	startup();
	return 0;
}
