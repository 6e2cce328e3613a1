/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The buffer has the return address, the stack pointer after the return, and the callee-saved registers. */
	.globl	setjmp, longjmp
	.hidden	setjmp, longjmp
#ifdef __x86_64__
	.section ".text.setjmp", "ax", %progbits
setjmp:
	movq	(%rsp), %rax
	movq	%rax, (%rdi)
	leaq	8(%rsp), %rax
	movq	%rax, 8(%rdi)
	movq	%rbx, 16(%rdi)
	movq	%rbp, 24(%rdi)
	movq	%r12, 32(%rdi)
	movq	%r13, 40(%rdi)
	movq	%r14, 48(%rdi)
	movq	%r15, 56(%rdi)
	xorl	%eax, %eax
	ret
longjmp:
	movl	%esi, %eax
	movq	16(%rdi), %rbx
	movq	24(%rdi), %rbp
	movq	32(%rdi), %r12
	movq	40(%rdi), %r13
	movq	48(%rdi), %r14
	movq	56(%rdi), %r15
	movq	8(%rdi), %rsp
	jmp	*(%rdi)
#else
#ifdef PLATFORM_pcbios
	.code16gcc
#endif
	.section ".text.setjmp", "ax", %progbits
setjmp:
	movl	4(%esp), %ecx
	movl	(%esp), %eax
	movl	%eax, (%ecx)
	leal	4(%esp), %eax
	movl	%eax, 4(%ecx)
	movl	%ebx, 8(%ecx)
	movl	%ebp, 12(%ecx)
	movl	%esi, 16(%ecx)
	movl	%edi, 20(%ecx)
	xorl	%eax, %eax
	ret
longjmp:
	movl	4(%esp), %ecx
	movl	8(%esp), %eax
	movl	8(%ecx), %ebx
	movl	12(%ecx), %ebp
	movl	16(%ecx), %esi
	movl	20(%ecx), %edi
	movl	4(%ecx), %esp
	pushl	(%ecx)
	ret
#endif
