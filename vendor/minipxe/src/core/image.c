/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs and scripts that have been loaded. */
#include <image.h>

static struct image *images;

int register_image ( struct image *image ) {
	const struct image_type *const *type;

	FOR_TABLE ( type, image_types ) {
		if ( ( *type )->probe ( image ) )
			continue;
		image->type = *type;
		image->next = images;
		images = image;
		printf ( "%s: %s of %u bytes\n", image->name, image->type->name, ( unsigned ) image->len );
		return 0;
	}
	printf ( "%s: of no type that can be run\n", image->name );
	return 1;
}

int image_exec ( const char *name ) {
	for ( struct image *image = images ; image ; image = image->next ) {
		if ( strcmp ( image->name, name ) == 0 )
			return image->type->exec ( image );
	}
	return 1;
}
