/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pulls in the protocols that only Ethernet has. */
#include <config/general.h>

PROVIDE_REQUIRING_SYMBOL();

#ifdef SANBOOT_PROTO_AOE
REQUIRE_OBJECT ( aoe );
#endif
#ifdef NET_PROTO_LLDP
REQUIRE_OBJECT ( lldp );
#endif
#ifdef NET_PROTO_STP
REQUIRE_OBJECT ( stp );
#endif
#ifdef NET_PROTO_EAPOL
REQUIRE_OBJECT ( eapol );
#endif
#ifdef NET_PROTO_LACP
REQUIRE_OBJECT ( eth_slow );
#endif
