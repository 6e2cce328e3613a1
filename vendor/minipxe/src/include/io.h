/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O ports. Only x86 has them: elsewhere nothing responds. */
#ifndef IO_H
#define IO_H

#include <minipxe.h>

#if defined ( __i386__ ) || defined ( __x86_64__ )

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

#else

#define NO_PORT_ACCESS( type, suffix )							\
	static inline type in ## suffix ( uint16_t port ) {				\
		( void ) port;								\
		return ( type ) ~( type ) 0;						\
	}										\
	static inline void out ## suffix ( type value, uint16_t port ) {		\
		( void ) value;								\
		( void ) port;								\
	}
NO_PORT_ACCESS ( uint8_t, b )
NO_PORT_ACCESS ( uint16_t, w )
NO_PORT_ACCESS ( uint32_t, l )

#endif

#endif
