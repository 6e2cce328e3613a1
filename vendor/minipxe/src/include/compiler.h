/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMPILER_H
#define COMPILER_H

/* Every source includes this by -include, and so named.h: if CONFIG changes, all sources are recompiled. */
#include <config/named.h>

#define PASTE_( a, b ) a ## b
#define PASTE( a, b ) PASTE_ ( a, b )
#define STRING_( a ) #a
#define STRING( a ) STRING_ ( a )

/* Each object defines obj_NAME, by which it can be linked. The symbol is in the section .provided and has no size. */
#define OBJ_SYMBOL PASTE ( obj_, OBJECT )

#ifdef __ASSEMBLER__
	.section ".provided", "aw", %progbits
	.globl	OBJ_SYMBOL
	.hidden	OBJ_SYMBOL
OBJ_SYMBOL:
	.section ".note.GNU-stack", "", %progbits
	.text
#else

__asm__ ( ".pushsection .provided, \"aw\", %progbits\n.globl " STRING ( OBJ_SYMBOL ) "\n.hidden " STRING ( OBJ_SYMBOL )
	  "\n" STRING ( OBJ_SYMBOL ) ":\n.popsection" );

/* Hidden symbols need no global offset table. */
#pragma GCC visibility push( hidden )

/* The relocation without effect */
#if defined ( __x86_64__ )
#define RELOC_NONE "R_X86_64_NONE"
#elif defined ( __i386__ )
#define RELOC_NONE "R_386_NONE"
#elif defined ( __aarch64__ )
#define RELOC_NONE "R_AARCH64_NONE"
#elif defined ( __riscv )
#define RELOC_NONE "R_RISCV_NONE"
#else
#define RELOC_NONE "R_LARCH_NONE"
#endif

/*
 * Pulls in an object that nothing calls, by a relocation without effect at a symbol of this file. One of the two macros
 * below selects the symbol, and must come first. If the symbol is kept in the link, so is the object. Without such a
 * macro the reference is discarded, but the linker still loads the object.
 */
#define REQUIRE_OBJECT( name )								\
	__asm__ ( ".ifdef __requiring_symbol__\n"					\
		  ".reloc __requiring_symbol__, " RELOC_NONE ", obj_" #name "\n"	\
		  ".else\n.pushsection .discard\n.long obj_" #name " - .\n.popsection\n.endif" )
/* Selects a symbol of the source itself. */
#define REQUIRING_SYMBOL( symbol ) __asm__ ( ".equ __requiring_symbol__, " #symbol )
/* Selects a byte that every link keeps. */
#define PROVIDE_REQUIRING_SYMBOL()							\
	__asm__ ( ".pushsection .tbl.requiring_symbols, \"a\", %progbits\n"		\
		  "__requiring_symbol__: .byte 0\n"					\
		  ".size __requiring_symbol__, . - __requiring_symbol__\n.popsection" )

/* An entry of a linker table. Entries are pointers, so there are no gaps. The linker script keeps all entries. */
#define TABLE_ENTRY( table, type, entry )				\
	static const type *const PASTE ( entry, _in_table )		\
	__attribute__ (( section ( ".tbl." #table ), used )) = &entry
#define TABLE( table, type ) extern const type *const table[], *const PASTE ( table, _end )[]
#define FOR_TABLE( item, table )					\
	for ( item = table ; item < PASTE ( table, _end ) ; item++ )

/* Debugging output of an object that DEBUG names. */
#ifdef DEBUG
#define DBG( ... ) printf ( __VA_ARGS__ )
#else
#define DBG( ... ) do {} while ( 0 )
#endif

#endif /* __ASSEMBLER__ */
#endif
