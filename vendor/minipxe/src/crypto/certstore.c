/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The certificates in CERT, as parts of the image. */
#include <minipxe.h>

#define FILE( path )									\
	__asm__ ( ".pushsection .data.certificates, \"aw\"\n.incbin \"" path "\"\n.popsection" );

/* The files follow each other; their contents tell where each one ends. */
__asm__ ( ".pushsection .data.certificates, \"aw\"\n.globl certificates\ncertificates:\n.popsection" );
#ifdef FILES
#include FILES
#endif
__asm__ ( ".pushsection .data.certificates, \"aw\"\n.globl certificates_end\ncertificates_end: .byte 0\n.popsection" );
extern const uint8_t certificates[], certificates_end[];

static int list ( int argc, char **argv ) {
	printf ( "%u bytes of certificates\n", ( unsigned ) ( certificates_end - certificates ) );
	return 0;
}

static const struct command cert_command = { "certs", ": how much there is of them", list };
TABLE_ENTRY ( commands, struct command, cert_command );
