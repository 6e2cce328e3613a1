/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The card of the PXE stack that loaded this image, by the stack's own calls. Only the address is asked for. */
#include <netdevice.h>

#define PXENV_UNDI_GET_INFORMATION 0x000c

/* Segment and offset of the stack's entry point. Only the prefix of a PXE program defines it. */
extern const uint32_t pxenv_entry __attribute__ (( weak ));

/* PXE Specification, 4.2.13 */
struct undi_information {
	uint16_t status, io, interrupt, mtu, type, mac_size;
	uint8_t current[16], permanent[16];
	uint16_t rom, receive_buffers, transmit_buffers;
} __attribute__ (( packed ));

/* Calls a function of the stack, with BX = its number and ES:DI = the parameters. Any register may change. */
static void pxe_call ( uint32_t function, void *parameters ) {
	uint32_t entry = pxenv_entry;

	__asm__ volatile ( "pushl %%ebp\n\tpushw %%ds\n\tpushw %%es\n\tpushl %%eax\n\tlcallw *(%%esp)\n\t"
			   "addl $4, %%esp\n\tpopw %%es\n\tpopw %%ds\n\tpopl %%ebp"
			   : "+a" ( entry ), "+b" ( function ), "+D" ( parameters ) : : "ecx", "edx", "esi", "memory", "cc" );
}

static void undionly_probe ( void ) {
	struct undi_information information = { .status = 0xffff };

	if ( ! &pxenv_entry || ! pxenv_entry ) {
		printf ( "minipxe undionly: no PXE stack has loaded this image\n" );
		return;
	}
	pxe_call ( PXENV_UNDI_GET_INFORMATION, &information );
	if ( information.status )
		printf ( "minipxe undionly: the PXE stack answers %04x\n", information.status );
	else
		print_found ( "undionly", "PXE stack", information.current );
}

static const struct root_driver undionly_driver = { "undionly", undionly_probe };
TABLE_ENTRY ( root_drivers, struct root_driver, undionly_driver );
