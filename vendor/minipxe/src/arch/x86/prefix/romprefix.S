/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start of a legacy ROM: the structures that a BIOS reads, the init code, which the BIOS calls in the ROM itself, and
 * the boot code (startup.h), which continues in a copy of the image in RAM. util/zbin sets the lengths and checksums.
 *
 * With MROM, the image ends where the payload begins. The payload is in a second image, which the BIOS does not copy:
 * the boot code reads it from the card.
 */
#include <config/console.h>
#include <config/general.h>

	.code16
	.section ".prefix", "ax", @progbits
#ifdef MROM
	.globl	_mrom_start
_mrom_start:
#else
	.globl	_rom_start
_rom_start:
#endif
	.byte	0x55, 0xaa
	.byte	0			/* length in blocks of 512 bytes */
	.byte	0xe9			/* jump with a 16-bit offset, which ends at offset 6 */
	.word	init - . - 2
	.byte	0			/* checksum of the image */
	.org	0x10
	.word	ipxe_header
	.org	0x18
	.word	pcir, pnp

	.balign	4
pcir:
	.ascii	"PCIR"
	.word	pci_vendor_id, pci_device_id
	.word	pci_devlist - pcir
	.word	pcir_end - pcir
	.byte	3			/* revision */
	.byte	0x00, 0x00, 0x02	/* Ethernet controller */
	.word	0			/* length in blocks */
	.word	1			/* revision of the code */
	.byte	0			/* PC-AT */
	.byte	0x80			/* last image */
	.word	0			/* blocks at run time: the whole image stays */
	.word	0, 0			/* no configuration utility */
pcir_end:

	.balign	16
pnp:
	.ascii	"$PnP"
	.byte	1			/* revision */
	.byte	2			/* length in units of 16 bytes */
	.word	0			/* next header */
	.byte	0
	.byte	0			/* checksum of this structure */
	.long	0			/* device identifier */
	.word	manufacturer, build_drivers
	.byte	0x02, 0x00, 0x00	/* Ethernet controller */
	.byte	0x54			/* boots, and can be shadowed and cached */
	.word	0, 0
	.word	boot
	.word	0, 0

manufacturer:	.asciz	"minipxe"
text_begin:	.asciz	"minipxe "
text_build:	.asciz	" build "
text_init:	.asciz	" init\r\n"
vendor:		.word	pci_vendor_id
device:		.word	pci_device_id

/* The BIOS calls this at start-up, with AX = bus, device and function. DS is set to the ROM: no RAM is ours yet. */
init:
	pushfw
	pushal
	pushw	%ds
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	xorw	%bp, %bp
	cli				/* a BIOS that mirrors its screen to our serial port must wait */
1:	movw	$text_begin, %si	/* one console after the other: two may share a screen */
	call	puts
	movw	$build_drivers, %si
	call	puts
	movb	$' ', %al
	call	putc
	movw	vendor, %ax
	call	puthex16
	movb	$':', %al
	call	putc
	movw	device, %ax
	call	puthex16
	movw	$text_build, %si
	call	puts
	movw	build_id + 2, %ax
	call	puthex16
	movw	build_id, %ax
	call	puthex16
	movw	$text_init, %si
	call	puts
	incw	%bp
	cmpw	$3, %bp
	jb	1b
	popw	%ds
	popal
	popfw
	movw	$0x20, %ax		/* a boot device is present */
	lret

puthex16:
	movw	$4, %cx
1:	rolw	$4, %ax
	pushw	%ax
	andb	$0xf, %al
	cmpb	$10, %al
	jb	2f
	addb	$( 'a' - '0' - 10 ), %al
2:	addb	$'0', %al
	call	putc
	popw	%ax
	loop	1b
	ret

1:	call	putc
puts:
	lodsb
	testb	%al, %al
	jnz	1b
	ret

/* Writes AL to console number BP. */
putc:
	pushal
	cmpw	$1, %bp
	je	debugcon
	jb	serial
#ifdef CONSOLE_FIRMWARE
	movb	$0x0e, %ah
	movw	$7, %bx
	int	$0x10
#endif
	jmp	9f
debugcon:
#ifdef CONSOLE_DEBUGCON
	movw	$DEBUGCON_PORT, %dx
	outb	%al, %dx
#endif
	jmp	9f
serial:
#ifdef CONSOLE_SERIAL
	movb	%al, %ah
	movw	$( COMCONSOLE + 5 ), %dx
1:	inb	%dx, %al
	testb	$0x20, %al		/* also set if there is no port: it reads as all ones */
	jz	1b
	movb	%ah, %al
	movw	$COMCONSOLE, %dx
	outb	%al, %dx
#endif
9:	popal
	ret

#include "startup.h"

#ifdef MROM
#define PCI_FIND_DEVICE	0xb102	/* functions of the PCI BIOS, INT 0x1a */
#define PCI_READ_DWORD	0xb10a
#define PCI_WRITE_WORD	0xb10c
#define PCI_WRITE_DWORD	0xb10d
#define COMMAND		0x04	/* registers of a PCI device */
#define COMMAND_MEMORY		0x02
#define FIRST_BAR	0x10
#define LAST_BAR	0x24
#define ROM_BAR		0x30
#define PAYLOAD_HEADER	512	/* the first block of the second image */
#define PAYLOAD_TYPE	0xff

text_no_bar:		.asciz	"minipxe: no memory BAR of the card is as large as its ROM\r\n"
text_no_payload:	.asciz	"minipxe: the payload is not behind its image\r\n"

	.balign	4
rom_bar:	.long	0	/* values to restore */
borrowed_bar:	.long	0
borrowed:	.word	0	/* the register */

pci_read:
	movw	$PCI_READ_DWORD, %ax
	int	$0x1a
	ret
pci_write:
	movw	$PCI_WRITE_DWORD, %ax
	int	$0x1a
	ret

/* Returns in EAX the size of the BAR in register DI, and in ECX its value. */
size_bar:
	call	pci_read
	pushl	%ecx
	movl	$0xffffffff, %ecx
	call	pci_write
	call	pci_read
	andb	$0xf0, %cl
	negl	%ecx
	movl	%ecx, %esi
	popl	%ecx
	call	pci_write
	movl	%esi, %eax
	ret

/* Turns the card's memory off (CX = 0) or on. */
set_memory:
	movw	%cx, %si
	movw	$COMMAND, %di
	call	pci_read
	andb	$~COMMAND_MEMORY, %cl
	orw	%si, %cx
	movw	$PCI_WRITE_WORD, %ax
	int	$0x1a
	ret

/*
 * Copies the payload from the card's ROM. Nothing else may lie at the ROM's address, so it gets that of a memory BAR, which
 * must be as large as the ROM. The payload must be right behind this image. Sets the carry flag on failure.
 */
load_payload:
	movw	$PCI_FIND_DEVICE, %ax
	movw	pcir + 4, %dx		/* QEMU may have changed the IDs */
	movw	pcir + 6, %cx
	xorw	%si, %si
	int	$0x1a
	jc	8f
	xorw	%cx, %cx
	call	set_memory
	movw	$ROM_BAR, %di
	call	size_bar
	movl	%ecx, rom_bar
	movl	%eax, %ebp
	movw	$( FIRST_BAR - 4 ), %di
1:	addw	$4, %di
	cmpw	$LAST_BAR, %di
	ja	4f
	call	size_bar
	testb	$5, %cl			/* not a BAR of I/O or of 64 bits */
	jnz	1b
	cmpl	%ebp, %eax
	jb	1b
	movw	%di, borrowed
	movl	%ecx, borrowed_bar
	andb	$0xf0, %cl
	movl	%ecx, %ebp
	xorl	%ecx, %ecx
	call	pci_write
	movl	%ebp, %ecx
	orb	$1, %cl
	movw	$ROM_BAR, %di
	call	pci_write
	movw	$COMMAND_MEMORY, %cx
	call	set_memory
	cli
	call	flat_fs
1:	cmpw	$0xaa55, %fs:(%ebp)	/* our image need not be the first of the ROM */
	jne	7f
	movl	%fs:build_id(%ebp), %eax
	cmpl	build_id, %eax
	je	2f
	movzwl	%fs:0x18(%ebp), %eax
	testb	$0x80, %fs:0x15(%ebp,%eax)
	jnz	7f
	movzwl	%fs:0x10(%ebp,%eax), %ecx
	shll	$9, %ecx
	jz	7f
	addl	%ecx, %ebp
	jmp	1b
2:	leal	_payload(%ebp), %esi
	cmpw	$0xaa55, %fs:(%esi)
	jne	7f
	movzwl	%fs:0x18(%esi), %eax
	cmpb	$PAYLOAD_TYPE, %fs:0x14(%esi,%eax)
	jne	7f
	addl	$PAYLOAD_HEADER, %esi
	movl	$_payload, %edi
1:	movl	%fs:(%esi), %eax
	movl	%eax, (%edi)
	addl	$4, %esi
	addl	$4, %edi
	cmpl	$_payload_end, %edi
	jb	1b
	clc
	jmp	6f
7:	stc
6:	sti
	pushfw
	movw	$ROM_BAR, %di
	movl	rom_bar, %ecx
	call	pci_write
	movw	borrowed, %di
	movl	borrowed_bar, %ecx
	call	pci_write
	popfw
	jc	8f
	ret
4:	movw	$COMMAND_MEMORY, %cx
	call	set_memory
	movw	$text_no_bar, %si
	jmp	9f
8:	movw	$text_no_payload, %si
9:	xorw	%bp, %bp
	call	puts
	stc
	ret
#endif
