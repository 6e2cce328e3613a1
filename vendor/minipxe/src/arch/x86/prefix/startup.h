/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each prefix has: our header, the code that copies the image to RAM and continues there, and access to all memory.
 * PAYLOAD_APART: the payload is not behind the prefix, and the prefix defines load_payload, which runs in the copy.
 */
#define RAM_SEGMENT 0x2000	/* free when a BIOS boots, but not earlier */

	.balign	4
ipxe_header:
	.ascii	"iPXE"
	.byte	12			/* length */
	.byte	0			/* checksum of this structure */
	.byte	0, 0
build_id:
	.long	_build_id
	/* Our own fields, for zbin: start and end of the payload, size in memory, and space for the CRC */
	.globl	payload_crc
#ifdef MROM
	.long	_payload, _payload_end, _bss_end
#else
	.long	_payload, _payload_end, _image_end
#endif
payload_crc:
	.long	0

/* Boots the image at CS:0. */
boot:
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	movw	$RAM_SEGMENT, %ax
	movw	%ax, %es
	xorw	%si, %si
	xorw	%di, %di
#ifdef PAYLOAD_APART
	movl	$_payload, %ecx
#else
	movl	$_image_end, %ecx
#endif
	rep movsb
	ljmp	$RAM_SEGMENT, $1f
1:	movw	%cs, %ax
	movw	%ax, %ds
	movw	%ax, %es
	cli
	movw	%ax, %ss
	movl	$0xfff0, %esp
	sti
#ifdef PAYLOAD_APART
	call	load_payload
	jc	3f
#endif
	xorw	%ax, %ax
	movl	$_bss, %edi
	movl	$_bss_end, %ecx
	subl	%edi, %ecx
	rep stosb
	calll	bios_main
3:	int	$0x18			/* have the BIOS try its next boot device */
2:	hlt
	jmp	2b

/* uint32_t flat_read ( uint32_t address ): reads an aligned word anywhere below 4 GiB */
	.globl	flat_read
flat_read:
	movl	4(%esp), %ecx
	cli
	call	flat_fs
	movl	%fs:(%ecx), %eax
	sti
	retl

/* Gives FS all of the lower 4 GiB, until an interrupt. Changes EAX and DX. */
flat_fs:
	lgdtl	gdt
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	$8, %dx			/* protected mode is needed to load FS, whose limit is kept */
	movw	%dx, %fs
	andb	$0xfe, %al
	movl	%eax, %cr0
	xorw	%dx, %dx
	movw	%dx, %fs
	ret

	.balign	8
gdt:	.word	gdt_end - gdt - 1	/* the null descriptor has the table's own address */
	.long	RAM_SEGMENT * 16 + gdt
	.word	0
	.quad	0x00cf93000000ffff	/* data, 4 GiB */
gdt_end:
