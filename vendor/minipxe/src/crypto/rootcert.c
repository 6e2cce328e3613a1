/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fingerprints of the certificates in TRUST. Without any, no certificate is trusted. */
#include <minipxe.h>

#ifdef TRUSTED
static const uint8_t trusted[] = { TRUSTED };
#else
static const uint8_t trusted[0];
#endif

int is_trusted ( const uint8_t digest[32] ) {
	for ( size_t i = 0 ; i + 32 <= sizeof ( trusted ) ; i += 32 ) {
		if ( memcmp ( trusted + i, digest, 32 ) == 0 )
			return 1;
	}
	return 0;
}
