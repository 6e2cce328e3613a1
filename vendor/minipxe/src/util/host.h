/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions that the host tools share. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void fail ( const char *file, const char *what ) {
	fprintf ( stderr, "%s: %s\n", file, what );
	exit ( 1 );
}

static inline void set16 ( uint8_t *at, unsigned value ) {
	at[0] = value;
	at[1] = value >> 8;
}

static inline void set32 ( uint8_t *at, uint32_t value ) {
	set16 ( at, value );
	set16 ( at + 2, value >> 16 );
}

static inline unsigned get16 ( const uint8_t *at ) {
	return at[0] | at[1] << 8;
}

static inline uint32_t get32 ( const uint8_t *at ) {
	return get16 ( at ) | ( uint32_t ) get16 ( at + 2 ) << 16;
}

static inline uint64_t get64 ( const uint8_t *at ) {
	return get32 ( at ) | ( uint64_t ) get32 ( at + 4 ) << 32;
}

/* Reads a whole file, with room for more bytes after it. */
static inline uint8_t *slurp ( const char *name, size_t *size, size_t room ) {
	FILE *file = fopen ( name, "rb" );
	uint8_t *data;
	long len;

	if ( ! file || fseek ( file, 0, SEEK_END ) || ( len = ftell ( file ) ) < 0 )
		fail ( name, "cannot be read" );
	rewind ( file );
	data = calloc ( 1, len + room );
	if ( ! data || fread ( data, 1, len, file ) != ( size_t ) len )
		fail ( name, "cannot be read" );
	fclose ( file );
	*size = len;
	return data;
}

static inline void spew ( const char *name, const uint8_t *data, size_t size ) {
	FILE *file = fopen ( name, "wb" );

	if ( ! file || fwrite ( data, 1, size, file ) != size || fclose ( file ) )
		fail ( name, "cannot be written" );
}
