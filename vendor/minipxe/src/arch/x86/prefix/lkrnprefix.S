/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start of a Linux kernel image, by the Linux/x86 Boot Protocol, version 2.03. The loader puts the prefix anywhere below
 * 640 KiB and the payload to 1 MiB. It enters the second sector, with DS = the segment of the first.
 */
#define PAYLOAD_APART
#define flat_read lkrn_flat_read
#define payload_crc lkrn_payload_crc
#define PAYLOAD_ADDRESS 0x100000

	.code16
	.section ".prefix", "ax", @progbits
	.globl	_lkrn_start
_lkrn_start:
	.org	0x10
	.word	ipxe_header

	.org	0x1f1
	.byte	_setup_sectors
	.word	0
	.long	_payload_paragraphs
	.word	0, 0, 0			/* RAM disk, video mode, root device */
	.word	0xaa55
	.byte	0xeb, setup - . - 1	/* a short jump, at 0x200 */
	.ascii	"HdrS"
	.word	0x0203
	.long	0			/* no hook */
	.word	0
	.word	name - 0x200
	.byte	0			/* for the loader: its type */
	.byte	1			/* the payload is loaded high */
	.word	0
	.long	PAYLOAD_ADDRESS
	.long	0, 0			/* for the loader: place and size of an initial RAM disk */
	.long	0
	.word	0, 0
	.long	0			/* for the loader: the command line */
	.long	0x7fffffff		/* the highest address of an initial RAM disk */
setup:
	pushw	%ds
	pushw	$boot
	lretw

name:	.asciz	"minipxe"

#include "startup.h"

/* Descriptors for the BIOS: the payload where it is and where it must be. */
	.balign	8
move:	.quad	0, 0
	.word	0xffff, PAYLOAD_ADDRESS & 0xffff
	.byte	PAYLOAD_ADDRESS >> 16, 0x93, 0, 0
	.word	0xffff, _payload
	.byte	RAM_SEGMENT >> 12, 0x93, 0, 0
	.quad	0, 0

/* Sets the carry flag on failure. */
load_payload:
	movw	$move, %si
	movw	$_image_end + 1, %cx
	subw	$_payload, %cx
	shrw	%cx			/* words */
	movb	$0x87, %ah
	int	$0x15
	ret
