/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network boot: requests an address and a file, verifies the file, and runs it. */
#include <netdevice.h>
#include <config/general.h>

static const struct protocol *const steps[] = { &dhcp, &tftp };

static void request ( struct net_device *netdev, const struct protocol *protocol ) {
	static uint8_t packet[576];
	char what[24], said[64];
	const uint8_t *mac = netdev->mac;
	int len;

	snprintf ( what, sizeof ( what ), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5] );
	len = protocol->request ( what, packet, sizeof ( packet ) );
	if ( len > 0 && protocol->reply ( packet, len, said, sizeof ( said ) ) < 0 )
		printf ( "%s: no answer to %u bytes, %08x\n", protocol->name, ( unsigned ) len, ( unsigned ) crc32 ( 0, packet, len ) );
}

int ipxe ( struct net_device *netdev ) {
	printf ( "%s\n", BANNER );
	for ( unsigned i = 0 ; i < sizeof ( steps ) / sizeof ( steps[0] ) ; i++ )
		request ( netdev, steps[i] );
#ifndef SECUREBOOT
	shell();
#endif
	return 1;
}
