/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A complete PC BIOS that only counts in RAM and writes the numbers to COM1. After a live migration the count goes on
 * where it was, if the guest's RAM has arrived.
 */
	.set	COUNTER, 0x1000
	.set	NONCE, 0x2000		# a copy in RAM, which migrates; the ROM's may differ
	.set	STACK, 0x7000

	.code16
	.globl	_start
_start:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ss
	movw	$STACK, %sp
	movw	%ax, %es
	movw	%cs, %ax
	movw	%ax, %ds
	movw	$nonce, %si
	movw	$NONCE, %di
	movw	$nonce_end - nonce, %cx
	rep movsb
	movl	$0, %es:COUNTER
	call	com1_init

again:
	movw	%cs, %ax
	movw	%ax, %ds
	movw	$name, %si
	call	com1_text
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	$NONCE, %si
	call	com1_text
	incl	COUNTER
	movl	COUNTER, %eax
	call	com1_hex
	movb	$'\r', %al
	call	com1_byte
	movb	$'\n', %al
	call	com1_byte
	call	wait
	jmp	again

/* Waits 10 ms, by the second channel of the timer; changes %al */
wait:
	movb	$0, %al			# gate off, speaker off
	outb	%al, $0x61
	movb	$0xb0, %al		# channel 2, both bytes, mode 0
	outb	%al, $0x43
	movb	$11932 & 0xff, %al	# of 1193182 Hz
	outb	%al, $0x42
	movb	$11932 >> 8, %al
	outb	%al, $0x42
	movb	$1, %al			# gate on
	outb	%al, $0x61
1:	inb	$0x61, %al
	testb	$0x20, %al
	jz	1b
	ret

	.include "com1.S"

name:
	.asciz	"romforge "
nonce:
	.ascii	"NONCE-GOES-HERE!"
	.asciz	" "
nonce_end:

	.org	0xfff0, 0xff
	ljmp	$0xf000, $_start
	.org	0x10000, 0xff
