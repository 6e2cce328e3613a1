/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An EFI application that watches whether PCI device 00:03.0 writes to memory while frames arrive, first with its
 * driver at work, then after ExitBootServices. The host sends frames in the states "listen" and "watch", sends one that
 * ends them in the state "quiet", and nothing in the state "still", so that the driver has free buffers where the
 * watch begins.
 *
 * Each page of the firmware is copied to a page of free memory, and compared with it again and again. Nothing of the
 * firmware is overwritten: a card with overwritten rings could stop for that reason alone. The rest of the free memory
 * has a pattern, or the first part of it.
 */
#include "network.h"
#include "serial.h"

#ifndef EXIT
#define EXIT 1			/* whether to call ExitBootServices */
#endif

#define PAGE 4096		/* bytes */
#define WORDS ( PAGE / sizeof ( UINT64 ) )
#define BLOCK 16		/* words that are copied or compared without a branch */
#define MAP_PAGES 16
#define STACK 0x24000		/* bytes on either side, which may have a guard page */
#define PATTERN 0x5ac3a596e1780f2dULL
#define PASSES 40		/* for a driver at work: two seconds of an emulated processor */
#define FILLED_MOST 0x4000	/* pages: 64 MiB, since each pass takes time */
#define ETHERTYPE 12		/* offset */

struct memory {
	const UINT8 *map;
	UINTN size, descriptor;	/* bytes */
	UINTN stack;
};

/* A walk through the pages of the firmware, or those of free memory. */
struct walk {
	const struct memory *memory;
	int firmware;
	UINTN offset;
	UINT64 page;
};

struct changes {
	UINT32 firmware, free;	/* bytes */
	UINTN lowest, highest;
};

static void begin_walk ( struct walk *walk, const struct memory *memory, int firmware ) {
	walk->memory = memory;
	walk->firmware = firmware;
	walk->offset = 0;
	walk->page = 0;
}

static int is_walked ( const struct walk *walk, UINT32 type ) {
	if ( walk->firmware )
		return type >= EfiLoaderCode && type <= EfiBootServicesData;
	return type == EfiConventionalMemory;
}

/* The next page; 0 at the end. Leaves out the page at 0, and the stack of this program. */
static UINT64 *next_page ( struct walk *walk ) {
	for ( ; walk->offset < walk->memory->size; walk->offset += walk->memory->descriptor ) {
		const EFI_MEMORY_DESCRIPTOR *part = ( const EFI_MEMORY_DESCRIPTOR * ) ( walk->memory->map + walk->offset );
		while ( is_walked ( walk, part->Type ) && walk->page < part->NumberOfPages ) {
			UINTN address = part->PhysicalStart + PAGE * walk->page++;
			if ( address && address - walk->memory->stack + STACK >= 2 * STACK )
				return ( UINT64 * ) address;
		}
		walk->page = 0;
	}
	return 0;
}

static UINT64 pattern_at ( const UINT64 *word ) {
	return PATTERN ^ ( UINTN ) word;
}

/*
 * A walk through all that is watched: each page of the firmware with the page of free memory that has its copy, then
 * pages of free memory with the pattern.
 */
struct pages {
	struct walk firmware, free;
	const UINT64 *from;	/* 0 for a page with the pattern */
	UINT64 *to;
	UINT32 copied, filled;
};

static void begin_pages ( struct pages *pages, const struct memory *memory ) {
	begin_walk ( &pages->firmware, memory, 1 );
	begin_walk ( &pages->free, memory, 0 );
	pages->copied = pages->filled = 0;
}

static int next_pages ( struct pages *pages ) {
	if ( pages->filled == FILLED_MOST )
		return 0;
	pages->to = next_page ( &pages->free );
	if ( ! pages->to )
		return 0;
	pages->from = next_page ( &pages->firmware );
	if ( pages->from )
		pages->copied++;
	else
		pages->filled++;
	return 1;
}

static void write_block ( const struct pages *pages, UINTN start ) {
	const UINT64 *from = pages->from;
	UINT64 *to = pages->to + start;
	if ( from ) {
		#pragma GCC unroll 16
		for ( UINTN i = 0; i < BLOCK; i++ )
			to[i] = from[start + i];
	} else {
		#pragma GCC unroll 16
		for ( UINTN i = 0; i < BLOCK; i++ )
			to[i] = pattern_at ( &to[i] );
	}
}

/* Copies the firmware's pages, and fills pages of free memory. Prints how many, and how many had no space. */
static void copy_pages ( struct line *line, const struct memory *memory ) {
	struct pages pages;
	UINT32 left = 0;
	begin_pages ( &pages, memory );
	while ( next_pages ( &pages ) ) {
		for ( UINTN start = 0; start < WORDS; start += BLOCK )
			write_block ( &pages, start );
	}
	while ( next_page ( &pages.firmware ) )
		left++;
	add_text ( line, "romforge pages " );
	add_hex ( line, pages.copied );
	add_hex ( line, pages.filled );
	add_hex ( line, left );
	end_serial ( line );
}

static void note_change ( struct changes *changes, UINT32 *count, const UINT64 *word, UINT64 difference ) {
	for ( UINTN byte = 0; byte < sizeof ( difference ); byte++ ) {
		UINTN address = ( UINTN ) word + byte;
		if ( ! ( ( difference >> 8 * byte ) & 0xff ) )
			continue;
		++*count;
		if ( address < changes->lowest )
			changes->lowest = address;
		if ( address > changes->highest )
			changes->highest = address;
	}
}

/* A word as it must be: that of the firmware, or the pattern. */
static UINT64 expected_at ( const struct pages *pages, UINTN i ) {
	const volatile UINT64 *from = pages->from;
	return from ? from[i] : pattern_at ( &pages->to[i] );
}

/* Whether a block of words is another one than it must be. Without branches, which an emulated processor is slow at. */
static int block_differs ( const struct pages *pages, UINTN start ) {
	const volatile UINT64 *from = pages->from, *to = pages->to + start;
	UINT64 difference = 0;
	if ( from ) {
		#pragma GCC unroll 16
		for ( UINTN i = 0; i < BLOCK; i++ )
			difference |= to[i] ^ from[start + i];
	} else {
		#pragma GCC unroll 16
		for ( UINTN i = 0; i < BLOCK; i++ )
			difference |= to[i] ^ pattern_at ( &pages->to[start + i] );
	}
	return difference != 0;
}

/* Compares a page of the firmware with its copy, or a page of free memory with the pattern. */
static void compare_page ( struct changes *changes, const struct pages *pages ) {
	const volatile UINT64 *to = pages->to;
	UINT32 *count = pages->from ? &changes->firmware : &changes->free;
	for ( UINTN start = 0; start < WORDS; start += BLOCK ) {
		if ( ! block_differs ( pages, start ) )
			continue;
		for ( UINTN i = start; i < start + BLOCK; i++ )
			note_change ( changes, count, &( pages->from ? pages->from : pages->to )[i], to[i] ^ expected_at ( pages, i ) );
	}
}

/* Compares all pages once. */
static void compare_pages ( struct changes *changes, const struct memory *memory ) {
	struct pages pages;
	changes->firmware = changes->free = 0;
	changes->lowest = -1;
	changes->highest = 0;
	begin_pages ( &pages, memory );
	while ( next_pages ( &pages ) )
		compare_page ( changes, &pages );
}

/* Not by the console of the firmware: that of loong64 prints no more after a watch. */
static void tell_progress ( struct line *line, const char *state ) {
	add_text ( line, "romforge state " );
	add_text ( line, state );
	end_serial ( line );
}

/* Prints what each pass through the memory sees. With a limit, ends after a pass that sees changes. */
static void watch ( struct line *line, const struct memory *memory, UINT32 limit ) {
	struct changes changes;
	/* The processor itself marks page tables at the first access: the second copy has these marks. */
	copy_pages ( line, memory );
	copy_pages ( line, memory );
	tell_progress ( line, "watch" );
	for ( UINT32 pass = 1; ! limit || pass <= limit; pass++ ) {
		compare_pages ( &changes, memory );
		add_text ( line, "romforge pass " );
		add_hex ( line, pass );
		add_hex ( line, changes.firmware );
		add_hex ( line, changes.free );
		add_hex ( line, changes.lowest );
		add_hex ( line, changes.highest );
		end_serial ( line );
		if ( limit && ( changes.firmware || changes.free ) )
			break;
	}
}

/* Receives until the host's frame with this first letter comes. The host does not wait for ever. */
static void receive_until ( struct nic *nic, UINT8 letter ) {
	const UINT8 *frame = nic->received;
	int found = 0;
	while ( ! found ) {
		UINTN size = sizeof ( nic->received );
		EFI_STATUS status = receive ( nic, &size );
		if ( status == EFI_SUCCESS )
			found = frame[ETHERTYPE] == 0x88 && frame[ETHERTYPE + 1] == 0xb5 && frame[HEADER] == letter;
		else
			nic->line->services->Stall ( 1000 );
	}
}

/* Waits until no more frames come, and all that came are received. */
static void calm ( struct nic *nic ) {
	tell_progress ( nic->line, "quiet" );
	receive_until ( nic, 'e' );
	tell_progress ( nic->line, "still" );
	drain ( nic );
}

/* Gets the memory map, whose key ExitBootServices needs. */
static EFI_STATUS get_map ( struct line *line, struct memory *memory, UINTN *key ) {
	UINT32 version;
	memory->size = MAP_PAGES * PAGE;
	return line->services->GetMemoryMap ( &memory->size, ( EFI_MEMORY_DESCRIPTOR * ) memory->map, key,
			&memory->descriptor, &version );
}

static void observe ( struct nic *nic, EFI_HANDLE image ) {
	struct line *line = nic->line;
	struct memory memory;
	EFI_STATUS status = ! EFI_SUCCESS;
	UINT64 map = 0;
	UINTN key;

	memory.stack = ( UINTN ) __builtin_frame_address ( 0 ) & ~ ( UINTN ) ( PAGE - 1 );
	line->services->AllocatePages ( AllocateAnyPages, EfiLoaderData, MAP_PAGES, &map );
	memory.map = ( const UINT8 * ) ( UINTN ) map;
	start ( nic );
	tell_progress ( line, "listen" );
	receive_until ( nic, 'b' );
	calm ( nic );
	tell ( nic, "GetMemoryMap", get_map ( line, &memory, &key ) );
	mask_interrupts ();
	watch ( line, &memory, PASSES );
	unmask_interrupts ();

	calm ( nic );
	for ( int i = 0; i < 4 && status != EFI_SUCCESS; i++ ) {
		get_map ( line, &memory, &key );
		status = EXIT ? line->services->ExitBootServices ( image, key ) : EFI_SUCCESS;
	}
	mask_interrupts ();
	call ( nic, "ExitBootServices", status );
	end_serial ( line );
	watch ( line, &memory, 0 );
}

ENTRY EFI_STATUS EFIAPI efi_main ( EFI_HANDLE image, EFI_SYSTEM_TABLE *system ) {
	struct line line;
	struct nic nic;

	begin ( &line, system, " exit" );
	EFI_HANDLE device = find_device ( &line );
	if ( device )
		line.services->ConnectController ( device, 0, 0, 0 );
	tell_rom ( &line, device );
	tell_driver ( &line, device );
	add_text ( &line, "romforge end" );
	end ( &line );
	prepare ( &nic, &line, 15 );
	EFI_HANDLE interface = find_interface ( &line, device );
	if ( interface && take ( &nic, image, interface ) == EFI_SUCCESS )
		observe ( &nic, image );
	finish ( &line );
	return EFI_SUCCESS;
}
