/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MINIPXE_H
#define MINIPXE_H

typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __SIZE_TYPE__ size_t;
#define NULL ( ( void * ) 0 )

/* Memory allocation; malloc returns zeroed memory */
void *malloc ( size_t len );
void free ( void *data );

/* Functions that are called at start-up */
struct startup_fn {
	const char *name;
	void ( * startup ) ( void );
};
TABLE ( startup_fns, struct startup_fn );
void startup ( void );

/* Strings and output */
void *memcpy ( void *to, const void *from, size_t len );
void *memset ( void *to, int byte, size_t len );
int memcmp ( const void *a, const void *b, size_t len );
size_t strlen ( const char *text );
int strcmp ( const char *a, const char *b );
int snprintf ( char *out, size_t size, const char *format, ... ) __attribute__ (( format ( printf, 3, 4 ) ));
void printf ( const char *format, ... ) __attribute__ (( format ( printf, 1, 2 ) ));
void console_write ( const char *text );	/* defined by the platform */

/* The name and version of the image */
extern const char product_version[], build_name[], build_drivers[];
void print_mark ( const char *stage );

/* Commands of the shell */
struct command {
	const char *name;
	const char *help;
	int ( * run ) ( int argc, char **argv );
};
TABLE ( commands, struct command );
int system ( char *line );	/* runs a command line */
void shell ( void );

/* Options of a command: a letter, and whether a value follows */
struct option {
	char letter;
	int has_value;
	int ( * parse ) ( const char *text, int *value );
	int value;
};
struct words {
	int argc, at;
	char **argv;
};
int getopt ( struct words *words, const struct option *options, int count, char **value );
int parse_options ( int argc, char **argv, struct option *options, int count );
int parse_integer ( const char *text, int *value );
int parse_flag ( const char *text, int *value );

/* Settings of a card, by name */
struct net_device;
struct setting {
	const char *name;
	const char *help;
	int ( * fetch ) ( struct net_device *netdev, char *out, size_t size );
};
TABLE ( settings, struct setting );
int fetch_setting ( struct net_device *netdev, const char *name, char *out, size_t size );

/* A URI, split into its parts in place */
struct uri {
	char *scheme, *host, *path;
};
int parse_uri ( struct uri *uri, char *text );

/* Network protocols: each writes a request and reads the reply */
struct protocol {
	const char *name;
	int ( * request ) ( const char *what, uint8_t *out, int size );
	int ( * reply ) ( const uint8_t *in, int len, char *out, int size );
};
TABLE ( protocols, struct protocol );
extern const struct protocol dhcp, tftp;

/* Files that are embedded in the image */
struct file {
	const char *name;
	const uint8_t *data, *end;
};
TABLE ( files, struct file );

struct sha256 {
	uint32_t state[8];
	uint8_t block[64];
	uint32_t len;
};
void sha256_start ( struct sha256 *sha );
void sha256_add ( struct sha256 *sha, const uint8_t *data, size_t len );
void sha256_end ( struct sha256 *sha, uint8_t digest[32] );
uint32_t crc32 ( uint32_t crc, const uint8_t *data, size_t len );
int is_trusted ( const uint8_t digest[32] );

#endif
