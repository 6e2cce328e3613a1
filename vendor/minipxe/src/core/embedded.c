/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files in EMBED, as parts of the image. The makefile writes the list. */
#include <minipxe.h>

#define FILE( path ) FILE_ ( path, __COUNTER__ )
#define FILE_( path, n ) FILE__ ( path, n )
#define FILE__( path, n )								\
	extern const uint8_t embedded_ ## n[], embedded_ ## n ## _end[];		\
	__asm__ ( ".pushsection .embedded." #n ", \"a\"\nembedded_" #n ": .incbin \"" path "\"\n"	\
		  "embedded_" #n "_end: .byte 0\n.globl embedded_" #n ", embedded_" #n "_end\n.popsection" );	\
	static const struct file file_ ## n = { path, embedded_ ## n, embedded_ ## n ## _end };	\
	TABLE_ENTRY ( files, struct file, file_ ## n );

#ifdef FILES
#include FILES
#endif
