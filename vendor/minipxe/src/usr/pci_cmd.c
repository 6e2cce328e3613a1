/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pci.h>

static int list ( int argc, char **argv ) {
	static struct option options[] = { { 'v', 1, parse_integer, 0 } };
	const struct pci_driver *const *driver;

	if ( parse_options ( argc, argv, options, 1 ) )
		return 1;
	FOR_TABLE ( driver, pci_drivers ) {
		for ( unsigned i = 0 ; i < ( *driver )->count ; i++ ) {
			const struct pci_id *id = &( *driver )->ids[i];

			if ( ! options[0].value || options[0].value == id->vendor )
				printf ( "%04x:%04x %s\n", id->vendor, id->device, id->description );
		}
	}
	return 0;
}

static const struct command list_command = { "pcilist", "[-v VENDOR]: cards that there are drivers for", list };
TABLE_ENTRY ( commands, struct command, list_command );
