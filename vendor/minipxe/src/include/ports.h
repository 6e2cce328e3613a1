/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The consoles of x86 that are a single I/O port. */
#ifndef PORTS_H
#define PORTS_H

#include <io.h>
#include <config/console.h>

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
