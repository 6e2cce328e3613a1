/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-32, eight bytes at a time ("slicing by 8"). */
#include <minipxe.h>

/*
 * A CRC is linear: the entry of a byte is the sum of the entries of its bits. So eight constants define a
 * table of 256 entries, and the preprocessor expands it.
 */
#define BIT( n, i, c ) ( ( n ) >> i & 1 ? c##u : 0 )
#define ENTRY( n, a, b, c, d, e, f, g, h )						\
	( BIT ( n, 0, a ) ^ BIT ( n, 1, b ) ^ BIT ( n, 2, c ) ^ BIT ( n, 3, d ) ^		\
	  BIT ( n, 4, e ) ^ BIT ( n, 5, f ) ^ BIT ( n, 6, g ) ^ BIT ( n, 7, h ) )
#define BY4( n, ... ) ENTRY ( n, __VA_ARGS__ ), ENTRY ( n + 1, __VA_ARGS__ ), ENTRY ( n + 2, __VA_ARGS__ ), ENTRY ( n + 3, __VA_ARGS__ )
#define BY16( n, ... ) BY4 ( n, __VA_ARGS__ ), BY4 ( n + 4, __VA_ARGS__ ), BY4 ( n + 8, __VA_ARGS__ ), BY4 ( n + 12, __VA_ARGS__ )
#define BY64( n, ... ) BY16 ( n, __VA_ARGS__ ), BY16 ( n + 16, __VA_ARGS__ ), BY16 ( n + 32, __VA_ARGS__ ), BY16 ( n + 48, __VA_ARGS__ )
#define SLICE( ... ) { BY64 ( 0, __VA_ARGS__ ), BY64 ( 64, __VA_ARGS__ ), BY64 ( 128, __VA_ARGS__ ), BY64 ( 192, __VA_ARGS__ ) }

/* slice[k][n]: what byte n does to the CRC when k more bytes follow */
static const uint32_t slice[8][256] = {
	SLICE ( 0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190, 0xedb88320 ),
	SLICE ( 0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05, 0x3b83984b ),
	SLICE ( 0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0, 0xe1351b80 ),
	SLICE ( 0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d, 0xed59b63b ),
	SLICE ( 0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849, 0xb1e6b092 ),
	SLICE ( 0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c, 0x1eb014d8 ),
	SLICE ( 0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579, 0x8816eaf2 ),
	SLICE ( 0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed, 0x533b85da ),
};

uint32_t crc32 ( uint32_t crc, const uint8_t *data, size_t len ) {
	crc = ~crc;
	for ( ; len >= 8 ; len -= 8, data += 8 ) {
		crc ^= data[0] | data[1] << 8 | data[2] << 16 | ( uint32_t ) data[3] << 24;
		crc = slice[7][crc & 0xff] ^ slice[6][crc >> 8 & 0xff] ^ slice[5][crc >> 16 & 0xff] ^ slice[4][crc >> 24] ^
		      slice[3][data[4]] ^ slice[2][data[5]] ^ slice[1][data[6]] ^ slice[0][data[7]];
	}
	while ( len-- )
		crc = crc >> 8 ^ slice[0][( crc ^ *data++ ) & 0xff];
	return ~crc;
}
