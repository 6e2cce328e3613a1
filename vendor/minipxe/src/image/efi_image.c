/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EFI executables. Each is started for the network interface that was opened last. */
#include <efi.h>
#include <image.h>

static int efi_probe ( const struct image *image ) {
	return image->len < 64 || memcmp ( image->data, "MZ", 2 );
}

static int efi_exec ( struct image *image ) {
	struct efi_snp_device *snpdev = last_opened_snpdev();

	if ( ! snpdev ) {
		printf ( "%s: there is no network interface to start it for\n", image->name );
		return 1;
	}
	printf ( "%s: this miniature starts no programs\n", image->name );
	return 1;
}

static const struct image_type efi_image_type = { "EFI program", efi_probe, efi_exec };
TABLE_ENTRY ( image_types, struct image_type, efi_image_type );
