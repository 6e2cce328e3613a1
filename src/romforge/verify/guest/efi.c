/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The EFI application that is booted over the network. It reports what option ROM the firmware read from PCI device
 * 00:03.0, and which driver is bound to the device.
 */
#include "device.h"

ENTRY EFI_STATUS EFIAPI efi_main ( EFI_HANDLE image, EFI_SYSTEM_TABLE *system ) {
	struct line line;
	( void ) image;

	begin ( &line, system, " uefi" );
	EFI_HANDLE device = find_device ( &line );
	tell_rom ( &line, device );
	tell_driver ( &line, device );
	finish ( &line );
	return EFI_SUCCESS;
}
