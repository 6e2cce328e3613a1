/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netdevice.h>

const struct ll_protocol ethernet_protocol = { "Ethernet", 1, 6, 14 };

struct net_device *alloc_etherdev ( uint64_t mac ) {
	return alloc_netdev ( &ethernet_protocol, mac );
}

REQUIRING_SYMBOL ( ethernet_protocol );
REQUIRE_OBJECT ( config_ethernet );
