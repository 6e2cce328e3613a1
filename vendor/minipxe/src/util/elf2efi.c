/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Converts an ELF file that was linked with relocations kept (ld -q) to an EFI executable (PE32 or PE32+). Each
 * allocated section becomes a PE section. Each relocation of an absolute address becomes a base relocation.
 */
#include <elf.h>
#include "host.h"

#define PAGE 4096u
#define FILE_ALIGN 512u
#define HEADERS 0x400u

static const struct {
	unsigned elf, pe, address_size, absolute;
	unsigned wrong;		/* an absolute relocation too narrow for an address */
} machines[] = {
	{ EM_386, 0x14c, 4, R_386_32, R_386_16 },
	{ EM_X86_64, 0x8664, 8, R_X86_64_64, R_X86_64_32 },
	{ EM_AARCH64, 0xaa64, 8, R_AARCH64_ABS64, R_AARCH64_ABS32 },
	{ EM_RISCV, 0x5064, 8, R_RISCV_64, R_RISCV_32 },
	{ 258, 0x6264, 8, 2, 1 },	/* LoongArch */
};

struct section {
	uint32_t type, link, info;
	uint64_t flags, address, offset, size, entry;
};

static const char *name;
static uint8_t *elf, *out;
static size_t elf_size, out_size;
static int wide;

static uint64_t word ( const uint8_t *at ) {
	return wide ? get64 ( at ) : get32 ( at );
}

static struct section section ( unsigned index ) {
	uint64_t start = wide ? get64 ( elf + 0x28 ) : get32 ( elf + 0x20 );
	const uint8_t *at = elf + start + ( uint64_t ) index * ( wide ? 64 : 40 );
	unsigned w = wide ? 8 : 4;
	struct section s = { get32 ( at + 4 ), get32 ( at + 8 + 4 * w ), get32 ( at + 12 + 4 * w ), word ( at + 8 ),
			     word ( at + 8 + w ), word ( at + 8 + 2 * w ), word ( at + 8 + 3 * w ), word ( at + 16 + 5 * w ) };

	if ( s.type != SHT_NOBITS && ( s.offset > elf_size || s.size > elf_size - s.offset ) )
		fail ( name, "a section leaves the file" );
	return s;
}

static int by_value ( const void *a, const void *b ) {
	uint64_t left = *( const uint64_t * ) a, right = *( const uint64_t * ) b;

	return left < right ? -1 : left > right;
}

/* The addresses of all words to relocate, sorted. */
static uint64_t *collect ( unsigned sections, unsigned machine, size_t *count ) {
	uint64_t *found = NULL;

	*count = 0;
	for ( unsigned i = 0 ; i < sections ; i++ ) {
		struct section s = section ( i ), target;

		if ( s.type != SHT_RELA && s.type != SHT_REL )
			continue;
		target = section ( s.info );
		if ( ! ( target.flags & SHF_ALLOC ) || ! s.entry )
			continue;
		found = realloc ( found, ( *count + s.size / s.entry ) * sizeof ( *found ) );
		for ( uint64_t at = s.offset ; at < s.offset + s.size ; at += s.entry ) {
			uint64_t info = word ( elf + at + ( wide ? 8 : 4 ) );
			unsigned type = wide ? ( uint32_t ) info : info & 0xff, symbol = wide ? info >> 32 : info >> 8;
			struct section table = section ( s.link );
			const uint8_t *entry = elf + table.offset + table.entry * symbol;

			/* An absolute symbol is a number, which does not depend on the load address. */
			if ( get16 ( entry + ( wide ? 6 : 14 ) ) == SHN_ABS )
				continue;
			if ( type == machines[machine].wrong || ( machines[machine].elf == EM_X86_64 && type == R_X86_64_32S ) )
				fail ( name, "an address in too few bits cannot be relocated" );
			if ( type == machines[machine].absolute )
				found[( *count )++] = word ( elf + at );
		}
	}
	qsort ( found, *count, sizeof ( *found ), by_value );
	return found;
}

/* The .reloc section, with one block for each page. */
static uint8_t *base_relocations ( const uint64_t *found, size_t count, int kind, size_t *size ) {
	uint8_t *reloc = calloc ( count + 1, 16 ), *block = NULL, *at = reloc;
	uint64_t page = ~0ull;

	for ( size_t i = 0 ; i < count ; i++ ) {
		if ( found[i] / PAGE != page ) {
			at += ( at - reloc ) & 2;	/* blocks are aligned to 4 bytes; a zero entry fills the gap */
			if ( block )
				set32 ( block + 4, at - block );
			page = found[i] / PAGE;
			block = at;
			set32 ( block, page * PAGE );
			at += 8;
		}
		set16 ( at, kind << 12 | ( found[i] % PAGE ) );
		at += 2;
	}
	at += ( at - reloc ) & 2;
	if ( block )
		set32 ( block + 4, at - block );
	*size = at - reloc;
	return reloc;
}

/* Appends a section's header and its bytes; memory_size is its size in bytes when loaded. */
static void add_section ( uint8_t *coff, const char *title, uint64_t address, const uint8_t *data, size_t size, size_t memory_size,
			  uint32_t flags ) {
	unsigned count = get16 ( coff + 2 );
	uint8_t *header = coff + 20 + get16 ( coff + 16 ) + 40 * count;
	size_t padded = ( size + FILE_ALIGN - 1 ) / FILE_ALIGN * FILE_ALIGN;

	if ( header + 40 > out + HEADERS )
		fail ( name, "too many sections" );
	memcpy ( header, title, strlen ( title ) );
	set32 ( header + 8, memory_size );
	set32 ( header + 12, address );
	set32 ( header + 16, padded );
	set32 ( header + 20, padded ? out_size : 0 );
	set32 ( header + 36, flags );
	set16 ( coff + 2, count + 1 );
	if ( size )
		memcpy ( out + out_size, data, size );
	out_size += padded;
	set32 ( coff + 20 + 56, ( address + memory_size + PAGE - 1 ) / PAGE * PAGE );	/* size of the image */
}

int main ( int argc, char **argv ) {
	unsigned machine = 0, sections, i;
	uint8_t *coff, *optional, *reloc;
	size_t count, size, first_code = 0;
	uint64_t *found, end = 0;

	if ( argc != 4 || strncmp ( argv[1], "--subsystem=", 12 ) )
		fail ( "usage", "elf2efi --subsystem=NUMBER IN OUT" );
	name = argv[2];
	elf = slurp ( name, &elf_size, 64 );
	if ( elf_size < 64 || memcmp ( elf, "\177ELF", 4 ) )
		fail ( name, "no ELF file" );
	wide = elf[4] == ELFCLASS64;
	while ( machines[machine].elf != get16 ( elf + 18 ) ) {
		if ( ++machine == sizeof ( machines ) / sizeof ( machines[0] ) )
			fail ( name, "no machine that this tool knows" );
	}
	sections = get16 ( elf + ( wide ? 0x3c : 0x30 ) );
	found = collect ( sections, machine, &count );
	reloc = base_relocations ( found, count, wide ? 10 : 3, &size );

	out = calloc ( 1, 2 * elf_size + size + 64 * FILE_ALIGN );
	out_size = HEADERS;
	memcpy ( out, "MZ", 2 );
	set32 ( out + 0x3c, 0x80 );
	memcpy ( out + 0x80, "PE\0\0", 4 );
	coff = out + 0x84;
	set16 ( coff, machines[machine].pe );
	set16 ( coff + 16, wide ? 0xf0 : 0xe0 );
	set16 ( coff + 18, wide ? 0x022e : 0x030e );	/* executable, no debugging data; narrow or large addresses */
	optional = coff + 20;
	set16 ( optional, wide ? 0x20b : 0x10b );
	set32 ( optional + 16, get32 ( elf + 24 ) );	/* entry point */
	set32 ( optional + 32, PAGE );
	set32 ( optional + 36, FILE_ALIGN );
	set32 ( optional + 60, HEADERS );
	set16 ( optional + 68, strtoul ( argv[1] + 12, NULL, 0 ) );
	set32 ( optional + ( wide ? 108 : 92 ), 16 );	/* data directories */

	for ( i = 0 ; i < sections ; i++ ) {
		struct section s = section ( i );
		int code = s.flags & SHF_EXECINSTR, bss = s.type == SHT_NOBITS;

		if ( ! ( s.flags & SHF_ALLOC ) || ! s.size )
			continue;
		if ( code && ! first_code )
			first_code = s.address;
		/* code, initialised or other data; executable, readable, writable */
		add_section ( coff, code ? ".text" : bss ? ".bss" : s.flags & SHF_WRITE ? ".data" : ".rdata", s.address, elf + s.offset,
			      bss ? 0 : s.size, s.size, code ? 0x60000020 : bss ? 0xc0000080 : s.flags & SHF_WRITE ? 0xc0000040 : 0x40000040 );
		end = s.address + s.size;
	}
	set32 ( optional + 20, first_code );
	end = ( end + PAGE - 1 ) / PAGE * PAGE;
	set32 ( optional + ( wide ? 112 : 96 ) + 8 * 5, end );	/* directory of base relocations */
	set32 ( optional + ( wide ? 112 : 96 ) + 8 * 5 + 4, size );
	add_section ( coff, ".reloc", end, reloc, size, size, 0x42000040 );
	spew ( argv[3], out, out_size );
	return 0;
}
