/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry point of a driver, which stays loaded. The firmware calls it for each card. */
#include <efi.h>

efi_status EFIAPI _efidrv_start ( efi_handle image, struct efi_system_table *system ) {
	efi_status status = efi_init ( image, system );

	return status ? status : efi_install_driver();
}
