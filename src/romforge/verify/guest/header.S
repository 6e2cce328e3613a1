/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The headers of the EFI application as data, so that no tool must support PE. There is one section, which is laid out
 * in the file as in memory and begins with the entry point. efi.lds ensures that TEXT and SIZE are right.
 */
#define TEXT 0x1000
#define SIZE 0x4000

#if defined ( __x86_64__ )
#define MACHINE 0x8664
#elif defined ( __i386__ )
#define MACHINE 0x014c
#elif defined ( __aarch64__ )
#define MACHINE 0xaa64
#elif defined ( __riscv ) && __riscv_xlen == 64
#define MACHINE 0x5064
#elif defined ( __loongarch__ )
#define MACHINE 0x6264
#else
#error "no machine of UEFI"
#endif

#if __SIZEOF_POINTER__ == 8
#define MAGIC 0x20b		/* PE32+ */
#define NATIVE .quad
#define CHARACTERISTICS 0x0022	/* executable, may lie above 2 GiB */
#else
#define MAGIC 0x10b		/* PE32 */
#define NATIVE .long
#define CHARACTERISTICS 0x0102	/* executable, 32-bit */
#endif

	.section ".header", "a", %progbits
	.ascii	"MZ"
	.org	0x3c
	.long	0x40			/* offset of the PE header */

	.ascii	"PE\0\0"
	.short	MACHINE
	.short	1			/* sections */
	.long	0			/* no timestamp: builds are reproducible */
	.long	0, 0			/* no symbols */
	.short	section - optional
	.short	CHARACTERISTICS

optional:
	.short	MAGIC
	.byte	0, 0			/* linker version */
	.long	SIZE - TEXT		/* code */
	.long	0, 0			/* initialized data, uninitialized data */
	.long	TEXT			/* entry point */
	.long	TEXT			/* base of code */
#if __SIZEOF_POINTER__ == 4
	.long	SIZE			/* base of data */
#endif
	NATIVE	0			/* image base: any, since there are no relocations */
	.long	0x1000, 0x1000		/* alignment of sections in memory, in the file */
	.short	0, 0, 0, 0, 0, 0	/* versions of operating system, image, subsystem */
	.long	0
	.long	SIZE			/* image */
	.long	TEXT			/* headers */
	.long	0			/* checksum */
	.short	10			/* EFI application */
	.short	0x0100			/* compatible with non-executable data (NX) */
	NATIVE	0, 0, 0, 0		/* sizes of stack and heap, which firmware ignores */
	.long	0
	.long	6			/* data directories, up to base relocations */
	.long	0, 0, 0, 0, 0, 0
	.long	0, 0, 0, 0, 0, 0

section:
	.ascii	".text\0\0\0"
	.long	SIZE - TEXT, TEXT	/* in memory: size, offset */
	.long	SIZE - TEXT, TEXT	/* in the file: size, offset */
	.long	0, 0
	.short	0, 0
	.long	0x60000020		/* code; execute, read */

	.section ".rodata", "a", %progbits
	.globl	nonce
	.hidden	nonce
nonce:
	.asciz	"NONCE-GOES-HERE!"

	.section ".note.GNU-stack", "", %progbits
