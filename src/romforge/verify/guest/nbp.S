/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network boot program for PC BIOS, which is also a boot sector. It reads the expansion ROM of PCI device 00:03.0,
 * writes its size and CRC-32 to COM1, and ends QEMU.
 */
	.set	DEVICE, 0x80001800	# 00:03.0, for configuration mechanism 1
	.set	COMMAND, 0x04
	.set	ROM, 0x30
	.set	ROM_ADDRESS, 0xfffff800

	.code16
	.globl	_start
_start:
	cli
	cld
	ljmp	$0, $1f			# some BIOSes jump to 07c0:0000
1:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$_start, %sp

	call	com1_init
	movw	$greeting, %si
	call	com1_text

	/* The size of the ROM: the address bits that cannot be set */
	movb	$ROM, %bl
	call	pci_read
	pushl	%eax
	movl	$ROM_ADDRESS, %ecx
	call	pci_write
	call	pci_read
	negl	%eax
	andl	$ROM_ADDRESS, %eax	# 0 for a missing device, which reads as all ones
	movl	%eax, %ebp
	popl	%ecx
	call	pci_write
	movl	%ebp, %eax
	call	com1_hex
	movb	$' ', %al
	call	com1_byte

	/* Its CRC-32 */
	xorl	%eax, %eax
	testl	%ebp, %ebp
	jz	1f
	call	flat
	call	rom_crc
1:	call	com1_hex
	movw	$end, %si
	call	com1_text
	call	com1_drain
	movl	$0x10, %eax		# QEMU ends with status 33
	outl	%eax, $0xf4
2:	hlt
	jmp	2b

/* Selects configuration register %bl; changes %dx */
pci_choose:
	pushl	%eax
	movl	$DEVICE, %eax
	movb	%bl, %al
	movw	$0xcf8, %dx
	outl	%eax, %dx
	popl	%eax
	movb	$0xfc, %dl
	ret

/* Reads configuration register %bl to %eax; changes %dx */
pci_read:
	call	pci_choose
	inl	%dx, %eax
	ret

/* Writes %ecx to configuration register %bl and to %eax; changes %dx */
pci_write:
	call	pci_choose
	movl	%ecx, %eax
	outl	%eax, %dx
	ret

/* Makes 4 GiB accessible by %fs; changes %eax, %cx */
flat:
	inb	$0x92, %al
	orb	$2, %al			# A20
	andb	$0xfe, %al		# without a reset
	outb	%al, $0x92
	lgdt	gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	$gdt_flat - gdt, %cx
	movw	%cx, %fs		# keeps its limit in real mode
	andb	$0xfe, %al
	movl	%eax, %cr0
	ret

/* Returns the CRC-32 of the ROM's %ebp bytes in %eax; changes all other registers */
rom_crc:
	movb	$COMMAND, %bl
	call	pci_read
	movzwl	%ax, %ecx		# 1 bits written to the status would clear it
	pushl	%ecx
	orb	$2, %cl
	call	pci_write
	movb	$ROM, %bl
	call	pci_read
	pushl	%eax
	andl	$ROM_ADDRESS, %eax
	movl	%eax, %edi
	leal	1(%eax), %ecx		# enables the ROM
	call	pci_write

	orl	$-1, %eax
1:	xorb	%fs:(%edi), %al
	movw	$8, %cx
2:	shrl	%eax
	jnc	3f
	xorl	$0xedb88320, %eax
3:	loop	2b
	incl	%edi
	decl	%ebp
	jnz	1b
	notl	%eax
	movl	%eax, %esi

	popl	%ecx
	call	pci_write
	movb	$COMMAND, %bl
	popl	%ecx
	call	pci_write
	movl	%esi, %eax
	ret

	.include "com1.S"

	.balign	4
gdt:
gdt_pointer:				# in the null descriptor, which is not used
	.word	gdt_end - gdt - 1
	.long	gdt
	.word	0
gdt_flat:
	.quad	0x00cf93000000ffff	# data, base 0, 4 GiB
gdt_end:

greeting:
	.ascii	"\r\nromforge "
	.ascii	"NONCE-GOES-HERE!"
	.asciz	" bios\r\nromforge rom "
end:
	.asciz	"\r\nromforge end\r\n"

	.org	510
	.byte	0x55, 0xaa
