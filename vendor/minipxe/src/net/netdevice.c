/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network devices: notifies drivers of them, and passes received packets to protocols. */
#include <netdevice.h>

static struct net_device *netdevs;

struct net_device *alloc_netdev ( const struct ll_protocol *link, uint64_t mac ) {
	struct net_device *netdev = malloc ( sizeof ( *netdev ) );

	if ( ! netdev )
		return NULL;
	netdev->link = link;
	for ( int i = 0 ; i < 6 ; i++ )
		netdev->mac[i] = mac >> ( 8 * i );
	return netdev;
}

int register_netdev ( struct net_device *netdev ) {
	const struct net_driver *const *driver;
	int failed = 0;

	netdev->next = netdevs;
	netdevs = netdev;
	FOR_TABLE ( driver, net_drivers )
		failed |= ( *driver )->probe ( netdev );
	return failed;
}

void unregister_netdev ( struct net_device *netdev ) {
	const struct net_driver *const *driver;
	struct net_device **link = &netdevs;

	FOR_TABLE ( driver, net_drivers )
		( *driver )->remove ( netdev );
	while ( *link && *link != netdev )
		link = &( *link )->next;
	if ( *link )
		*link = netdev->next;
	free ( netdev );
}

struct net_device *find_netdev ( void *parent ) {
	struct net_device *netdev = netdevs;

	while ( netdev && netdev->parent != parent )
		netdev = netdev->next;
	return netdev;
}

int net_receive ( struct net_device *netdev, const uint8_t *frame, size_t len ) {
	const struct net_protocol *const *protocol;
	size_t header = netdev->link->header_len;

	if ( len < header )
		return -1;
	FOR_TABLE ( protocol, net_protocols ) {
		if ( ( *protocol )->type == ( frame[header - 2] << 8 | frame[header - 1] ) )
			return ( *protocol )->receive ( netdev, frame + header, len - header );
	}
	return -1;
}
