/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <minipxe.h>

/* Runs the start-up functions of all objects in the link. */
void startup ( void ) {
	const struct startup_fn *const *startup_fn;

	FOR_TABLE ( startup_fn, startup_fns )
		( *startup_fn )->startup();
}
