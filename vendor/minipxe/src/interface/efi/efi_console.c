/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <efi.h>
#include <config/console.h>
#if defined ( __x86_64__ ) || defined ( __i386__ )
#include <ports.h>
#endif

/* Drivers in option ROMs start before the firmware connects its consoles, so ConOut alone is not enough. */
void console_write ( const char *text ) {
#ifdef CONSOLE_FIRMWARE
	uint16_t wide[192];
	unsigned len = 0;

	for ( const char *c = text ; *c && len < sizeof ( wide ) / sizeof ( wide[0] ) - 2 ; c++ ) {
		if ( *c == '\n' )
			wide[len++] = '\r';
		wide[len++] = *c;
	}
	wide[len] = 0;
	if ( efi_system->out )
		efi_system->out->output_string ( efi_system->out, wide );
#endif
#if defined ( __x86_64__ ) || defined ( __i386__ )
	ports_write ( text );
#elif defined ( CONSOLE_SERIAL )
	struct efi_serial *serial;

	if ( efi_system->boot->locate_protocol ( &efi_serial_guid, NULL, ( void ** ) &serial ) == 0 ) {
		size_t size = strlen ( text );

		serial->write ( serial, &size, text );
	}
#endif
}
