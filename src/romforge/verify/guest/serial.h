/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first serial port of QEMU's machines, without the firmware, and the processor's interrupts. */
#ifndef SERIAL_H
#define SERIAL_H
#include "device.h"

#if defined ( __x86_64__ ) || defined ( __i386__ )

static inline void serial_byte ( UINT8 byte ) {
	UINT8 status;
	do
		__asm__ volatile ( "inb %1, %0" : "=a" ( status ) : "d" ( ( UINT16 ) 0x3fd ) );
	while ( ! ( status & 0x20 ) );
	__asm__ volatile ( "outb %0, %1" : : "a" ( byte ), "d" ( ( UINT16 ) 0x3f8 ) );
}

static inline void mask_interrupts ( void ) {
	__asm__ volatile ( "cli" : : : "memory" );
}

static inline void unmask_interrupts ( void ) {
	__asm__ volatile ( "sti" : : : "memory" );
}

#elif defined ( __aarch64__ )

static inline void serial_byte ( UINT8 byte ) {
	volatile UINT32 *pl011 = ( volatile UINT32 * ) 0x09000000;
	while ( pl011[6] & 0x20 ) {}	/* its FIFO is full */
	pl011[0] = byte;
}

static inline void mask_interrupts ( void ) {
	__asm__ volatile ( "msr daifset, #3" : : : "memory" );
}

static inline void unmask_interrupts ( void ) {
	__asm__ volatile ( "msr daifclr, #3" : : : "memory" );
}

#else

#ifdef __riscv
#define UART 0x10000000
#else
#define UART 0x1fe001e0
#endif

static inline void serial_byte ( UINT8 byte ) {
	volatile UINT8 *uart = ( volatile UINT8 * ) UART;
	while ( ! ( uart[5] & 0x20 ) ) {}
	uart[0] = byte;
}

#ifdef __riscv

static inline void mask_interrupts ( void ) {
	__asm__ volatile ( "csrci sstatus, 2" : : : "memory" );
}

static inline void unmask_interrupts ( void ) {
	__asm__ volatile ( "csrsi sstatus, 2" : : : "memory" );
}

#else

/* Sets bit 2 of CSR.CRMD, which enables interrupts. The instruction is another one with the first two registers. */
static inline void enable_interrupts ( UINTN bits ) {
	__asm__ volatile ( "csrxchg %0, %1, 0" : "+r" ( bits ) : "q" ( ( UINTN ) 4 ) : "memory" );
}

static inline void mask_interrupts ( void ) {
	enable_interrupts ( 0 );
}

static inline void unmask_interrupts ( void ) {
	enable_interrupts ( 4 );
}

#endif
#endif

/* Writes the line to the serial port, and begins a new one. */
static inline void end_serial ( struct line *line ) {
	for ( UINTN i = 0; i < line->used; i++ )
		serial_byte ( line->text[i] );
	serial_byte ( '\r' );
	serial_byte ( '\n' );
	line->used = 0;
}

#endif
