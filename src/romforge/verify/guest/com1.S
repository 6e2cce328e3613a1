/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first serial port in real mode, without interrupts: included by the programs for PC BIOS. */

	.set	COM1, 0x3f8

/* 115200 baud, 8n1, no interrupts; changes %ax, %dx */
com1_init:
	movw	$COM1 + 3, %dx
	movb	$0x80, %al		# access to the divisor
	outb	%al, %dx
	movw	$COM1, %dx
	movb	$1, %al
	outb	%al, %dx
	incw	%dx
	decb	%al
	outb	%al, %dx
	movw	$COM1 + 3, %dx
	movb	$3, %al
	outb	%al, %dx
	movw	$COM1 + 1, %dx
	xorb	%al, %al
	outb	%al, %dx
	ret

/* Waits until all bytes are sent. */
com1_drain:
	pushw	%ax
	movw	$COM1 + 5, %dx
1:	inb	%dx, %al
	testb	$0x40, %al
	jz	1b
	popw	%ax
	ret

/* Writes %al; changes %dx */
com1_byte:
	call	com1_drain
	movw	$COM1, %dx
	outb	%al, %dx
	ret

/* Writes the text at %ds:%si up to its 0, and leaves %si after the 0; changes %al, %dx */
1:	call	com1_byte
com1_text:
	lodsb
	testb	%al, %al
	jnz	1b
	ret

/* Writes %eax as 8 digits; changes %eax, %cx, %dx */
com1_hex:
	movw	$8, %cx
1:	roll	$4, %eax
	pushl	%eax
	andb	$0xf, %al
	addb	$'0', %al
	cmpb	$'9', %al
	jbe	2f
	addb	$'a' - '9' - 1, %al
2:	call	com1_byte
	popl	%eax
	loop	1b
	ret
