/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start of a PXE network boot program. The PXE stack has loaded the file to 0000:7c00 and calls its first byte, with
 * ES:BX = its structure PXENV+ (PXE Specification, 4.4.5). The stack stays loaded.
 */
#ifndef MEDIUM
#define MEDIUM pxe
#endif
#define flat_read PASTE ( MEDIUM, _flat_read )
#define payload_crc PASTE ( MEDIUM, _payload_crc )
#define start PASTE ( _, PASTE ( MEDIUM, _start ) )
#define PXENV_ENTRY 0x0a

	.code16
	.section ".prefix", "ax", @progbits
	.globl	start
start:
	ljmp	$0x7c0, $1f
	.org	0x10
	.word	ipxe_header
	.globl	pxenv_entry
	.balign	4
pxenv_entry:
	.long	0
1:	cmpl	$0x4e455850, %es:(%bx)	/* "PXEN" */
	jne	boot
	movl	%es:PXENV_ENTRY(%bx), %eax
	movl	%eax, %cs:pxenv_entry
	jmp	boot
#include "startup.h"
