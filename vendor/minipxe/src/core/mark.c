/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line that shows which image was booted. */
#include <minipxe.h>

/* Numbers that are symbols of the linker's command line. They are not addresses, so code cannot refer to them. */
__asm__ ( ".pushsection .rodata.linked, \"a\"\n.balign 4\n.globl linked\n"
	  "linked: .4byte pci_vendor_id, pci_device_id, _build_id, _build_timestamp\n.popsection" );
extern const struct {
	uint32_t vendor, device, build_id, timestamp;
} linked;

void print_mark ( const char *stage ) {
	printf ( "minipxe %s %04x:%04x build %08x %s\n", build_drivers, linked.vendor, linked.device, linked.build_id, stage );
	printf ( "minipxe version %s, %s, of %u\n", product_version, build_name, linked.timestamp );
}
