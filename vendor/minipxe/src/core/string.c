/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

void *memcpy ( void *to, const void *from, size_t len ) {
	uint8_t *out = to;
	const uint8_t *in = from;

	while ( len-- )
		*out++ = *in++;
	return to;
}

void *memset ( void *to, int byte, size_t len ) {
	uint8_t *out = to;

	while ( len-- )
		*out++ = byte;
	return to;
}

int memcmp ( const void *a, const void *b, size_t len ) {
	const uint8_t *left = a, *right = b;

	for ( ; len ; len--, left++, right++ ) {
		if ( *left != *right )
			return *left - *right;
	}
	return 0;
}

size_t strlen ( const char *text ) {
	size_t len = 0;

	while ( text[len] )
		len++;
	return len;
}

int strcmp ( const char *a, const char *b ) {
	while ( *a && *a == *b ) {
		a++;
		b++;
	}
	return ( uint8_t ) *a - ( uint8_t ) *b;
}
