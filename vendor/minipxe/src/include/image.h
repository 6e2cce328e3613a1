/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_H
#define IMAGE_H

#include <minipxe.h>

struct image;
struct image_type {
	const char *name;
	int ( * probe ) ( const struct image *image );
	int ( * exec ) ( struct image *image );
};
TABLE ( image_types, struct image_type );

struct image {
	struct image *next;
	const char *name;
	const uint8_t *data;
	size_t len;
	const struct image_type *type;
};

int register_image ( struct image *image );
int image_exec ( const char *name );
extern const struct image_type script_image_type;

#endif
