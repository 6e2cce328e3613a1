/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PXE programs for a BIOS: any file that fits into memory below 640 KiB. */
#include <image.h>

static int pxe_probe ( const struct image *image ) {
	return ! image->len || image->len > 0x90000;
}

static int pxe_exec ( struct image *image ) {
	printf ( "%s: this miniature starts no programs\n", image->name );
	return 1;
}

static const struct image_type pxe_image_type = { "PXE program", pxe_probe, pxe_exec };
TABLE_ENTRY ( image_types, struct image_type, pxe_image_type );
