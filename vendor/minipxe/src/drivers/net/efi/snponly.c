/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The card from which this image was loaded, by the firmware's Simple Network Protocol on its device path. */
#include <efi.h>
#include <netdevice.h>

static void snponly_probe ( void ) {
	struct efi_boot_services *boot = efi_system->boot;
	struct efi_simple_network *snp;
	struct efi_path *path;
	efi_handle handle;

	if ( boot->handle_protocol ( efi_loaded_image->device, &efi_device_path_guid, ( void ** ) &path ) ||
	     boot->locate_path ( &efi_simple_network_guid, &path, &handle ) ||
	     boot->handle_protocol ( handle, &efi_simple_network_guid, ( void ** ) &snp ) )
		printf ( "minipxe snponly: this image was not loaded from a network\n" );
	else
		print_found ( "snponly", "SNP", snp->mode->current.bytes );
}

static const struct root_driver snponly_driver = { "snponly", snponly_probe };
TABLE_ENTRY ( root_drivers, struct root_driver, snponly_driver );
