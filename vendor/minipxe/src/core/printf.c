/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small printf with %s, %c, %u and %x; numbers may be padded with zeros. */
#include <minipxe.h>

typedef __builtin_va_list va_list;

struct output {
	char *place, *end;
};

static void put ( struct output *out, char c ) {
	if ( out->place < out->end )
		*out->place++ = c;
}

static void put_number ( struct output *out, unsigned value, unsigned base, int width ) {
	char digits[10];
	int count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while ( value );
	while ( width-- > count )
		put ( out, '0' );
	while ( count )
		put ( out, digits[--count] );
}

static void format_text ( struct output *out, const char *format, va_list arguments ) {
	for ( ; *format ; format++ ) {
		const char *text;
		int width = 0;

		if ( *format != '%' ) {
			put ( out, *format );
			continue;
		}
		while ( *++format >= '0' && *format <= '9' )
			width = 10 * width + *format - '0';
		switch ( *format ) {
		case 's':
			for ( text = __builtin_va_arg ( arguments, const char * ) ; *text ; text++ )
				put ( out, *text );
			break;
		case 'c':
			put ( out, __builtin_va_arg ( arguments, int ) );
			break;
		case 'u':
		case 'x':
			put_number ( out, __builtin_va_arg ( arguments, unsigned ), *format == 'u' ? 10 : 16, width );
			break;
		default:
			put ( out, *format );
		}
	}
	*out->place = '\0';
}

int snprintf ( char *text, size_t size, const char *format, ... ) {
	struct output out = { text, text + size - 1 };
	va_list arguments;

	__builtin_va_start ( arguments, format );
	format_text ( &out, format, arguments );
	__builtin_va_end ( arguments );
	return out.place - text;
}

void printf ( const char *format, ... ) {
	char line[192];
	struct output out = { line, line + sizeof ( line ) - 1 };
	va_list arguments;

	__builtin_va_start ( arguments, format );
	format_text ( &out, format, arguments );
	__builtin_va_end ( arguments );
	console_write ( line );
}
