/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ASSERT_H
#define ASSERT_H

#include <minipxe.h>

#ifndef ASSERTING
#define ASSERTING 0
#endif

#define assert( x ) do {						\
	if ( ASSERTING && ! ( x ) )					\
		printf ( "assertion failed: %s\n", #x );		\
	} while ( 0 )

#endif
