/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory allocation: consecutive blocks in one array; the first free block that is large enough is used. */
#include <minipxe.h>

/* On a BIOS, code, data and heap share one real-mode segment. */
#ifdef PLATFORM_efi
#define HEAP_SIZE ( 4096 * 1024 )
#else
#define HEAP_SIZE ( 2 * 1024 )
#endif

struct block {
	size_t size;		/* bytes including this header; 0 before the first use */
	size_t used;
};

static uint8_t heap[HEAP_SIZE] __attribute__ (( aligned ( 16 ) ));

static struct block *behind ( struct block *block ) {
	return ( struct block * ) ( ( uint8_t * ) block + block->size );
}

void *malloc ( size_t len ) {
	struct block *block = ( struct block * ) heap, *end = ( struct block * ) ( heap + sizeof ( heap ) );
	size_t size = ( len + sizeof ( *block ) + 15 ) & ~( size_t ) 15;

	if ( ! block->size )
		block->size = sizeof ( heap );
	for ( ; block < end ; block = behind ( block ) ) {
		while ( ! block->used && behind ( block ) < end && ! behind ( block )->used )
			block->size += behind ( block )->size;
		if ( block->used || block->size < size )
			continue;
		if ( block->size > size ) {
			struct block *rest = ( struct block * ) ( ( uint8_t * ) block + size );

			rest->size = block->size - size;
			rest->used = 0;
			block->size = size;
		}
		block->used = 1;
		return memset ( block + 1, 0, size - sizeof ( *block ) );
	}
	return NULL;
}

void free ( void *data ) {
	if ( data )
		( ( struct block * ) data - 1 )->used = 0;
}
