/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256 (FIPS 180-4). */
#include <minipxe.h>

static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate ( uint32_t x, int by ) {
	return x >> by | x << ( 32 - by );
}

static void compress ( struct sha256 *sha ) {
	uint32_t w[64], v[8];
	int i;

	for ( i = 0 ; i < 16 ; i++ )
		w[i] = ( uint32_t ) sha->block[4 * i] << 24 | sha->block[4 * i + 1] << 16 | sha->block[4 * i + 2] << 8 | sha->block[4 * i + 3];
	for ( ; i < 64 ; i++ ) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] + ( rotate ( a, 7 ) ^ rotate ( a, 18 ) ^ a >> 3 ) + ( rotate ( b, 17 ) ^ rotate ( b, 19 ) ^ b >> 10 );
	}
	memcpy ( v, sha->state, sizeof ( v ) );
	for ( i = 0 ; i < 64 ; i++ ) {
		uint32_t s1 = rotate ( v[4], 6 ) ^ rotate ( v[4], 11 ) ^ rotate ( v[4], 25 );
		uint32_t s0 = rotate ( v[0], 2 ) ^ rotate ( v[0], 13 ) ^ rotate ( v[0], 22 );
		uint32_t t1 = v[7] + s1 + ( ( v[4] & v[5] ) ^ ( ~v[4] & v[6] ) ) + constants[i] + w[i];
		uint32_t t2 = s0 + ( ( v[0] & v[1] ) ^ ( v[0] & v[2] ) ^ ( v[1] & v[2] ) );

		for ( int j = 7 ; j ; j-- )
			v[j] = v[j - 1];
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for ( i = 0 ; i < 8 ; i++ )
		sha->state[i] += v[i];
}

void sha256_start ( struct sha256 *sha ) {
	static const uint32_t start[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	memcpy ( sha->state, start, sizeof ( start ) );
	sha->len = 0;
}

void sha256_add ( struct sha256 *sha, const uint8_t *data, size_t len ) {
	while ( len-- ) {
		sha->block[sha->len++ % 64] = *data++;
		if ( sha->len % 64 == 0 )
			compress ( sha );
	}
}

void sha256_end ( struct sha256 *sha, uint8_t digest[32] ) {
	uint32_t bits = sha->len * 8;
	uint8_t byte = 0x80;
	int i;

	do {
		sha256_add ( sha, &byte, 1 );
		byte = 0;
	} while ( sha->len % 64 != 56 );
	memset ( sha->block + 56, 0, 4 );
	for ( i = 0 ; i < 4 ; i++ )
		sha->block[60 + i] = bits >> ( 24 - 8 * i );
	compress ( sha );
	for ( i = 0 ; i < 32 ; i++ )
		digest[i] = sha->state[i / 4] >> ( 24 - 8 * ( i % 4 ) );
}
