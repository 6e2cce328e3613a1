/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pci.h>

/* A BIOS identifies a card by bus, device and function, EFI by a pointer. */
static int fetch_busid ( struct net_device *netdev, char *out, size_t size ) {
	return snprintf ( out, size, "%08x", ( unsigned ) ( uintptr_t ) netdev->parent );
}

static const struct setting busid_setting = { "busid", "where the card is", fetch_busid };
TABLE_ENTRY ( settings, struct setting, busid_setting );
REQUIRING_SYMBOL ( fetch_busid );
REQUIRE_OBJECT ( settings );
