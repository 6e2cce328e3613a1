/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The buffer has the stack pointer and x19 to x30; x30 is the return address. */
	.globl	setjmp, longjmp
	.hidden	setjmp, longjmp
	.section ".text.setjmp", "ax", %progbits
setjmp:
	mov	x9, sp
	str	x9, [x0], #8
	stp	x19, x20, [x0], #16
	stp	x21, x22, [x0], #16
	stp	x23, x24, [x0], #16
	stp	x25, x26, [x0], #16
	stp	x27, x28, [x0], #16
	stp	x29, x30, [x0]
	mov	w0, #0
	ret
longjmp:
	ldr	x9, [x0], #8
	mov	sp, x9
	ldp	x19, x20, [x0], #16
	ldp	x21, x22, [x0], #16
	ldp	x23, x24, [x0], #16
	ldp	x25, x26, [x0], #16
	ldp	x27, x28, [x0], #16
	ldp	x29, x30, [x0]
	mov	w0, w1
	ret
