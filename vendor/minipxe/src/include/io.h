/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86 I/O ports, and the consoles that are a single port. */
#ifndef IO_H
#define IO_H

#include <minipxe.h>
#include <config/console.h>

#define PORT_ACCESS( type, suffix )							\
	static inline type in ## suffix ( uint16_t port ) {				\
		type value;								\
		__asm__ volatile ( "in" #suffix " %w1, %0" : "=a" ( value ) : "Nd" ( port ) );	\
		return value;								\
	}										\
	static inline void out ## suffix ( type value, uint16_t port ) {		\
		__asm__ volatile ( "out" #suffix " %0, %w1" : : "a" ( value ), "Nd" ( port ) );	\
	}
PORT_ACCESS ( uint8_t, b )
PORT_ACCESS ( uint16_t, w )
PORT_ACCESS ( uint32_t, l )

static inline void ports_write ( const char *text ) {
	for ( ; *text ; text++ ) {
#ifdef CONSOLE_DEBUGCON
		outb ( *text, DEBUGCON_PORT );
#endif
#ifdef CONSOLE_SERIAL
		if ( *text == '\n' )
			outb ( '\r', COMCONSOLE );
		while ( ! ( inb ( COMCONSOLE + 5 ) & 0x20 ) ) {}
		outb ( *text, COMCONSOLE );
#endif
	}
#ifdef CONSOLE_SERIAL
	while ( ! ( inb ( COMCONSOLE + 5 ) & 0x40 ) ) {}	/* until the last bit is sent */
#endif
}

#endif
