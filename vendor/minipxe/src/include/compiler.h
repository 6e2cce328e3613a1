/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMPILER_H
#define COMPILER_H

/* Every source includes this by -include, and with it named.h: a change of CONFIG recompiles all. */
#include <config/named.h>

#define PASTE_( a, b ) a ## b
#define PASTE( a, b ) PASTE_ ( a, b )
#define STRING_( a ) #a
#define STRING( a ) STRING_ ( a )

/* Each object defines obj_NAME, by which the linker is asked for it. */
#define OBJ_SYMBOL PASTE ( obj_, OBJECT )

#ifdef __ASSEMBLER__
	.globl	OBJ_SYMBOL
	.set	OBJ_SYMBOL, 0
	.section ".note.GNU-stack", "", @progbits
	.text
#else

__asm__ ( ".globl " STRING ( OBJ_SYMBOL ) "\n.set " STRING ( OBJ_SYMBOL ) ", 0" );

/* Hidden symbols need no global offset table. */
#pragma GCC visibility push( hidden )

/* Drags in an object that nothing calls; the reference itself is thrown away. */
#define REQUIRE_OBJECT( name )						\
	__asm__ ( ".pushsection .discard\n.long obj_" #name " - .\n.popsection" )

/* An entry of a linker table: a pointer, so that entries lie without gaps. The linker script keeps tables whole. */
#define TABLE_ENTRY( table, type, entry )				\
	static const type *const PASTE ( entry, _in_table )		\
	__attribute__ (( section ( ".tbl." #table ), used )) = &entry
#define TABLE( table, type ) extern const type *const table[], *const PASTE ( table, _end )[]
#define FOR_TABLE( item, table )					\
	for ( item = table ; item < PASTE ( table, _end ) ; item++ )

/* Debugging output of an object named in DEBUG. */
#ifdef DEBUG
#define DBG( ... ) printf ( __VA_ARGS__ )
#else
#define DBG( ... ) do {} while ( 0 )
#endif

#endif /* __ASSEMBLER__ */
#endif
