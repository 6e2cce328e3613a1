/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NETDEVICE_H
#define NETDEVICE_H

#include <minipxe.h>

struct ll_protocol {
	const char *name;
	uint16_t type;		/* ARP hardware type */
	uint8_t addr_len, header_len;
};
extern const struct ll_protocol ethernet_protocol;

struct net_device {
	struct net_device *next;
	const struct ll_protocol *link;
	void *parent;		/* the platform's handle of the card */
	void *snpdev;		/* private data of the UEFI network interface */
	uint8_t mac[6];
};

/* Called for each card that is added or removed. No driver calls these: they are found by their table. */
struct net_driver {
	const char *name;
	int ( * probe ) ( struct net_device *netdev );
	void ( * remove ) ( struct net_device *netdev );
};
TABLE ( net_drivers, struct net_driver );

/* Handlers of received packets, by their type */
struct net_protocol {
	const char *name;
	uint16_t type;
	int ( * receive ) ( struct net_device *netdev, const uint8_t *data, size_t len );
};
TABLE ( net_protocols, struct net_protocol );

struct net_device *alloc_netdev ( const struct ll_protocol *link, uint64_t mac );
struct net_device *alloc_etherdev ( uint64_t mac );
int register_netdev ( struct net_device *netdev );
void unregister_netdev ( struct net_device *netdev );
struct net_device *find_netdev ( void *parent );
int net_receive ( struct net_device *netdev, const uint8_t *frame, size_t len );

struct in_addr {
	uint8_t bytes[4];
};
const char *inet_ntoa ( struct in_addr address );

/* The neighbour cache, and requests for addresses */
const uint8_t *neighbour_find ( struct in_addr address );
void neighbour_learn ( struct in_addr address, const uint8_t *mac );
size_t arp_request ( struct net_device *netdev, struct in_addr target, uint8_t *out );

uint16_t tcpip_sum ( const uint8_t *data, size_t len );
int tcpip_receive ( uint8_t protocol, const uint8_t *data, size_t len );
const uint8_t *fragment_add ( uint16_t id, unsigned offset, const uint8_t *data, size_t *len, int more );

/* Drivers without a bus: each finds its card itself, and prints what it found */
struct root_driver {
	const char *name;
	void ( * probe ) ( void );
};
TABLE ( root_drivers, struct root_driver );

static inline void probe_root_drivers ( void ) {
	const struct root_driver *const *driver;

	FOR_TABLE ( driver, root_drivers )
		( *driver )->probe();
}

static inline void print_found ( const char *driver, const char *what, const uint8_t *mac ) {
	printf ( "minipxe %s found, %s: %02x:%02x:%02x:%02x:%02x:%02x\n", driver, what, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5] );
}

int ipxe ( struct net_device *netdev );

#endif
